"""The sliding window against a list of all starts: never one too many, never one too few."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asyncflow.decide.rate_window import RateWindow

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
