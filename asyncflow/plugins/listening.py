"""What is said of one listener besides its own settings: what it hears, from where, and how patiently.

It is parsed by `app/config`, or made of what a program says; who acts on it is `app/listeners`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from asyncflow.model.values import JsonObject
from asyncflow.plugins.listeners import Listener

Start = Literal["now", "beginning"]


@dataclass(frozen=True, slots=True)
class ListenerSettings:
    """One listener.

    Attributes:
        type: which plugin it is; its name unless this says another.
        patterns: names of events, with `*` for any part; of those the plugin hears of. Empty: all of them.
        config: the plugin's own settings, with the names of secrets.
        start: where it begins when it is new; afterwards it goes on where it was.
        timeout_s: how long it may take for one event.
        retries: how often one event is told again; then it is passed over.
        retry_first_s, retry_max_s: the first delay, doubled each time, and the longest.
        max_lag: turns that the journal keeps for it at most; 0 for any number.
        keep: turns that it was told of and that the journal keeps besides, so that they can be told again.
        made: the listener itself, where a program made one.
    """

    type: str = ""
    patterns: tuple[str, ...] = ()
    config: JsonObject = field(default_factory=dict)
    start: Start = "now"
    timeout_s: float = 30.0
    retries: int = 6
    retry_first_s: float = 1.0
    retry_max_s: float = 300.0
    max_lag: int = 1_000_000
    keep: int = 0
    made: Listener | None = None
