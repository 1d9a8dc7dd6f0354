"""When the engine was down, and what that does to a timeout that counts only while it runs.

Response, poll and task timeouts are measured without downtime: in it no worker could have taken a
task or answered. All other durations include it, and whoever wants a timer says which it is, see
`decide/wanted`.
"""

from __future__ import annotations

from bisect import bisect_right

from asyncflow.model.effects import Timer

_MOST = 1_000  # kept; a timeout that reaches back over more restarts counts what is forgotten


class Downtimes:
    """Intervals of the elapsed clock in which no engine ran, oldest first; none overlaps another."""

    def __init__(self) -> None:
        """It was never down."""
        self._from_ms: list[int] = []
        self._to_ms: list[int] = []

    def __len__(self) -> int:
        """How many are known."""
        return len(self._to_ms)

    def add(self, from_ms: int, to_ms: int) -> None:
        """It was down once more, after all that is known; only the last 1,000 are kept."""
        self._from_ms.append(from_ms)
        self._to_ms.append(to_ms)
        if len(self._to_ms) > _MOST:
            del self._from_ms[0], self._to_ms[0]

    def due_ms(self, timer: Timer) -> int:
        """When a timer is due, put off by the downtimes that do not count for it.

        What was due by the last moment before a downtime stays due then.

        Cost: the downtimes since the timer began; without any, next to nothing.
        """
        due_ms, since_ms = timer.due_ms, timer.since_ms
        if not since_ms:
            return due_ms
        for place in range(bisect_right(self._to_ms, since_ms), len(self._to_ms)):
            from_ms = max(self._from_ms[place], since_ms)
            if from_ms >= due_ms:
                break
            due_ms += self._to_ms[place] - from_ms
        return due_ms
