"""Admission case by case: what is granted, what is refused, and what ends a grant."""

from __future__ import annotations

import pytest

from asyncflow.decide.admission import Admission
from asyncflow.errors import InvalidInput, LimitExceeded
from asyncflow.model.resources import Grant, LeaseMode, Need, ResourceLimit, Waiter
from tests.decide.admission_cases import keys, limited, waiter

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


def test_resources_that_data_names_are_forgotten_and_fences_go_on() -> None:
    """Each kept its fence, and with it a place in memory for ever; all of them did after a restart."""
    admission = Admission()
    admission.restore_fences(40)
    fences: list[int] = []
    for number in [*range(5_000), 0]:
        key, need = (f"e{number}", len(fences)), Need(f"table-{number}", mode="exclusive", key="k")
        grant = admission.request(Waiter(key, (need,), 0, key[0], 0), 0)
        assert grant is not None
        fences.append(grant.fence)
        admission.release(key, 0)

    assert len(admission.usage()) < 2_000
    assert min(fences) > 40
    assert fences[-1] > fences[0], "the fence of a resource rises, whether it is remembered or not"
