"""What resources need of the engine, in one record: so they can be kept without one, in tests.

It holds functions and settings and does nothing. Who uses it is `runtime/resource_keeper`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asyncflow.model.events import Event
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resources import ResourceLimit
from asyncflow.model.turn import Moment
from asyncflow.plugins.surroundings import CommandRules, HttpCalls
from asyncflow.runtime.resource_manager import Kinds


@dataclass(slots=True)
class Surroundings:
    """What resources need of the engine.

    Attributes:
        now: this moment. `moment`: that of the turn that is open, which events are recorded at.
        record: have events of a stream recorded from this place on; done when they are durable.
        is_stopped: whether nothing is recorded any more.
        set_limit: have a limit hold, and who fits it begin.
        configured: told of the settings of a resource, at the start and when they change.
        waiting: how many wait at a resource that its rate lets begin now, the first of them, for people,
            and when it lets more of them begin, None where it holds nobody up.
        lost: told of an instance that is gone with somebody on it.
        set_timer: have `on_time` called for a resource then; None for not at all.
        retired: told of one that was removed when nothing of it is left.
        busy: told of the calls that begin (1) and end (-1).
        folder: what the folders of resources are in; None where there is no place for them.
    """

    kinds: Kinds
    now: Callable[[], Moment]
    moment: Callable[[], Moment]
    record: Callable[[list[Event], str, int], asyncio.Future[None]]
    is_stopped: Callable[[], bool]
    set_limit: Callable[[str, ResourceLimit | None], None]
    configured: Callable[[str, ResourceSettings], None] = lambda _name, _settings: None
    waiting: Callable[[str], tuple[int, str, int | None]] = lambda _: (0, "", None)
    lost: Callable[[str, str, str], None] = lambda _name, _instance, _reason: None
    set_timer: Callable[[str, int | None], None] = lambda _name, _due: None
    retired: Callable[[str], None] = lambda _: None
    busy: Callable[[int], None] = lambda _: None
    installation: str = ""
    secrets: Mapping[str, str] = field(default_factory=dict, repr=False)
    http_allow: Sequence[str] = ()
    http: HttpCalls | None = None
    commands: CommandRules | None = None
    folder: Path | None = None
