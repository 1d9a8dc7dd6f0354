"""How often something took how long, or was how large: counts by upper bound, for whoever looks.

It is written on the hottest paths and read seldom, so it does no more than count. What is measured, and
under which names it is shown, is in `app/metric_families`.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from typing import Final

SECONDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
"""For what the engine itself does."""

TASK_SECONDS: Final = (0.005, 0.025, 0.1, 0.5, 1.0, 5.0, 15.0, 60.0, 300.0, 1800.0, 7200.0, 43200.0)
"""For what tasks do, and wait for."""

COUNTS: Final = (1.0, 4.0, 16.0, 64.0, 256.0, 1024.0, 4096.0, 16384.0)
"""For numbers of things in one turn."""

BYTES: Final = (256.0, 1024.0, 4096.0, 16384.0, 65536.0, 262144.0, 1048576.0, 4194304.0)
"""For sizes."""


class Distribution:
    """Values by upper bound.

    Attributes:
        counts: how many values were at most each bound and above the one before; above all of them, last.
        total: the sum of the values.
    """

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float] = SECONDS) -> None:
        """Nothing was observed; bounds rise."""
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total: float = 0

    def observe(self, value: float, times: int = 1) -> None:
        """Take in a value; the loop and threads that hold the lock of the interpreter may both do so."""
        self.counts[bisect_left(self.bounds, value)] += times
        self.total += value * times

    @property
    def count(self) -> int:
        """How many values there were."""
        return sum(self.counts)
