"""A stop under load, small; the law and the large one are in `stop_load`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash.stop_load import faults, run


@pytest.mark.scenario("R1", "R2")
@pytest.mark.parametrize("at", [0.5, 1.0])
async def test_a_stop_under_load_changes_nothing(tmp_path: Path, at: float) -> None:
    measured = await run(tmp_path, 60, at=at, first_s=1)

    assert faults(measured, 60) == []
    assert measured.looks_while_down == 0
