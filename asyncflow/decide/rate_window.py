"""The starts of the last window, and when the next may follow: an exact sliding window.

It must not estimate: no two buckets, no refill per tick, so that no window of the given length,
wherever it is laid, ever holds more starts than allowed. `decide/admission` asks it before a grant.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable


class RateWindow:
    """At most `rate` starts in any half-open window of `window_ms` milliseconds.

    Cost: constant per start; memory one entry per millisecond that saw a start, at most `rate`.
    """

    __slots__ = ("_starts", "count", "rate", "window_ms")

    def __init__(self, rate: int, window_ms: int) -> None:
        self.rate = rate
        self.window_ms = window_ms
        self.count = 0
        self._starts: deque[tuple[int, int]] = deque()  # (ms, how many), oldest first

    def add(self, now_ms: int) -> None:
        """Count a start; one before the newest known is put at its place."""
        self.count += 1
        starts = self._starts
        if not starts or now_ms > starts[-1][0]:
            starts.append((now_ms, 1))
        elif now_ms == starts[-1][0]:
            starts[-1] = (now_ms, starts[-1][1] + 1)
        else:  # recovery hands starts in any order
            self._starts = deque(_counted([*self.history(), now_ms]))

    def is_full(self, now_ms: int) -> bool:
        """Whether one more start at this time would be one too many."""
        if self.count >= self.rate:
            self._forget(now_ms)
        return self.count >= self.rate

    def is_empty(self, now_ms: int) -> bool:
        """Whether no start counts at this time."""
        self._forget(now_ms)
        return not self.count

    def left(self, now_ms: int) -> int:
        """How many more may start at this time."""
        self._forget(now_ms)
        return max(0, self.rate - self.count)

    def next_leaves_ms(self) -> int | None:
        """When the oldest start counts no more; None where there is none."""
        return self._starts[0][0] + self.window_ms if self._starts else None

    def refill_ms(self, now_ms: int) -> int:
        """When the next start is allowed: now, or the end of the start that has to leave first."""
        if not self.is_full(now_ms):
            return now_ms
        surplus = self.count - self.rate
        for at, many in self._starts:
            surplus -= many
            if surplus < 0:
                return at + self.window_ms
        raise AssertionError("a full window holds starts")

    def resized(self, rate: int, window_ms: int, now_ms: int) -> RateWindow:
        """The starts still in this window under another limit; a longer one fills from now on."""
        self._forget(now_ms)
        other = RateWindow(rate, window_ms)
        other.restore(self.history())
        return other

    def restore(self, starts_ms: Iterable[int]) -> None:
        """Put starts known from before a restart in place of what is known."""
        self._starts = deque(_counted(starts_ms))
        self.count = sum(many for _, many in self._starts)

    def history(self) -> list[int]:
        """Every start that is still remembered, oldest first: what has to survive a restart."""
        return [at for at, many in self._starts for _ in range(many)]

    def _forget(self, now_ms: int) -> None:
        starts, oldest = self._starts, now_ms - self.window_ms
        while starts and starts[0][0] <= oldest:
            self.count -= starts.popleft()[1]


def _counted(starts_ms: Iterable[int]) -> list[tuple[int, int]]:
    counts: dict[int, int] = {}
    for at in sorted(starts_ms):
        counts[at] = counts.get(at, 0) + 1
    return list(counts.items())
