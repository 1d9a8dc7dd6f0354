"""Executions that were set aside are listed with what is wrong and what to do, released, and deleted."""

from __future__ import annotations

import pytest

from tests.http.conftest import Server

WAITING: dict[str, object] = {"name": "wait", "taskReferenceName": "wait", "type": "WAIT"}


async def aside(server: Server, reason: str = "a bug") -> str:
    """The id of an execution that was set aside."""
    definition = {"name": "w", "version": 1, "schemaVersion": 2, "tasks": [WAITING]}
    assert (await server.put("/api/metadata/workflow", json=[definition])).status == 200
    identity = (await server.post("/api/workflow/w", json={})).text
    engine = server.services.executions.engine
    await engine.views_caught_up()
    engine.turns.residents.quarantine(identity, reason, kind="bug")
    return identity


@pytest.mark.route("GET /api/asyncflow/quarantine")
async def test_quarantined_executions_are_listed_and_explained(server: Server) -> None:
    identity = await aside(server)
    listed = (await server.get("/api/asyncflow/quarantine")).json
    why = (await server.get(f"/api/asyncflow/workflow/{identity}/why")).json
    health = (await server.get("/health")).text

    assert isinstance(listed, dict)
    assert isinstance(why, dict)
    (row,) = listed["results"]
    assert (listed["totalHits"], row["workflowId"], row["workflowName"]) == (1, identity, "w")
    assert (row["status"], row["kind"], row["reason"]) == ("RUNNING", "bug", "a bug")
    assert "release it" in row["advice"]
    assert why["waitsFor"][0]["kind"] == "release"
    assert identity in health


@pytest.mark.route("POST /api/asyncflow/quarantine/{id}/release")
async def test_quarantined_execution_is_released_once(server: Server) -> None:
    identity = await aside(server)
    path = f"/api/asyncflow/quarantine/{identity}/release"
    refused = await server.put(f"/api/workflow/{identity}/pause")
    released, again = await server.post(path), await server.post(path)
    paused = await server.put(f"/api/workflow/{identity}/pause")

    assert refused.status == 503
    assert isinstance(released.json, dict)
    assert (released.status, released.json["status"], released.json["openTasks"]) == (200, "RUNNING", 1)
    assert (again.status, paused.status) == (404, 200)


@pytest.mark.route("DELETE /api/asyncflow/quarantine/{id}")
async def test_quarantined_execution_is_deleted_for_good(server: Server) -> None:
    identity = await aside(server)
    path = f"/api/asyncflow/quarantine/{identity}?reason=beyond%20repair"
    gone, again = await server.delete(path), await server.delete(path)
    listed = (await server.get("/api/asyncflow/quarantine")).json
    read = await server.get(f"/api/workflow/{identity}")
    found = (await server.get("/api/workflow/search")).json
    audit = (await server.get(f"/api/asyncflow/audit?object={identity}")).text

    assert isinstance(gone.json, dict)
    assert isinstance(listed, dict)
    assert isinstance(found, dict)
    assert [each["referenceTaskName"] for each in gone.json["openTasks"]] == ["wait"]
    assert (gone.status, again.status, read.status) == (200, 404, 404)
    assert (listed["totalHits"], found["totalHits"]) == (0, 0)
    assert "beyond repair" in audit
