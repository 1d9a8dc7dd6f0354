"""Admission case by case: what is granted, to whom first, and what the others are told."""

from __future__ import annotations

import pytest

from asyncflow.decide.admission import Admission
from asyncflow.errors import InvalidInput, LimitExceeded
from asyncflow.model.resources import AttemptKey, Grant, LeaseMode, Need, ResourceLimit, Waiter

STEP_MS = 30_000


def waiter(name: str, number: int, *needs: Need, priority: int = 0, since_ms: int = 0) -> Waiter:
    return Waiter((name, number), needs or (Need("r"),), priority, name, since_ms)


def keys(grants: list[Grant]) -> list[AttemptKey]:
    return [grant.waiter.key for grant in grants]


def limited(max_concurrent: int, **more: int) -> Admission:
    admission = Admission(aging_step_ms=STEP_MS)
    admission.set_limit("r", ResourceLimit(max_concurrent, **more), 0)
    return admission


def drained(admission: Admission, holder: AttemptKey, now_ms: int) -> list[AttemptKey]:
    """The order in which waiters follow each other through a single slot."""
    order = []
    while grants := admission.release(holder, now_ms):
        assert len(grants) == 1
        holder = grants[0].waiter.key
        order.append(holder)
    return order


# --- limits ----------------------------------------------------------------------------------


def test_unknown_resource_admits_everyone_and_counts() -> None:
    admission = Admission()

    assert all(admission.request(waiter("e", n, Need("r", n)), 0) for n in range(50))
    assert admission.usage()["r"]["in_use"] == sum(range(50))
    assert admission.usage()["r"]["limit"] is None


def test_nothing_needed_is_granted_and_holds_nothing() -> None:
    admission = Admission()
    nothing = Waiter(("e", 1), (), 0, "e", 0)

    assert admission.request(nothing, 0) == Grant(nothing, 0)
    assert admission.usage() == {}
    assert admission.release(("e", 1), 0) == []


def test_released_slot_goes_to_the_next_waiter_at_once() -> None:
    admission = limited(1)
    assert admission.request(waiter("e", 1), 0)
    assert admission.request(waiter("e", 2), 0) is None

    assert keys(admission.release(("e", 1), 5)) == [("e", 2)]
    assert admission.usage()["r"]["in_use"] == 1


def test_weights_of_one_resource_named_twice_add_up() -> None:
    admission = limited(3)
    assert admission.request(waiter("e", 1, Need("r", 2)), 0)

    assert admission.request(waiter("e", 2, Need("r", 1), Need("r", 1)), 0) is None
    assert admission.request(waiter("e", 3, Need("r", 1)), 0)


def test_all_needs_are_granted_together_or_none() -> None:
    admission = limited(1)
    admission.set_limit("s", ResourceLimit(1), 0)
    assert admission.request(waiter("e", 1, Need("s")), 0)
    assert admission.request(waiter("e", 2, Need("r"), Need("s")), 0) is None

    assert admission.request(waiter("e", 3, Need("r")), 0)  # the one who waits holds neither
    assert admission.release(("e", 1), 1) == []
    assert keys(admission.release(("e", 3), 2)) == [("e", 2)]


def test_weight_above_the_limit_is_refused_by_name() -> None:
    admission = limited(3)

    with pytest.raises(LimitExceeded, match="weight on resource r: at most 3, got 4") as caught:
        admission.request(waiter("e", 1, Need("r", 2), Need("r", 2)), 0)
    assert (caught.value.allowed, caught.value.actual) == (3, 4)
    assert admission.request(waiter("e", 2, Need("r", 3)), 0)


@pytest.mark.parametrize(
    ("need", "field"),
    [
        (Need("r", -1), "resources.r.weight"),
        (Need("r", 1, "both"), "resources.r.mode"),  # type: ignore[arg-type]  # what a definition may hold
        (Need(""), "resources"),
    ],
)
def test_malformed_needs_are_refused_by_field(need: Need, field: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Admission().request(waiter("e", 1, need), 0)
    assert caught.value.field == field


@pytest.mark.parametrize("limit", [ResourceLimit(-1), ResourceLimit(1, 3, 0)])
def test_malformed_limits_are_refused(limit: ResourceLimit) -> None:
    with pytest.raises(InvalidInput, match=r"resources\.r\."):
        Admission().set_limit("r", limit, 0)


def test_asking_twice_changes_nothing() -> None:
    admission = limited(1)
    holder = waiter("e", 1)
    first = admission.request(holder, 0)
    assert admission.request(waiter("e", 2), 0) is None

    assert admission.request(holder, 1) == first == Grant(holder, 0)
    assert admission.request(waiter("e", 2), 1) is None
    assert (admission.usage()["r"]["in_use"], admission.usage()["r"]["waiting"]) == (1, 1)


def test_ending_twice_and_ending_the_unknown_change_nothing() -> None:
    admission = limited(1)
    admission.request(waiter("e", 1), 0)
    admission.release(("e", 1), 1)

    assert admission.release(("e", 1), 2) == admission.withdraw(("e", 1), 2) == []
    assert admission.usage()["r"]["in_use"] == 0


# --- live change -----------------------------------------------------------------------------


def test_raised_limit_admits_at_once_and_in_order() -> None:
    admission = limited(1)
    for number in range(5):
        admission.request(waiter("e", number), 0)

    assert keys(admission.set_limit("r", ResourceLimit(3), 1)) == [("e", 1), ("e", 2)]
    assert keys(admission.set_limit("r", None, 2)) == [("e", 3), ("e", 4)]


def test_lowered_limit_takes_nothing_away_and_admits_none_until_below() -> None:
    admission = limited(3)
    for number in range(4):
        admission.request(waiter("e", number), 0)
    assert admission.set_limit("r", ResourceLimit(1), 1) == []

    assert admission.release(("e", 0), 2) == admission.release(("e", 1), 2) == []
    assert keys(admission.release(("e", 2), 2)) == [("e", 3)]


def test_waiter_made_impossible_stays_says_so_and_bars_nobody() -> None:
    admission = limited(2, reserve_after_ms=0)
    admission.request(waiter("e", 1), 0)
    admission.request(waiter("e", 2, Need("r", 2)), 0)
    admission.set_limit("r", ResourceLimit(1, reserve_after_ms=0), 1)

    why = admission.why(("e", 2), 1)
    assert (why["reason"], why["impossible"], why["limit"]) == ("weight_above_limit", ["r"], 1)
    assert admission.release(("e", 1), 2) == []
    assert admission.request(waiter("e", 3, since_ms=2), 2)
    assert admission.release(("e", 3), 3) == []
    assert keys(admission.set_limit("r", ResourceLimit(2), 4)) == [("e", 2)]


# --- rates ------------------------------------------------------------------------------------


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


# --- leases -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("held", "asked", "granted"),
    [
        ("exclusive", "exclusive", False),
        ("exclusive", "shared", False),
        ("shared", "exclusive", False),
        ("shared", "shared", True),
        ("exclusive", None, True),
        (None, "exclusive", True),
    ],
)
def test_leases_exclude_by_mode(held: LeaseMode | None, asked: LeaseMode | None, *, granted: bool) -> None:
    admission = Admission()
    admission.request(waiter("e", 1, Need("t", 1, held, "day")), 0)

    assert bool(admission.request(waiter("e", 2, Need("t", 1, asked, "day")), 0)) is granted
    assert admission.request(waiter("e", 3, Need("t", 1, asked, "other day")), 0)
    assert bool(admission.release(("e", 1), 1)) is not granted


def test_fence_rises_with_every_exclusive_grant_over_keys_and_restarts() -> None:
    admission = Admission()
    fences = []
    for number, key in enumerate(("x", "y", "x")):
        grant = admission.request(waiter("e", number, Need("t", 1, "exclusive", key)), 0)
        assert grant is not None
        fences.append(grant.fence)
        admission.release(("e", number), 0)
    admission.restore(("e", 7), (Need("t", 1, "exclusive", "x"),), 40, 0)
    following = admission.request(waiter("e", 8, Need("t", 1, "exclusive", "y")), 0)

    assert fences == sorted(set(fences))
    assert following is not None
    assert following.fence == 41


def test_fence_of_shared_and_plain_grants_is_zero() -> None:
    grant = Admission().request(waiter("e", 1, Need("t", 1, "shared", "x"), Need("r")), 0)

    assert grant is not None
    assert grant.fence == 0


def test_shared_newcomers_do_not_starve_an_exclusive_waiter() -> None:
    admission = Admission()
    shared, exclusive = Need("t", 1, "shared", "x"), Need("t", 1, "exclusive", "x")
    assert admission.request(waiter("e", 1, shared), 0)
    assert admission.request(waiter("e", 2, exclusive), 0) is None
    assert admission.request(waiter("e", 3, shared, since_ms=59_999), 59_999)

    assert admission.request(waiter("e", 4, shared, since_ms=60_000), 60_000) is None
    assert admission.release(("e", 1), 60_001) == []
    assert keys(admission.release(("e", 3), 60_002)) == [("e", 2)]
    assert keys(admission.release(("e", 2), 60_003)) == [("e", 4)]


def test_busy_key_shuts_nobody_out_of_the_resource_behind_it() -> None:
    admission = limited(4, reserve_after_ms=0)
    for number in range(3):
        admission.request(waiter("e", number, Need("r", 1, "exclusive", "hot")), 0)

    assert admission.request(waiter("f", 1, Need("r", 1, "exclusive", "cold"), since_ms=9), 9)


def test_keys_nobody_holds_or_wants_are_forgotten() -> None:
    admission = Admission()
    for number in range(100):
        admission.request(waiter("e", number, Need("t", 1, "exclusive", str(number))), 0)
        admission.request(waiter("f", number, Need("t", 1, "exclusive", str(number))), 0)
        admission.withdraw(("f", number), 1)
        admission.release(("e", number), 1)

    assert admission._ledger.resources["t"].locks == {}


def test_unlimited_resources_nobody_uses_are_forgotten() -> None:
    admission = limited(1)
    for number in range(5_000):
        admission.request(waiter("e", number, Need(f"workflow:{number}")), 0)
        admission.release(("e", number), 0)

    assert len(admission.usage()) < 2_000
    assert "r" in admission.usage()


# --- order ------------------------------------------------------------------------------------


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


# --- reservation --------------------------------------------------------------------------------


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


# --- giving up, recovery -------------------------------------------------------------------------


def test_withdrawn_waiter_gets_nothing_and_a_holder_that_withdraws_releases() -> None:
    admission = limited(1)
    for number in range(3):
        admission.request(waiter("e", number), 0)

    assert admission.withdraw(("e", 1), 1) == []
    assert keys(admission.withdraw(("e", 0), 2)) == [("e", 2)]


def test_release_of_a_waiter_withdraws_it() -> None:
    admission = limited(1)
    for number in range(3):
        admission.request(waiter("e", number), 0)

    assert admission.release(("e", 1), 1) == []
    assert keys(admission.release(("e", 0), 2)) == [("e", 2)]


def test_restored_attempts_hold_above_a_lowered_limit() -> None:
    admission = limited(1)
    for number in range(3):
        admission.restore(("e", number), (Need("r", 1, "exclusive", str(number)),), number + 1, 0)
    admission.restore(("e", 0), (Need("r"),), 1, 0)

    assert admission.usage()["r"]["in_use"] == 3
    assert admission.request(waiter("f", 1), 1) is None
    assert admission.release(("e", 0), 2) == admission.release(("e", 1), 2) == []
    assert keys(admission.release(("e", 2), 2)) == [("f", 1)]


def test_crowd_that_gives_up_behind_a_stuck_head_leaves_nothing_behind() -> None:
    admission = limited(1)
    admission.request(waiter("h", 0), 0)
    admission.request(waiter("e", 0), 0)
    for number in range(1, 10_000):
        name = f"e{number % 5_000}"
        admission.request(waiter(name, number), 0)
        admission.withdraw((name, number), 0)
    (lane,) = admission._queues.lanes.values()

    assert all(max(len(band.ages), len(band.flows), len(band.ring)) < 300 for band in lane.bands.values())
    assert keys(admission.release(("h", 0), 1)) == [("e", 0)]


# --- why, usage ------------------------------------------------------------------------------------


def test_why_names_holders_free_weight_and_position() -> None:
    admission = limited(5)
    for number in range(2):
        admission.request(waiter("h", number, Need("r", 2)), 0)
    for number in range(4):
        admission.request(waiter("e", number, Need("r", 2), since_ms=number), 10)
    why = admission.why(("e", 2), 1_002)

    assert (why["state"], why["reason"], why["resource"]) == ("waiting", "limit_reached", "r")
    assert (why["weight"], why["free"], why["limit"], why["position"]) == (2, 1, 5, 3)
    assert why["holders"] == [{"execution_id": "h", "number": n, "weight": 2} for n in range(2)]
    assert why["waiting_ms"] == 1_000
    assert admission.why(("h", 0), 0) == {"state": "holding", "resources": {"r": 2}, "fence": 0}
    assert admission.why(("x", 0), 0) == {"state": "unknown"}


def test_why_lists_a_bounded_number_of_holders() -> None:
    admission = limited(100)
    for number in range(101):
        admission.request(waiter("e", number), 0)
    why = admission.why(("e", 100), 0)

    assert why["holder_count"] == 100
    assert isinstance(why["holders"], list)
    assert len(why["holders"]) == 20


def test_why_at_a_key_names_its_holder() -> None:
    admission = Admission()
    admission.request(waiter("h", 0, Need("t", 1, "exclusive", "day")), 0)
    admission.request(waiter("e", 0, Need("t", 1, "shared", "day")), 0)
    why = admission.why(("e", 0), 0)

    assert (why["reason"], why["key"]) == ("key_held", "day")
    assert why["holders"] == [{"execution_id": "h", "number": 0, "mode": "exclusive"}]


def test_position_is_the_place_in_the_order_of_admission() -> None:
    admission = limited(1)
    admission.request(waiter("h", 0), 0)
    for name, many in (("a", 5), ("b", 2), ("c", 3)):
        for number in range(many):
            admission.request(waiter(name, number), 0)
    told = {key: admission.why(key, 0)["position"] for key in admission._queues.parked}

    assert [told[key] for key in drained(admission, ("h", 0), 0)] == list(range(1, 11))


# --- cost -------------------------------------------------------------------------------------------


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
