"""Workers say how their tasks stand: results, next tasks, signs of life, releases, and what is refused."""

from __future__ import annotations

import asyncio

import pytest

from asyncflow.model.values import JsonObject
from tests.http.conftest import Server
from tests.http.worker_calls import SIMPLE, as_list, as_object, chain, polled, result, started, status, wait

UPDATE = pytest.mark.route("POST /api/tasks")
NEXT = pytest.mark.route("POST /api/tasks/update-v2")
BY_NAME = pytest.mark.route("POST /api/tasks/{workflowId}/{reference}/{status}")
BY_NAME_SYNC = pytest.mark.route("POST /api/tasks/{workflowId}/{reference}/{status}/sync")
NOBODY = "00000000-0000-4000-8000-000000000000"
RETRIED: JsonObject = {
    **SIMPLE,
    "retryCount": 2,
    "taskDefinition": {
        "name": "work",
        "retryCount": 2,
        "retryDelaySeconds": 0,
        "responseTimeoutSeconds": 600,
    },
}


async def shown(server: Server, task: JsonObject) -> JsonObject:
    """A task as it is now."""
    return as_object(await server.get(f"/api/tasks/{task['taskId']}"))


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

    body = result(task, "IN_PROGRESS", extendLease=True, outputData={"lost": 1}, callbackAfterSeconds=60)
    answer = await server.post("/api/tasks", json=body)

    assert (answer.status, answer.text) == (200, task["taskId"])
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


# --- by reference name ----------------------------------------------------------------------------


@BY_NAME
async def test_a_task_is_updated_by_its_reference_name(server: Server) -> None:
    execution = await started(server, wait())

    answer = await server.post(f"/api/tasks/{execution}/pause/COMPLETED", json={"by": "hand"})

    assert answer.status == 200
    task = as_object(await server.get(f"/api/tasks/{answer.text}"))
    assert (task["referenceTaskName"], task["outputData"]) == ("pause", {"by": "hand"})
    assert await status(server, execution) == "COMPLETED"


@BY_NAME
async def test_an_update_by_reference_name_is_laid_over_what_was_there(server: Server) -> None:
    execution = await started(server, wait())

    await server.post(f"/api/tasks/{execution}/pause/IN_PROGRESS?workerid=me", json={"a": 1, "b": 1})
    last = await server.post(f"/api/tasks/{execution}/pause/COMPLETED", json={"b": 2})

    task = as_object(await server.get(f"/api/tasks/{last.text}"))
    assert (task["outputData"], task["workerId"]) == ({"a": 1, "b": 2}, "me")


@BY_NAME
@pytest.mark.parametrize("reference", ["body__1", "body"])
async def test_a_task_of_a_loop_is_found_with_and_without_its_iteration(
    server: Server, reference: str
) -> None:
    loop: JsonObject = {
        "name": "loop",
        "taskReferenceName": "loop",
        "type": "DO_WHILE",
        "loopCondition": "$.loop['iteration'] < 1",
        "loopOver": [wait("body")],
    }
    execution = await started(server, loop)

    answer = await server.post(f"/api/tasks/{execution}/{reference}/COMPLETED", json={})

    assert answer.text
    assert await status(server, execution) == "COMPLETED"


@BY_NAME
async def test_no_open_task_of_a_name_is_200_and_empty(server: Server) -> None:
    execution = await started(server, wait())
    await server.post(f"/api/tasks/{execution}/pause/COMPLETED", json={})

    for target in (f"{execution}/pause", f"{execution}/nothing", f"{NOBODY}/pause", "no-id/pause"):
        answer = await server.post(f"/api/tasks/{target}/COMPLETED", json={})
        assert (answer.status, answer.body) == (200, b"")


@BY_NAME
@BY_NAME_SYNC
@pytest.mark.parametrize("suffix", ["", "/sync"])
async def test_updates_by_name_are_refused_without_a_status_or_a_map(server: Server, suffix: str) -> None:
    execution = await started(server, wait())

    unknown = await server.post(f"/api/tasks/{execution}/pause/DONE{suffix}", json={})
    missing = await server.post(f"/api/tasks/{execution}/pause/COMPLETED{suffix}")
    no_map = await server.post(f"/api/tasks/{execution}/pause/COMPLETED{suffix}", json=[1])

    assert (unknown.status, missing.status, no_map.status) == (400, 400, 400)
    assert unknown.message.startswith("status: ")
    assert await status(server, execution) == "RUNNING"


@BY_NAME_SYNC
async def test_an_update_by_name_gives_the_execution_after_it(server: Server) -> None:
    execution = await started(server, wait(), *chain("after"))

    answer = as_object(await server.post(f"/api/tasks/{execution}/pause/COMPLETED/sync", json={"x": 1}))

    assert (answer["workflowId"], answer["status"]) == (execution, "RUNNING")
    tasks = answer["tasks"]
    assert isinstance(tasks, list)
    assert [task["referenceTaskName"] for task in tasks] == ["pause", "after"]


@BY_NAME_SYNC
async def test_an_update_by_name_of_nothing_is_404_if_it_is_to_be_shown(server: Server) -> None:
    execution = await started(server, wait())

    for target in (f"{execution}/nothing", f"{NOBODY}/pause"):
        assert (await server.post(f"/api/tasks/{target}/COMPLETED/sync", json={})).status == 404


# --- ours -----------------------------------------------------------------------------------------


@pytest.mark.route("POST /api/asyncflow/tasks/{id}/release")
async def test_a_released_task_goes_to_another_worker_and_uses_no_retry(server: Server) -> None:
    await started(server, RETRIED)
    task = await polled(server)
    path = f"/api/asyncflow/tasks/{task['taskId']}/release"

    answers = [await server.post(path, params={"reason": "node restarts"}) for _ in range(2)]
    again = await polled(server, workerid="w2")

    assert [answer.status for answer in answers] == [200, 200]
    assert (again["retryCount"], again["workerId"]) == (0, "w2")
    assert (await shown(server, task))["reasonForIncompletion"] == "node restarts"


@pytest.mark.route("POST /api/asyncflow/tasks/{id}/heartbeat")
async def test_a_heartbeat_is_a_sign_of_life(server: Server) -> None:
    await started(server, RETRIED)
    task = await polled(server)
    before = await shown(server, task)

    answer = await server.post(f"/api/asyncflow/tasks/{task['taskId']}/heartbeat")

    after = await shown(server, task)
    assert answer.status == 200
    assert after["updateTime"] >= before["updateTime"]  # type: ignore[operator]
    assert after["status"] == "IN_PROGRESS"


@pytest.mark.route("POST /api/asyncflow/tasks/{id}/release")
@pytest.mark.route("POST /api/asyncflow/tasks/{id}/heartbeat")
@pytest.mark.parametrize("call", ["release", "heartbeat"])
async def test_releases_and_heartbeats_of_nothing_are_404(server: Server, call: str) -> None:
    assert (await server.post(f"/api/asyncflow/tasks/{NOBODY}/{call}")).status == 404


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
