"""Waiters, limits and answers, short enough to read in a table: what the tests of admission share."""

from __future__ import annotations

from asyncflow.decide.admission import Admission
from asyncflow.model.resources import RESERVE_AFTER_MS, AttemptKey, Grant, Need, ResourceLimit, Waiter

STEP_MS = 30_000


def waiter(name: str, number: int, *needs: Need, priority: int = 0, since_ms: int = 0) -> Waiter:
    return Waiter((name, number), needs or (Need("r"),), priority, name, since_ms)


def keys(grants: list[Grant]) -> list[AttemptKey]:
    return [grant.waiter.key for grant in grants]


def limited(
    max_concurrent: int,
    *,
    rate: int = 0,
    rate_window_ms: int = 0,
    reserve_after_ms: int = RESERVE_AFTER_MS,
    max_holders: int = 0,
) -> Admission:
    admission = Admission(aging_step_ms=STEP_MS)
    limit = ResourceLimit(max_concurrent, rate, rate_window_ms, reserve_after_ms, max_holders)
    admission.set_limit("r", limit, 0)
    return admission


def drained(admission: Admission, holder: AttemptKey, now_ms: int) -> list[AttemptKey]:
    """The order in which waiters follow each other through a single slot."""
    order = []
    while grants := admission.release(holder, now_ms):
        assert len(grants) == 1
        holder = grants[0].waiter.key
        order.append(holder)
    return order
