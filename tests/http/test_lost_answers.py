"""A task in an answer that no worker ever read: it is nobody's, and its response timeout frees it."""

from __future__ import annotations

from typing import Any

import pytest

from asyncflow.testing.clock import VirtualClock
from tests.http.conftest import Answer, Server, serving

TASK = {
    "name": "work",
    "retryCount": 1,
    "retryDelaySeconds": 0,
    "responseTimeoutSeconds": 30,
    "timeoutSeconds": 0,
}
DEFINITION = {
    "name": "w",
    "version": 1,
    "schemaVersion": 2,
    "tasks": [{"name": "work", "taskReferenceName": "work", "type": "SIMPLE", "taskDefinition": TASK}],
}


def shown(answer: Answer) -> Any:
    assert answer.status in (200, 204), answer.text
    return answer.json if answer.body else None


async def started(server: Server) -> str:
    answer = await server.post("/api/workflow", json={"name": "w", "workflowDef": DEFINITION})
    assert answer.status == 200, answer.text
    return answer.text


async def tasks(server: Server, execution: str) -> list[tuple[str, int]]:
    """The records of an execution: status and retry count of each."""
    found = shown(await server.get(f"/api/workflow/{execution}"))["tasks"]
    return [(each["status"], each["retryCount"]) for each in found]


async def polled(server: Server) -> Any:
    """A task, if there is one now."""
    params: dict[str, str | int] = {"workerid": "w1", "timeout": 0}
    found = shown(await server.get("/api/tasks/poll/batch/work", params=params))
    return found[0] if found else None


async def result(server: Server, task: Any) -> Any:
    """Say that a task is done, and what the answer brings: the next task, if there is one."""
    body = {
        "workflowInstanceId": task["workflowInstanceId"],
        "taskId": task["taskId"],
        "status": "COMPLETED",
        "outputData": {},
        "workerId": "w1",
    }
    return shown(await server.post("/api/tasks/update-v2", json=body))


@pytest.mark.parametrize("answer", ["poll", "update-v2"])
async def test_a_task_whose_answer_is_lost_is_tried_again_after_its_response_timeout(answer: str) -> None:
    """The server sent the answer; that nobody read it, it cannot know, as Conductor cannot."""
    clock = VirtualClock(auto=False)
    async with serving(clock=clock) as server:
        clock.attach(server.services.executions.engine)
        clock.on_rest(_nothing)
        first = await started(server)
        lost = await polled(server)
        if answer == "update-v2":
            first, done = await started(server), lost
            lost = await result(server, done)
        assert lost["workflowInstanceId"] == first

        await clock.advance(29)
        before = await tasks(server, first)
        assert await polled(server) is None
        await clock.advance(2)
        after = await tasks(server, first)
        again = await polled(server)
        await result(server, again)
        ended = await tasks(server, first)
        clock.detach(_nothing)

    assert before == [("IN_PROGRESS", 0)]
    assert after == [("TIMED_OUT", 0), ("SCHEDULED", 1)]
    assert (again["workflowInstanceId"], again["retryCount"]) == (first, 1)
    assert ended == [("TIMED_OUT", 0), ("COMPLETED", 1)]


def _nothing() -> bool:
    return False
