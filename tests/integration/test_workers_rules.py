"""Who may have a task: domains, priorities, the worker after a loss, one code version; what `why` says."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import cast

import pytest

from asyncflow.app.service import StartRequest
from asyncflow.app.services import open_services
from asyncflow.model.values import JsonObject
from asyncflow.runtime.worker_roll import WorkerLost
from asyncflow.testing.clock import VirtualClock
from tests.integration.engine_support import simple, workflow
from tests.integration.listener_support import Ear, settings_of
from tests.integration.waiting import until
from tests.integration.worker_support import Shop, shop


def far(**fields: object) -> JsonObject:
    body = simple("far")
    body["taskDefinition"] = {"name": "far", "retryCount": 3, "retryDelaySeconds": 0, **fields}
    return body


async def why(made: Shop, execution: str) -> JsonObject:
    (entry,) = await made.service.why(execution)
    return entry


async def test_domains_are_queues_of_their_own_with_the_first_active_one_chosen(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        body = workflow("w", [far()])
        await made.poll("w1", domain="d2", timeout_ms=0)
        await made.start(body, task_to_domain={"far": "d1,d2,NO_DOMAIN"})
        await made.start(body, task_to_domain={"*": "d1,NO_DOMAIN"})

        assert made.workers.queue_sizes() == {"d2:far": 1, "far": 1}
        assert await made.poll("w1", domain="d1", timeout_ms=0) == []
        (task,) = await made.poll("w1", domain="d2")
        assert task["domain"] == "d2"
        assert len(await made.poll("w1", 5)) == 1


async def test_domain_that_nobody_polls_any_more_is_active_no_longer(tmp_path: Path) -> None:
    clock = VirtualClock(auto=False)
    async with shop(tmp_path / "a.db", clock=clock) as made:
        clock.attach(made.engine)
        await made.poll("w1", domain="d1", timeout_ms=0)
        await clock.advance(11)
        await made.start(workflow("w", [far()]), task_to_domain={"far": "d1,NO_DOMAIN"})

        assert made.workers.queue_sizes() == {"d1:far": 0, "far": 1}


async def test_priority_comes_first_then_turns_of_executions_then_age(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        low = await made.start(workflow("w", [far()]))
        high = await made.start(workflow("w", [far()]), priority=9)
        mid = await made.start(workflow("w", [far()]), priority=5)

        tasks = await made.poll("w1", 3)
        assert [task["workflowInstanceId"] for task in tasks] == [high, mid, low]


async def test_silent_worker_loses_its_task_by_the_response_timeout_and_is_announced(tmp_path: Path) -> None:
    clock = VirtualClock(auto=False)
    async with shop(tmp_path / "a.db", clock=clock) as made:
        clock.attach(made.engine)
        lost: list[WorkerLost] = []
        made.engine.carry.hand_out.roll.listeners.append(lost.append)
        execution = await made.start(workflow("w", [far(responseTimeoutSeconds=20)]))
        (task,) = await made.poll("w1", timeout_ms=0)
        await clock.advance(15)
        await made.workers.extend_lease(execution, str(task["taskId"]))
        await clock.advance(19)
        assert not lost
        await clock.advance(2)
        (notice,) = lost
        assert (notice.worker, notice.tasks[0][0]) == ("w1", execution)
        assert made.workers.poll_data("far")[0]["asyncflow"]["lost"]  # type: ignore[index]
        (again,) = await made.poll("w2", timeout_ms=0)
        await made.complete(task, output={"late": True})
        await made.complete(again)

        assert again["retryCount"] == 1
        assert (await made.task(execution))["outputData"] == {}
        await made.poll("w1", timeout_ms=0)
        assert not made.workers.poll_data("far")[0]["asyncflow"]["lost"]  # type: ignore[index]


async def test_worker_that_says_nothing_for_long_is_announced_and_keeps_its_task(tmp_path: Path) -> None:
    clock = VirtualClock(auto=False)
    async with shop(tmp_path / "a.db", clock=clock, lost_seconds=100) as made:
        clock.attach(made.engine)
        execution = await made.start(workflow("w", [far()]))
        (task,) = await made.poll("w1", timeout_ms=0)
        await clock.advance(101)
        assert made.engine.carry.hand_out.roll.lost_count == 1
        assert (await why(made, execution))["lost"]
        await made.complete(task)

        assert await made.status(execution) == "COMPLETED"


async def test_listeners_are_told_of_a_worker_that_is_lost(tmp_path: Path) -> None:
    clock, ear = VirtualClock(auto=False), Ear()
    settings = settings_of(ear, patterns=("worker.*",))
    async with open_services(tmp_path / "a.db", settings=settings, clock=clock) as services:
        clock.attach(services.executions.engine)
        await services.executions.register_workflow(workflow("w", [far(responseTimeoutSeconds=20)]))
        await services.executions.start(StartRequest("w"))
        (task,) = await services.workers.poll("far", worker_id="w1", timeout_ms=0)
        await clock.advance(25)
        await until(lambda: ear.heard)
    (told,) = ear.heard

    assert told.name == "worker.lost"
    assert (told.data["worker"], told.data["tasks"], told.data["taskIds"]) == ("w1", 1, [task["taskId"]])
    assert told.data["reason"] == "a task was not spoken of in time"


@pytest.mark.parametrize(
    ("strategy", "first", "takes", "refused"),
    [
        ("any", "node1:1", "node1:1", ""),
        ("not_last", "node1:1", "node1:2", "node1:1"),
        ("same_host", "node1:1", "node1:2", "node2:1"),
    ],
)
async def test_released_task_goes_where_its_strategy_says(
    tmp_path: Path, strategy: str, first: str, takes: str, refused: str
) -> None:
    async with shop(tmp_path / "a.db") as made:
        await made.start(workflow("w", [far(asyncflow={"reassign": strategy})]))
        (task,) = await made.poll(first)
        await made.workers.release(str(task["taskId"]))
        if refused:
            assert await made.poll(refused, timeout_ms=0) == []
        assert len(await made.poll(takes, timeout_ms=200)) == 1


async def test_wish_for_another_worker_is_given_up_after_a_while(tmp_path: Path) -> None:
    clock = VirtualClock(auto=False)
    async with shop(tmp_path / "a.db", clock=clock, prefer_seconds=30) as made:
        clock.attach(made.engine)
        execution = await made.start(workflow("w", [far(asyncflow={"reassign": "not_last"})]))
        (task,) = await made.poll("w1", timeout_ms=0)
        await made.workers.release(str(task["taskId"]))
        await clock.advance(29)
        assert await made.poll("w1", timeout_ms=0) == []
        assert (await why(made, execution))["workers"] == "not_eligible"
        await clock.advance(2)
        assert len(await made.poll("w1", timeout_ms=0)) == 1


@pytest.mark.parametrize("level", ["task", "workflow"])
async def test_execution_stays_with_the_code_version_that_first_took_one_of_it(
    tmp_path: Path, level: str
) -> None:
    pin: JsonObject = {"asyncflow": {"pinWorkerVersion": True}}
    path = tmp_path / "a.db"
    tasks = [{**far(**(pin if level == "task" else {})), "taskReferenceName": ref} for ref in ("a", "b", "c")]
    body = workflow("w", tasks, **(pin if level == "workflow" else {}))
    async with shop(path) as made:
        old, new = await made.start(body), await made.start(body)
        (first,) = await made.poll("old", version="1", timeout_ms=200)
        (second,) = await made.poll("new", version="2", timeout_ms=200)
        owner = {str(first["workflowInstanceId"]): "1", str(second["workflowInstanceId"]): "2"}
        await made.complete(first)
        await made.complete(second)
    async with shop(path) as made:
        taken: list[tuple[object, str]] = []
        async with asyncio.timeout(60):
            while len(taken) < 4:
                for worker, version in (("old", "1"), ("new", "2"), ("odd", "")):
                    for task in await made.poll(worker, 5, version=version, timeout_ms=20):
                        taken.append((task["workflowInstanceId"], version))
                        await made.complete(task)

        assert {(execution, version) for execution, version in taken} == set(owner.items())
        assert {await made.status(each) for each in (old, new)} == {"COMPLETED"}


async def test_why_tells_what_a_task_for_workers_waits_for(tmp_path: Path) -> None:
    clock = VirtualClock(auto=False)
    async with shop(tmp_path / "a.db", clock=clock) as made:
        clock.attach(made.engine)
        body = workflow("w", [far(concurrentExecLimit=1)])
        await made.poll("w9", domain="d9", timeout_ms=0)
        first = await made.start(body)
        entry = await why(made, first)
        assert (entry["kind"], entry["workers"], entry["otherDomains"]) == ("worker", "never_seen", ["d9"])
        (task,) = await made.poll("w1", timeout_ms=0)
        assert (await why(made, first))["workerId"] == "w1"
        second, third = await made.start(body), await made.start(body)
        await made.poll("w1", 5, timeout_ms=0)
        entry = await why(made, third)
        assert (entry["workers"], entry["reason"], entry["position"]) == ("limit", "limit_reached", 2)
        (holder,) = cast("list[JsonObject]", entry["holders"])
        assert (holder["execution_id"], holder["number"], holder["weight"]) == (first, 1, 1)
        assert (holder["workflow"], holder["task"]) == ("w", "far")
        await made.complete(task)
        assert (await why(made, second))["workers"] == "busy"
        await clock.advance(5)
        entry = await why(made, second)
        assert entry["workers"] == "last_seen"
        assert isinstance(entry["lastSeenMs"], int)
