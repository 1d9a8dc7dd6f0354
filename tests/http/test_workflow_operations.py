"""Executions steered over HTTP: every operation, and Conductor's status where it does not fit."""

from __future__ import annotations

import asyncio

import pytest

from tests.http.conftest import Server
from tests.http.worker_calls import as_object, polled, result
from tests.http.workflow_calls import SET, SIMPLE, WAIT, begun, definition, refs, registered, shown, status_of

PAUSE = pytest.mark.route("PUT /api/workflow/{id}/pause")
RESUME = pytest.mark.route("PUT /api/workflow/{id}/resume")
DECIDE = pytest.mark.route("PUT /api/workflow/decide/{id}")
SKIP = pytest.mark.route("PUT /api/workflow/{id}/skiptask/{ref}")
RERUN = pytest.mark.route("POST /api/workflow/{id}/rerun")
RESTART = pytest.mark.route("POST /api/workflow/{id}/restart")
RETRY = pytest.mark.route("POST /api/workflow/{id}/retry")
RESET = pytest.mark.route("POST /api/workflow/{id}/resetcallbacks")
TERMINATE = pytest.mark.route("DELETE /api/workflow/{id}")
REMOVE = pytest.mark.route("DELETE /api/workflow/{id}/remove")
TERMINATE_REMOVE = pytest.mark.route("DELETE /api/workflow/{id}/terminate-remove")
VARIABLES = pytest.mark.route("POST /api/workflow/{id}/variables")
STATE = pytest.mark.route("POST /api/workflow/{id}/state")
NOWHERE = "0190a000-0000-7000-8000-000000000000"
ONCE = {**SIMPLE, "taskDefinition": {"name": "work", "retryCount": 0}}


async def done(server: Server, method: str, path: str, **more: object) -> tuple[int, bytes]:
    """Status and body of an operation, with the body that the Python SDK always sends."""
    answer = await server.call(method, f"/api/workflow/{path}", json={}, **more)  # type: ignore[arg-type]
    return answer.status, answer.body


async def failed(server: Server) -> str:
    """An execution whose only task failed for good."""
    execution = await begun(server, ONCE)
    await server.post("/api/tasks", json=result(await polled(server), "FAILED"))
    assert await status_of(server, execution) == "FAILED"
    return execution


@PAUSE
@RESUME
@DECIDE
async def test_a_paused_execution_schedules_nothing_until_it_is_resumed(server: Server) -> None:
    execution = await begun(server, SIMPLE, SET)
    task = await polled(server)

    assert await done(server, "PUT", f"{execution}/pause") == (200, b"")
    assert await done(server, "PUT", f"{execution}/pause") == (200, b"")
    await server.post("/api/tasks", json=result(task))
    assert await done(server, "PUT", f"decide/{execution}") == (200, b"")
    assert refs(await shown(server, execution)) == [("work_1", "COMPLETED")]
    assert await done(server, "PUT", f"{execution}/resume") == (200, b"")
    assert await status_of(server, execution) == "COMPLETED"


@PAUSE
@RESUME
@SKIP
async def test_what_does_not_fit_the_state_is_409(server: Server) -> None:
    running, ended = await begun(server, SIMPLE, SET), await begun(server, SET)

    statuses = [
        (await done(server, "PUT", path))[0]
        for path in (
            f"{ended}/pause",
            f"{running}/resume",
            f"{ended}/resume",
            f"{running}/skiptask/work_1",
            f"{ended}/skiptask/set_1",
        )
    ]

    assert statuses == [409] * 5


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "{id}/pause"),
        ("PUT", "{id}/resume"),
        ("PUT", "decide/{id}"),
        ("PUT", "{id}/skiptask/x"),
        ("POST", "{id}/rerun"),
        ("POST", "{id}/restart"),
        ("POST", "{id}/restart?useLatestDefinitions=true"),
        ("POST", "{id}/retry"),
        ("POST", "{id}/resetcallbacks"),
        ("DELETE", "{id}"),
        ("DELETE", "{id}/remove"),
        ("DELETE", "{id}/terminate-remove"),
        ("POST", "{id}/variables"),
        ("POST", "{id}/state"),
    ],
)
async def test_an_execution_that_is_not_there_is_404(server: Server, method: str, path: str) -> None:
    answer = await server.call(method, f"/api/workflow/{path.replace('{id}', NOWHERE)}", json={})

    assert answer.status == 404
    assert as_object(answer)["message"] == f"No such workflow found by id: {NOWHERE}"


@SKIP
async def test_a_skipped_task_takes_its_output_from_the_body(server: Server) -> None:
    execution = await begun(server, SIMPLE, {**SIMPLE, "taskReferenceName": "later"})
    body = {"taskInput": {"i": 1}, "taskOutput": {"o": 2}}
    params = {"skipTaskRequest": "{'taskOutput': {}}"}
    answer = await server.put(f"/api/workflow/{execution}/skiptask/later", json=body, params=params)
    await server.post("/api/tasks", json=result(await polled(server)))

    found = await shown(server, execution)
    skipped = found["tasks"][0]  # type: ignore[index]
    assert answer.status == 200
    assert (found["status"], refs(found)[0]) == ("COMPLETED", ("later", "SKIPPED"))
    assert (skipped["inputData"], skipped["outputData"]) == ({"i": 1}, {"o": 2})


@SKIP
@pytest.mark.parametrize(("ref", "body", "status"), [("none", {}, 404), ("later", {"taskOutput": 5}, 400)])
async def test_a_skip_that_cannot_be_is_refused(server: Server, ref: str, body: object, status: int) -> None:
    execution = await begun(server, SIMPLE, {**SIMPLE, "taskReferenceName": "later"})

    assert (await server.put(f"/api/workflow/{execution}/skiptask/{ref}", json=body)).status == status


@RERUN
async def test_a_rerun_begins_again_with_another_input(server: Server) -> None:
    execution = await begun(server, SET, input={"x": 1}, correlationId="old")
    body = {"reRunFromWorkflowId": NOWHERE, "workflowInput": {"x": 2}, "correlationId": "new"}
    answer = await server.post(f"/api/workflow/{execution}/rerun", json=body)

    found = await shown(server, execution)
    assert (answer.status, answer.text) == (200, execution)
    assert (found["input"], found["variables"], found["correlationId"]) == ({"x": 2}, {"seen": 2}, "new")


@RERUN
async def test_a_rerun_from_a_task_keeps_what_came_before(server: Server) -> None:
    execution = await begun(server, SET, ONCE)
    await server.post("/api/tasks", json=result(await polled(server), "FAILED"))
    found = await shown(server, execution)
    task = found["tasks"][1]  # type: ignore[index]

    body = {"reRunFromTaskId": task["taskId"], "taskInput": {"again": True}}
    answer = await server.post(f"/api/workflow/{execution}/rerun", json=body)

    assert answer.status == 200
    assert (await polled(server))["inputData"] == {"again": True}
    assert refs(await shown(server, execution)) == [("set_1", "COMPLETED"), ("work_1", "IN_PROGRESS")]


@RERUN
async def test_a_rerun_that_cannot_be_is_refused(server: Server) -> None:
    running, ended = await begun(server, SIMPLE), await begun(server, SET)

    open_ = await server.post(f"/api/workflow/{running}/rerun", json={})
    unknown = await server.post(f"/api/workflow/{ended}/rerun", json={"reRunFromTaskId": NOWHERE})
    broken = await server.post(f"/api/workflow/{ended}/rerun", json={"reRunFromTaskId": 5})
    listed = await server.post(f"/api/workflow/{ended}/rerun", json={"workflowInput": []})

    assert [open_.status, unknown.status, broken.status, listed.status] == [409, 400, 400, 400]


@RESTART
async def test_a_restart_begins_again_on_the_definition_it_had_or_the_newest(server: Server) -> None:
    await registered(server, definition("w"))
    execution = (await server.post("/api/workflow", json={"name": "w"})).text
    await registered(server, definition("w", SET, {**SET, "taskReferenceName": "more"}, version=2))

    plain = await done(server, "POST", f"{execution}/restart")
    first = len(refs(await shown(server, execution)))
    latest = await done(server, "POST", f"{execution}/restart", params={"useLatestDefinitions": "True"})
    found = await shown(server, execution)

    assert (plain, latest) == ((204, b""), (204, b""))
    assert (first, len(refs(found)), found["workflowVersion"]) == (1, 2, 2)


@RESTART
async def test_a_restart_that_cannot_be_is_refused(server: Server) -> None:
    await registered(server, definition("w", restartable=False))
    ended = (await server.post("/api/workflow", json={"name": "w"})).text

    running = await done(server, "POST", f"{await begun(server, SIMPLE)}/restart")
    not_restartable = await done(server, "POST", f"{ended}/restart")

    assert (running[0], not_restartable[0]) == (409, 404)


@RETRY
async def test_a_retry_tries_again_what_failed(server: Server) -> None:
    execution = await failed(server)

    assert await done(server, "POST", f"{execution}/retry") == (204, b"")
    assert refs(await shown(server, execution)) == [("work_1", "FAILED"), ("work_1", "SCHEDULED")]


@RETRY
async def test_a_retry_inside_the_child_that_failed_revives_its_parents(server: Server) -> None:
    child = {
        "name": "c",
        "taskReferenceName": "c",
        "type": "SUB_WORKFLOW",
        "subWorkflowParam": {"name": "child"},
    }
    await registered(server, definition("child", ONCE))
    execution = await begun(server, child)
    task = await polled(server)
    await server.post("/api/tasks", json=result(task, "FAILED"))

    answer = await done(server, "POST", f"{execution}/retry", params={"resumeSubworkflowTasks": "true"})

    assert (answer[0], await status_of(server, execution)) == (204, "RUNNING")
    assert await status_of(server, str(task["workflowInstanceId"])) == "RUNNING"


@RETRY
async def test_a_retry_that_cannot_be_is_refused(server: Server) -> None:
    running = await done(server, "POST", f"{await begun(server, SIMPLE)}/retry")
    nothing = await done(server, "POST", f"{await begun(server, SET)}/retry")

    assert (running[0], nothing[0]) == (404, 409)


@RESET
async def test_reset_callbacks_offers_at_once_what_was_put_off(server: Server) -> None:
    execution = await begun(server, SIMPLE)
    later = result(await polled(server), "IN_PROGRESS", callbackAfterSeconds=3_600, outputData={"half": 1})
    await server.post("/api/tasks", json=later)
    before = await server.get("/api/tasks/poll/work")

    answer = await done(server, "POST", f"{execution}/resetcallbacks")
    task = await polled(server)

    assert (before.status, answer) == (204, (204, b""))
    assert (task["callbackAfterSeconds"], task["outputData"], task["retryCount"]) == (0, {"half": 1}, 0)


@RESET
async def test_callbacks_of_an_ended_execution_are_not_reset(server: Server) -> None:
    assert (await done(server, "POST", f"{await begun(server, SET)}/resetcallbacks"))[0] == 409


@TERMINATE
async def test_a_terminated_execution_keeps_the_reason(server: Server) -> None:
    execution = await begun(server, SIMPLE)

    first = await done(server, "DELETE", execution, params={"reason": "no more"})
    again = await done(server, "DELETE", execution, params={"reason": "really"})
    found = await shown(server, execution)

    assert (first, again) == ((200, b""), (200, b""))
    assert (found["status"], found["reasonForIncompletion"]) == ("TERMINATED", "no more")
    assert refs(found) == [("work_1", "CANCELED")]


@TERMINATE
async def test_a_completed_execution_is_not_terminated(server: Server) -> None:
    assert (await done(server, "DELETE", await begun(server, SET)))[0] == 409


@TERMINATE
async def test_the_failure_workflow_runs_only_if_asked_for(server: Server) -> None:
    await registered(server, definition("undo"), definition("w", SIMPLE, failureWorkflow="undo"))
    ids = [(await server.post("/api/workflow", json={"name": "w"})).text for _ in range(2)]

    await done(server, "DELETE", ids[0])
    await done(server, "DELETE", ids[1], params={"triggerFailureWorkflow": "true"})

    found = as_object(await server.get("/api/workflow/search", params={"query": "workflowType=undo"}))
    assert found["totalHits"] == 1


@REMOVE
@pytest.mark.parametrize("archive", ["true", "false"])
async def test_a_removed_execution_is_gone_from_everywhere(server: Server, archive: str) -> None:
    execution = await begun(server, SET, input={"x": "needle"})

    answer = await done(server, "DELETE", f"{execution}/remove", params={"archiveWorkflow": archive})
    found = as_object(await server.get("/api/workflow/search", params={"freeText": "needle"}))

    assert (answer, found["totalHits"]) == ((200, b""), 0)
    assert (await server.get(f"/api/workflow/{execution}")).status == 404


@REMOVE
async def test_an_execution_that_goes_on_is_removed_only_if_told_not_to_archive(server: Server) -> None:
    execution = await begun(server, SIMPLE)

    kept = await done(server, "DELETE", f"{execution}/remove")
    gone = await done(server, "DELETE", f"{execution}/remove", params={"archiveWorkflow": "False"})

    assert (kept[0], gone[0]) == (400, 200)
    assert (await server.get("/api/tasks/poll/work")).status == 204


@REMOVE
@TERMINATE_REMOVE
async def test_a_child_of_a_parent_that_goes_on_is_not_removed(server: Server) -> None:
    child = {
        "name": "c",
        "taskReferenceName": "c",
        "type": "SUB_WORKFLOW",
        "subWorkflowParam": {"name": "child"},
    }
    await registered(server, definition("child", SET))
    execution = await begun(server, child, WAIT)
    below = (await shown(server, execution))["tasks"][0]["subWorkflowId"]  # type: ignore[index]

    assert (await done(server, "DELETE", f"{below}/remove"))[0] == 409
    assert (await done(server, "DELETE", f"{below}/terminate-remove"))[0] == 409


@TERMINATE_REMOVE
async def test_terminating_and_removing_takes_what_goes_on_and_what_ended(server: Server) -> None:
    running, ended = await begun(server, SIMPLE), await begun(server, SET)

    answers = [await done(server, "DELETE", f"{each}/terminate-remove") for each in (running, ended)]

    assert answers == [(200, b"")] * 2
    assert as_object(await server.get("/api/workflow/search"))["totalHits"] == 0


@VARIABLES
async def test_variables_are_merged_by_key_also_at_once(server: Server) -> None:
    """C118: concurrent updates merge."""
    execution = await begun(server, WAIT)
    path = f"/api/workflow/{execution}/variables"
    await asyncio.gather(*(server.post(path, json={f"k{n}": n}) for n in range(10)))
    answer = await server.post(path, json={"k0": None})

    assert as_object(answer)["variables"] == {"k0": None} | {f"k{n}": n for n in range(1, 10)}


@VARIABLES
async def test_variables_of_an_ended_execution_are_final(server: Server) -> None:
    ended = await server.post(f"/api/workflow/{await begun(server, SET)}/variables", json={"a": 1})
    listed = await server.post(f"/api/workflow/{await begun(server, WAIT)}/variables", json=[1])

    assert (ended.status, listed.status) == (409, 400)


@STATE
async def test_a_state_is_updated_and_waited_for(server: Server) -> None:
    asking = {**SET, "inputParameters": {"seen": "${workflow.variables.a}-${wait_1.output.b}"}}
    execution = await begun(server, WAIT, asking)
    body = {
        "taskReferenceName": "wait_1",
        "taskResult": {"status": "COMPLETED", "outputData": {"b": 2}},
        "variables": {"a": 1},
    }
    params = {"requestId": "r", "waitForSeconds": 100}
    found = as_object(await server.post(f"/api/workflow/{execution}/state", json=body, params=params))

    assert (found["requestId"], found["status"]) == ("r", "COMPLETED")
    assert found["variables"] == {"a": 1, "seen": "1-2"}


@STATE
async def test_a_state_that_cannot_be_updated_is_refused(server: Server) -> None:
    ended, running = await begun(server, SET), await begun(server, WAIT)

    final = await server.post(f"/api/workflow/{ended}/state", json={"variables": {"a": 1}})
    unknown = {"taskReferenceName": "none", "taskResult": {}}
    missing = await server.post(f"/api/workflow/{running}/state", json=unknown)
    broken = await server.post(f"/api/workflow/{running}/state", json={"taskResult": 5})

    assert [final.status, missing.status, broken.status] == [409, 404, 400]
