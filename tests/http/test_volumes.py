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

    assert told == [204, 204, 400]
    (run,) = found["runs"]
    assert (run["rowsOut"], run["bytesOut"], found["usual"]["rowsOut"]) == (7, 50, 7)
    assert unknown.status == 404
