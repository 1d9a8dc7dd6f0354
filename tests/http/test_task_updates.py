"""Workers say how their tasks stand: results, what they get for them next, and what is refused."""

from __future__ import annotations

import asyncio

import pytest

from asyncflow.model.values import JsonObject
from tests.http.conftest import Server
from tests.http.worker_calls import (
    NOBODY,
    RETRIED,
    as_list,
    as_object,
    chain,
    events,
    polled,
    result,
    shown,
    started,
    status,
)

UPDATE = pytest.mark.route("POST /api/tasks")
NEXT = pytest.mark.route("POST /api/tasks/update-v2")


# --- POST /api/tasks ------------------------------------------------------------------------------


@UPDATE
async def test_a_result_ends_the_task_and_is_answered_with_its_id(server: Server) -> None:
    execution = await started(server)
    task = await polled(server)

    answer = await server.post("/api/tasks", json=result(task, outputData={"sum": 7, "none": None}))

    assert (answer.status, answer.text) == (200, task["taskId"])
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert (await shown(server, task))["outputData"] == {"sum": 7, "none": None}
    assert await status(server, execution) == "COMPLETED"


@UPDATE
async def test_a_failure_keeps_its_reason_and_ends_the_execution(server: Server) -> None:
    execution = await started(server)
    task = await polled(server)

    await server.post("/api/tasks", json=result(task, "FAILED", reasonForIncompletion="no mailbox"))

    assert (await shown(server, task))["reasonForIncompletion"] == "no mailbox"
    assert await status(server, execution) == "FAILED"


@UPDATE
async def test_a_failure_with_retries_left_is_handed_out_again(server: Server) -> None:
    await started(server, RETRIED)
    first = await polled(server)

    await server.post("/api/tasks", json=result(first, "FAILED"))
    second = await polled(server)

    assert (second["retryCount"], second["retriedTaskId"]) == (1, first["taskId"])


@UPDATE
async def test_a_terminal_error_uses_no_retries(server: Server) -> None:
    execution = await started(server, RETRIED)

    await server.post("/api/tasks", json=result(await polled(server), "FAILED_WITH_TERMINAL_ERROR"))

    assert await status(server, execution) == "FAILED"


@UPDATE
async def test_progress_with_a_callback_puts_the_task_back(server: Server) -> None:
    await started(server)
    task = await polled(server)

    body = result(task, "IN_PROGRESS", callbackAfterSeconds=3600, outputData={"done": 40})
    assert (await server.post("/api/tasks", json=body)).status == 200

    now = await shown(server, task)
    assert (now["status"], now["callbackAfterSeconds"], now["outputData"]) == (
        "SCHEDULED",
        3600,
        {"done": 40},
    )
    assert (await server.get("/api/tasks/poll/work")).status == 204


@UPDATE
async def test_progress_without_a_callback_keeps_the_task_with_its_worker(server: Server) -> None:
    await started(server)
    task = await polled(server)

    await server.post("/api/tasks", json=result(task, "IN_PROGRESS", outputData={"done": 40}))

    assert (await shown(server, task))["status"] == "IN_PROGRESS"


@UPDATE
async def test_extending_a_lease_changes_nothing_else(server: Server) -> None:
    await started(server, RETRIED)
    task = await polled(server)
    before = await events(server, task)

    body = result(task, "IN_PROGRESS", extendLease=True, outputData={"lost": 1}, callbackAfterSeconds=60)
    answer = await server.post("/api/tasks", json=body)

    assert (answer.status, answer.text) == (200, task["taskId"])
    assert await events(server, task) == before + 1
    now = await shown(server, task)
    assert (now["status"], now["outputData"]) == ("IN_PROGRESS", {})


@UPDATE
async def test_what_comes_after_the_end_is_accepted_and_changes_nothing(server: Server) -> None:
    await started(server, *chain("work", "more"))
    task = await polled(server)
    await server.post("/api/tasks", json=result(task, outputData={"n": 1}))

    late = await server.post("/api/tasks", json=result(task, "FAILED", outputData={"n": 2}))

    assert late.status == 200
    now = await shown(server, task)
    assert (now["status"], now["outputData"]) == ("COMPLETED", {"n": 1})


@UPDATE
async def test_what_is_said_of_an_ended_execution_changes_nothing(server: Server) -> None:
    execution = await started(server)
    task = await polled(server)
    await server.services.executions.terminate(execution, "enough")

    assert (await server.post("/api/tasks", json=result(task))).status == 200
    assert (await shown(server, task))["status"] == "CANCELED"


@UPDATE
@pytest.mark.parametrize(
    "null", ["outputData", "workerId", "reasonForIncompletion", "callbackAfterSeconds", "logs"]
)
async def test_null_is_as_good_as_absent(server: Server, null: str) -> None:
    execution = await started(server)

    assert (
        await server.post("/api/tasks", json=result(await polled(server), more={null: None}))
    ).status == 200
    assert await status(server, execution) == "COMPLETED"


@UPDATE
async def test_unknown_fields_are_ignored(server: Server) -> None:
    await started(server)

    body = result(await polled(server), subWorkflowId=None, outputMessage={}, whatever=[1])
    assert (await server.post("/api/tasks", json=body)).status == 200


@UPDATE
@NEXT
@pytest.mark.parametrize("path", ["/api/tasks", "/api/tasks/update-v2"])
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("workflowInstanceId", None),
        ("workflowInstanceId", ""),
        ("taskId", None),
        ("taskId", 7),
        ("status", None),
        ("status", "DONE"),
        ("status", "TIMED_OUT"),
        ("status", ["COMPLETED"]),
        ("outputData", [1]),
        ("outputData", "text"),
        ("reasonForIncompletion", {"a": 1}),
        ("workerId", 5),
        ("callbackAfterSeconds", "soon"),
        ("callbackAfterSeconds", True),
        ("callbackAfterSeconds", 10**30),
        ("extendLease", "yes"),
        ("logs", {"log": "x"}),
        ("logs", ["x"]),
        ("externalOutputPayloadStoragePath", "task/output/1.json"),
    ],
)
async def test_malformed_results_are_refused_by_field(
    server: Server, path: str, field: str, value: object
) -> None:
    await started(server)
    task = await polled(server)

    answer = await server.post(path, json=result(task, more={field: value}))

    assert answer.status == 400
    assert answer.message.startswith(f"{field}: ")
    assert (await shown(server, task))["status"] == "IN_PROGRESS"


@UPDATE
@NEXT
@pytest.mark.parametrize("path", ["/api/tasks", "/api/tasks/update-v2"])
@pytest.mark.parametrize("field", ["workflowInstanceId", "taskId"])
async def test_results_of_what_does_not_exist_are_404(server: Server, path: str, field: str) -> None:
    await started(server)

    answer = await server.post(path, json=result(await polled(server), more={field: NOBODY}))

    assert answer.status == 404
    assert NOBODY in answer.message


@UPDATE
@pytest.mark.parametrize("body", [b"", b"[]", b"null", b"{", b'{"taskId": NaN}', b'{"a": 1, "a": 2}'])
async def test_bodies_that_are_no_result_are_400(server: Server, body: bytes) -> None:
    assert (await server.post("/api/tasks", data=body)).status == 400


# --- POST /api/tasks/update-v2 --------------------------------------------------------------------


@NEXT
async def test_a_result_is_answered_with_the_next_task_of_the_same_type(server: Server) -> None:
    await started(server)
    second = await started(server)
    task = await polled(server)

    answer = await server.post("/api/tasks/update-v2", json=result(task))

    assert answer.status == 200
    following = as_object(answer)
    assert following["workflowInstanceId"] in {second, task["workflowInstanceId"]}
    assert (following["status"], following["workerId"], following["taskDefName"]) == (
        "IN_PROGRESS",
        "w1",
        "work",
    )
    assert following["taskId"] != task["taskId"]


@NEXT
async def test_tasks_of_other_types_are_no_next_task(server: Server) -> None:
    execution = await started(server, *chain("work", "other"))

    answer = await server.post("/api/tasks/update-v2", json=result(await polled(server)))

    assert (answer.status, answer.body) == (204, b"")
    assert (await polled(server, "other"))["workflowInstanceId"] == execution


@NEXT
async def test_tasks_of_other_domains_are_no_next_task(server: Server) -> None:
    await started(server, task_to_domain={"work": "inner"})
    await started(server)

    answer = await server.post("/api/tasks/update-v2", json=result(await polled(server, domain="inner")))

    assert answer.status == 204


@NEXT
@pytest.mark.parametrize("more", [{"callbackAfterSeconds": 60}, {"extendLease": True}, {}])
async def test_a_task_that_goes_on_is_answered_204(server: Server, more: JsonObject) -> None:
    await started(server)
    await started(server)

    answer = await server.post(
        "/api/tasks/update-v2", json=result(await polled(server), "IN_PROGRESS", more=more)
    )

    assert answer.status == 204


@NEXT
async def test_a_result_that_comes_twice_still_gets_the_next_task(server: Server) -> None:
    for _ in range(3):
        await started(server)
    body = result(await polled(server))

    first = as_object(await server.post("/api/tasks/update-v2", json=body))
    second = as_object(await server.post("/api/tasks/update-v2", json=body))

    assert first["taskId"] != second["taskId"]


@NEXT
async def test_a_result_is_taken_while_the_server_stops_and_nothing_is_handed_out(server: Server) -> None:
    execution = await started(server)
    await started(server)
    task = await polled(server)
    server.http.close_for_new()
    await server.services.drain(0)

    answer = await server.post("/api/tasks/update-v2", json=result(task))

    assert answer.status == 204
    assert await status(server, str(task["workflowInstanceId"])) == "COMPLETED"
    assert execution


@NEXT
async def test_a_result_is_taken_although_the_engine_drains_before_the_server_says_so(server: Server) -> None:
    await started(server)
    await started(server)
    task = await polled(server)
    await server.services.drain(0)

    answer = await server.post("/api/tasks/update-v2", json=result(task))

    assert answer.status == 204
    assert await status(server, str(task["workflowInstanceId"])) == "COMPLETED"


# --- many at once ---------------------------------------------------------------------------------


@NEXT
async def test_results_that_come_at_once_each_count_once(server: Server) -> None:
    executions = [await started(server, *chain("work", "work2")) for _ in range(20)]
    tasks = as_list(await server.get("/api/tasks/poll/batch/work", params={"count": 20, "timeout": 5000}))

    answers = await asyncio.gather(
        *(server.post("/api/tasks/update-v2", json=result(task)) for task in tasks for _ in range(3))
    )

    assert {answer.status for answer in answers} == {204}
    assert [await status(server, each) for each in executions] == ["RUNNING"] * 20
    assert as_object(await server.get("/api/tasks/queue/all"))["work2"] == 20
