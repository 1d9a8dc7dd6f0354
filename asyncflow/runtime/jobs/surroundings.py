"""What the desks of one engine share, and what they look at: an open resource, a job with its execution.

Plain values only. Who uses them is `desk` and its parts.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, NamedTuple

from asyncflow.model.jobs import JobState
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.state import ExecutionState
from asyncflow.plugins.resources import ResourceManager
from asyncflow.runtime.jobs.preparing import Preparing
from asyncflow.runtime.jobs.reporting import Reporting
from asyncflow.runtime.jobs.seams import ResourcePool, StateOf
from asyncflow.store.records import NEVER_RESTORED, Restored

_CAUGHT_UP_MS = 600_000
"""What begins so soon after a backup was first opened may have begun before, such as by a schedule."""


@dataclass(slots=True)
class Surroundings:
    """What all desks share.

    Attributes:
        restored: between which times another engine may have handed in what this one is to hand in.
        started_ms: when this process began, on the elapsed clock: nothing of an earlier one is older.
        is_draining: nothing is handed in any more.
        is_stopped: the engine stopped by itself: nothing is done any more.
        woken: tells the turn loop that something may be due at another time than before.
        spawn: has work of our own done beside the loop.
    """

    pool: ResourcePool
    preparing: Preparing
    reporting: Reporting
    state_of: StateOf
    now_ms: Callable[[], int]
    rng: random.Random
    is_stopped: Callable[[], bool]
    woken: Callable[[], None]
    spawn: Callable[[Coroutine[Any, Any, None]], None]
    restored: Restored = NEVER_RESTORED
    started_ms: int = 0
    is_draining: bool = False

    def may_have_gone_on(self, state: ExecutionState) -> bool:
        """Whether the execution, or what it is a part of, may have gone on without this file."""
        until_ms = self.restored.until_ms
        if not until_ms or state.created_ms <= until_ms + _CAUGHT_UP_MS:
            return bool(until_ms)
        above = self.state_of(state.parent_id) if state.parent_id else None
        return bool(state.parent_id) and (above is None or self.may_have_gone_on(above))


class Open(NamedTuple):
    """A resource that can be asked now."""

    manager: ResourceManager
    settings: ResourceSettings

    @property
    def poll_batch(self) -> int:
        """Handles that one poll is asked for at most: the fewer of what both allow; 0 for any number."""
        return min(filter(None, (self.manager.poll_batch, self.settings.poll_batch)), default=0)


class Subject(NamedTuple):
    """A job and the execution it is of."""

    state: ExecutionState
    job: JobState
