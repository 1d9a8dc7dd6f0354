"""A resource and its instances, as the life cycle knows them: recorded facts, and what is reserved now.

Nothing here judges. What changes the recorded part is `decide/lifecycle_evolve`; the rest, which begins
anew with every process, is said to be so and is kept by `decide/lifecycle`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

InstancePhase = Literal["asked", "undecided", "created", "active", "draining", "destroying"]
"""asked: it may or may not be there. undecided: a person has to say. created: it is there, not ready yet.
active: it takes work. draining: it takes nothing new. destroying: it was or is being asked to end."""


@dataclass(slots=True, eq=False)
class Instance:
    """One instance from the intent to create it until it is gone.

    Attributes:
        number: counts the instances of the resource from 1; never used again.
        since_ms: of the phase, on the elapsed clock.
        cause, fence: of the draining or the destroying.
        was_resent: its creation was asked for more than once, so that a double may come to light.
        reserved: attempts and jobs on it (of this process).
        idle_ms: since when nobody is on it; where that is not recorded, not before this process began.
        is_idle_known: `idle_ms` is recorded, and outlives this process.
        next_ms: when the next call about it is due; 0 for at once (of this process).
        sent_ms: when its creation was last sent, or when this process began (of this process).
        looked_ms: when a search for doubles is due, 0 for none (of this process).
        is_free: the service was asked while it was draining, and has no work on it (of this process).
        is_unsure: nobody knows whether its creation was done (of this process).
        is_refused: when it was asked for again the service refused, for certain (of this process).
        change: rises with its phase and with what is reserved, so that an answer to an older question shows.
        ended_ms: when the service last took the order to destroy it; 0 for never (of this process).
        tries: calls in a row that failed (of this process).
    """

    number: int
    token: str
    phase: InstancePhase = "asked"
    handle: str = ""
    asked_ms: int = 0
    ready_ms: int = 0
    since_ms: int = 0
    by: str = ""
    cause: str = ""
    reason: str = ""
    fence: int = 0
    was_resent: bool = False
    reserved: int = 0
    idle_ms: int = 0
    is_idle_known: bool = False
    next_ms: int = 0
    sent_ms: int = 0
    looked_ms: int = 0
    is_free: bool = False
    is_unsure: bool = False
    is_refused: bool = False
    change: int = 0
    ended_ms: int = 0
    tries: int = 0
    error: str = ""
    facts: dict[str, object] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class ResourceState:
    """One resource.

    Attributes:
        seq: events recorded of it.
        drained: why somebody closed it; "" while it is open. `drained_by` and `drained_ms` tell who and when.
        least, most: what somebody resized it to; None while the settings hold.
        doubles: handles of instances that are one too many, with the number of the one they double.
        tries, retry_ms: creations in a row that came to nothing, and when the next may be asked for.
        generation: counts its streams; another is begun where one cannot be read any more.
        damage: why its history cannot be read; "" while it can (of this process).
        waiting, demand: how many wait for an instance that they may begin on now, and the first of them (of
            this process).
    """

    name: str
    seq: int = 0
    instances: dict[int, Instance] = field(default_factory=dict)
    next_number: int = 1
    fence: int = 0
    drained: str = ""
    drained_by: str = ""
    drained_ms: int = 0
    least: int | None = None
    most: int | None = None
    configured: tuple[str, dict[str, object]] | None = None
    is_removed: bool = False
    doubles: dict[str, int] = field(default_factory=dict)
    tries: int = 0
    retry_ms: int = 0
    error: str = ""
    generation: int = 1
    damage: str = ""
    waiting: int = 0
    demand: str = ""
