"""Jobs that are not wanted any more: found if they are there, cancelled until a poll shows their end."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncflow.model.inputs import TerminateExecution
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.plugins.errors import InstanceGone, Rejected
from asyncflow.plugins.jobs import Tier
from tests.integration.engine_support import workflow
from tests.integration.job_support import Bench, job


async def terminate(bench: Bench, service: object, execution: str) -> None:
    await service.engine.submit(execution, TerminateExecution("enough"))  # type: ignore[attr-defined]


async def test_terminating_cancels_the_job_and_frees_what_it_held_when_it_has_ended(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.service.duration_s = 10_000
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(30)
        await terminate(bench, service, execution)
        state = service.engine.turns.states[execution]
        assert state.is_ended
        assert service.engine.admission.in_use("fake") == 1
        state = await bench.end(service, execution, within_s=60)
        assert not state.jobs
        assert service.engine.admission.in_use("fake") == 0
    assert bench.service.made["job-1"].word == "cancelled"


@pytest.mark.scenario("R14")
@pytest.mark.scenario("R14", "R30")
async def test_a_cancel_goes_on_in_the_next_engine(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.service.duration_s = 10_000
    bench.service.fail("cancel", "broken", times=3)
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(10)
        await terminate(bench, service, execution)
        await bench.clock.advance(1)
    for _ in range(2):
        async with bench.engine() as service:
            assert service.engine.turns.states[execution].jobs
            await bench.clock.advance(1)
    async with bench.engine() as service:
        await bench.end(service, execution)
    assert bench.service.made["job-1"].word == "cancelled"
    async with bench.engine() as service:
        assert execution not in service.engine.turns.states


async def test_a_job_that_was_never_handed_in_is_absent_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.service.fail("submit", "throttled", times=100)
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(5)
        await terminate(bench, service, execution)
        state = await bench.end(service, execution, within_s=1)
        assert not state.jobs
    assert not bench.service.made


@pytest.mark.parametrize("tier", ["token", "tag"])
async def test_a_job_of_unknown_outcome_is_found_before_it_is_cancelled(tmp_path: Path, tier: Tier) -> None:
    bench = Bench(tmp_path / "f.db", tier)
    bench.service.duration_s = 10_000
    bench.service.fail("submit", "cut_after")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.rest()
        await terminate(bench, service, execution)
        state = await bench.end(service, execution)
        assert not state.jobs
    assert [made.word for made in bench.service.made.values()] == ["cancelled"]


async def test_a_job_that_is_not_there_is_believed_absent_only_after_patience(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", "tag", submit_timeout=5.0)
    bench.service.duration_s, bench.service.lands_after_s = 10_000, 12.0
    bench.service.fail("submit", "silent")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(6)
        await terminate(bench, service, execution)
        state = await bench.end(service, execution)
        assert not state.jobs
    assert [made.word for made in bench.service.made.values()] == ["cancelled"]


@pytest.mark.scenario("R30")
async def test_who_wins_against_a_cancel_is_recorded_as_it_ended(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.service.duration_s, bench.service.ignores_cancel = 40, True
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(10)
        await terminate(bench, service, execution)
        await bench.end(service, execution)
    assert bench.service.made["job-1"].word == "succeeded"
    assert bench.service.faults.calls["cancel"] >= 2


@pytest.mark.scenario("R84")
async def test_a_cancel_that_is_refused_is_not_repeated(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.service.duration_s = 100
    bench.service.fail("cancel", "refused", times=100)
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(10)
        await terminate(bench, service, execution)
        await bench.clock.advance(5)
        told = service.engine.jobs.why(execution, 1)
        assert told is not None
        assert told["cancel_refused"] == "no such thing"
        await bench.end(service, execution)
    assert bench.service.faults.calls["cancel"] == 1


async def test_jobs_of_a_lost_instance_go_on_elsewhere(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.pool.instances = {"fake": ["fake/1"]}
    bench.service.duration_s = 50
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(10)
        assert bench.pool.placed == [("fake", "fake/1")]
        bench.pool.instances["fake"] = ["fake/2"]
        service.engine.jobs.instance_lost("fake", "fake/1", "somebody ended it")
        await bench.clock.rest()
        assert bench.pool.placed == [("fake", "fake/2")]
        state = await bench.end(service, execution)
    assert state.status == "COMPLETED"
    assert len(bench.service.made) == 2
    assert not bench.pool.placed


async def test_an_instance_that_a_call_calls_gone_is_told_of(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.pool.instances = {"fake": ["fake/1"]}
    async with bench.engine() as service:
        manager = bench.pool.managers["fake"]
        submit, said = manager.submit, [InstanceGone("terminated"), Rejected("never", is_final=True)]

        async def refuse(_: object) -> str:
            raise said.pop(0)

        manager.submit = refuse  # type: ignore[method-assign,assignment]
        execution = await bench.start(service, workflow("w", [job()]))
        state = await bench.end(service, execution)
        manager.submit = submit  # type: ignore[method-assign]
    assert bench.pool.gone == [("fake", "fake/1")]
    assert state.by_ref["job"].status == "FAILED_WITH_TERMINAL_ERROR"
    assert len(state.tasks) == 2
    assert not bench.pool.placed


@pytest.mark.scenario("R83")
async def test_a_service_that_hangs_keeps_no_other_waiting(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.service.fail("submit", "silent", times=1_000)
    async with bench.engine() as service:
        other = bench.manager()
        healthy = type(bench.service)(bench.clock, lambda: bench.clock.now().elapsed_ms)
        other.service = healthy  # type: ignore[attr-defined]
        bench.pool.managers["healthy"] = other
        bench.pool.settings = {**bench.pool.settings, "healthy": bench.resource}
        for number in range(40):
            on_sick = job(asyncflow={"resources": [{"name": "fake"}]})
            await bench.start(service, workflow(f"sick{number}", [on_sick]))
        on_healthy = job(asyncflow={"resources": [{"name": "healthy"}]})
        execution = await bench.start(service, workflow("well", [on_healthy]))
        state = await bench.end(service, execution, within_s=20)
    assert state.status == "COMPLETED"


async def test_a_drain_hands_nothing_in_and_loses_nothing(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    async with bench.engine() as service:
        assert await service.engine.jobs.drain(1)
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(60)
        assert not bench.service.made
    async with bench.engine() as service:
        state = await bench.end(service, execution)
    assert state.status == "COMPLETED"
    assert len(bench.service.made) == 1


async def test_those_that_are_being_cancelled_are_counted(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.service.duration_s, bench.service.ignores_cancel = 60, True
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(5)
        await terminate(bench, service, execution)
        await bench.clock.advance(1)
        counts = service.engine.jobs.counts()["fake"]
        assert (counts["submitted"], counts["cancelling"]) == (1, 1)
        await bench.end(service, execution)
        assert service.engine.jobs.counts()["fake"]["cancelling"] == 0


@pytest.mark.scenario("R84")
async def test_a_record_waits_for_its_cancelled_job_as_long_as_the_resource_says(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.resource = ResourceSettings("fake", cancel_grace_s=40)
    bench.service.duration_s, bench.service.ignores_cancel = 10_000, True
    once = {"name": "job", "retryCount": 0, "timeoutSeconds": 60, "responseTimeoutSeconds": 1}
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job(taskDefinition=once)]))
        await bench.clock.advance(95)
        state = service.engine.turns.states[execution]
        assert state.jobs[1].cancel
        assert not state.ended_ms
        await bench.clock.advance(10)
        assert state.is_ended
        assert state.jobs
        bench.service.end_job("job-1", "failed")
        await bench.end(service, execution)
        assert not state.jobs
