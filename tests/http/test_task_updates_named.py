"""Tasks are updated by their reference names, given back by their workers, and kept by a sign of life."""

from __future__ import annotations

import pytest

from asyncflow.model.values import JsonObject
from tests.http.conftest import Server
from tests.http.worker_calls import (
    NOBODY,
    RETRIED,
    as_object,
    chain,
    events,
    polled,
    shown,
    started,
    status,
    wait,
)

BY_NAME = pytest.mark.route("POST /api/tasks/{workflowId}/{reference}/{status}")
BY_NAME_SYNC = pytest.mark.route("POST /api/tasks/{workflowId}/{reference}/{status}/sync")


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
    before = await events(server, task)

    answer = await server.post(f"/api/asyncflow/tasks/{task['taskId']}/heartbeat")

    assert (answer.status, answer.json) == (200, {"lostInstances": []})
    assert await events(server, task) == before + 1
    assert (await shown(server, task))["status"] == "IN_PROGRESS"


@pytest.mark.route("POST /api/asyncflow/tasks/{id}/release")
@pytest.mark.route("POST /api/asyncflow/tasks/{id}/heartbeat")
@pytest.mark.parametrize("call", ["release", "heartbeat"])
async def test_releases_and_heartbeats_of_nothing_are_404(server: Server, call: str) -> None:
    assert (await server.post(f"/api/asyncflow/tasks/{NOBODY}/{call}")).status == 404
