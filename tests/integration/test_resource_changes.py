"""Instances when something changes while an engine runs: size, drains, age, settings, what nobody knows."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from asyncflow.model.statuses import COMPLETED
from asyncflow.runtime.resource_operating import Operating
from tests.integration.resource_support import (
    ONE_JOB,
    ClusterBench,
    cluster_bench,
    instances_of,
    kept_resources,
)


async def _until(bench: ClusterBench, is_so: Callable[[], bool], seconds: float = 3_600) -> None:
    await bench.clock.run(is_so, seconds=seconds)
    assert is_so()


@pytest.mark.scenario("R55")
async def test_cluster_is_kept_until_the_intent_of_a_dead_process_is_resolved(tmp_path: Path) -> None:
    """R55: the next process knows who is on it, however long that takes, and destroys it afterwards."""
    bench = cluster_bench(tmp_path, idle_after_s=60)
    bench.clusters.is_silent = True
    async with bench.engine() as service:
        execution = await bench.start(service, ONE_JOB)
        state = service.engine.turns.states[execution]
        await _until(bench, lambda: bool(state.jobs))
        assert [each.phase for each in state.jobs.values()] == ["intent"]
    async with bench.engine() as service:
        await bench.clock.run(lambda: False, seconds=2_000)
        assert (bench.clusters.submitted, bench.clusters.destroyed) == ([], [])
        bench.clusters.is_silent = False
        state = await bench.end(service, execution)
        await _until(bench, lambda: not instances_of(service))
    assert state.status == COMPLETED
    assert bench.clusters.destroyed == ["j-1"]


async def test_least_number_of_instances_is_there_without_any_work(tmp_path: Path) -> None:
    bench = cluster_bench(tmp_path, min_instances=2, max_instances=3, idle_after_s=60)
    async with bench.engine() as service:
        await _until(bench, lambda: [each.phase for each in instances_of(service)] == ["active"] * 2)
        await bench.clock.run(lambda: False, seconds=1_000)
        assert len(instances_of(service)) == 2
    assert bench.clusters.destroyed == []


async def test_resize_makes_and_ends_instances_and_outlives_a_restart(tmp_path: Path) -> None:
    bench = cluster_bench(tmp_path, max_instances=3)
    async with bench.engine() as service:
        await Operating(kept_resources(service)).resize("emr", 2, 3, by="me")
        await _until(bench, lambda: [each.phase for each in instances_of(service)] == ["active"] * 2)
    async with bench.engine() as service:
        await Operating(kept_resources(service)).resize("emr", 0, 1, by="me")
        await _until(bench, lambda: len(instances_of(service)) == 1)
    assert bench.clusters.destroyed == ["j-2"]


async def test_drained_resource_ends_its_instances_and_begins_nothing_until_resumed(tmp_path: Path) -> None:
    bench = cluster_bench(tmp_path)
    async with bench.engine() as service:
        await bench.end(service, await bench.start(service, ONE_JOB))
        await Operating(kept_resources(service)).drain("emr", by="me", reason="new image")
        await _until(bench, lambda: not instances_of(service))
    async with bench.engine() as service:
        execution = await bench.start(service, ONE_JOB)
        await bench.clock.run(lambda: False, seconds=1_000)
        assert len(bench.clusters.submitted) == 1
        assert "new image" in str(kept_resources(service).why("emr")["reason"])
        await Operating(kept_resources(service)).resume("emr", by="me")
        state = await bench.end(service, execution)
    assert state.status == COMPLETED
    assert [each for each, _ in bench.clusters.submitted] == ["j-1", "j-2"]


async def test_old_instance_is_replaced_and_its_jobs_end_on_it(tmp_path: Path) -> None:
    bench = cluster_bench(tmp_path, max_age_s=300)
    bench.service.duration_s = 400
    async with bench.engine() as service:
        first = await bench.start(service, ONE_JOB)
        await _until(bench, lambda: [each.phase for each in instances_of(service)] == ["draining"])
        second = await bench.start(service, ONE_JOB)
        states = [await bench.end(service, each) for each in (first, second)]
    assert [each.status for each in states] == [COMPLETED, COMPLETED]
    assert [each for each, _ in bench.clusters.submitted] == ["j-1", "j-2"]


async def test_removed_resource_ends_its_instances_and_closes_its_manager(tmp_path: Path) -> None:
    bench = cluster_bench(tmp_path)
    async with bench.engine() as service:
        await bench.end(service, await bench.start(service, ONE_JOB))
        kept_resources(service).configure("emr", None, by="me")
        await _until(bench, lambda: not instances_of(service))
        assert "emr" not in kept_resources(service).settings
        await _until(bench, lambda: kept_resources(service).manager("emr") is None)
    assert bench.clusters.destroyed == ["j-1"]


async def test_creation_that_nobody_can_ask_about_is_decided_by_a_person(tmp_path: Path) -> None:
    """Tier none: the answer is lost, no second cluster is asked for, and the one that is there is adopted."""
    bench = cluster_bench(tmp_path)
    bench.tier, bench.can_find_instances = "none", False
    bench.clusters.lost_answers = 1
    async with bench.engine() as service:
        execution = await bench.start(service, ONE_JOB)
        await _until(bench, lambda: [each.phase for each in instances_of(service)] == ["undecided"])
        await bench.clock.run(lambda: False, seconds=1_000)
        assert len(bench.clusters.created) == 1
        await Operating(kept_resources(service)).decide_instance("emr", 1, "adopt", handle="j-1", by="me")
        state = await bench.end(service, execution)
    assert state.status == COMPLETED
    assert len(bench.clusters.created) == 1


async def test_other_settings_of_the_plugin_open_another_manager_live(tmp_path: Path) -> None:
    """Instances go on: they are the resource's, not the manager's."""
    bench = cluster_bench(tmp_path)
    async with bench.engine() as service:
        await bench.end(service, await bench.start(service, ONE_JOB))
        before = kept_resources(service).manager("emr")
        kept_resources(service).configure("emr", replace(bench.resource, type="limit"))
        assert kept_resources(service).manager("emr") is None
        kept_resources(service).configure("emr", bench.resource)
        state = await bench.end(service, await bench.start(service, ONE_JOB))
        assert kept_resources(service).manager("emr") not in {None, before}
    assert state.status == COMPLETED
    assert [each for each, _ in bench.clusters.submitted] == ["j-1", "j-1"]


async def test_second_instance_of_one_order_is_found_and_destroyed_also_after_a_restart(
    tmp_path: Path,
) -> None:
    """Tier tag: the order was lost, as it seemed, and was carried out late, after it was sent once more."""
    bench = cluster_bench(tmp_path, idle_after_s=3_000)
    bench.tier = "tag"
    bench.clusters.drowned = 1
    async with bench.engine() as service:
        state = await bench.end(service, await bench.start(service, ONE_JOB))
        assert instances_of(service)[0].was_resent
    bench.clusters.tokens["j-late"], bench.clusters.stands["j-late"] = bench.clusters.created[0], "ready"
    async with bench.engine() as service:
        await _until(bench, lambda: bench.clusters.destroyed == ["j-late"], seconds=1_000)
        assert [each.handle for each in instances_of(service)] == ["j-1"]
    assert state.status == COMPLETED
