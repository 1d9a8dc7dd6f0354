"""Definitions compared with what is registered: asked for, and as a condition of registering."""

from __future__ import annotations

import pytest

from tests.http.conftest import Answer, Server
from tests.http.worker_calls import as_object
from tests.http.workflow_calls import definition, registered

COMPARE = pytest.mark.route("POST /api/asyncflow/metadata/workflow/compatibility")
CREATE = pytest.mark.route("POST /api/metadata/workflow")
UPDATE = pytest.mark.route("PUT /api/metadata/workflow")

PATH = "/api/asyncflow/metadata/workflow/compatibility"


def task(ref: str, name: str) -> dict[str, object]:
    return {"name": name, "taskReferenceName": ref, "type": "SIMPLE"}


FIRST = definition("w", task("a", "work"), task("b", "more"))
BREAKING = definition("w", task("x", "work"), task("c", "other"), version=2)
SAFE = definition("w", task("a", "work"), task("b", "more"), task("c", "other"), version=2)


async def compared(server: Server, body: object, **params: int) -> Answer:
    return await server.post(PATH, json=body, params=params)


@COMPARE
async def test_every_difference_is_listed_with_its_verdict(server: Server) -> None:
    await registered(server, FIRST)

    answer = as_object(await compared(server, BREAKING))

    listed = answer["differences"]
    assert isinstance(listed, list)
    assert [(each["change"], each["name"], each["verdict"]) for each in listed] == [
        ("renamed", "a", "breaking"),
        ("removed", "b", "breaking"),
        ("added", "c", "safe"),
    ]
    assert (answer["against"], answer["compatible"], answer["mapping"]) == (1, False, {"a": "x"})


@COMPARE
async def test_it_is_compared_with_the_version_before_unless_told(server: Server) -> None:
    assert as_object(await compared(server, FIRST))["against"] is None
    await registered(server, *({**FIRST, "version": each} for each in (1, 2, 4)))

    for version, against in ((3, 2), (4, 4), (9, 4), (0, 1)):
        assert as_object(await compared(server, {**FIRST, "version": version}))["against"] == against

    assert as_object(await compared(server, FIRST, version=4))["against"] == 4
    assert (await compared(server, FIRST, version=3)).status == 404
    assert (await compared(server, {"name": "w", "tasks": []})).status == 400


@CREATE
@UPDATE
async def test_registering_what_breaks_is_refused_only_where_that_is_asked_for(server: Server) -> None:
    await registered(server, FIRST)
    checked = {"check": "compatible"}

    created = await server.post("/api/metadata/workflow", json=BREAKING, params=checked)
    updated = await server.put("/api/metadata/workflow", json=[SAFE, BREAKING], params=checked)
    after = await server.get("/api/metadata/workflow/w/versions")

    assert (created.status, updated.status) == (409, 409)
    assert "task a renamed" in created.message
    assert "task b removed" in created.message
    assert len(after.json) == 1  # type: ignore[arg-type]
    assert (await server.post("/api/metadata/workflow", json=SAFE, params=checked)).status == 200
    assert (await server.put("/api/metadata/workflow", json=[BREAKING])).status == 200
    assert (await server.put("/api/metadata/workflow", json=[SAFE], params={"check": "all"})).status == 400
