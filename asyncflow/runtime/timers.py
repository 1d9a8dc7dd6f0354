"""Points in time that somebody wants to be told of, a million of them cheaply.

A wheel of buckets rather than a heap: setting and taking back cost a few dictionary steps, and
whole buckets come due together. It only keeps the book; who waits for time is `runtime/turns`.
"""

from __future__ import annotations

import heapq
from typing import NamedTuple

_TICK_MS = 32
_STALE = 64  # ticks kept though their buckets are gone, before they are looked through


class TimerKey(NamedTuple):
    """Whose timer: stream, record number, kind."""

    stream: str
    number: int
    kind: str


class Wheel:
    """Due times by key, in buckets of 32 ms; exact to the millisecond when asked.

    Cost: about 0.3 µs to set or cancel; `due` costs what comes due, plus the entries of the
    one bucket that has only partly come due. A hundred thousand may wait for the same moment, so that
    nothing else looks through a bucket.
    """

    __slots__ = ("_buckets", "_earliest", "_ticks", "_where")

    def __init__(self) -> None:
        """Begin empty."""
        self._buckets: dict[int, dict[TimerKey, int]] = {}
        self._earliest: dict[int, int] = {}  # by tick; nothing in the bucket is due before
        self._where: dict[TimerKey, int] = {}
        self._ticks: list[int] = []

    def __len__(self) -> int:
        """How many timers are set."""
        return len(self._where)

    def set(self, key: TimerKey, due_ms: int) -> None:
        """Set or move a timer."""
        tick = due_ms // _TICK_MS
        before = self._where.get(key)
        if before is not None and before != tick:
            self._drop(key, before)
        self._where[key] = tick
        bucket = self._buckets.get(tick)
        if bucket is None:
            self._buckets[tick] = {key: due_ms}
            self._earliest[tick] = due_ms
            heapq.heappush(self._ticks, tick)
        else:
            bucket[key] = due_ms
            self._earliest[tick] = min(self._earliest[tick], due_ms)

    def cancel(self, key: TimerKey) -> None:
        """Take a timer back; one that is not set is left alone."""
        tick = self._where.pop(key, None)
        if tick is not None:
            self._drop(key, tick)

    def _drop(self, key: TimerKey, tick: int) -> None:
        """Take a key out of its bucket, and the bucket away with its last one: it may lie years ahead."""
        bucket = self._buckets[tick]
        del bucket[key]
        if not bucket:
            del self._buckets[tick], self._earliest[tick]
            if len(self._ticks) > 2 * len(self._buckets) + _STALE:
                self._ticks = list(self._buckets)
                heapq.heapify(self._ticks)

    def due(self, now_ms: int) -> list[TimerKey]:
        """Everything due by now, earliest first, taken off the wheel."""
        found: list[tuple[int, TimerKey]] = []
        while self._ticks and self._ticks[0] * _TICK_MS <= now_ms:
            tick = self._ticks[0]
            bucket = self._buckets.get(tick)
            if bucket is None:
                heapq.heappop(self._ticks)
                continue
            if self._earliest[tick] > now_ms:
                break
            ripe = [(due, key) for key, due in bucket.items() if due <= now_ms]
            for _, key in ripe:
                del bucket[key]
                del self._where[key]
            found += ripe
            if bucket:
                self._earliest[tick] = min(bucket.values())
                break
            heapq.heappop(self._ticks)
            del self._buckets[tick], self._earliest[tick]
        found.sort(key=lambda item: item[0])
        return [key for _, key in found]

    def next_due(self) -> int | None:
        """Nothing is due before, or None if nothing is set.

        It is the earliest due time, or one up to 31 ms before it that was taken back or moved; who looks
        then what is due learns the next one.
        """
        while self._ticks:
            earliest = self._earliest.get(self._ticks[0])
            if earliest is not None:
                return earliest
            heapq.heappop(self._ticks)  # all that was due then was taken back
        return None
