"""Whole engines in simulated worlds: a few seeds of those that `python -m tests.simulation` runs."""

from __future__ import annotations

import pytest

from tests.simulation.seeds import run_seed


@pytest.mark.parametrize("first", range(0, 40, 4))
def test_nothing_is_lost_doubled_or_stuck_in_a_simulated_world(first: int) -> None:
    wrong = {seed: found for seed in range(first, first + 4) if (found := run_seed(seed).wrong)}

    assert wrong == {}


@pytest.mark.parametrize("seed", [2, 12])
def test_same_seed_goes_the_same_way(seed: int) -> None:
    first, second = run_seed(seed), run_seed(seed)

    assert first.digest == second.digest
    assert first.counts == second.counts


def test_worlds_hold_what_can_go_wrong() -> None:
    """The seeds of the ordinary run kill engines, lose answers, and reach every kind of step."""
    worlds = [run_seed(seed) for seed in range(8)]
    counts = sum((world.counts for world in worlds[1:]), worlds[0].counts)

    assert counts["kills"] >= 4
    assert all(counts[f"jobs_{tier}"] for tier in ("token", "tag", "once", "again"))
