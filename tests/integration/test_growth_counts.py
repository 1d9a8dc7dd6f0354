"""What the engine does for one thing does not depend on how many others there are; counted, with no clock.

Each size is taken in a process of its own by `bench/growth.py`, at sizes at which a walk through everything
shows: a line a schedule, a listener or a handler is a fifth more. `python -m bench.growth` shows larger ones.
"""

from __future__ import annotations

import pytest

from bench.growth import exponent, in_child
from bench.growth_meter import Cost

FEW, MANY = 50, 400
SAME = 1.15
"""How much more the same work may be: turns are cut differently in each run, which is 7 % at most."""

BESIDE = {
    "listeners": ("steps beside",),
    "schedules": ("steps beside", "firings beside", "pause and resume beside"),
    "handlers": ("steps beside", "messages beside", "list of one event"),
    "definitions": ("steps beside", "register and start beside"),
}
OF_ALL = {
    "listeners": ("save", "tell", "list", "close the engine"),
    "schedules": ("save", "all fire"),
    "handlers": ("create",),
    "definitions": ("register", "start each"),
}


def lines_a_unit(cost: Cost) -> float:
    return cost.lines / cost.units


@pytest.mark.parametrize("dimension", BESIDE)
def test_one_is_served_in_the_same_steps_beside_many(dimension: str) -> None:
    few, many = (in_child(dimension, size, counts=True, timeout_s=120) for size in (FEW, MANY))

    for phase in (*BESIDE[dimension], *OF_ALL[dimension]):
        cost, before = lines_a_unit(many[phase]), lines_a_unit(few[phase])
        assert 0 < cost <= SAME * before, (
            f"{phase}: {before:.0f} lines a unit with {FEW}, {cost:.0f} with {MANY}"
        )


def test_exponent_is_the_slope_of_the_logarithms() -> None:
    assert exponent({10: 3.0, 100: 30.0, 1_000: 300.0}) == pytest.approx(1.0)
    assert exponent({10: 5.0, 1_000: 50_000.0}) == pytest.approx(2.0)
    assert exponent({10: 7.0, 100: 7.0}) == pytest.approx(0.0)
    assert exponent({10: 0.0, 100: 1.0}) != exponent({10: 0.0, 100: 1.0}), "one point has no slope"
