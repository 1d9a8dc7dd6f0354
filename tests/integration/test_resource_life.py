"""The life of instances in an engine: made once for all, given back when idle, gone, refused, found again."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncflow.app.engine_metrics import EngineMetrics
from asyncflow.app.exposition import Page
from asyncflow.app.metric_families import FAMILIES
from asyncflow.app.service import Service
from asyncflow.model.statuses import COMPLETED
from asyncflow.model.values import JsonObject
from asyncflow.plugins.jobs import InstanceWord
from asyncflow.runtime.resources import Resources
from tests.integration.job_support import job
from tests.integration.resource_support import ClusterBench


def _resources(service: Service) -> Resources:
    kept = service.engine.kept_resources
    assert kept is not None
    return kept


async def _history(bench: ClusterBench, service: Service) -> list[JsonObject]:
    await _resources(service).durable("emr")
    found = await _resources(service).history("emr", service.engine._store, start=0, count=100_000)
    return found.events[::-1]


def _workflow(name: str = "w") -> JsonObject:
    return {"name": name, "version": 1, "schemaVersion": 2, "tasks": [job()]}


async def _through(bench: ClusterBench, service: Service, count: int) -> None:
    ids = [await bench.start(service, _workflow(f"w{n % 5}")) for n in range(count)]
    for each in ids:
        state = await bench.end(service, each)
        assert state.status == COMPLETED, (state.status, _resources(service).describe("emr"))


async def _gone(bench: ClusterBench, service: Service) -> None:
    await bench.clock.run(lambda: not _resources(service).keepers["emr"].state.instances, seconds=3_600)


@pytest.mark.scenario("R58")
async def test_fifty_executions_share_one_cluster_that_ends_when_idle(tmp_path: Path) -> None:
    """R58, C43, C93: one create, one destroy, and the history says who wanted it and why it ended."""
    bench = ClusterBench(tmp_path / "a.db")
    async with bench.engine() as service:
        await _through(bench, service, 50)
        await _gone(bench, service)
        history = await _history(bench, service)
    assert len(bench.clusters.created) == 1
    assert bench.clusters.destroyed == ["j-1"]
    assert all(word != "gone" for _, word in bench.clusters.submitted)
    assert [each["event"] for each in history] == [
        "ResourceConfigured",
        "InstanceAsked",
        "InstanceCreated",
        "InstanceReady",
        "InstanceIdle",
        "InstanceDraining",
        "InstanceDestroying",
        "InstanceGone",
    ]
    assert str(history[1]["cause"]).endswith("/job")
    assert (history[5]["cause"], history[5]["reason"]) == ("idle", "nobody used it")


async def test_refused_creation_is_tried_again_while_tasks_wait(tmp_path: Path) -> None:
    """C44: the resource's own pauses; no attempt of the task is used."""
    bench = ClusterBench(tmp_path / "a.db")
    bench.clusters.refusals = 3
    async with bench.engine() as service:
        await _through(bench, service, 1)
        refused = [each for each in await _history(bench, service) if each["event"] == "InstanceRefused"]
    assert [each["tries"] for each in refused] == [1, 2, 3]
    assert len(bench.clusters.created) == 1


async def test_lost_answer_to_a_creation_makes_no_second_cluster(tmp_path: Path) -> None:
    """The instance is found by its token, or known again by it."""
    bench = ClusterBench(tmp_path / "a.db")
    bench.tier = "tag"
    bench.clusters.lost_answers = 1
    async with bench.engine() as service:
        await _through(bench, service, 2)
    assert len(bench.clusters.created) == 1


async def test_broken_manager_shuts_the_gate_until_it_opens(tmp_path: Path) -> None:
    """Tasks wait, and why says what is wrong."""
    bench = ClusterBench(tmp_path / "a.db")
    bench.clusters.faults_of_open = 1
    async with bench.engine() as service:
        execution = await bench.start(service, _workflow())
        await bench.clock.run(lambda: bool(_resources(service).keepers["emr"].retry_ms), seconds=1)
        why = _resources(service).why("emr")
        state = await bench.end(service, execution)
    assert why["reason"] == "it cannot be opened: nobody answers"
    assert state.status == COMPLETED


async def test_next_engine_destroys_what_the_last_one_left_idle(tmp_path: Path) -> None:
    """The life of an instance goes on from what is recorded."""
    bench = ClusterBench(tmp_path / "a.db")
    async with bench.engine() as service:
        await _through(bench, service, 1)
    async with bench.engine() as service:
        await _gone(bench, service)
    assert bench.clusters.destroyed == ["j-1"]
    assert len(bench.clusters.created) == 1


@pytest.mark.scenario("R54")
@pytest.mark.parametrize("phase", ["draining", "destroying"])
async def test_next_engine_ends_what_the_last_one_had_begun_to_end(tmp_path: Path, phase: str) -> None:
    """The intent is recorded, and the process ended before the service was asked, or before it answered."""
    bench = ClusterBench(tmp_path / "a.db")
    async with bench.engine() as service:
        await _through(bench, service, 1)
        (instance,) = _resources(service).keepers["emr"].state.instances.values()
        bench.clusters.is_mute, bench.clusters.stubborn = phase == "draining", {"j-1"}
        await bench.clock.run(lambda: instance.phase == phase, seconds=3_600)
        await _resources(service).durable("emr")
        assert (instance.phase, bench.clusters.destroyed) == (phase, [])
    bench.clusters.is_mute = False
    async with bench.engine() as service:
        (instance,) = _resources(service).keepers["emr"].state.instances.values()
        assert instance.phase == phase
        await _gone(bench, service)
        await _through(bench, service, 1)

    assert bench.clusters.destroyed == ["j-1"]
    assert [each for each, _ in bench.clusters.submitted] == ["j-1", "j-2"]


@pytest.mark.scenario("R56")
async def test_cluster_that_a_check_finds_gone_has_its_jobs_go_on_another(tmp_path: Path) -> None:
    """Somebody ended it in the console, and no job's call said so."""
    bench = ClusterBench(tmp_path / "a.db")
    bench.service.duration_s = 400
    async with bench.engine() as service:
        execution = await bench.start(service, _workflow())
        await bench.clock.run(lambda: bool(bench.clusters.submitted), seconds=300)
        bench.clusters.stands["j-1"] = "gone"
        state = await bench.end(service, execution)
        gone = [each for each in await _history(bench, service) if each["event"] == "InstanceGone"]

    assert (state.status, state.tasks[1].retry_count) == (COMPLETED, 0)
    assert [each for each, _ in bench.clusters.submitted] == ["j-1", "j-2"]
    assert [each["by_itself"] for each in gone] == [True]


@pytest.mark.scenario("R57")
async def test_work_of_others_that_appears_while_it_drains_opens_it_again(tmp_path: Path) -> None:
    """It comes between the intent to end the cluster and the look at it."""
    bench = ClusterBench(tmp_path / "a.db")
    async with bench.engine() as service:
        await _through(bench, service, 1)
        (instance,) = _resources(service).keepers["emr"].state.instances.values()
        bench.clusters.is_mute = True
        await bench.clock.run(lambda: instance.phase == "draining", seconds=3_600)
        bench.clusters.stands["j-1"], bench.clusters.is_mute = "busy", False
        await bench.clock.run(lambda: instance.phase != "draining", seconds=3_600)

    assert (instance.phase, bench.clusters.destroyed) == ("active", [])


@pytest.mark.scenario("R57")
async def test_work_of_others_opens_an_idle_cluster_again(tmp_path: Path) -> None:
    """R57: it is asked before it is destroyed."""
    bench = ClusterBench(tmp_path / "a.db")
    async with bench.engine() as service:
        await _through(bench, service, 1)
        bench.clusters.stands["j-1"] = "busy"
        counts = _resources(service).keepers["emr"].counts
        await bench.clock.run(lambda: counts["InstanceBack"] > 0, seconds=3_600)
        assert bench.clusters.destroyed == []
        bench.clusters.stands["j-1"] = "ready"
        await _gone(bench, service)
    assert bench.clusters.destroyed == ["j-1"]


@pytest.mark.scenario("R56")
@pytest.mark.parametrize("stands", ["gone", "ready"])
async def test_jobs_of_a_lost_cluster_go_on_another_without_a_retry(
    tmp_path: Path, stands: InstanceWord
) -> None:
    """R56: the task has no retries and completes; one that is only going is destroyed, and looked at."""
    bench = ClusterBench(tmp_path / "a.db")
    async with bench.engine() as service:
        execution = await bench.start(service, _workflow())
        await bench.clock.run(lambda: bool(bench.clusters.submitted), seconds=300)
        bench.clusters.stands["j-1"] = stands
        _resources(service).instance_gone("emr", "emr/1", "the spot market took it")
        state = await bench.end(service, execution)
        counts = _resources(service).keepers["emr"].counts
        await bench.clock.run(lambda: counts["InstanceGone"] > 0, seconds=300)
        gone = [each for each in await _history(bench, service) if each["event"] == "InstanceGone"]

    assert state.status == COMPLETED
    assert [each for each, _ in bench.clusters.submitted] == ["j-1", "j-2"]
    assert bench.clusters.destroyed[0] == "j-1"
    assert [(each["reason"], each["by_itself"]) for each in gone] == [("the spot market took it", True)]


async def test_engine_that_ended_when_a_cluster_was_lost_has_its_jobs_go_on_elsewhere(tmp_path: Path) -> None:
    """The loss is recorded, and the process ended before the jobs were told."""
    bench = ClusterBench(tmp_path / "a.db")
    async with bench.engine() as service:
        execution = await bench.start(service, _workflow())
        await bench.clock.run(lambda: bool(bench.clusters.submitted), seconds=300)
        _resources(service).around.lost = lambda *_: None
        _resources(service).instance_gone("emr", "emr/1", "the spot market took it")
        await _resources(service).durable("emr")
    async with bench.engine() as service:
        state = await bench.end(service, execution)
    assert state.status == COMPLETED
    assert [each for each, _ in bench.clusters.submitted] == ["j-1", "j-2"]


async def test_what_became_of_instances_is_counted_in_metrics(tmp_path: Path) -> None:
    """Calls, their failures, events and phases, by resource."""
    bench = ClusterBench(tmp_path / "a.db")
    bench.clusters.refusals = 2
    async with bench.engine() as service:
        await _through(bench, service, 1)
        page = Page(FAMILIES)
        EngineMetrics(service.engine).write(page)
    lines = page.text().splitlines()
    assert {
        'asyncflow_resource_is_open{resource="emr"} 1',
        'asyncflow_resource_instances{resource="emr",phase="active"} 1',
        'asyncflow_resource_instances{resource="emr",phase="draining"} 0',
        'asyncflow_resource_events_total{resource="emr",event="InstanceReady"} 1',
        'asyncflow_resource_calls_total{resource="emr",call="create"} 3',
        'asyncflow_resource_call_failures_total{resource="emr",failure="refused"} 2',
    } <= {*lines}
