"""When the data volume of a task counts as unusual; off unless a factor is given.

It is compared with the runs before it; who compares is `app/volume_watch`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class IoRule:
    """The usual range of a task's bytes and rows.

    Attributes:
        factor: above the median of the last runs times this, or below it divided by it, is unusual; 0: never.
        runs: how many earlier runs are looked at.
        least_runs: with fewer, nothing is unusual.
    """

    factor: float = 0.0
    runs: int = 20
    least_runs: int = 5


NO_IO_RULE = IoRule()
"""Nothing is unusual."""
