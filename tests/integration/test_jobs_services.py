"""Services at their worst: throttled for long, changing their minds, calling back too early and too often."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.plugins.jobs import JobStatus, JobWord, Tier
from asyncflow.runtime.engine import EngineSettings
from tests.integration.engine_support import workflow
from tests.integration.job_support import Bench, callback_proof, job
from tests.integration.test_jobs_polling import fork

JOBS = 400
HALF_AN_HOUR_S = 1_800


@pytest.mark.scenario("R75")
async def test_polls_throttled_for_half_an_hour_fail_nobody_and_become_rare(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", poll_batch=20)
    bench.resource = ResourceSettings("fake", poll_first_s=5, poll_max_s=30)
    bench.service.duration_s = 7_200
    async with bench.engine() as service:
        execution = await bench.start(service, fork(JOBS))
        await bench.clock.advance(HALF_AN_HOUR_S)
        healthy = bench.service.faults.calls["poll"]
        bench.service.fail("poll", "throttled", times=1_000_000)
        await bench.clock.advance(HALF_AN_HOUR_S)
        throttled = bench.service.faults.calls["poll"] - healthy
        bench.service.faults.clear()
        for made in bench.service.made.values():
            bench.service.end_job(made.handle, "succeeded")
        state = await bench.end(service, execution, within_s=16 * 60)

    assert healthy >= HALF_AN_HOUR_S / 30 * JOBS / 20 * 0.8
    assert throttled * 10 <= healthy
    assert state.status == "COMPLETED"
    assert not [task for task in state.tasks.values() if task.retry_count]


@pytest.mark.scenario("R80")
@pytest.mark.parametrize("later", ["running", "failed", "cancelled"])
async def test_the_first_end_counts_whatever_the_service_says_later(tmp_path: Path, later: JobWord) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.service.duration_s = 30
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job(), job("after")]))
        await bench.clock.run(lambda: len(bench.service.made) == 2, seconds=120)
        bench.service.say["job-1"] = JobStatus(later)
    async with bench.engine() as service:
        state = await bench.end(service, execution)

    assert state.status == "COMPLETED"
    assert state.by_ref["job"].status == "COMPLETED"
    assert len(bench.service.made) == 2


@pytest.mark.scenario("R77")
async def test_a_stale_listing_that_is_throttled_half_way_is_no_evidence(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", "tag", listing_lag=30.0)
    bench.service.listing_lag_s, bench.service.duration_s = 30.0, 600
    bench.service.fail("submit", "cut_after")
    bench.service.fail("find", "throttled", skip=2, times=5)
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        state = await bench.end(service, execution)

    assert state.status == "COMPLETED"
    assert len(bench.service.made) == 1


@pytest.mark.scenario("R86")
async def test_a_callback_before_the_answer_and_again_after_it_has_one_effect(tmp_path: Path) -> None:
    """What is told before the answer came is kept: the first poll, due long after, is made at once."""
    bench = Bench(tmp_path / "f.db", callback=True)
    bench.settings = EngineSettings(installation="test", callback_address="http://here", callback_key=b"k")
    bench.resource = ResourceSettings("fake", poll_first_s=5_000, poll_max_s=5_000)
    bench.service.duration_s, bench.service.latency_s = 1, 5.0
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(1)
        jobs = service.engine.jobs
        (known,) = (await service.engine.state(execution)).jobs.values()
        token = jobs._around.preparing.token(execution, known)
        assert not bench.service.made
        assert jobs.callback(token, callback_proof(service, token))
        await bench.clock.advance(30)
        assert (await service.engine.state(execution)).status == "COMPLETED"
        jobs.callback(token, callback_proof(service, token))
        await bench.clock.advance(30)
        state = await service.engine.state(execution)

    assert state.status == "COMPLETED"
    assert [each.word for each in state.past_jobs.values()] == ["succeeded"]


@pytest.mark.scenario("R86")
async def test_without_a_callback_the_poll_finds_the_end(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", callback=True)
    bench.settings = EngineSettings(installation="test", callback_address="http://here", callback_key=b"k")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        state = await bench.end(service, execution, within_s=600)

    assert state.status == "COMPLETED"


@pytest.mark.scenario("R3")
@pytest.mark.parametrize("tier", ["token", "tag"])
async def test_a_stop_waits_no_longer_for_an_answer_than_it_may_and_the_next_start_finds_out(
    tmp_path: Path, tier: Tier
) -> None:
    bench = Bench(tmp_path / "f.db", tier)
    bench.service.duration_s = 300
    bench.service.fail("submit", "silent")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.rest()
        assert not await service.engine.jobs.drain(0.01)
        (left,) = (await service.engine.state(execution)).jobs.values()
    async with bench.engine() as service:
        state = await bench.end(service, execution)

    assert left.phase == "intent"
    assert state.status == "COMPLETED"
    assert len(bench.service.made) == 1
