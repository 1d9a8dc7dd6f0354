"""What runs, what waits and for what, since when; who works, and what is in use."""

from __future__ import annotations

from typing import Any

import pytest

from asyncflow.app.overview import MOST_EXECUTIONS
from tests.http.conftest import Answer, Server

WAITING: dict[str, object] = {"name": "wait", "taskReferenceName": "wait", "type": "WAIT"}
WORKING: dict[str, object] = {"name": "pack", "taskReferenceName": "pack", "type": "SIMPLE"}


async def started(server: Server, name: str, task: dict[str, object]) -> str:
    definition = {"name": name, "version": 2, "schemaVersion": 2, "tasks": [task]}
    assert (await server.put("/api/metadata/workflow", json=[definition])).status == 200
    return (await server.post(f"/api/workflow/{name}", json={})).text


def shown(answer: Answer) -> dict[str, Any]:
    assert answer.status == 200, answer.text
    assert isinstance(answer.json, dict)
    return answer.json


def one_wait(found: dict[str, Any]) -> dict[str, Any]:
    [wait] = found["waitsFor"]
    assert isinstance(wait, dict)
    return wait


@pytest.mark.route("GET /api/asyncflow/workflow/{id}/why")
async def test_why_tells_what_is_waited_for_and_since_when(server: Server) -> None:
    workflow_id = await started(server, "w", WORKING)
    path = f"/api/asyncflow/workflow/{workflow_id}/why"
    state = server.services.executions.engine.turns.states[workflow_id]

    before = shown(await server.get(path))
    await server.services.workers.poll("pack", worker_id="w1", timeout_ms=5_000)
    taken = shown(await server.get(path))
    await server.delete(f"/api/workflow/{workflow_id}")
    after = shown(await server.get(path))

    assert (before["workflowName"], before["version"], before["openTasks"]) == ("w", 2, 1)
    wait = one_wait(before)
    assert (wait["kind"], wait["name"], wait["task"], wait["workers"]) == (
        "worker",
        "pack",
        "pack",
        "never_seen",
    )
    assert wait["sinceMs"] == state.tasks[1].scheduled_ms
    assert (one_wait(taken)["kind"], one_wait(taken)["workerId"]) == ("report", "w1")
    assert one_wait(taken)["sinceMs"] == state.tasks[1].started_ms
    assert (after["status"], after["waitsFor"]) == ("TERMINATED", [])
    assert (await server.get("/api/asyncflow/workflow/no-such/why")).status == 404


@pytest.mark.route("GET /api/asyncflow/tasks/{id}/why")
async def test_why_of_one_task_tells_of_no_other(server: Server) -> None:
    branches = [[{**WORKING, "taskReferenceName": f"p{number}"}] for number in range(2)]
    fork = {"name": "fork", "taskReferenceName": "fork", "type": "FORK_JOIN", "forkTasks": branches}
    join = {"name": "join", "taskReferenceName": "join", "type": "JOIN", "joinOn": ["p0", "p1"]}
    definition = {"name": "w", "version": 1, "schemaVersion": 2, "tasks": [fork, join]}
    workflow_id = (await server.post("/api/workflow", json={"name": "w", "workflowDef": definition})).text
    tasks = shown(await server.get(f"/api/workflow/{workflow_id}"))["tasks"]
    task_id = next(each["taskId"] for each in tasks if each["referenceTaskName"] == "p1")

    found = shown(await server.get(f"/api/asyncflow/tasks/{task_id}/why"))
    await server.delete(f"/api/workflow/{workflow_id}")
    ended = shown(await server.get(f"/api/asyncflow/tasks/{task_id}/why"))

    assert (found["workflowId"], found["task"], found["taskStatus"]) == (workflow_id, "p1", "SCHEDULED")
    assert (one_wait(found)["task"], one_wait(found)["kind"]) == ("p1", "worker")
    assert (ended["taskStatus"], ended["waitsFor"]) == ("CANCELED", [])
    assert (await server.get("/api/asyncflow/tasks/no-such/why")).status == 404


@pytest.mark.route("GET /api/asyncflow/overview")
async def test_overview_tells_what_waits_for_what(server: Server) -> None:
    waiting = await started(server, "w", WAITING)
    working = await started(server, "v", WORKING)
    over = await started(server, "over", WAITING)
    await server.delete(f"/api/workflow/{over}")

    found = shown(await server.get("/api/asyncflow/overview"))

    assert found["totalHits"] == 2
    by_id = {each["workflowId"]: each for each in found["executions"]}
    assert by_id.keys() == {waiting, working}
    assert one_wait(by_id[waiting])["kind"] == "update"
    assert one_wait(by_id[working])["kind"] == "worker"
    assert all(each["openTasks"] == 1 for each in by_id.values())
    assert found["now"]["tasksWaitingForWorkers"] == 1


@pytest.mark.route("GET /api/asyncflow/overview")
async def test_overview_is_paged_and_filtered(server: Server) -> None:
    ids = [await started(server, "w", WAITING) for _ in range(3)]
    await started(server, "v", WAITING)
    paged: list[str] = []
    for start in range(3):
        params: dict[str, str | int] = {"workflow": "w", "start": start, "count": 1}
        page = shown(await server.get("/api/asyncflow/overview", params=params))
        assert page["totalHits"] == 3
        paged += [each["workflowId"] for each in page["executions"]]
    assert sorted(paged) == sorted(ids)


@pytest.mark.route("GET /api/asyncflow/overview")
async def test_overview_of_a_wide_execution_is_bounded(server: Server) -> None:
    branches = [[{**WORKING, "taskReferenceName": f"p{number}"}] for number in range(2_100)]
    fork = {"name": "fork", "taskReferenceName": "fork", "type": "FORK_JOIN", "forkTasks": branches}
    join = {"name": "join", "taskReferenceName": "join", "type": "JOIN", "joinOn": ["p0"]}
    definition = {"name": "wide", "version": 1, "schemaVersion": 2, "tasks": [fork, join]}
    assert (await server.put("/api/metadata/workflow", json=[definition])).status == 200
    await server.post("/api/workflow/wide", json={})

    [wide] = shown(await server.get("/api/asyncflow/overview", params={"waits": 7}))["executions"]

    assert len(wide["waitsFor"]) == 7
    assert wide["openTasks"] > 2_000


@pytest.mark.route("GET /api/asyncflow/overview")
@pytest.mark.parametrize("query", ["count=0", f"count={MOST_EXECUTIONS + 1}", "waits=21", "start=-1"])
async def test_overview_refuses_numbers_out_of_range(server: Server, query: str) -> None:
    assert (await server.get(f"/api/asyncflow/overview?{query}")).status == 400


@pytest.mark.route("GET /api/asyncflow/workers")
async def test_workers_are_told_with_what_they_have(server: Server) -> None:
    workflow_id = await started(server, "w", WORKING)
    await server.services.workers.poll("pack", worker_id="w1", timeout_ms=5_000, version="7")
    await server.services.workers.poll("pack", worker_id="w2", timeout_ms=0)

    found = shown(await server.get("/api/asyncflow/workers"))
    first, second = found["workers"]

    assert found["totalHits"] == 2
    assert (first["workerId"], first["version"], first["inFlight"], first["lost"]) == ("w1", "7", 1, False)
    assert first["tasks"] == [{"workflowId": workflow_id, "number": 1}]
    assert first["inFlightByTask"] == {"pack": 1}
    assert first["queues"][0]["queueName"] == "pack"
    assert (second["workerId"], second["inFlight"]) == ("w2", 0)


@pytest.mark.route("GET /api/asyncflow/workers")
async def test_workers_that_are_lost_can_be_asked_for(server: Server) -> None:
    for name in ("w1", "w2", "w3"):
        await server.services.workers.poll("pack", worker_id=name, timeout_ms=0)
    server.services.executions.engine.carry.hand_out.roll.lose("w2", "not heard of", ())

    lost = shown(await server.get("/api/asyncflow/workers", params={"lost": "true"}))
    page = shown(await server.get("/api/asyncflow/workers", params={"start": 1, "count": 1}))

    assert [each["workerId"] for each in lost["workers"]] == ["w2"]
    assert lost["lostSinceStart"] == 1
    assert [each["workerId"] for each in page["workers"]] == ["w2"]


@pytest.mark.route("GET /api/asyncflow/resources")
async def test_resources_are_told_with_their_use(server: Server) -> None:
    limited = [{"name": "pack", "concurrentExecLimit": 1}]
    assert (await server.post("/api/metadata/taskdefs", json=limited)).status == 200
    for _ in range(2):
        await started(server, "w", WORKING)
    await server.services.workers.poll("pack", worker_id="w1", count=2, timeout_ms=5_000)

    found = shown(await server.get("/api/asyncflow/resources"))

    [used] = [each for each in found["resources"] if each["name"] == "task:pack"]
    assert (used["in_use"], used["limit"], used["holders"]) == (1, 1, 1)
