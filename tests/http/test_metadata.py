"""Definitions of workflows over HTTP: registered, replaced, shown with their times, deleted, refused."""

from __future__ import annotations

import pytest

from tests.http.conftest import Server
from tests.http.workflow_calls import SIMPLE, definition, registered

CREATE = pytest.mark.route("POST /api/metadata/workflow")
UPDATE = pytest.mark.route("PUT /api/metadata/workflow")
VALIDATE = pytest.mark.route("POST /api/metadata/workflow/validate")
GET = pytest.mark.route("GET /api/metadata/workflow/{name}")
DELETE = pytest.mark.route("DELETE /api/metadata/workflow/{name}/{version}")


@CREATE
@GET
async def test_a_definition_comes_back_with_its_defaults_and_times(server: Server) -> None:
    await registered(server, definition("w", SIMPLE, ownerEmail="o@x.org", custom={"kept": None}))

    found = (await server.get("/api/metadata/workflow/w")).json

    assert isinstance(found, dict)
    assert found["createTime"] > 0
    assert "updateTime" not in found
    assert found["custom"] == {"kept": None}
    assert (found["timeoutPolicy"], found["schemaVersion"]) == ("ALERT_ONLY", 2)
    assert found["tasks"][0]["joinOn"] == []
    assert "taskDefinition" not in found["tasks"][0]


@CREATE
async def test_a_version_is_not_replaced_unless_asked(server: Server) -> None:
    await registered(server, definition("w"))

    again = await server.post("/api/metadata/workflow", json=definition("w"))
    other = definition("w", SIMPLE)
    replaced = await server.post("/api/metadata/workflow", json=other, params={"overwrite": "True"})

    assert (again.status, again.json["message"]) == (409, "Workflow with w.1 already exists!")  # type: ignore[index]
    assert (replaced.status, replaced.body) == (200, b"")
    found = (await server.get("/api/metadata/workflow/w")).json
    assert isinstance(found, dict)
    assert found["tasks"][0]["name"] == "work"


@CREATE
async def test_what_was_given_back_can_be_registered_again(server: Server) -> None:
    await registered(server, definition("w"))
    first = (await server.get("/api/metadata/workflow/w")).json

    again = await server.post("/api/metadata/workflow", json=first, params={"overwrite": "true"})

    assert again.status == 200
    assert (await server.get("/api/metadata/workflow/w")).json == first


@CREATE
@pytest.mark.parametrize("body", [[], "text", None, {"name": 5, "tasks": 7}, {"name": "w"}])
async def test_what_is_no_definition_is_refused(server: Server, body: object) -> None:
    answer = await server.post("/api/metadata/workflow", json=body)

    assert answer.status == 400
    assert answer.json["status"] == 400  # type: ignore[index]


@CREATE
async def test_all_violations_are_told_at_once(server: Server) -> None:
    bad = definition("", {"name": "", "taskReferenceName": "", "type": "SIMPLE"})
    answer = await server.post("/api/metadata/workflow", json=bad)

    told = answer.json
    assert isinstance(told, dict)
    assert told["message"] == "Validation failed, check below errors for detail."
    assert len(told["validationErrors"]) >= 3


@CREATE
@VALIDATE
async def test_the_first_schema_is_refused_wherever_a_definition_is_given(server: Server) -> None:
    """Its references bear no `${…}`: taken as the second, tasks would get their text (docs/serving.md)."""
    step = {**SIMPLE, "inputParameters": {"mod": "workflow.input.mod"}}
    first = definition("old", step, schemaVersion=1)
    start = {"name": "old", "version": 1, "workflowDef": first}

    answers = [
        await server.post("/api/metadata/workflow", json=first),
        await server.put("/api/metadata/workflow", json=[first]),
        await server.post("/api/metadata/workflow/validate", json=first),
        await server.post("/api/workflow", json=start),
    ]

    for answer in answers:
        told = answer.json
        assert isinstance(told, dict)
        faults = [(each["path"].rpartition(".")[2], each["message"]) for each in told["validationErrors"]]
        assert answer.status == 400
        assert ("schemaVersion", "workflowDef schemaVersion: 2 is only supported") in faults
    assert (await server.get("/api/metadata/workflow/names")).json == []
    assert (await server.get("/api/workflow/search")).json["totalHits"] == 0  # type: ignore[index]
    await registered(server, {**first, "schemaVersion": 2})


@UPDATE
async def test_a_list_of_definitions_is_registered_and_named(server: Server) -> None:
    body = [definition("a"), definition("b"), definition("a", SIMPLE, version=2)]
    answer = await server.put("/api/metadata/workflow", json=body, params={"overwrite": "True"})

    assert answer.json == {
        "bulkErrorResults": {},
        "bulkSuccessfulResults": ["a", "b", "a"],
        "message": "Bulk Request has been processed.",
    }
    assert (await server.get("/api/metadata/workflow/names")).json == ["a", "b"]


@UPDATE
async def test_one_invalid_definition_refuses_the_whole_list(server: Server) -> None:
    answer = await server.put("/api/metadata/workflow", json=[definition("a"), {"name": "b", "tasks": []}])

    told = answer.json
    assert isinstance(told, dict)
    assert (answer.status, told["validationErrors"][0]["path"]) == (400, "[1].tasks")
    assert (await server.get("/api/metadata/workflow/names")).json == []


@UPDATE
async def test_a_definition_that_is_replaced_has_two_times(server: Server) -> None:
    await registered(server, definition("w"))
    made = (await server.get("/api/metadata/workflow/w")).json
    await server.put("/api/metadata/workflow", json=[definition("w", SIMPLE)])

    found = (await server.get("/api/metadata/workflow/w")).json

    assert isinstance(made, dict)
    assert isinstance(found, dict)
    assert found["createTime"] == made["createTime"]
    assert found.get("updateTime", found["createTime"]) >= found["createTime"]


@VALIDATE
async def test_validating_registers_nothing(server: Server) -> None:
    good = await server.post("/api/metadata/workflow/validate", json=definition("w"))
    bad = await server.post("/api/metadata/workflow/validate", json=definition("w", schemaVersion=1))

    assert (good.status, good.body, bad.status) == (200, b"", 400)
    assert (await server.get("/api/metadata/workflow/w")).status == 404


@pytest.mark.route("GET /api/metadata/workflow")
async def test_all_versions_are_listed_and_told_apart_by_classifier(server: Server) -> None:
    agent = definition("agent", metadata={"agentDef": {}})
    await registered(server, definition("b"), definition("a", version=2), definition("a"), agent)

    found = (await server.get("/api/metadata/workflow")).json
    agents = (await server.get("/api/metadata/workflow", params={"classifier": "agent"})).json

    assert isinstance(found, list)
    assert isinstance(agents, list)
    assert [(d["name"], d["version"]) for d in found] == [("a", 1), ("a", 2), ("agent", 1), ("b", 1)]
    assert [d["name"] for d in agents] == ["agent"]


@pytest.mark.route("GET /api/metadata/workflow")
async def test_more_definitions_than_are_rendered_at_once_come_as_one_list(server: Server) -> None:
    await server.put("/api/metadata/workflow", json=[definition(f"w{n:03}") for n in range(401)])

    found = (await server.get("/api/metadata/workflow")).json

    assert isinstance(found, list)
    assert [d["name"] for d in found] == [f"w{n:03}" for n in range(401)]


@pytest.mark.route("GET /api/metadata/workflow/names")
@pytest.mark.route("GET /api/metadata/workflow/names-and-versions")
@pytest.mark.route("GET /api/metadata/workflow/latest-versions")
@pytest.mark.route("GET /api/metadata/workflow/{name}/versions")
async def test_names_and_versions_are_listed(server: Server) -> None:
    await registered(server, definition("a"), definition("a", version=3), definition("b"))

    names = (await server.get("/api/metadata/workflow/names")).json
    versions = (await server.get("/api/metadata/workflow/names-and-versions")).json
    latest = (await server.get("/api/metadata/workflow/latest-versions")).json
    of_one = (await server.get("/api/metadata/workflow/a/versions")).json

    assert names == ["a", "b"]
    assert isinstance(versions, dict)
    assert isinstance(latest, list)
    assert {name: [v["version"] for v in found] for name, found in versions.items()} == {
        "a": [1, 3],
        "b": [1],
    }
    assert [(d["name"], d["version"]) for d in latest] == [("a", 3), ("b", 1)]
    assert of_one == versions["a"]
    assert (await server.get("/api/metadata/workflow/none/versions")).status == 404


@GET
async def test_a_version_is_asked_for_or_the_highest_is_given(server: Server) -> None:
    await registered(server, definition("a"), definition("a", version=2))

    highest = (await server.get("/api/metadata/workflow/a")).json
    first = (await server.get("/api/metadata/workflow/a", params={"version": 1})).json
    none = await server.get("/api/metadata/workflow/a", params={"version": 7})
    broken = await server.get("/api/metadata/workflow/a", params={"version": "x"})

    assert (highest["version"], first["version"]) == (2, 1)  # type: ignore[index]
    assert (none.status, none.json["message"]) == (404, "No such workflow found by name: a, version: 7")  # type: ignore[index]
    assert broken.status == 400


@GET
@DELETE
async def test_names_with_reserved_characters_are_found_and_deleted(server: Server) -> None:
    await registered(server, definition("mail to/from 100 % ü"))
    path = "/api/metadata/workflow/mail%20to%2Ffrom%20100%20%25%20%C3%BC"

    assert (await server.get(path)).status == 200
    assert (await server.delete(f"{path}/1")).status == 200
    assert (await server.get(path)).status == 404


@DELETE
async def test_deleting_the_highest_version_makes_the_next_one_the_default(server: Server) -> None:
    await registered(server, definition("a"), definition("a", version=2))

    done = await server.delete("/api/metadata/workflow/a/2", json={})
    again = await server.delete("/api/metadata/workflow/a/2")
    broken = await server.delete("/api/metadata/workflow/a/latest")

    assert (done.status, again.status, broken.status) == (200, 404, 400)
    assert (await server.get("/api/metadata/workflow/a")).json["version"] == 1  # type: ignore[index]
