"""Signals over HTTP: to the first WAIT of an execution or below it, with and without an answer that waits."""

from __future__ import annotations

import asyncio

import pytest

from asyncflow.model.values import JsonObject
from tests.http.conftest import Server
from tests.http.worker_calls import NOBODY, as_object, chain, polled, result, started, status, wait

SIGNAL = pytest.mark.route("POST /api/tasks/{workflowId}/{status}/signal")
SYNC = pytest.mark.route("POST /api/tasks/{workflowId}/{status}/signal/sync")


def child(*tasks: JsonObject) -> JsonObject:
    """A sub-workflow of these tasks."""
    inner: JsonObject = {"name": "inner", "version": 1, "schemaVersion": 2, "tasks": list(tasks)}
    return {
        "name": "below",
        "taskReferenceName": "below",
        "type": "SUB_WORKFLOW",
        "subWorkflowParam": {"name": "inner", "version": 1, "workflowDefinition": inner},
    }


async def refs(server: Server, execution: str) -> dict[object, object]:
    """The status of every task, by reference name."""
    tasks = (await server.services.executions.get(execution))["tasks"]
    assert isinstance(tasks, list)
    return {task["referenceTaskName"]: task["status"] for task in tasks}


@SIGNAL
async def test_a_signal_ends_the_first_wait_with_its_output(server: Server) -> None:
    execution = await started(server, wait("one"), wait("two"))

    answer = await server.post(f"/api/tasks/{execution}/COMPLETED/signal", json={"by": "hand"})

    assert (answer.status, answer.body) == (200, b"")
    assert await refs(server, execution) == {"one": "COMPLETED", "two": "IN_PROGRESS"}
    tasks = (await server.services.executions.get(execution))["tasks"]
    assert tasks[0]["outputData"] == {"by": "hand"}  # type: ignore[index]


@SIGNAL
async def test_a_signal_may_fail_a_wait(server: Server) -> None:
    execution = await started(server, wait())

    await server.post(f"/api/tasks/{execution}/FAILED/signal", json={})

    assert await status(server, execution) == "FAILED"


@SIGNAL
async def test_a_signal_reaches_a_wait_with_a_time_too(server: Server) -> None:
    execution = await started(server, {**wait(), "inputParameters": {"duration": "1 hours"}})

    assert (await server.post(f"/api/tasks/{execution}/COMPLETED/signal", json={})).status == 200
    assert await status(server, execution) == "COMPLETED"


@SIGNAL
async def test_a_signal_goes_to_an_execution_below_where_nothing_waits_above(server: Server) -> None:
    execution = await started(server, child(child(wait())))

    await server.post(f"/api/tasks/{execution}/COMPLETED/signal", json={"deep": 1})

    ended = await server.services.executions.ended(execution)
    assert ended.status == "COMPLETED"


@SIGNAL
async def test_a_signal_that_nothing_waits_for_is_no_error(server: Server) -> None:
    execution = await started(server, *chain("work"))

    assert (await server.post(f"/api/tasks/{execution}/COMPLETED/signal", json={})).status == 200
    assert await refs(server, execution) == {"work": "SCHEDULED"}


@SIGNAL
@SYNC
@pytest.mark.parametrize("suffix", ["", "/sync"])
async def test_signals_to_nothing_are_404_and_malformed_ones_400(server: Server, suffix: str) -> None:
    execution = await started(server, wait())

    unknown = await server.post(f"/api/tasks/{NOBODY}/COMPLETED/signal{suffix}", json={})
    bad_status = await server.post(f"/api/tasks/{execution}/DONE/signal{suffix}", json={})
    bad_body = await server.post(f"/api/tasks/{execution}/COMPLETED/signal{suffix}", json=["x"])

    assert (unknown.status, bad_status.status, bad_body.status) == (404, 400, 400)
    assert unknown.message == f"No such workflow found by id: {NOBODY}"
    assert bad_status.message.startswith("status: ")
    assert await status(server, execution) == "RUNNING"


@SIGNAL
async def test_a_signal_needs_no_body(server: Server) -> None:
    execution = await started(server, wait())

    assert (await server.post(f"/api/tasks/{execution}/COMPLETED/signal")).status == 200
    assert await status(server, execution) == "COMPLETED"


@SYNC
async def test_a_signal_that_waits_gives_the_execution_at_its_next_wait(server: Server) -> None:
    execution = await started(server, wait("one"), *chain("work"), wait("two"))

    async with asyncio.TaskGroup() as group:
        signalled = group.create_task(
            server.post(f"/api/tasks/{execution}/COMPLETED/signal/sync", json={"x": 1})
        )
        task = await server.get("/api/tasks/poll/batch/work", params={"timeout": 5000})
        await server.post("/api/tasks", json=result(task.json[0]))  # type: ignore[index]

    answer = as_object(signalled.result())
    assert answer["responseType"] == "TARGET_WORKFLOW"
    assert (answer["workflowId"], answer["targetWorkflowId"]) == (execution, execution)
    assert (answer["status"], answer["signalTimeout"]) == ("RUNNING", False)
    assert [task["referenceTaskName"] for task in answer["tasks"]] == ["one", "work", "two"]  # type: ignore[attr-defined]


@SYNC
async def test_a_signal_that_waits_gives_the_end(server: Server) -> None:
    execution = await started(server, wait())

    answer = as_object(await server.post(f"/api/tasks/{execution}/COMPLETED/signal/sync", json={"x": 1}))

    assert (answer["status"], answer["targetWorkflowStatus"]) == ("COMPLETED", "COMPLETED")
    assert answer["output"] == {"x": 1}


@SYNC
@pytest.mark.parametrize(
    "strategy", ["TARGET_WORKFLOW", "BLOCKING_WORKFLOW", "BLOCKING_TASK", "BLOCKING_TASK_INPUT"]
)
async def test_every_strategy_names_itself_and_the_execution(server: Server, strategy: str) -> None:
    execution = await started(server, wait("one"), child(wait("two")))

    path = f"/api/tasks/{execution}/COMPLETED/signal/sync"
    answer = as_object(await server.post(path, params={"returnStrategy": strategy}, json={}))

    assert (answer["responseType"], answer["targetWorkflowId"]) == (strategy, execution)
    assert isinstance(answer["workflowId"], str)
    assert (answer["workflowId"] == execution) == (strategy == "TARGET_WORKFLOW")
    assert (answer.get("referenceTaskName") == "two") == (strategy.startswith("BLOCKING_TASK"))


@SYNC
async def test_a_signal_that_waits_too_long_shows_what_is_and_lets_it_go_on(server: Server) -> None:
    execution = await started(server, wait(), *chain("work"))

    path = f"/api/tasks/{execution}/COMPLETED/signal/sync"
    answer = as_object(await server.post(path, params={"timeoutMillis": 1}, json={}))

    assert (answer["status"], answer["signalTimeout"]) == ("RUNNING", True)
    await server.post("/api/tasks", json=result(await polled(server)))
    assert await status(server, execution) == "COMPLETED"


@SYNC
async def test_a_signal_that_waits_for_nothing_is_404(server: Server) -> None:
    execution = await started(server, *chain("work"))

    assert (await server.post(f"/api/tasks/{execution}/COMPLETED/signal/sync", json={})).status == 404


@SYNC
@pytest.mark.parametrize(
    ("name", "value"), [("timeoutMillis", "-1"), ("timeoutMillis", "x"), ("returnStrategy", "EVERYTHING")]
)
async def test_signals_with_bad_parameters_change_nothing(server: Server, name: str, value: str) -> None:
    execution = await started(server, wait())

    answer = await server.post(f"/api/tasks/{execution}/COMPLETED/signal/sync", params={name: value}, json={})

    assert answer.status == 400
    assert answer.message.startswith(f"{name}: ")
    assert await status(server, execution) == "RUNNING"


@SYNC
async def test_a_signal_is_taken_while_the_server_stops_and_answered_at_once(server: Server) -> None:
    execution = await started(server, wait(), *chain("work"))
    server.http.close_for_new()
    await server.services.drain(0)

    path = f"/api/tasks/{execution}/COMPLETED/signal/sync"
    answer = as_object(await server.post(path, params={"timeoutMillis": 3_600_000}, json={}))

    assert (answer["status"], answer["signalTimeout"]) == ("RUNNING", True)
    assert (await refs(server, execution))["pause"] == "COMPLETED"
