"""When which jobs of one instance are polled: rows by the length of their interval, soonest first.

Within one interval the rows fall due in the order in which they were put in, so no row costs more than
its place in a queue. Nothing here calls or reports; see `polling`.
"""

from __future__ import annotations

import heapq
import random
from collections import deque
from collections.abc import Iterable

from asyncflow.runtime.jobs.table import Row, Stage

GROWTH = 1.5
JITTER = 0.2
SOON = 0.25
"""A row whose poll lies within this part of its interval goes along with those that are due."""


class _Bucket:
    """Rows of one interval that are due together."""

    __slots__ = ("due_ms", "rows")

    def __init__(self, due_ms: int) -> None:
        self.due_ms, self.rows = due_ms, list[Row]()


class Schedule:
    """The rows of an instance that wait for a poll.

    A row leaves with `take`; one that was put elsewhere or is watched no more meanwhile is passed over.
    """

    def __init__(self, first_ms: int, most_ms: int, rng: random.Random) -> None:
        """Nothing waits. Intervals grow from `first_ms` to `most_ms`."""
        self._rng, self._bounds = rng, (first_ms, most_ms)
        self._intervals = _ladder(first_ms, most_ms)
        self._levels: list[deque[_Bucket]] = [deque() for _ in self._intervals]
        self._early: list[tuple[int, Row]] = []

    def set_intervals(self, first_ms: int, most_ms: int) -> None:
        """Let what is put in from now on wait so long; what waits keeps its time."""
        if self._bounds == (first_ms, most_ms):
            return
        self._bounds = first_ms, most_ms
        intervals = _ladder(first_ms, most_ms)
        waiting = [(b.due_ms, row) for level in self._levels for b in level for row in b.rows]
        self._early += [(due_ms, row) for due_ms, row in waiting if _waits(due_ms, row)]
        heapq.heapify(self._early)
        self._intervals = intervals
        self._levels = [deque() for _ in intervals]

    @property
    def first_ms(self) -> int:
        """The shortest interval."""
        return self._intervals[0]

    def level_at(self, age_ms: int) -> int:
        """The level that a row has come to that was watched for so long."""
        passed = 0
        for level, interval in enumerate(self._intervals):
            passed += interval
            if passed > age_ms:
                return level
        return len(self._intervals) - 1

    def interval_ms(self, level: int) -> int:
        """How long rows of a level wait."""
        return self._intervals[min(level, len(self._intervals) - 1)]

    def put(self, row: Row, now_ms: int) -> None:
        """Have a row polled after the interval of its level, more or less: with others, where that fits."""
        level = min(row.level, len(self._intervals) - 1)
        interval, buckets = self._intervals[level], self._levels[level]
        if not buckets or buckets[-1].due_ms < now_ms + interval * (1 - JITTER):
            due_ms = now_ms + int(interval * (1 - self._rng.uniform(0, JITTER)))
            buckets.append(_Bucket(max(due_ms, buckets[-1].due_ms) if buckets else due_ms))
        bucket = buckets[-1]
        row.due_ms = bucket.due_ms
        bucket.rows.append(row)

    def put_all(self, rows: Iterable[Row], now_ms: int) -> None:
        """As `put`, of rows that were asked in one call: mostly of one level."""
        level, bucket = -1, _Bucket(0)
        for row in rows:
            if row.level == level:
                row.due_ms = bucket.due_ms
                bucket.rows.append(row)
            else:
                self.put(row, now_ms)
                level = row.level
                bucket = self._levels[min(level, len(self._intervals) - 1)][-1]

    def put_at(self, row: Row, due_ms: int) -> None:
        """Have a row polled at this moment, whatever its level; also one that waits already."""
        row.due_ms = due_ms
        heapq.heappush(self._early, (due_ms, row))

    def delay(self, by_ms: int) -> None:
        """Have all that were put in for a moment polled so much later; the order stays."""
        waiting = [(due_ms + by_ms, row) for due_ms, row in self._early if _waits(due_ms, row)]
        for due_ms, row in waiting:
            row.due_ms = due_ms
        self._early = waiting
        heapq.heapify(waiting)

    def next_due(self) -> int | None:
        """When the first row is due; None if none waits."""
        while self._early and not _waits(*self._early[0]):
            heapq.heappop(self._early)
        soonest = self._early[0][0] if self._early else None
        for level in self._levels:
            due_ms = _first_of(level)
            if due_ms is not None and (soonest is None or due_ms < soonest):
                soonest = due_ms
        return soonest

    def take(self, now_ms: int, most: int) -> list[Row]:
        """The rows that are due, and with room left those that are due soon; at most so many, 0 for any."""
        found: list[Row] = []
        while self._early and self._early[0][0] <= now_ms and (not most or len(found) < most):
            _keep(found, *heapq.heappop(self._early))
        for part in (0.0, SOON):
            if part and not found:
                break
            for interval, level in zip(self._intervals, self._levels, strict=True):
                _take_until(found, level, now_ms + int(interval * part), most)
        return found


class Sweep:
    """The polls of one instance; `polls` are those under way."""

    __slots__ = ("instance", "is_woken", "not_before_ms", "polls", "schedule")

    def __init__(self, instance: str, schedule: Schedule) -> None:
        """Nobody waits for a poll."""
        self.instance, self.schedule = instance, schedule
        self.not_before_ms, self.is_woken, self.polls = 0, False, 0

    def next_due(self) -> int | None:
        """When its next round begins."""
        due = self.schedule.next_due()
        return due if due is None or self.is_woken else max(due, self.not_before_ms)


def _take_until(found: list[Row], level: deque[_Bucket], until_ms: int, most: int) -> None:
    """Take the rows of an interval that are due by then."""
    while level and level[0].due_ms <= until_ms:
        bucket = level[0]
        while bucket.rows:
            if most and len(found) >= most:
                return
            _keep(found, bucket.due_ms, bucket.rows.pop())
        level.popleft()


def _first_of(level: deque[_Bucket]) -> int | None:
    """When the first row of an interval is due; what does not wait any more is left behind."""
    while level:
        bucket = level[0]
        while bucket.rows:
            if _waits(bucket.due_ms, bucket.rows[-1]):
                return bucket.due_ms
            bucket.rows.pop()
        level.popleft()
    return None


def _ladder(first_ms: int, most_ms: int) -> list[int]:
    """The intervals from the first to the longest."""
    intervals = [max(1, first_ms)]
    while intervals[-1] < most_ms:
        intervals.append(min(most_ms, max(intervals[-1] + 1, int(intervals[-1] * GROWTH))))
    return intervals


def _waits(due_ms: int, row: Row) -> bool:
    """Whether the row waits for just this time: it may have been polled, or be gone."""
    return row.stage is Stage.WATCHED and row.due_ms == due_ms


def _keep(found: list[Row], due_ms: int, row: Row) -> None:
    """Take a row once: it is due no more until it is put in again."""
    if _waits(due_ms, row):
        row.due_ms = -1
        found.append(row)
