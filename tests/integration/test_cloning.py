"""Law: a clone touches nothing that its original has outside, until a person says of each what it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncflow.app.cloning import Cloned, clone
from asyncflow.app.service import Service
from asyncflow.decide.waiting import wait_of_task
from asyncflow.errors import Conflict
from asyncflow.model.inputs import DecideJob
from asyncflow.plugins.jobs import JobStatus
from asyncflow.runtime.engine import EngineSettings
from asyncflow.runtime.resources import Resources
from asyncflow.store.sqlite import SqliteReader
from tests.integration.engine_support import workflow
from tests.integration.job_support import Bench, job
from tests.integration.resource_support import ClusterBench
from tests.integration.schedule_support import HOUR, clock_at, schedule, services_on, started
from tests.integration.schedule_support import workflow as scheduled

WORKFLOW = workflow("w", [job()])


async def submitted(bench: Bench, service: Service) -> str:
    """An execution whose job the service has."""
    stream = await bench.start(service, WORKFLOW)

    def is_there() -> bool:
        return any(each.phase == "submitted" for each in service.engine.turns.states[stream].jobs.values())

    await bench.clock.run(is_there, seconds=600)
    return stream


async def let_time_pass(bench: Bench, seconds: float = 3_600) -> None:
    await bench.clock.run(lambda: False, seconds=seconds)


@pytest.fixture(params=["token", "tag", "none"])
def bench(tmp_path: Path, request: pytest.FixtureRequest) -> Bench:
    """A service whose jobs end long after the test."""
    made = Bench(tmp_path / "a.db", request.param)
    made.service.duration_s = 1e6
    return made


def done(bench: Bench) -> tuple[int, int]:
    """How much was ever asked of the service."""
    return len(bench.service.truth), len(bench.service.polls)


async def cloned(bench: Bench) -> Cloned:
    """From here on the bench is of a clone, whose tokens are its own."""
    path = bench.path.with_name("clone.db")
    made = await clone(bench.path, path)
    bench.path, bench.settings = path, EngineSettings(installation=made.installation_id)
    return made


async def test_clone_neither_asks_for_nor_cancels_nor_repeats_jobs(bench: Bench) -> None:
    async with bench.engine() as service:
        stream = await submitted(bench, service)
    made, before = await cloned(bench), done(bench)
    for _ in range(2):
        async with bench.engine() as service:
            await let_time_pass(bench)
            state = await service.engine.state(stream)
            (held,) = state.jobs.values()
            wait = wait_of_task(state, 1)
    async with bench.engine() as service:
        await service.terminate(stream, "tried out")
        await let_time_pass(bench)

        assert len((await service.engine.state(stream)).jobs) == 1
    assert (made.jobs, made.instances, made.schedules, made.unreadable) == (1, 0, 0, [])
    assert held.phase == "undecided"
    assert f"was cloned from, under {held.handle}" in held.reason
    assert wait is not None
    assert wait["kind"] == "decision"
    assert done(bench) == before


async def test_job_that_is_adopted_is_watched_and_one_that_is_not_there_is_made_anew(bench: Bench) -> None:
    async with bench.engine() as service:
        adopted, dropped = await submitted(bench, service), await submitted(bench, service)
        (theirs,) = service.engine.turns.states[adopted].jobs.values()
    await cloned(bench)
    async with bench.engine() as service:
        await service.engine.submit(adopted, DecideJob(1, "adopt", handle=theirs.handle))
        await service.engine.submit(dropped, DecideJob(1, "resubmit"))
        await let_time_pass(bench, 60)
        for handle in bench.service.made:
            bench.service.say[handle] = JobStatus("succeeded")
        await let_time_pass(bench)
        ends = [(await service.engine.state(stream)).status for stream in (adopted, dropped)]

    assert ends == ["COMPLETED", "COMPLETED"]
    assert len({made.token for made in bench.service.made.values()}) == len(bench.service.made) == 3


async def test_instances_of_the_original_are_neither_used_nor_destroyed(tmp_path: Path) -> None:
    bench = ClusterBench(tmp_path / "a.db")
    bench.service.duration_s = 1e6
    async with bench.engine() as service:
        stream = await submitted(bench, service)
    made = await cloned(bench)
    before, calls = (list(bench.clusters.created), list(bench.clusters.destroyed)), done(bench)
    async with bench.engine() as service:
        await let_time_pass(bench)
        kept = service.engine.kept_resources
        assert isinstance(kept, Resources)
        (instance,) = kept.keepers["emr"].state.instances.values()
        assert (instance.phase, len((await service.engine.state(stream)).jobs)) == ("undecided", 1)

    assert (made.jobs, made.instances) == (1, 1)
    assert (bench.clusters.created, bench.clusters.destroyed) == before
    assert done(bench) == calls


async def test_clone_of_a_file_in_use_is_whole_and_leaves_nothing_beside(bench: Bench) -> None:
    async with bench.engine() as service:
        stream = await submitted(bench, service)
        copy = bench.path.with_name("clone.db")
        made = await clone(bench.path, copy)
        with pytest.raises(Conflict):
            await clone(bench.path, copy)

        assert [job.phase for job in (await service.engine.state(stream)).jobs.values()] == ["submitted"]
    async with SqliteReader.open(copy) as reader:
        facts = await reader.facts()
        assert (facts.installation_id, facts.was_clean) == (made.installation_id, True)
        assert await reader.find_faults() == []
    assert [file.name for file in copy.parent.glob("*clone*")] == ["clone.db"]


async def test_schedules_of_the_original_are_paused(tmp_path: Path) -> None:
    clock = clock_at("2030-01-01T00:00")
    async with services_on(clock, tmp_path / "a.db") as services:
        await services.executions.register_workflow(scheduled("w"))
        await services.schedules.save(schedule("hourly", "0 0 * * * ?"))
        await services.schedules.save({**schedule("resting", "0 0 * * * ?"), "paused": True})
    made = await clone(tmp_path / "a.db", tmp_path / "b.db")
    clock.suspend(4 * HOUR)
    async with services_on(clock, tmp_path / "b.db") as services:
        await clock.advance(2 * HOUR)
        before = await started(services)
        await services.schedules.resume("hourly")
        await clock.advance(2 * HOUR)

        assert (made.schedules, before, await started(services)) == (1, 0, 2)
