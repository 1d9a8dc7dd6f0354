"""The sliding window against a list of all starts: never one too many, never one too few."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncflow.decide.admission import Admission
from asyncflow.decide.rate_window import RateWindow
from asyncflow.model.resources import Need, ResourceLimit
from tests.decide.admission_cases import keys, limited, waiter

rates = st.integers(1, 5)
windows = st.integers(1, 50)
gaps = st.lists(st.integers(0, 30), max_size=60)


@given(rates, windows, gaps)
def test_window_admits_exactly_what_every_window_allows(rate: int, window_ms: int, steps: list[int]) -> None:
    """A start is refused if, and only if, it would be one too many in the window that ends with it."""
    starts: list[int] = []
    window, now = RateWindow(rate, window_ms), 1_000
    for gap in steps:
        now += gap
        recent = [at for at in starts if at > now - window_ms]
        assert window.is_full(now) is (len(recent) >= rate)
        if not window.is_full(now):
            window.add(now)
            starts.append(now)

    for start in starts:
        assert sum(start <= at < start + window_ms for at in starts) <= rate


@given(rates, windows, gaps)
def test_refill_is_the_first_time_at_which_a_start_is_allowed(
    rate: int, window_ms: int, steps: list[int]
) -> None:
    """Refused a millisecond before it, allowed at it, also above a rate that was lowered."""
    window, now = RateWindow(rate, window_ms), 1_000
    for gap in steps:
        now += gap
        window.add(now)  # recovery and lowered rates leave more than is allowed
    due = window.refill_ms(now)

    if due > now:
        assert window.is_full(due - 1)
    assert not window.is_full(due)


@given(st.lists(st.integers(0, 100), max_size=30), rates, windows)
def test_starts_told_in_any_order_count_alike(starts: list[int], rate: int, window_ms: int) -> None:
    """Recovery reads attempts in the order of their executions, not of their starts."""
    told, sorted_first, restored = (RateWindow(rate, window_ms) for _ in range(3))
    for at in starts:
        told.add(at)
    for at in sorted(starts):
        sorted_first.add(at)
    restored.restore(starts)

    assert told.history() == sorted_first.history() == restored.history() == sorted(starts)
    assert told.refill_ms(100) == sorted_first.refill_ms(100) == restored.refill_ms(100)


def test_resized_window_keeps_what_is_still_in_the_old_one() -> None:
    window = RateWindow(3, 100)
    for at in (0, 50, 90):
        window.add(at)
    longer = window.resized(2, 1_000, 110)

    assert longer.history() == [50, 90]
    assert longer.refill_ms(110) == 1_050
    assert window.resized(3, 30, 110).refill_ms(110) == 110


def test_rate_refills_exactly_when_the_oldest_start_leaves_the_window() -> None:
    admission = limited(0, rate=2, rate_window_ms=100)
    assert admission.request(waiter("e", 1), 0)
    assert admission.request(waiter("e", 2), 30)
    for number in (3, 4, 5):
        assert admission.request(waiter("e", number), 40) is None

    assert admission.next_due_ms() == 100
    assert admission.advance(99) == []
    assert keys(admission.advance(100)) == [("e", 3)]
    assert admission.next_due_ms() == 130
    assert keys(admission.advance(250)) == [("e", 4), ("e", 5)]
    assert admission.next_due_ms() is None


def test_release_gives_no_start_back() -> None:
    admission = limited(1, rate=1, rate_window_ms=100)
    admission.request(waiter("e", 1), 0)
    admission.request(waiter("e", 2), 0)

    assert admission.release(("e", 1), 10) == []
    assert admission.why(("e", 2), 10)["reason"] == "rate_reached"
    assert admission.why(("e", 2), 10)["rate_refill_ms"] == 100
    assert keys(admission.advance(100)) == [("e", 2)]


@pytest.mark.parametrize("limit_first", [True, False])
def test_window_and_fence_survive_a_restart_whichever_is_told_first(*, limit_first: bool) -> None:
    before = limited(0, rate=2, rate_window_ms=100)
    grant = before.request(waiter("e", 1, Need("r", 1, "exclusive", "k")), 0)
    before.request(waiter("e", 2), 20)
    starts, fence = before.history("r")

    after = Admission()
    limit = ResourceLimit(0, 2, 100)
    if limit_first:
        after.set_limit("r", limit, 50)
    after.restore_history("r", starts_ms=starts, fence=fence)
    after.restore(("e", 2), (Need("r"),), 0, None)
    if not limit_first:
        after.set_limit("r", limit, 50)

    assert grant is not None
    assert fence == grant.fence
    assert after.request(waiter("e", 3, Need("r", 1, "exclusive", "k")), 60) is None
    later = after.advance(100)
    assert keys(later) == [("e", 3)]
    assert later[0].fence > grant.fence
