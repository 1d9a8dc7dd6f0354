"""Synchronous execution: when it returns, what it gives back by strategy, and what goes on afterwards."""

from __future__ import annotations

import asyncio

import pytest

from tests.http.conftest import Answer, Server
from tests.http.worker_calls import as_list, as_object, result
from tests.http.workflow_calls import SET, SIMPLE, WAIT, definition, refs, registered, shown, status_of

pytestmark = pytest.mark.route("POST /api/workflow/execute/{name}/{version}")

TIMED = {**WAIT, "taskReferenceName": "timed", "inputParameters": {"duration": "1 hour"}}
HUMAN = {"name": "h", "taskReferenceName": "h_1", "type": "HUMAN"}
CHILD = {
    "name": "c",
    "taskReferenceName": "c_1",
    "type": "SUB_WORKFLOW",
    "subWorkflowParam": {"name": "child"},
}


async def executed(
    server: Server, name: str = "w", version: int = 0, *, body: object = None, **params: str | int
) -> Answer:
    """Execute a workflow; it is waited for as long as a test may take, unless the parameters say less."""
    given = {"requestId": "r", "waitForSeconds": 100, **params}
    return await server.post(
        f"/api/workflow/execute/{name}/{version}", json={"name": name} if body is None else body, params=given
    )


async def first_task(server: Server) -> dict[str, object]:
    """The task that a worker gets, once there is one."""
    waiting = {"timeout": 5_000, "count": 1}
    (task,) = as_list(await server.get("/api/tasks/poll/batch/work", params=waiting))
    return task


async def test_an_execution_that_ends_is_given_back_with_output_and_tasks(server: Server) -> None:
    await registered(server, definition("w", SET, outputParameters={"got": "${workflow.variables.seen}"}))

    answer = await executed(
        server, body={"name": "w", "input": {"x": [1]}, "correlationId": "c", "priority": 4}
    )

    found = as_object(answer)
    assert {
        "responseType": "TARGET_WORKFLOW",
        "requestId": "r",
        "status": "COMPLETED",
        "targetWorkflowStatus": "COMPLETED",
        "input": {"x": [1]},
        "output": {"got": [1]},
        "variables": {"seen": [1]},
        "correlationId": "c",
        "priority": 4,
        "signalTimeout": False,
    }.items() <= found.items()
    assert found["workflowId"] == found["targetWorkflowId"]
    assert refs(found) == [("set_1", "COMPLETED")]
    assert isinstance(found["createTime"], int)


async def test_version_0_is_the_highest_and_others_are_exact(server: Server) -> None:
    await registered(server, definition("w"), definition("w", version=2))
    ids = [str(as_object(await executed(server, version=version))["workflowId"]) for version in (0, 1, 2)]

    assert [(await shown(server, each))["workflowVersion"] for each in ids] == [2, 1, 2]


async def test_a_definition_in_the_request_is_run(server: Server) -> None:
    answer = await executed(server, "mine", 1, body={"workflowDef": definition("mine", SET)})

    assert as_object(answer)["status"] == "COMPLETED"


@pytest.mark.parametrize("nothing", ["None", ""])
async def test_an_execution_is_waited_for_while_workers_are_at_it(server: Server, nothing: str) -> None:
    await registered(server, definition("w", SIMPLE))
    call = asyncio.ensure_future(executed(server, waitUntilTaskRef=nothing))
    await server.post("/api/tasks", json=result(await first_task(server)))

    found = as_object(await call)

    assert (found["status"], refs(found)) == ("COMPLETED", [("work_1", "COMPLETED")])


async def test_an_execution_that_stands_at_a_wait_is_given_back_running(server: Server) -> None:
    await registered(server, definition("w", SET, WAIT))

    found = as_object(await executed(server))

    assert (found["status"], found["signalTimeout"]) == ("RUNNING", False)
    assert refs(found) == [("set_1", "COMPLETED"), ("wait_1", "IN_PROGRESS")]


@pytest.mark.parametrize("task", [TIMED, HUMAN, SIMPLE])
async def test_after_the_limit_the_running_execution_is_given_back_and_goes_on(
    server: Server, task: dict[str, object]
) -> None:
    """C114. Neither a WAIT with a time nor a HUMAN nor a worker's task counts as blocking."""
    await registered(server, definition("w", task))

    found = as_object(await executed(server, waitForSeconds=1))

    assert (found["status"], found["signalTimeout"]) == ("RUNNING", True)
    assert await status_of(server, str(found["workflowId"])) == "RUNNING"


async def test_a_task_that_is_waited_for_by_name_ends_the_call(server: Server) -> None:
    await registered(server, definition("w", SET, SIMPLE))

    answer = await executed(server, waitUntilTaskRef=" other , set_1 ", returnStrategy="BLOCKING_TASK")

    found = as_object(answer)
    assert {
        "referenceTaskName": "set_1",
        "status": "COMPLETED",
        "taskType": "SET_VARIABLE",
    }.items() <= found.items()
    assert (found["responseType"], found["targetWorkflowStatus"]) == ("BLOCKING_TASK", "RUNNING")


@pytest.mark.parametrize("strategy", ["BLOCKING_TASK", "BLOCKING_TASK_INPUT"])
async def test_the_blocking_task_of_a_child_is_given_back(server: Server, strategy: str) -> None:
    wait = {**WAIT, "inputParameters": {"asked": "${workflow.input.q}"}}
    child = {**CHILD, "inputParameters": {"q": "why"}}
    await registered(server, definition("child", wait), definition("w", child))

    found = as_object(await executed(server, returnStrategy=strategy))

    assert {
        "responseType": strategy,
        "referenceTaskName": "wait_1",
        "status": "IN_PROGRESS",
        "input": {"asked": "why"},
        "output": {},
        "workflowType": "child",
    }.items() <= found.items()
    assert found["workflowId"] != found["targetWorkflowId"]
    assert (await shown(server, str(found["workflowId"])))["parentWorkflowId"] == found["targetWorkflowId"]


async def test_the_blocking_workflow_is_given_back(server: Server) -> None:
    await registered(server, definition("child", WAIT), definition("w", CHILD))

    found = as_object(await executed(server, returnStrategy="blocking_workflow"))

    assert (found["responseType"], refs(found)) == ("BLOCKING_WORKFLOW", [("wait_1", "IN_PROGRESS")])
    assert found["workflowId"] != found["targetWorkflowId"]


@pytest.mark.parametrize("strategy", ["BLOCKING_TASK", "BLOCKING_TASK_INPUT"])
async def test_nothing_is_given_back_where_a_task_is_asked_for_and_none_blocks(
    server: Server, strategy: str
) -> None:
    await registered(server, definition("w", SET))

    answer = await executed(server, returnStrategy=strategy)

    assert (answer.status, answer.body) == (200, b"")


async def test_the_blocking_workflow_of_an_end_is_the_one_called(server: Server) -> None:
    await registered(server, definition("w", SET))

    found = as_object(await executed(server, returnStrategy="BLOCKING_WORKFLOW"))

    assert (found["workflowId"], found["status"]) == (found["targetWorkflowId"], "COMPLETED")


async def test_a_server_that_stops_answers_with_what_there_is(server: Server) -> None:
    await registered(server, definition("w", SIMPLE))
    call = asyncio.ensure_future(executed(server))
    await first_task(server)

    server.http.close_for_new()
    await server.services.drain(0)
    found = as_object(await call)
    refused = await executed(server)

    assert (found["status"], found["signalTimeout"]) == ("RUNNING", True)
    assert refused.status == 503


@pytest.mark.parametrize(
    ("name", "version", "params", "status"),
    [
        ("none", "1", {}, 404),
        ("w", "9", {}, 404),
        ("w", "one", {}, 400),
        ("w", "1", {"waitForSeconds": -1}, 400),
        ("w", "1", {"waitForSeconds": "soon"}, 400),
        ("w", "1", {"returnStrategy": "ALL"}, 400),
    ],
)
async def test_an_execution_that_cannot_be_is_refused(
    server: Server, name: str, version: str, params: dict[str, str | int], status: int
) -> None:
    await registered(server, definition("w"))

    answer = await server.post(f"/api/workflow/execute/{name}/{version}", json={}, params=params)

    assert answer.status == status
    assert as_object(await server.get("/api/workflow/search"))["totalHits"] == 0
