"""C98: a newer definition while jobs of the older one run outside: keep, cancel, or drain and replace."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncflow.app.migrations import Migrations
from asyncflow.app.service import Service, StartRequest
from asyncflow.model.resource_settings import OnCodeChange, ResourceSettings
from asyncflow.model.state import ExecutionState
from asyncflow.model.statuses import COMPLETED
from asyncflow.model.values import JsonObject
from asyncflow.runtime.resources import Resources
from tests.integration.job_support import job
from tests.integration.resource_support import ClusterBench


def _bench(path: Path, policy: OnCodeChange) -> ClusterBench:
    bench = ClusterBench(path / "a.db", ResourceSettings("cluster", on_code_change=policy))
    bench.service.duration_s = 600
    return bench


def _version(version: int) -> JsonObject:
    return {"name": "w", "version": version, "schemaVersion": 2, "tasks": [job()]}


def _state(service: Service, execution: str) -> ExecutionState:
    return service.engine.turns.states[execution]


def _resources(service: Service) -> Resources:
    kept = service.engine.kept_resources
    assert kept is not None
    return kept


async def _submitted(bench: ClusterBench, service: Service, execution: str, count: int = 1) -> None:
    """Until so many jobs were handed in, and the engine knows the handle of the newest."""

    def is_in() -> bool:
        jobs = _state(service, execution).jobs.values()
        return len(bench.clusters.submitted) == count and any(each.phase == "submitted" for each in jobs)

    await bench.clock.run(is_in, seconds=3_000)


def _codes(state: ExecutionState) -> list[str]:
    """The code of the jobs that the execution had last, of each record one."""
    return [each.origin.code_version for each in state.past_jobs.values()]


async def test_keep_lets_jobs_of_older_code_go_on_and_count(tmp_path: Path) -> None:
    bench = _bench(tmp_path, "keep")
    async with bench.engine() as service:
        execution = await bench.start(service, _version(1))
        await _submitted(bench, service, execution)
        await service.register_workflow(_version(2))
        await Migrations(service.engine).migrate(execution, version=2)
        state = await bench.end(service, execution)
    assert (state.status, len(bench.clusters.submitted)) == (COMPLETED, 1)
    assert _codes(state) == ["w@1"]


async def test_cancel_runs_the_job_again_under_the_definition_that_was_migrated_to(tmp_path: Path) -> None:
    """The task is tried once, and completes in its second attempt; no two jobs run side by side."""
    bench = _bench(tmp_path, "cancel")
    async with bench.engine() as service:
        execution = await bench.start(service, _version(1))
        await _submitted(bench, service, execution)
        await service.register_workflow(_version(2))
        await Migrations(service.engine).migrate(execution, version=2)
        state = await bench.end(service, execution)
    assert state.status == COMPLETED
    records = [(each.state or each.status, each.retry_count) for each in state.tasks.values()]
    assert records == [("REPLACED", 0), (COMPLETED, 0)]
    assert _codes(state) == ["w@1", "w@2"]
    assert len(bench.clusters.submitted) == 2


async def test_cancel_runs_jobs_again_also_where_the_execution_keeps_its_version(tmp_path: Path) -> None:
    """Registering is enough, once; another version that is older changes nothing."""
    bench = _bench(tmp_path, "cancel")
    async with bench.engine() as service:
        execution = await bench.start(service, _version(3))
        await _submitted(bench, service, execution)
        await service.register_workflow(_version(2))
        await service.register_workflow(_version(4))
        await _submitted(bench, service, execution, 2)
    async with bench.engine() as service:
        state = await bench.end(service, execution)
    assert (state.status, state.version) == (COMPLETED, 3)
    assert len(bench.clusters.submitted) == 2


async def test_drain_replaces_the_instance_once_its_old_jobs_ended(tmp_path: Path) -> None:
    """A job of the newer version waits for the next instance, and the old job counts."""
    bench = _bench(tmp_path, "drain")
    async with bench.engine() as service:
        old = await bench.start(service, _version(1))
        await _submitted(bench, service, old)
        new = await bench.start(service, _version(2))
        await bench.clock.run(lambda: bool(_state(service, new).tasks), seconds=60)
        (instance,) = _resources(service).keepers["emr"].state.instances.values()
        assert (instance.phase, instance.cause) == ("draining", "code")
        assert [each for each, _ in bench.clusters.submitted] == ["j-1"]
        states = [await bench.end(service, each) for each in (old, new)]
    assert [each.status for each in states] == [COMPLETED, COMPLETED]
    assert [each for each, _ in bench.clusters.submitted] == ["j-1", "j-2"]
    assert bench.clusters.destroyed[0] == "j-1"


@pytest.mark.parametrize("came", ["before", "after"])
async def test_engine_that_ended_before_it_acted_acts_at_its_next_start(tmp_path: Path, came: str) -> None:
    """A version that came before the job changes nothing of it; one that came after does, once."""
    bench = _bench(tmp_path, "cancel")
    async with bench.engine() as service:
        service.engine.code_changes = None  # as if the process had ended right after the commit
        await service.register_workflow(_version(1))
        if came == "before":
            await service.register_workflow(_version(2))
            await bench.clock.advance(1)
        execution = await service.start(StartRequest("w", version=1))
        await _submitted(bench, service, execution)
        if came == "after":
            await service.register_workflow(_version(2))
    async with bench.engine() as service:
        state = await bench.end(service, execution)
    assert state.status == COMPLETED
    assert len(bench.clusters.submitted) == (1 if came == "before" else 2)
