"""The Conductor retry policy that comes nearest to a list of delays.

Numbers only. `conductor` puts the policy into a task definition and tells where it is not exact.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

_MOST_COMPARED = 64


class RetryPolicy(NamedTuple):
    """A retry policy in Conductor's terms; `difference` is how far its delays are off, in seconds."""

    logic: str
    delay_seconds: int
    cap_seconds: int
    difference: float

    def fields(self, count: int) -> dict[str, object]:
        """The fields of a task definition that say it."""
        said: dict[str, object] = {
            "retryCount": count,
            "retryLogic": self.logic,
            "retryDelaySeconds": self.delay_seconds,
        }
        if self.cap_seconds:
            said["maxRetryDelaySeconds"] = self.cap_seconds
        return said


def nearest_policy(delays: Sequence[float], count: int) -> RetryPolicy:
    """The policy whose delays before `count` retries differ least; the last delay given repeats.

    Ties go to the simpler policy: FIXED before LINEAR_BACKOFF before EXPONENTIAL_BACKOFF, without
    a cap before with one.
    """
    compared = min(count, _MOST_COMPARED)
    wanted = [float(delays[min(index, len(delays) - 1)]) for index in range(compared)] if delays else []
    if not wanted:
        return RetryPolicy("FIXED", 0, 0, 0.0)
    return min(_candidates(wanted), key=lambda policy: policy.difference)


def _candidates(wanted: Sequence[float]) -> Iterator[RetryPolicy]:
    caps = (0, max(round(max(wanted)), 1))
    for logic in ("FIXED", "LINEAR_BACKOFF", "EXPONENTIAL_BACKOFF"):
        steps = [_step(logic, index) for index in range(len(wanted))]
        bases = {round(delay / step) for delay, step in zip(wanted, steps, strict=True)}
        bases.add(round(sum(wanted) / sum(steps)))
        for cap in caps:
            for base in sorted(bases):
                given = [min(base * step, cap) if cap else base * step for step in steps]
                difference = sum(abs(a - b) for a, b in zip(given, wanted, strict=True))
                yield RetryPolicy(logic, base, cap, difference)


def _step(logic: str, index: int) -> int:
    if logic == "FIXED":
        return 1
    return index + 1 if logic == "LINEAR_BACKOFF" else 2**index
