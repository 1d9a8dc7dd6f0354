"""Outside workers poll, work and report: what they get, when, and what an odd update does."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from asyncflow.errors import InvalidInput, NotFound
from tests.integration.engine_support import simple, workflow
from tests.integration.waiting import next_turn, until
from tests.integration.worker_support import result_of, shop


async def test_task_goes_to_a_poller_and_its_update_ends_the_execution(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        execution = await made.start(workflow("w", [simple("far", inputParameters={"x": 1})]))
        (task,) = await made.poll("w1")

        assert (task["status"], task["workerId"], task["inputData"]) == ("IN_PROGRESS", "w1", {"x": 1})
        assert (task["pollCount"], task["callbackAfterSeconds"]) == (1, 0)
        await made.complete(task, output={"y": 2})
        assert await made.status(execution) == "COMPLETED"
        assert (await made.task(execution))["outputData"] == {"y": 2}


async def test_held_poll_gets_a_task_at_once(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        poll = asyncio.ensure_future(made.poll("w1", timeout_ms=5_000))
        await next_turn()
        execution = await made.start(workflow("w", [simple("far")]))
        (task,) = await poll

        assert task["workflowInstanceId"] == execution


async def test_poll_with_nothing_to_give_ends_empty(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        assert await made.poll("w1", timeout_ms=0) == []
        assert await made.poll("w1", timeout_ms=10) == []


@pytest.mark.parametrize(
    "fields", [{"count": 0}, {"timeout_ms": 5_001}, {"timeout_ms": -1}, {"count": 10_001}]
)
async def test_poll_out_of_range_is_refused(tmp_path: Path, fields: dict[str, int]) -> None:
    async with shop(tmp_path / "a.db") as made:
        with pytest.raises(InvalidInput):
            await made.poll("w1", **fields)  # type: ignore[arg-type]


async def test_all_tasks_of_a_poll_begin_in_one_turn(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        await made.start_many(20)
        before = made.engine.turns.number
        tasks = await made.poll("w1", 20)

        assert len(tasks) == 20
        assert made.engine.turns.number == before + 1


async def test_update_of_an_ended_task_changes_nothing(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        execution = await made.start(workflow("w", [simple("far"), simple("next")]))
        (task,) = await made.poll("w1")
        await made.complete(task, output={"y": 1})
        await made.complete(task, "FAILED", output={"y": 2})

        assert (await made.task(execution))["outputData"] == {"y": 1}
        await made.service.terminate(execution)
        await made.complete(task)
        assert await made.status(execution) == "TERMINATED"


async def test_update_of_something_unknown_is_not_found(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        execution = await made.start(workflow("w", [simple("far")]))
        (task,) = await made.poll("w1")
        for changed in ({"workflowInstanceId": "nothing"}, {"taskId": "nothing"}, {"taskId": execution}):
            with pytest.raises(NotFound):
                await made.complete({**task, **changed})


async def test_update_and_poll_gives_the_next_of_the_same_type(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        await made.start_many(2)
        (task,) = await made.poll("w1")
        following = await made.workers.update_and_poll(result_of(task))
        assert following is not None
        assert following["taskId"] != task["taskId"]
        again = await made.workers.update_and_poll(result_of(task))
        assert again is None, "nothing waits"
        assert await made.workers.update_and_poll(result_of(following, "IN_PROGRESS")) is None


async def test_callback_gives_the_task_back_until_it_is_due(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        execution = await made.start(workflow("w", [simple("far")]))
        (task,) = await made.poll("w1")
        await made.complete(task, "IN_PROGRESS", callback_after_s=0.2, output={"p": 1})

        shown = await made.task(execution)
        assert (shown["status"], shown["outputData"]) == ("SCHEDULED", {"p": 1})
        assert await made.poll("w1", timeout_ms=0) == []
        (again,) = await made.poll("w2", timeout_ms=5_000)
        assert (again["taskId"], again["pollCount"], again["workerId"]) == (task["taskId"], 2, "w2")


async def test_released_task_goes_to_another_without_using_a_retry(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        execution = await made.start(workflow("w", [simple("far")]))
        for _ in range(10):
            (task,) = await made.poll("w1")
            await made.workers.release(str(task["taskId"]), "node restarts")
        (task,) = await made.poll("w1")
        await made.complete(task)

        shown = await made.service.get(execution)
        tasks = shown["tasks"]
        assert isinstance(tasks, list)
        assert shown["status"] == "COMPLETED"
        assert {each["retryCount"] for each in tasks} == {0}
        assert [each["status"] for each in tasks] == ["CANCELED"] * 10 + ["COMPLETED"]
        assert tasks[0]["asyncflow"]["state"] == "RELEASED"


async def test_poller_that_is_gone_gives_its_tasks_back(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        poll = asyncio.ensure_future(made.poll("w1", 5, timeout_ms=5_000))
        await until(lambda: made.engine.carry.hand_out.demand.queue("far", "").polls)
        executions = await made.start_many(3)
        poll.cancel()
        await asyncio.gather(poll, return_exceptions=True)
        tasks = await made.poll("w2", 5, timeout_ms=5_000)
        while len(tasks) < 3:
            tasks += await made.poll("w2", 5, timeout_ms=5_000)
        for task in tasks:
            await made.complete(task)

        assert {await made.status(each) for each in executions} == {"COMPLETED"}
        assert {task["retryCount"] for task in tasks} == {0}
        assert made.engine.carry.hand_out.roll.leases == {}


async def test_sizes_and_poll_data_tell_what_waits_and_who_came(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        await made.start_many(3)
        assert made.workers.queue_sizes() == {"far": 3}
        (task,) = await made.poll("w1")

        assert made.workers.queue_size("far") == 2
        assert made.workers.unacknowledged() == {"far": 1}
        (seen,) = made.workers.poll_data("far")
        assert (seen["queueName"], seen["workerId"]) == ("far", "w1")
        assert made.workers.requeue("far") == 3
        assert len(await made.workers.pending("far")) == 3
        assert (await made.workers.task(str(task["taskId"])))["status"] == "IN_PROGRESS"
