"""Schedules that come due: one coroutine and one alarm for all of them, on the engine's clock.

What is done about a time is in `schedule_starts`, and the documents are kept by `app/schedules`; nothing
here starts or stores anything.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import TypeVar

from asyncflow.app.logbook import Logbook
from asyncflow.app.schedule_definitions import Schedule
from asyncflow.app.schedule_starts import POLLED, FiringCounts, ScheduleStarts
from asyncflow.app.schedule_times import Due
from asyncflow.app.service import Service
from asyncflow.errors import ShuttingDown, StoreError
from asyncflow.runtime.timers import TimerKey

log = logging.getLogger("asyncflow.schedules")

T = TypeVar("T")

MOST_CAUGHT_UP = 1_000
"""Missed times of one schedule that are made up for, at most; older ones are dropped."""

_KEY = TimerKey("", 0, "schedules")
_LOOK_MS = 60_000  # a wall clock that somebody moved is noticed within this time
_AGAIN_MS = 1_000  # after the store took nothing
_TOGETHER = 100  # times fired at once
_FEW, _SHORT_MS = 5, 600_000  # expressions, and a stretch, whose times are worked out on the loop
_BACK_MS = 25 * 3_600_000  # a wall clock set back by more had been wrong


@dataclass(slots=True, eq=False)
class _Entry:
    """A schedule, up to which moment its times are dealt with, and those that are still to be fired."""

    schedule: Schedule
    handled_ms: int
    waiting: deque[Due] = field(default_factory=deque)
    started: list[str] = field(default_factory=list)
    is_current: bool = True


class ScheduleFiring:
    """Fires the schedules that it is given.

    Attributes:
        is_held: nobody fires while it is so, see `hold`.
    """

    def __init__(self, executions: Service, logbook: Logbook) -> None:
        """No schedule yet."""
        self.is_held = False
        self._starts = ScheduleStarts(executions, logbook)
        self._logbook = logbook
        self._engine = executions.engine
        self._carry = executions.engine.carry
        self._entries: dict[str, _Entry] = {}
        self._heap: list[tuple[int, int, _Entry]] = []
        self._ready: dict[str, _Entry] = {}
        self._drawn = 0
        self._wake = asyncio.Event()
        self._is_errand = False
        self._latest_ms = 0

    @property
    def counts(self) -> FiringCounts:
        """What came of the times since the engine began."""
        return self._starts.counts

    # --- which schedules there are ----------------------------------------------------------------

    async def begin(self, schedules: Iterable[tuple[Schedule, int]]) -> None:
        """Take up all schedules at a start, each with the moment of its last change, and begin to fire."""
        now_ms = self._now_ms()
        started = self._starts.going_on()
        given = [*schedules]
        latest = await self._logbook.last_firings([schedule.name for schedule, _ in given])
        for schedule, changed_ms in given:
            last = latest.get(schedule.name)
            handled_ms = max(changed_ms, last.due_ms if last is not None else 0)
            if schedule.catch_up == "none":
                handled_ms = max(handled_ms, now_ms)
            entry = self._put(schedule, self._believed(schedule, handled_ms))
            entry.started += started.get(schedule.name, [])
            if last is not None and last.status == POLLED:
                self._polled_before(entry, last.due_ms)
        self._carry.hand_out.on_due[_KEY.kind] = lambda _: self._look()
        self._engine.supervisor.start("schedules", self._run)
        self._look()

    def put(self, schedule: Schedule) -> None:
        """A schedule is new, changed, paused or resumed: from now on it fires like this."""
        self._put(schedule, self._believed(schedule, self._now_ms()))
        self._set_alarm()

    def drop(self, name: str) -> None:
        """A schedule is no more."""
        entry = self._entries.pop(name, None)
        self._ready.pop(name, None)
        if entry is not None:
            entry.is_current = False
        self._set_alarm()

    def hold(self, *, is_held: bool) -> None:
        """Fire nothing until told to go on; what comes due meanwhile is missed. Forgotten by a restart."""
        if self.is_held and not is_held:
            for entry in self._entries.values():
                if entry.schedule.catch_up == "none":
                    entry.handled_ms = max(entry.handled_ms, self._now_ms())
        self.is_held = is_held
        self.plan_anew()

    def plan_anew(self) -> int:
        """Look again when each schedule is due, and say how many there are."""
        self._heap.clear()
        for entry in self._entries.values():
            self._plan(entry)
        self._look()
        return len(self._entries)

    def _put(self, schedule: Schedule, handled_ms: int) -> _Entry:
        entry = _Entry(schedule, handled_ms)
        before = self._entries.get(schedule.name)
        if before is not None:
            before.is_current = False
            entry.started = before.started
            entry.handled_ms = self._believed(schedule, max(before.handled_ms, handled_ms))
        self._entries[schedule.name] = entry
        self._ready.pop(schedule.name, None)
        self._plan(entry)
        return entry

    def _plan(self, entry: _Entry) -> None:
        """Note when the schedule is due next."""
        due = None if entry.schedule.is_paused else entry.schedule.next_due(entry.handled_ms)
        if due is not None:
            self._drawn += 1
            heapq.heappush(self._heap, (due.at_ms, self._drawn, entry))

    def _believed(self, schedule: Schedule, handled_ms: int) -> int:
        """Up to when its times are dealt with; not far in the future, however wrong a clock had been."""
        now_ms = self._now_ms()
        if handled_ms <= now_ms + _BACK_MS:
            return handled_ms
        log.warning(
            "the wall clock was set back", extra={"schedule": schedule.name, "by_ms": handled_ms - now_ms}
        )
        return now_ms

    def _polled_before(self, entry: _Entry, due_ms: int) -> None:
        """A time was written down by an engine that ended before it wrote what came of it."""
        due = entry.schedule.next_due(due_ms - 1)
        cron = entry.schedule.crons[0] if due is None or due.at_ms != due_ms else due.cron
        self._wait(entry, Due(due_ms, cron))

    def _wait(self, entry: _Entry, *dues: Due) -> None:
        """Have these times fired."""
        if dues:
            entry.waiting += dues
            self._ready[entry.schedule.name] = entry

    # --- time -------------------------------------------------------------------------------------

    def _now_ms(self) -> int:
        return self._engine.clock.now().wall_ms

    def _look(self) -> None:
        """Have the coroutine look what is due; a virtual clock waits for it."""
        if not self._is_errand:
            self._is_errand = True
            self._carry.errands += 1
        self._wake.set()

    def _at_rest(self) -> None:
        if self._is_errand:
            self._is_errand = False
            self._carry.errands -= 1
            self._engine.turns.wake()

    def _set_alarm(self, *, again: bool = False) -> None:
        """One timer for all: when the first schedule is due, and soon enough to see a clock being moved."""
        while self._heap and not self._heap[0][2].is_current:
            heapq.heappop(self._heap)
        timetable, now = self._carry.timetable, self._engine.clock.now()
        if self.is_held or self._carry.is_draining or not (self._heap or again):
            timetable.cancel(_KEY)
        elif again:
            timetable.set(_KEY, now.elapsed_ms + _AGAIN_MS)
        else:
            timetable.set(_KEY, now.elapsed_ms + max(0, min(self._heap[0][0] - now.wall_ms, _LOOK_MS)))
        self._engine.turns.wake()

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            is_refused = False
            try:
                await self._fire_all()
            except ShuttingDown:
                self._at_rest()
                await asyncio.Event().wait()  # until the engine's end cancels this
            except StoreError as error:
                log.warning("schedules not fired", extra={"reason": str(error)})
                is_refused = True
            if not self._wake.is_set():
                self._set_alarm(again=is_refused)
                self._at_rest()

    # --- firing -----------------------------------------------------------------------------------

    async def _fire_all(self) -> None:
        """Fire whatever is due, one time of each schedule after another, until nothing is."""
        while not (self.is_held or self._carry.is_draining):
            await self._gather_due()
            ready = [*self._ready.values()]
            if not ready:
                return
            for start in range(0, len(ready), _TOGETHER):
                results = await asyncio.gather(
                    *(self._fire_one(entry) for entry in ready[start : start + _TOGETHER]),
                    return_exceptions=True,
                )
                for fault in results:
                    if isinstance(fault, BaseException):
                        raise fault

    async def _gather_due(self) -> None:
        """Take from all schedules the times that have come."""
        now_ms = self._now_ms()
        if now_ms + _BACK_MS < self._latest_ms:
            self._begin_anew()
        self._latest_ms = now_ms
        while self._heap and self._heap[0][0] <= now_ms:
            _, _, entry = heapq.heappop(self._heap)
            if not entry.is_current:
                continue
            if entry.schedule.catch_up == "all":
                await self._gather_each(entry, now_ms)
            else:
                due = await _worked_out(entry, entry.schedule.last_due, now_ms)
                if due is not None:
                    self._wait(entry, due)
                entry.handled_ms = max(entry.handled_ms, now_ms)
            self._plan(entry)

    def _begin_anew(self) -> None:
        """The wall clock had been far ahead: what is handled up to then is handled up to now."""
        self._heap.clear()
        for entry in self._entries.values():
            entry.handled_ms = self._believed(entry.schedule, entry.handled_ms)
            self._plan(entry)

    async def _gather_each(self, entry: _Entry, now_ms: int) -> None:
        schedule = entry.schedule
        before_ms, missed = await _worked_out(entry, partial(_missed, schedule), now_ms)
        if before_ms:
            self._starts.counts.dropped += 1
            log.warning("missed times dropped", extra={"schedule": schedule.name, "before_ms": before_ms})
        self._wait(entry, *missed)
        entry.handled_ms = max(entry.handled_ms, now_ms)

    async def _fire_one(self, entry: _Entry) -> None:
        """Deal with the oldest time of a schedule; it stays where it is if the store takes nothing."""
        due = entry.waiting[0]
        await self._starts.fire(entry.schedule, due, entry.started)
        if entry.waiting and entry.waiting[0] is due:
            entry.waiting.popleft()
        if not entry.waiting and self._ready.get(entry.schedule.name) is entry:
            del self._ready[entry.schedule.name]


async def _worked_out(entry: _Entry, times: Callable[[int, int], T], now_ms: int) -> T:
    """What is due since a schedule's times were dealt with; in a thread where it takes long to find out."""
    since_ms = entry.handled_ms
    if len(entry.schedule.crons) <= _FEW and now_ms - since_ms <= _SHORT_MS:
        return times(since_ms, now_ms)
    return await asyncio.to_thread(times, since_ms, now_ms)


def _missed(schedule: Schedule, after_ms: int, until_ms: int) -> tuple[int, list[Due]]:
    """The times that are made up for, oldest first; and before when some were dropped, 0 if none was."""
    begin_ms = schedule.recent(after_ms, until_ms, MOST_CAUGHT_UP)
    found: list[Due] = []
    due = schedule.next_due(begin_ms)
    while due is not None and due.at_ms <= until_ms:
        found.append(due)
        due = schedule.next_due(due.at_ms)
    return begin_ms if begin_ms > after_ms else 0, found
