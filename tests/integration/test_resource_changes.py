"""Instances when something changes while an engine runs: size, drains, age, settings, what nobody knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from asyncflow.app.service import Service
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resource_state import Instance
from asyncflow.model.statuses import COMPLETED
from asyncflow.model.values import JsonObject
from asyncflow.runtime.resource_operating import Operating
from asyncflow.runtime.resources import Resources
from tests.integration.job_support import job
from tests.integration.resource_support import ClusterBench

WORKFLOW: JsonObject = {"name": "w", "version": 1, "schemaVersion": 2, "tasks": [job()]}


def _bench(path: Path, **settings: object) -> ClusterBench:
    return ClusterBench(path / "a.db", ResourceSettings("cluster", **settings))  # type: ignore[arg-type]


def _kept(service: Service) -> Resources:
    kept = service.engine.kept_resources
    assert kept is not None
    return kept


def _instances(service: Service) -> list[Instance]:
    keeper = _kept(service).keepers.get("emr")
    return [] if keeper is None else list(keeper.state.instances.values())


async def _until(bench: ClusterBench, is_so: Callable[[], bool], seconds: float = 3_600) -> None:
    await bench.clock.run(is_so, seconds=seconds)
    assert is_so()


@pytest.mark.scenario("R55")
async def test_cluster_is_kept_until_the_intent_of_a_dead_process_is_resolved(tmp_path: Path) -> None:
    """R55: the next process knows who is on it, however long that takes, and destroys it afterwards."""
    bench = _bench(tmp_path, idle_after_s=60)
    bench.clusters.is_silent = True
    async with bench.engine() as service:
        execution = await bench.start(service, WORKFLOW)
        state = service.engine.turns.states[execution]
        await _until(bench, lambda: bool(state.jobs))
        assert [each.phase for each in state.jobs.values()] == ["intent"]
    async with bench.engine() as service:
        await bench.clock.run(lambda: False, seconds=2_000)
        assert (bench.clusters.submitted, bench.clusters.destroyed) == ([], [])
        bench.clusters.is_silent = False
        state = await bench.end(service, execution)
        await _until(bench, lambda: not _instances(service))
    assert state.status == COMPLETED
    assert bench.clusters.destroyed == ["j-1"]


async def test_least_number_of_instances_is_there_without_any_work(tmp_path: Path) -> None:
    bench = _bench(tmp_path, min_instances=2, max_instances=3, idle_after_s=60)
    async with bench.engine() as service:
        await _until(bench, lambda: [each.phase for each in _instances(service)] == ["active"] * 2)
        await bench.clock.run(lambda: False, seconds=1_000)
        assert len(_instances(service)) == 2
    assert bench.clusters.destroyed == []


async def test_resize_makes_and_ends_instances_and_outlives_a_restart(tmp_path: Path) -> None:
    bench = _bench(tmp_path, max_instances=3)
    async with bench.engine() as service:
        await Operating(_kept(service)).resize("emr", 2, 3, by="me")
        await _until(bench, lambda: [each.phase for each in _instances(service)] == ["active"] * 2)
    async with bench.engine() as service:
        await Operating(_kept(service)).resize("emr", 0, 1, by="me")
        await _until(bench, lambda: len(_instances(service)) == 1)
    assert bench.clusters.destroyed == ["j-2"]


async def test_drained_resource_ends_its_instances_and_begins_nothing_until_resumed(tmp_path: Path) -> None:
    bench = _bench(tmp_path)
    async with bench.engine() as service:
        await bench.end(service, await bench.start(service, WORKFLOW))
        await Operating(_kept(service)).drain("emr", by="me", reason="new image")
        await _until(bench, lambda: not _instances(service))
    async with bench.engine() as service:
        execution = await bench.start(service, WORKFLOW)
        await bench.clock.run(lambda: False, seconds=1_000)
        assert len(bench.clusters.submitted) == 1
        assert "new image" in str(_kept(service).why("emr")["reason"])
        await Operating(_kept(service)).resume("emr", by="me")
        state = await bench.end(service, execution)
    assert state.status == COMPLETED
    assert [each for each, _ in bench.clusters.submitted] == ["j-1", "j-2"]


async def test_old_instance_is_replaced_and_its_jobs_end_on_it(tmp_path: Path) -> None:
    bench = _bench(tmp_path, max_age_s=300)
    bench.service.duration_s = 400
    async with bench.engine() as service:
        first = await bench.start(service, WORKFLOW)
        await _until(bench, lambda: [each.phase for each in _instances(service)] == ["draining"])
        second = await bench.start(service, WORKFLOW)
        states = [await bench.end(service, each) for each in (first, second)]
    assert [each.status for each in states] == [COMPLETED, COMPLETED]
    assert [each for each, _ in bench.clusters.submitted] == ["j-1", "j-2"]


async def test_removed_resource_ends_its_instances_and_closes_its_manager(tmp_path: Path) -> None:
    bench = _bench(tmp_path)
    async with bench.engine() as service:
        await bench.end(service, await bench.start(service, WORKFLOW))
        _kept(service).configure("emr", None, by="me")
        await _until(bench, lambda: not _instances(service))
        assert "emr" not in _kept(service).settings
        await _until(bench, lambda: _kept(service).manager("emr") is None)
    assert bench.clusters.destroyed == ["j-1"]


async def test_creation_that_nobody_can_ask_about_is_decided_by_a_person(tmp_path: Path) -> None:
    """Tier none: the answer is lost, no second cluster is asked for, and the one that is there is adopted."""
    bench = _bench(tmp_path)
    bench.tier, bench.can_find_instances = "none", False
    bench.clusters.lost_answers = 1
    async with bench.engine() as service:
        execution = await bench.start(service, WORKFLOW)
        await _until(bench, lambda: [each.phase for each in _instances(service)] == ["undecided"])
        await bench.clock.run(lambda: False, seconds=1_000)
        assert len(bench.clusters.created) == 1
        await Operating(_kept(service)).decide_instance("emr", 1, "adopt", handle="j-1", by="me")
        state = await bench.end(service, execution)
    assert state.status == COMPLETED
    assert len(bench.clusters.created) == 1


async def test_other_settings_of_the_plugin_open_another_manager_live(tmp_path: Path) -> None:
    """Instances go on: they are the resource's, not the manager's."""
    bench = _bench(tmp_path)
    async with bench.engine() as service:
        await bench.end(service, await bench.start(service, WORKFLOW))
        before = _kept(service).manager("emr")
        _kept(service).configure("emr", replace(bench.resource, type="limit"))
        assert _kept(service).manager("emr") is None
        _kept(service).configure("emr", bench.resource)
        state = await bench.end(service, await bench.start(service, WORKFLOW))
        assert _kept(service).manager("emr") not in {None, before}
    assert state.status == COMPLETED
    assert [each for each, _ in bench.clusters.submitted] == ["j-1", "j-1"]


async def test_second_instance_of_one_order_is_found_and_destroyed_also_after_a_restart(
    tmp_path: Path,
) -> None:
    """Tier tag: the order was lost, as it seemed, and was carried out late, after it was sent once more."""
    bench = _bench(tmp_path, idle_after_s=3_000)
    bench.tier = "tag"
    bench.clusters.drowned = 1
    async with bench.engine() as service:
        state = await bench.end(service, await bench.start(service, WORKFLOW))
        assert _instances(service)[0].was_resent
    bench.clusters.tokens["j-late"], bench.clusters.stands["j-late"] = bench.clusters.created[0], "ready"
    async with bench.engine() as service:
        await _until(bench, lambda: bench.clusters.destroyed == ["j-late"], seconds=1_000)
        assert [each.handle for each in _instances(service)] == ["j-1"]
    assert state.status == COMPLETED
