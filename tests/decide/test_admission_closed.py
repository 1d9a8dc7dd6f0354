"""Who goes on under another name, who finds a resource closed, and who finds no place there."""

from __future__ import annotations

import pytest

from asyncflow.decide.admission import Admission
from asyncflow.errors import Conflict
from asyncflow.model.resources import Need, ResourceLimit
from tests.decide.admission_cases import keys, limited, waiter


def test_renamed_holder_holds_what_it_held_and_nobody_follows() -> None:
    admission = limited(2)
    admission.request(waiter("e", 1, Need("r", 2)), 0)
    admission.request(waiter("f", 1), 0)
    admission.rename(("e", 1), ("e", -1))

    assert admission.why(("e", 1), 0) == {"state": "unknown"}
    assert admission.why(("e", -1), 0) == {"state": "holding", "resources": {"r": 2}, "fence": 0}
    assert admission.in_use("r") == 2
    assert admission.release(("e", 1), 0) == []
    assert keys(admission.release(("e", -1), 0)) == [("f", 1)]


def test_renamed_holder_of_a_lease_keeps_it_with_its_fence() -> None:
    admission = Admission()
    grant = admission.request(waiter("e", 1, Need("t", 1, "exclusive", "day")), 0)
    admission.request(waiter("f", 1, Need("t", 1, "exclusive", "day")), 0)
    admission.rename(("e", 1), ("e", -1))

    assert grant is not None
    assert admission.why(("e", -1), 0)["fence"] == grant.fence
    assert admission.why(("f", 1), 0)["holders"] == [
        {"execution_id": "e", "number": -1, "mode": "exclusive"},
    ]
    (following,) = admission.release(("e", -1), 0)
    assert following.fence > grant.fence


def test_who_holds_nothing_is_not_renamed() -> None:
    admission = limited(1)
    admission.request(waiter("h", 1), 0)
    admission.request(waiter("e", 1), 0)
    admission.rename(("e", 1), ("e", -1))
    admission.rename(("x", 1), ("x", -1))
    admission.rename(("h", 1), ("h", 1))

    assert admission.why(("e", -1), 0) == admission.why(("x", -1), 0) == {"state": "unknown"}
    assert keys(admission.release(("h", 1), 0)) == [("e", 1)]


@pytest.mark.parametrize("other", ["holds", "waits"])
def test_name_that_is_taken_is_refused_and_nothing_changes(other: str) -> None:
    admission = limited(2 if other == "holds" else 1)
    admission.request(waiter("e", 1), 0)
    admission.request(waiter("e", 2), 0)

    with pytest.raises(Conflict, match="attempt 2 of e"):
        admission.rename(("e", 1), ("e", 2))
    assert admission.why(("e", 1), 0)["state"] == "holding"
    assert admission.in_use("r") == (2 if other == "holds" else 1)


def test_closed_resource_refuses_everybody_and_says_so() -> None:
    """Whatever is free; who holds it goes on, and who waits is admitted as it opens."""
    admission = limited(5)
    admission.request(waiter("h", 1), 0)
    admission.set_limit("r", ResourceLimit(5, is_open=False), 0)

    assert admission.request(waiter("e", 1), 0) is None
    assert admission.why(("e", 1), 0)["reason"] == "closed"
    assert admission.release(("h", 1), 0) == []
    assert admission.usage()["r"]["is_open"] is False
    assert keys(admission.set_limit("r", ResourceLimit(5), 0)) == [("e", 1)]
    assert admission.usage()["r"]["is_open"] is True


def test_who_waits_at_a_closed_resource_keeps_nobody_out_elsewhere() -> None:
    admission = limited(1, reserve_after_ms=1_000)
    admission.set_limit("shut", ResourceLimit(is_open=False), 0)
    admission.request(waiter("e", 1, Need("shut"), Need("r")), 0)

    assert admission.request(waiter("f", 1, since_ms=5_000), 5_000) is not None


def test_places_limit_holders_whatever_their_weights() -> None:
    admission = Admission()
    admission.set_limit("r", ResourceLimit(max_holders=2), 0)
    for number in range(2):
        assert admission.request(waiter("h", number, Need("r", 0)), 0) is not None

    assert admission.request(waiter("e", 1, Need("r", 0)), 0) is None
    assert admission.why(("e", 1), 0)["reason"] == "no_place"
    assert keys(admission.release(("h", 0), 0)) == [("e", 1)]


def test_more_places_admit_as_many_and_fewer_take_none_away() -> None:
    admission = Admission()
    admission.set_limit("r", ResourceLimit(max_holders=1), 0)
    for number in range(5):
        admission.request(waiter("e", number, since_ms=number), 5)

    assert keys(admission.set_limit("r", ResourceLimit(max_holders=3), 5)) == [("e", 1), ("e", 2)]
    assert admission.set_limit("r", ResourceLimit(max_holders=1), 5) == []
    assert admission.usage()["r"]["holders"] == 3
    assert admission.release(("e", 0), 5) == admission.release(("e", 1), 5) == []
    assert keys(admission.release(("e", 2), 5)) == [("e", 3)]
