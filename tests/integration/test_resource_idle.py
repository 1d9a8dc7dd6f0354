"""Since when nobody is on an instance: recorded once, so that restarts do not begin to count anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncflow.app.service import Service
from asyncflow.decide.lifecycle import idle_noted_ms
from asyncflow.model.resource_settings import ResourceSettings
from tests.integration.resource_support import ONE_JOB, ClusterBench, cluster_bench, keeper_of_clusters

IDLE_S = 100.0
NOTED_S = idle_noted_ms(ResourceSettings("cluster", idle_after_s=IDLE_S)) / 1_000
MARGIN_S = 30.0  # the last look whether others use it, and the order to end it


def _bench(path: Path) -> ClusterBench:
    return cluster_bench(path, idle_after_s=IDLE_S)


async def _one_job(bench: ClusterBench, service: Service) -> None:
    await bench.end(service, await bench.start(service, ONE_JOB))


async def _lives(bench: ClusterBench, life_s: float, most: int) -> float:
    """For how long engines had to live one after the other until no cluster was left; at most so many."""
    for lives in range(most):
        async with bench.engine() as service:
            await bench.clock.run(lambda: not keeper_of_clusters(service).state.instances, seconds=life_s)
            if bench.clusters.destroyed:
                return (lives + 1) * life_s
    return float("inf")


@pytest.mark.scenario("R53")
async def test_engine_that_is_restarted_before_the_time_gives_an_idle_cluster_back(tmp_path: Path) -> None:
    """R53: no process lives as long as an idle cluster is kept, and the bound holds over all of them."""
    bench = _bench(tmp_path)
    async with bench.engine() as service:
        await _one_job(bench, service)
    assert await _lives(bench, IDLE_S / 2, 10) <= IDLE_S + IDLE_S / 2 + MARGIN_S


async def test_restarts_in_quick_succession_give_it_back_too(tmp_path: Path) -> None:
    """Not one process lives until it would record it by itself: each start records what nobody is on."""
    bench = _bench(tmp_path)
    async with bench.engine() as service:
        await _one_job(bench, service)
    assert await _lives(bench, NOTED_S / 2, 40) <= IDLE_S + NOTED_S + MARGIN_S


async def test_time_while_no_engine_runs_counts(tmp_path: Path) -> None:
    bench = _bench(tmp_path)
    async with bench.engine() as service:
        await _one_job(bench, service)
        await bench.clock.advance(NOTED_S + 1)
    bench.clock.suspend(IDLE_S)
    async with bench.engine() as service:
        await bench.clock.run(lambda: bool(bench.clusters.destroyed), seconds=MARGIN_S)
    assert bench.clusters.destroyed == ["j-1"]


async def test_cluster_that_was_used_after_it_was_recorded_idle_is_not_given_back_early(
    tmp_path: Path,
) -> None:
    """What was recorded before its newest job is no measure after a restart."""
    bench = _bench(tmp_path)
    bench.service.duration_s = 2 * IDLE_S
    async with bench.engine() as service:
        await _one_job(bench, service)
        await bench.clock.advance(NOTED_S + 1)
        assert keeper_of_clusters(service).counts["InstanceIdle"] == 1
        await _one_job(bench, service)
        assert keeper_of_clusters(service).counts["InstanceUsed"] == 1
    async with bench.engine() as service:
        await bench.clock.advance(IDLE_S - 1)
        assert bench.clusters.destroyed == []
        assert keeper_of_clusters(service).state.instances[1].phase == "active"


async def test_busy_cluster_records_nothing(tmp_path: Path) -> None:
    """Pauses below the time after which it is recorded leave no trace, however many there are."""
    bench = _bench(tmp_path)
    async with bench.engine() as service:
        await _one_job(bench, service)
        recorded = keeper_of_clusters(service).state.seq
        for _ in range(10):
            await bench.clock.advance(NOTED_S - 5)
            await _one_job(bench, service)
        assert keeper_of_clusters(service).state.seq == recorded
        assert len(bench.clusters.submitted) == 11
