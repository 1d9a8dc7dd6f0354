"""Instances of resources under tasks of outside workers: reserved with the grant, told, kept, given back."""

from __future__ import annotations

import asyncio
from pathlib import Path

from asyncflow.app.service import Service
from asyncflow.app.workers import Workers
from asyncflow.model.statuses import COMPLETED
from asyncflow.model.values import JsonObject
from tests.integration.engine_support import simple, workflow
from tests.integration.resource_support import ClusterBench, cluster_bench, instances_of
from tests.integration.worker_support import result_of

NEEDS: JsonObject = {"resources": [{"name": "emr"}]}


def _workers(service: Service) -> Workers:
    return Workers(service.engine, service.engine._store)


def _reserved(service: Service) -> list[int]:
    return [each.reserved for each in instances_of(service)]


def _body(**fields: object) -> JsonObject:
    definition = {"name": "far", "retryCount": 1, "retryDelaySeconds": 0, **fields}
    return workflow("w", [simple("far", asyncflow=NEEDS, taskDefinition=definition)])


async def _poll(bench: ClusterBench, service: Service, name: str = "far") -> list[JsonObject]:
    """What a worker gets that goes on polling until it gets something, or a minute has passed."""
    for _ in range(12):
        polling = asyncio.ensure_future(_workers(service).poll(name, worker_id="w1", timeout_ms=5_000))
        while not polling.done():
            await bench.clock.run(polling.done, seconds=5)
        if found := await polling:
            return found
    return []


def _handles(task: JsonObject) -> object:
    ours = task["asyncflow"]
    assert isinstance(ours, dict)
    return ours.get("instances")


async def test_polled_task_is_told_its_instance_which_is_free_again_after_it(tmp_path: Path) -> None:
    bench = cluster_bench(tmp_path, per_instance=1, idle_after_s=60)
    async with bench.engine() as service:
        execution = await bench.start(service, _body())
        (task,) = await _poll(bench, service)
        assert _handles(task) == {"emr": "j-1"}
        assert _reserved(service) == [1]
        await bench.clock.run(lambda: False, seconds=600)
        assert bench.clusters.destroyed == []
        await _workers(service).update(result_of(task))
        assert _reserved(service) == [0]
        state = await bench.end(service, execution)
        await bench.clock.run(lambda: not instances_of(service), seconds=600)
    assert state.status == COMPLETED
    assert bench.clusters.destroyed == ["j-1"]


async def test_no_instance_is_made_before_a_worker_asks(tmp_path: Path) -> None:
    bench = cluster_bench(tmp_path)
    async with bench.engine() as service:
        await bench.start(service, _body())
        await bench.clock.run(lambda: False, seconds=600)
        assert bench.clusters.created == []
        assert await _poll(bench, service)
    assert len(bench.clusters.created) == 1


async def test_full_instance_lets_the_next_worker_wait_until_it_is_given_back(tmp_path: Path) -> None:
    bench = cluster_bench(tmp_path, per_instance=1)
    async with bench.engine() as service:
        for _ in range(2):
            await bench.start(service, _body())
        (first,) = await _poll(bench, service)
        assert await _poll(bench, service) == []
        await _workers(service).update(result_of(first))
        (second,) = await _poll(bench, service)
    assert first["workflowInstanceId"] != second["workflowInstanceId"]
    assert _handles(second) == {"emr": "j-1"}


async def test_reservation_of_a_worker_outlives_a_restart(tmp_path: Path) -> None:
    bench = cluster_bench(tmp_path, per_instance=1, idle_after_s=60)
    async with bench.engine() as service:
        execution = await bench.start(service, _body())
        (task,) = await _poll(bench, service)
    async with bench.engine() as service:
        assert _reserved(service) == [1]
        await bench.clock.run(lambda: False, seconds=600)
        assert bench.clusters.destroyed == []
        await _workers(service).update(result_of(task))
        assert _reserved(service) == [0]
        state = await bench.end(service, execution)
    assert state.status == COMPLETED


async def test_timeout_failure_and_return_give_the_instance_back(tmp_path: Path) -> None:
    bench = cluster_bench(tmp_path, per_instance=1)
    async with bench.engine() as service:
        await bench.start(service, _body(responseTimeoutSeconds=60, retryCount=3))
        await _poll(bench, service)
        await bench.clock.run(lambda: _reserved(service) == [0], seconds=100)
        assert _reserved(service) == [0]
        (late,) = await _poll(bench, service)
        await _workers(service).update(result_of(late, "FAILED"))
        assert _reserved(service) == [0]
        (again,) = await _poll(bench, service)
        await _workers(service).update(result_of(again, "IN_PROGRESS", callback_after_s=5))
        assert _reserved(service) == [0]
        (last,) = await _poll(bench, service)
        assert _reserved(service) == [1]
        await service.terminate(str(last["workflowInstanceId"]))
        assert _reserved(service) == [0]
    assert [_handles(each) for each in (late, again, last)] == [{"emr": "j-1"}] * 3


async def test_poll_that_is_cancelled_gives_the_instance_back(tmp_path: Path) -> None:
    bench = cluster_bench(tmp_path, per_instance=1, min_instances=1)
    async with bench.engine() as service:
        polling = asyncio.ensure_future(_workers(service).poll("far", worker_id="w1", timeout_ms=5_000))
        await bench.clock.run(lambda: [each.phase for each in instances_of(service)] == ["active"], seconds=4)
        starting = asyncio.ensure_future(bench.start(service, _body()))
        for _ in range(1_000):
            if _reserved(service) == [1]:
                break
            await asyncio.sleep(0)
        assert polling.cancel()  # its task is decided, and not yet durable
        await asyncio.gather(polling, starting, return_exceptions=True)
        assert polling.cancelled()
        await bench.clock.run(lambda: _reserved(service) == [0], seconds=30)
        assert _reserved(service) == [0]
        (task,) = await _poll(bench, service)
    assert _handles(task) == {"emr": "j-1"}


async def test_instance_under_a_hold_is_restored_with_the_worker_that_began_it(tmp_path: Path) -> None:
    bench = cluster_bench(tmp_path, per_instance=1, idle_after_s=60)
    needs: JsonObject = {"resources": [{"name": "emr", "hold": "from far to near"}]}
    body = workflow("w", [simple("far", asyncflow=needs), simple("near", asyncflow=NEEDS)])
    async with bench.engine() as service:
        await bench.start(service, body)
        (task,) = await _poll(bench, service)
        assert _handles(task) == {"emr": "j-1"}
    async with bench.engine() as service:
        assert _reserved(service) == [1]
        await _workers(service).update(result_of(task))
        assert _reserved(service) == [0]


async def test_a_worker_is_told_with_its_heartbeat_that_its_instance_is_gone(tmp_path: Path) -> None:
    """The engine leaves it the task: the worker fails it, and the retry goes on another instance."""
    bench = cluster_bench(tmp_path, per_instance=1, max_instances=2)
    async with bench.engine() as service:
        execution = await bench.start(service, _body())
        (task,) = await _poll(bench, service)
        task_id, workers = str(task["taskId"]), _workers(service)
        before = await workers.extend_lease(execution, task_id)
        bench.clusters.stands["j-1"] = "gone"
        kept = service.engine.kept_resources
        assert kept is not None
        kept.instance_gone("emr", "emr/1", "shut down by somebody")
        await bench.clock.run(
            lambda: [each.phase for each in instances_of(service)] != ["active"], seconds=60
        )
        after = await workers.extend_lease(execution, task_id)
        await workers.update(result_of(task, "FAILED"))
        (again,) = await _poll(bench, service)
        anew = await workers.extend_lease(execution, str(again["taskId"]))
        placing = service.engine.carry.admitting.placing
        assert not placing._lost
    assert (before, after, anew) == ([], ["emr"], [])
    assert _handles(again) == {"emr": "j-2"}
