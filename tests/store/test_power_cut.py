"""Law: after a power cut at any point every acknowledged turn is there, and nothing else than whole turns."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.store.power_cut import cuts, judge_all, record, run, torn


@pytest.mark.scenario("R74")
async def test_acknowledged_turns_survive_a_power_cut_at_any_point() -> None:
    count, wrong = await run(turns=15, every=13, seed=7)

    assert count > 30
    assert wrong == []


@pytest.mark.scenario("R74")
async def test_disk_that_syncs_nothing_is_found_out(tmp_path: Path) -> None:
    """The check itself: where nothing is synced an acknowledged turn may be missing."""
    (tmp_path / "log").mkdir()
    log = [done for done in await record(tmp_path / "log", 4) if done.what != "sync"]
    last = max(at for at, done in enumerate(log) if done.what == "mark")
    count, wrong = await judge_all(cuts(log[: last + 1], last, random.Random(7)), tmp_path)

    assert count > 0
    assert wrong


@pytest.mark.scenario("R68")
async def test_last_record_torn_at_any_byte_is_not_there_and_all_before_it_are(tmp_path: Path) -> None:
    count, wrong = await torn(tmp_path, turns=3, every=67)

    assert count > 60
    assert wrong == []
