"""R2, R3: a stop while jobs are being handed in: it waits for their handles, and not for ever."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from asyncflow.plugins.jobs import Tier
from tests.integration.engine_support import workflow
from tests.integration.job_support import Bench, job


@pytest.mark.scenario("R2")
async def test_a_stop_learns_the_handle_of_a_job_that_is_being_handed_in(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.service.latency_s = 3
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(1)
        draining = asyncio.create_task(service.engine.drain(60))
        await bench.clock.advance(3)
        assert await draining
        state = service.engine.turns.states[execution]
        assert (state.jobs[1].phase, state.jobs[1].handle) == ("submitted", "job-1")
    bench.service.latency_s = 0
    async with bench.engine() as service:
        assert (await bench.end(service, execution)).status == "COMPLETED"

    assert len(bench.service.made) == 1


@pytest.mark.scenario("R3")
@pytest.mark.parametrize("tier", ["token", "tag"])
async def test_a_stop_leaves_the_intent_of_a_job_whose_answer_does_not_come(
    tmp_path: Path, tier: Tier
) -> None:
    bench = Bench(tmp_path / "f.db", tier)
    bench.service.latency_s = 10_000
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(1)
        assert not await service.engine.drain(0.05)
        assert service.engine.jobs.counts()["fake"]["intent"] == 1, "which is what the log says"
    bench.service.latency_s = 0
    async with bench.engine() as service:
        assert service.engine.turns.states[execution].jobs[1].phase == "intent"
        state = await bench.end(service, execution)

    assert state.status == "COMPLETED"
    assert not bench.service.doubled()


async def test_no_call_begins_once_the_jobs_are_closed(tmp_path: Path) -> None:
    """Time goes on until the engine is closed; a poll that began now would find its client closed."""
    bench = Bench(tmp_path / "f.db")
    bench.service.duration_s = 10_000
    async with bench.engine() as service:
        await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(30)
        before = len(bench.service.polls)
        await service.engine.jobs.close()
        await bench.clock.advance(300)
        assert len(bench.service.polls) == before > 0
