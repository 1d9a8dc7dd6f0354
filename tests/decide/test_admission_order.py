"""Who is next: priority with aging, turns, age; and whom a long wait keeps out."""

from __future__ import annotations

import pytest

from asyncflow.decide.admission import Admission
from asyncflow.model.resources import Need, ResourceLimit
from tests.decide.admission_cases import STEP_MS, drained, keys, limited, waiter

# --- order ---


def test_larger_priority_goes_first() -> None:
    admission = limited(1)
    admission.request(waiter("h", 0), 0)
    for number, priority in enumerate((0, 5, 99, 5)):
        admission.request(waiter("e", number, priority=priority), 1)

    assert drained(admission, ("h", 0), 1) == [("e", 2), ("e", 1), ("e", 3), ("e", 0)]


def test_executions_of_one_priority_take_turns() -> None:
    admission = limited(1)
    admission.request(waiter("h", 0), 0)
    for name in ("a", "b"):
        for number in range(1_000):
            admission.request(waiter(name, number), 0)
    admission.request(waiter("c", 0, since_ms=1), 1)
    order = drained(admission, ("h", 0), 1)

    assert order[:5] == [("a", 0), ("b", 0), ("c", 0), ("a", 1), ("b", 1)]
    assert order[5:] == [(name, number) for number in range(2, 1_000) for name in ("a", "b")]


def test_executions_take_turns_on_one_key_too() -> None:
    admission = Admission()
    lease = Need("t", 1, "exclusive", "x")
    admission.request(waiter("h", 0, lease), 0)
    for name in ("a", "b"):
        for number in range(100):
            admission.request(waiter(name, number, lease), 0)

    order = drained(admission, ("h", 0), 1)
    assert order == [(name, number) for number in range(100) for name in ("a", "b")]


def test_newcomer_takes_turns_with_one_whose_many_waiters_are_older() -> None:
    """Ten thousand siblings that have aged together do not shut out an execution that came later."""
    admission = limited(1)
    admission.request(waiter("h", 0), 0)
    for number in range(10_000):
        admission.request(waiter("a", number), 0)
    for number in range(3):
        admission.request(waiter("b", number, since_ms=10 * STEP_MS), 10 * STEP_MS)
    order = drained(admission, ("h", 0), 10 * STEP_MS)

    assert max(order.index(("b", number)) for number in range(3)) <= 6


def test_turns_hold_across_weights() -> None:
    admission = limited(3)
    admission.request(waiter("h", 0, Need("r", 3)), 0)
    for number in range(10):
        admission.request(waiter("a", number, Need("r", 2 + number % 2)), 0)
    for number in range(10):
        admission.request(waiter("b", number, Need("r", 2)), 0)
    order = drained(admission, ("h", 0), 1)

    assert [name for name, _ in order] == ["a", "b"] * 10


def test_older_goes_first_within_an_execution_whatever_the_order_of_asking() -> None:
    admission = limited(1)
    admission.request(waiter("h", 0), 0)
    for number in (4, 1, 3, 0, 2):
        admission.request(waiter("e", number, since_ms=number), 10)

    assert drained(admission, ("h", 0), 10) == [("e", number) for number in range(5)]


def test_waiting_raises_by_one_class_per_step() -> None:
    for waited, first in ((5 * STEP_MS - 1, "high"), (6 * STEP_MS, "low")):
        admission = limited(1)
        admission.request(waiter("h", 0), 0)
        admission.request(waiter("low", 1, priority=0), 0)
        admission.request(waiter("high", 1, priority=5, since_ms=waited), waited)

        assert keys(admission.release(("h", 0), waited)) == [(first, 1)]


@pytest.mark.parametrize("flood", [1, 7])
def test_lowest_is_admitted_within_its_bound_under_a_flood_of_the_highest(flood: int) -> None:
    """Once it has risen to the top, only one turn of every other execution may come before it."""
    admission = limited(1, reserve_after_ms=10**9)
    admission.request(waiter("high0", 0, priority=99), 0)
    admission.request(waiter("low", 0, priority=0), 0)
    holder, now_ms, number = ("high0", 0), 0, 0
    while holder != ("low", 0):
        now_ms += 1_000
        for name in range(flood):
            number += 1
            admission.request(waiter(f"high{name}", number, priority=99, since_ms=now_ms), now_ms)
        holder = keys(admission.release(holder, now_ms))[0]
        assert now_ms <= 99 * STEP_MS + (flood + 1) * 1_000


# --- reservation ---


def test_large_waiter_is_passed_until_it_reserves_and_never_after() -> None:
    admission = limited(4, reserve_after_ms=60_000)
    for number in range(4):
        admission.request(waiter("e", number), 0)
    admission.request(waiter("big", 1, Need("r", 4)), 0)
    admission.release(("e", 0), 1)
    assert admission.request(waiter("e", 10, since_ms=59_999), 59_999)

    for number in (1, 2, 3):
        assert admission.release(("e", number), 60_000) == []
        assert admission.request(waiter("e", 20 + number, since_ms=60_000), 60_000) is None
    why = admission.why(("e", 21), 60_000)
    assert (why["reason"], why["reserved_by"]) == ("reserved", {"execution_id": "big", "number": 1})
    assert keys(admission.release(("e", 10), 60_001)) == [("big", 1)]
    assert len(admission.release(("big", 1), 60_002)) == 3


def test_better_ranked_passes_a_reservation() -> None:
    admission = limited(2, reserve_after_ms=0)
    admission.request(waiter("e", 1), 0)
    admission.request(waiter("big", 1, Need("r", 2)), 0)

    assert admission.request(waiter("low", 1, priority=0, since_ms=1), 1) is None
    assert admission.request(waiter("high", 1, priority=1, since_ms=1), 1)


def test_reservation_covers_every_resource_of_the_waiter() -> None:
    admission = limited(1)
    admission.set_limit("s", ResourceLimit(1), 0)
    admission.request(waiter("e", 1, Need("r")), 0)
    admission.request(waiter("both", 1, Need("r"), Need("s")), 0)
    assert admission.request(waiter("e", 2, Need("s"), since_ms=59_999), 59_999)
    assert admission.release(("e", 2), 60_000) == []

    assert admission.request(waiter("e", 3, Need("s"), since_ms=60_000), 60_000) is None
    assert admission.why(("e", 3), 60_000)["reserved_by"] == {"execution_id": "both", "number": 1}
    assert keys(admission.withdraw(("both", 1), 60_001)) == [("e", 3)]


def test_next_of_a_shape_takes_up_the_reservation_of_one_that_gives_up() -> None:
    admission = limited(1)
    admission.set_limit("s", ResourceLimit(1), 0)
    admission.request(waiter("e", 1, Need("r")), 0)
    for number in (1, 2):
        admission.request(waiter("both", number, Need("r"), Need("s")), 0)
    assert admission.withdraw(("both", 1), 60_000) == []

    assert admission.request(waiter("e", 2, Need("s"), since_ms=60_001), 60_001) is None


def test_reservation_rests_while_a_limit_makes_it_impossible() -> None:
    admission = limited(2)
    admission.set_limit("s", ResourceLimit(1), 0)
    admission.request(waiter("e", 1, Need("r")), 0)
    admission.request(waiter("both", 1, Need("r", 2), Need("s")), 0)
    admission.set_limit("r", ResourceLimit(1), 1)
    assert admission.request(waiter("e", 2, Need("s"), since_ms=60_000), 60_000)
    admission.release(("e", 2), 60_001)
    assert admission.set_limit("r", ResourceLimit(2), 60_002) == []

    assert admission.request(waiter("e", 3, Need("s"), since_ms=60_003), 60_003) is None


# --- cost ---


def test_blocked_crowd_of_two_resources_moves_as_one_lane() -> None:
    """What refuses one refuses all of its shape: ten thousand are parked elsewhere without being tried."""
    admission = limited(1)
    admission.set_limit("s", ResourceLimit(1), 0)
    admission.request(waiter("h", 0, Need("r")), 0)
    admission.request(waiter("h", 1, Need("s")), 0)
    for number in range(10_000):
        admission.request(waiter(f"e{number}", 0, Need("r"), Need("s")), 0)
    first, second = (admission._ledger.resources[name] for name in ("r", "s"))
    (lane,) = first.lanes.values()

    assert admission.release(("h", 0), 1) == []
    assert (list(first.lanes.values()), list(second.lanes.values())) == ([], [lane])
    assert keys(admission.release(("h", 1), 2)) == [("e0", 0)]
