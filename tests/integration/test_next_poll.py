"""An update that brings the next task: one commit for both, and nothing lost where only one comes true."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from asyncflow.errors import InvalidInput
from asyncflow.ids import task_number
from asyncflow.model.inputs import UpdateTask
from asyncflow.model.values import JsonObject
from tests.integration.engine_support import simple, workflow
from tests.integration.waiting import next_turn, until
from tests.integration.worker_support import Shop, result_of, shop

SCRIPT: JsonObject = {
    "name": "choose",
    "taskReferenceName": "choose",
    "type": "SWITCH",
    "evaluatorType": "javascript",
    "expression": "'yes'",
    "decisionCases": {"yes": [simple("far", ref="second")]},
}


def held(made: Shop) -> int:
    """How many polls are held."""
    return len(made.engine.carry.hand_out.polls)


async def test_update_and_next_task_share_a_commit(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        await made.start_many(2)
        (task,) = await made.poll("w1")
        before = made.engine.turns.number

        following = await made.workers.update_and_poll(result_of(task))

        assert following is not None
        assert (following["status"], following["workerId"]) == ("IN_PROGRESS", "w1")
        assert made.engine.turns.number == before + 1


async def test_next_task_may_be_one_that_the_update_scheduled(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        execution = await made.start(workflow("w", [simple("far", ref="first"), simple("far", ref="second")]))
        (task,) = await made.poll("w1")
        before = made.engine.turns.number

        following = await made.workers.update_and_poll(result_of(task))

        assert following is not None
        assert (following["workflowInstanceId"], following["referenceTaskName"]) == (execution, "second")
        assert made.engine.turns.number == before + 1


async def test_next_task_behind_a_script_is_waited_for(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        await made.start(workflow("w", [simple("far", ref="first"), SCRIPT]))
        (task,) = await made.poll("w1")

        following = await made.workers.update_and_poll(result_of(task))

        assert following is not None
        assert following["referenceTaskName"] == "second"


async def test_refused_update_takes_nothing(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        await made.start_many(2)
        (task,) = await made.poll("w1")

        with pytest.raises(InvalidInput, match="status"):
            await made.workers.update_and_poll(result_of(task, "DANCING"))

        (other,) = await made.poll("w2")
        assert (held(made), other["retryCount"], other["pollCount"]) == (0, 0, 1)
        assert (await made.workers.task(str(task["taskId"])))["status"] == "IN_PROGRESS"


async def test_next_task_of_a_worker_that_is_gone_goes_to_another_without_a_retry(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        await made.start_many(2)
        (task,) = await made.poll("w1")
        call = asyncio.ensure_future(made.workers.update_and_poll(result_of(task)))
        while not held(made):
            await next_turn()

        call.cancel()
        await asyncio.gather(call, return_exceptions=True)

        (other,) = await made.poll("w2", timeout_ms=5_000)
        assert (held(made), other["retryCount"]) == (0, 0)
        assert other["workflowInstanceId"] != task["workflowInstanceId"]
        assert (await made.workers.task(str(task["taskId"])))["status"] == "COMPLETED"
        assert len(made.engine.carry.hand_out.roll.leases) == 1


async def test_nothing_follows_an_update_whose_caller_is_gone_before_it_is_decided(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        (execution,) = await made.start_many(1)
        (task,) = await made.poll("w1")
        number = task_number(execution, str(task["taskId"]))
        assert number is not None
        followed: list[str] = []

        answer = made.engine.turns.inbox.ask(
            execution, UpdateTask(number, "COMPLETED", {}), then=lambda: followed.append("polled")
        )
        answer.cancel()
        await until(lambda: made.engine.turns.is_idle)

        assert followed == []
        assert await made.status(execution) == "COMPLETED"
