"""Data volumes over REST: the history of a task, and what workers elsewhere tell."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.conftest import Server
from tests.integration.listener_support import ran


@pytest.mark.route("GET /api/asyncflow/io/{workflow}/{ref}")
@pytest.mark.route("POST /api/asyncflow/tasks/{id}/io")
async def test_a_worker_tells_of_its_data_and_the_history_has_it(server: Server) -> None:
    await ran(server.services)
    first: Any = (await server.get("/api/asyncflow/io/w/s")).json
    path = f"/api/asyncflow/tasks/{first['runs'][0]['taskId']}/io"
    told = [
        (await server.post(path, json={"direction": "out", "rows": 3})).status,
        (await server.post(path, json={"direction": "out", "rows": 4, "bytes": 50})).status,
        (await server.post(path, json={"direction": "up"})).status,
    ]
    found: Any = (await server.get("/api/asyncflow/io/w/s")).json
    unknown = await server.get("/api/asyncflow/io/w/nothing")
    audit: Any = (await server.get("/api/asyncflow/audit", params={"kind": "tasks"})).json

    assert told == [204, 204, 400]
    (run,) = found["runs"]
    assert (run["rowsOut"], run["bytesOut"], found["usual"]["rowsOut"]) == (7, 50, 7)
    assert unknown.status == 404
    assert audit["totalHits"] == 0  # workers say it as often as they work


def result_of(task: Any, **more: object) -> dict[str, object]:
    """What a worker says of a task."""
    done = {"workflowInstanceId": task["workflowInstanceId"], "taskId": task["taskId"], "status": "COMPLETED"}
    return {**done, **more}


@pytest.mark.parametrize("path", ["/api/tasks", "/api/tasks/update-v2"])
async def test_a_worker_tells_of_its_data_with_its_result(server: Server, path: str) -> None:
    body = {"name": "far", "version": 1, "schemaVersion": 2, "ownerEmail": "a@example.com"}
    tasks = [{"name": "far", "taskReferenceName": "far", "type": "SIMPLE"}]
    await server.post("/api/metadata/workflow", json={**body, "tasks": tasks})
    await server.post("/api/workflow/far", json={})
    task: Any = (await server.get("/api/tasks/poll/far", params={"workerid": "w1"})).json
    going = result_of(task, status="IN_PROGRESS", asyncflow={"io": {"in": {"rows": 1, "bytes": 10}}})
    ended = result_of(task, asyncflow={"io": {"in": {"rows": 6}, "out": {"bytes": 50}}})
    answers = [(await server.post(path, json=each)).status for each in (going, ended, ended)]
    (run,) = (await server.get("/api/asyncflow/io/far/far")).json["runs"]  # type: ignore[index]  # it is an object

    assert set(answers) <= {200, 204}
    assert (run["rowsIn"], run["bytesIn"], run["rowsOut"], run["bytesOut"]) == (7, 10, 0, 50)


@pytest.mark.parametrize(
    ("io", "field"),
    [
        (7, "asyncflow.io"),
        ({"up": {}}, "asyncflow.io.direction"),
        ({"in": 7}, "asyncflow.io.in"),
        ({"in": {"rows": -1}}, "asyncflow.io.in.rows"),
        ({"out": {"bytes": True}}, "asyncflow.io.out.bytes"),
    ],
)
async def test_data_that_cannot_be_counted_is_refused_by_its_field(
    server: Server, io: object, field: str
) -> None:
    result = {"workflowInstanceId": "x", "taskId": "y", "status": "COMPLETED", "asyncflow": {"io": io}}
    answer = await server.post("/api/tasks", json=result)

    assert answer.status == 400
    assert field in str(answer.json)
