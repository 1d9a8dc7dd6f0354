"""Jobs of one resource from intent to end: handed in once, watched, and taken up again after a stop."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.integration.engine_support import workflow
from tests.integration.job_support import Bench, job


async def test_a_job_is_handed_in_watched_and_its_output_is_that_of_the_task(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        state = await bench.end(service, execution)
    assert state.status == "COMPLETED"
    assert state.by_ref["job"].output == {"name": "job"}
    assert len(bench.service.made) == 1


@pytest.mark.scenario("R23")
async def test_a_job_that_was_handed_in_is_only_watched_by_the_next_engine(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.service.duration_s = 100
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(20)
        assert service.engine.jobs.counts()["fake"]["submitted"] == 1
    async with bench.engine() as service:
        state = await bench.end(service, execution)
    assert state.status == "COMPLETED"
    assert len(bench.service.made) == 1
