"""What engines are killed over: the workflows of each load, the services they use, and where to die.

W1 and W3 are those of `bench/`, smaller. Which executions there are follows from the kinds, in turn.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from asyncflow.model.values import JsonObject
from asyncflow.runtime.points import (
    AFTER_POLL,
    AFTER_SEND,
    BEFORE_SEND,
    INSTANCE_POINTS,
    JOB_POINTS,
    POINTS,
    START_POINTS,
    VIEW_POINTS,
)
from tests.crash import mixed_workflows as mixed
from tests.crash.job_managers import (
    FIND_MOMENTS,
    INSTANCE_MOMENTS,
    POLL_MOMENTS,
    SUBMIT_MOMENTS,
    TIERS,
    WIRE_MOMENTS,
)
from tests.crash.job_workflows import CLUSTER, EARLY, LATE, protocol, single, wide


@dataclass(frozen=True)
class Load:
    """What one chain runs.

    Attributes:
        kinds: names of the workflows that are started, in turn.
        definitions: of those, and of their children.
        tiers: of the services that jobs go to.
        moments: every step between which a process can be killed.
        at_a_kill: executions begun for each kill.
        has_schedule: whether the calendar starts `tick`, too.
    """

    kinds: tuple[str, ...]
    definitions: tuple[JsonObject, ...]
    tiers: tuple[str, ...] = ()
    moments: tuple[str, ...] = POINTS
    at_a_kill: int = 1
    has_schedule: bool = False


TURN_POINTS = POINTS[:4]
_OF_JOBS = (*TURN_POINTS, *JOB_POINTS, *WIRE_MOMENTS)
COMPACTION = POINTS[4:]


def _names(*definitions: JsonObject) -> tuple[str, ...]:
    return tuple(str(each["name"]) for each in definitions)


def _protocol(tier: str) -> Load:
    """Each step of handing in, finding, watching and cancelling a job of one tier."""
    found = protocol(tier)
    return Load(_names(*found), (*found,), (tier,), moments_of(tier))


def moments_of(tier: str) -> tuple[str, ...]:
    """Every step of the protocol with a service of this tier."""
    return (*_OF_JOBS, *FIND_MOMENTS) if tier == "tag" else _OF_JOBS


_MIXED = (
    *(mixed.CHAIN, mixed.FAN, mixed.LOOP, mixed.PARENT, mixed.TIMER, mixed.BACKOFF, mixed.SIGNAL),
    *(mixed.SECRET, mixed.BLEND, mixed.ROUNDS),
    *(each for tier in ("token", "tag") for each in protocol(tier) if str(each["name"]).startswith(LATE)),
)
_ON_CLUSTERS = (single(CLUSTER), wide(CLUSTER))
_WIDE = (wide("token"), wide("tag"))
_WITHOUT_CANCELS = (*TURN_POINTS, BEFORE_SEND, *SUBMIT_MOMENTS, AFTER_SEND, *POLL_MOMENTS, AFTER_POLL)

LOADS: Mapping[str, Load] = {
    "w1": Load(("steps",), (mixed.STEPS,), at_a_kill=6),
    "w3": Load(_names(*_WIDE), _WIDE, ("token", "tag"), _WITHOUT_CANCELS),
    "mixed": Load(
        _names(*_MIXED),
        (*_MIXED, single("tag"), mixed.TICK),
        ("token", "tag"),
        (*_OF_JOBS, *COMPACTION, *START_POINTS, *VIEW_POINTS),
        at_a_kill=2,
        has_schedule=True,
    ),
    "clusters": Load(
        _names(*_ON_CLUSTERS),
        _ON_CLUSTERS,
        (CLUSTER,),
        (*INSTANCE_POINTS, *INSTANCE_MOMENTS, BEFORE_SEND, *SUBMIT_MOMENTS, AFTER_SEND, AFTER_POLL),
    ),
    **{f"jobs-{tier}": _protocol(tier) for tier in TIERS},
}


def is_cancelled(kind: str) -> bool:
    """Whether executions of this kind are cancelled, so that their end depends on who comes first."""
    return kind.startswith((LATE, EARLY))
