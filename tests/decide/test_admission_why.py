"""What a waiter is told: of whom, how many come first, and until when."""

from __future__ import annotations

from asyncflow.decide.admission import Admission
from asyncflow.model.resources import Need
from tests.decide.admission_cases import drained, limited, waiter


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


def test_position_counts_nobody_who_waits_no_more() -> None:
    """After every step, and after somebody gave up, the first is told 1, and so on."""
    admission = limited(1)
    admission.request(waiter("h", 0), 0)
    for name, many in (("a", 3), ("b", 1), ("c", 2), ("d", 1)):
        for number in range(many):
            admission.request(waiter(name, number), 0)
    admission.withdraw(("c", 0), 0)
    holder = ("h", 0)
    while grants := admission.release(holder, 0):
        holder = grants[0].waiter.key
        told = [admission.why(key, 0)["position"] for key in admission._queues.parked]

        assert sorted(told, key=str) == list(range(1, len(told) + 1))
