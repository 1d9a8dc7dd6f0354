"""Law: no step on a cluster that we terminated, none of ours with it, and no idle cluster kept (R53 to R58).

Each seed is several races between giving a cluster back and using it, with everything real but the time
and the service; `python -m tests.plugins.interleavings` runs as many as you like.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.plugins.interleavings import RACES, run_seed

SEEDS = 25


@pytest.mark.scenario("R53", "R56", "R57")
@pytest.mark.parametrize("part", range(4))
async def test_cluster_is_given_back_or_used_and_never_both(part: int, tmp_path: Path) -> None:
    seen: Counter[str] = Counter()
    wrong: dict[int, list[str]] = {}
    for seed in range(part * SEEDS, (part + 1) * SEEDS):
        folder = tmp_path / str(seed)
        folder.mkdir()
        world = await run_seed(seed, folder)
        seen.update(world.counts)
        if world.wrong:
            wrong[seed] = world.wrong

    assert wrong == {}
    assert seen["TerminateJobFlows"] >= SEEDS
    assert SEEDS < seen["RunJobFlow"] < SEEDS * (RACES + 2)
    assert seen["killed"]
    assert seen["foreign"]
