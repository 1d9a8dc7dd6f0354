"""A second look at jobs that were handed in again because they were not found: the first may have come late.

Whoever is one too many is cancelled. The first look is `resolving`, where it is decided that a job is absent;
what is recorded of that has the next process look, too.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

from asyncflow.plugins.errors import InstanceGone
from asyncflow.plugins.jobs import MOST_HANDLE_CHARACTERS, Found, Job
from asyncflow.plugins.resources import ResourceManager
from asyncflow.runtime.jobs.connection import Work
from asyncflow.runtime.jobs.roles import Home
from asyncflow.runtime.jobs.table import Row

MARGIN_MS = 10_000
SKEW_MS = 600_000
"""How far the service's clock may lie from ours when jobs are listed since a moment."""
_LATER_MS = 60_000
_MOST_S = 86_400  # without a usable answer, where nothing is said of the resource any more


def patience_ms(manager: ResourceManager) -> int:
    """After how long what was sent has arrived, if it ever does, and is listed."""
    return int((manager.submit_timeout + manager.listing_lag) * 1000) + MARGIN_MS


def can_find(manager: ResourceManager) -> bool:
    """Whether jobs can be looked for."""
    return type(manager).find is not ResourceManager.find


class _Recheck(NamedTuple):
    """A second look at a job that was handed in again because it was not found.

    `job` is None where an earlier process did so, until the manager is open. `good_ms` is since when the
    service has given no usable answer.
    """

    due_ms: int
    number: int
    row: Row
    job: Job | None
    since_ms: int
    good_ms: int


class SecondLooks:
    """The second looks of one resource."""

    def __init__(self, desk: Home) -> None:
        """There is none to make."""
        self._desk = desk
        self._rechecks: list[_Recheck] = []
        self._drawn = 0

    def next_due(self) -> int | None:
        """When the next one is due."""
        return self._rechecks[0].due_ms if self._rechecks else None

    def look(self, manager: ResourceManager, now_ms: int) -> None:
        """Make the one that is due."""
        self._look_again(heapq.heappop(self._rechecks), manager, now_ms)

    def look_once_more(self, row: Row, intent_ms: int) -> None:
        """See later whether its first delivery arrived after all; an earlier process may have made it."""
        now_ms = self._desk.around.now_ms()
        self._put(_Recheck(now_ms, 0, row, None, max(0, intent_ms - SKEW_MS), now_ms))

    def _put(self, recheck: _Recheck) -> None:
        self._drawn += 1
        heapq.heappush(self._rechecks, recheck._replace(number=self._drawn))

    def _look_again(self, recheck: _Recheck, manager: ResourceManager, now_ms: int) -> None:
        """The first delivery may have arrived after all."""
        desk, row = self._desk, recheck.row
        if not can_find(manager):
            return
        if recheck.job is None:  # what was sent before now has arrived when patience is over
            subject, instance = desk.subject(row), desk.instance_of(row)
            if subject is not None and instance is not None:
                job = desk.around.preparing.named(subject.state, subject.job, instance=instance)
                due_ms = now_ms + patience_ms(manager)
                self._put(recheck._replace(due_ms=due_ms, job=job, good_ms=due_ms))
            elif subject is not None:
                self._put(recheck._replace(due_ms=now_ms + _LATER_MS))
        elif self._desk.resolving.is_unsure(row):
            self._put(recheck._replace(due_ms=now_ms + _LATER_MS, good_ms=now_ms + _LATER_MS))
        else:
            self._ask_again(recheck, recheck.job, manager)

    def _ask_again(self, recheck: _Recheck, job: Job, manager: ResourceManager) -> None:
        desk, row = self._desk, recheck.row

        def settle(answer: object, error: Exception | None) -> None:
            found = None if error is not None else matches(answer)
            if found is None:
                self._unheard(recheck, error)
            else:
                self.cancel_others(row, [match for match in found if match.mark.startswith(job.token)])

        desk.tally.finds += 1
        work = Work("find", manager.find(job, recheck.since_ms), manager.poll_timeout, settle)
        desk.connection.begin(work)

    def _unheard(self, recheck: _Recheck, error: Exception | None) -> None:
        """Look once more later; not where nothing can be found any more, nor for ever."""
        desk = self._desk
        now_ms = desk.around.now_ms()
        settings = desk.around.pool.settings_of(desk.name)
        most_ms = (_MOST_S if settings is None else settings.poll_blackout_s) * 1_000
        if not isinstance(error, InstanceGone) and now_ms - recheck.good_ms < most_ms:
            self._put(recheck._replace(due_ms=now_ms + _LATER_MS))

    def cancel_others(self, row: Row, found: list[Found]) -> None:
        """Have all cancelled that are no job of ours but carry the token of this one."""
        desk = self._desk
        for match in found:
            if match.handle != row.handle and match.handle not in desk.handles and match.is_open:
                desk.tally.duplicates += 1
                desk.note(row, "duplicate_cancelled", f"{match.handle} was one too many")
                desk.cancelling.stray(row, match.handle)


def matches(answer: object) -> list[Found] | None:
    """What a listing gave; None if it is none, which is no evidence of anything."""
    if not isinstance(answer, list | tuple):
        return None
    for match in answer:
        if not isinstance(match, Found) or not _is_sound(match):
            return None
    return list(answer)


def _is_sound(match: Found) -> bool:
    """Whether its members are of the types that they should be."""
    handle: object = match.handle
    texts: tuple[object, ...] = (handle, match.mark)
    number: object = match.created_ms
    return (
        all(isinstance(text, str) for text in texts)
        and 0 < len(match.handle) <= MOST_HANDLE_CHARACTERS
        and isinstance(number, int | float)
    )
