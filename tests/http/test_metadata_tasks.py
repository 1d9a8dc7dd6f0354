"""Task definitions over HTTP: registered, replaced, shown, deleted, refused."""

from __future__ import annotations

import pytest

from tests.http.conftest import Server

REGISTER = pytest.mark.route("POST /api/metadata/taskdefs")
UPDATE = pytest.mark.route("PUT /api/metadata/taskdefs")
GET = pytest.mark.route("GET /api/metadata/taskdefs/{name}")
PATH = "/api/metadata/taskdefs"


@REGISTER
@GET
async def test_a_task_definition_comes_back_with_its_defaults_and_times(server: Server) -> None:
    done = await server.post(PATH, json=[{"name": "t", "retryCount": 1, "custom": [1, None]}])

    found = (await server.get(f"{PATH}/t")).json

    assert (done.status, done.body) == (200, b"")
    assert isinstance(found, dict)
    assert found["createTime"] > 0
    assert (found["retryCount"], found["retryLogic"], found["custom"]) == (1, "FIXED", [1, None])


@REGISTER
async def test_registering_again_replaces(server: Server) -> None:
    await server.post(PATH, json=[{"name": "t", "retryCount": 1}])
    await server.post(PATH, json=[{"name": "t", "retryCount": 2}])

    assert (await server.get(f"{PATH}/t")).json["retryCount"] == 2  # type: ignore[index]


@REGISTER
@pytest.mark.parametrize(
    ("body", "said"),
    [
        (None, "TaskDefList cannot be empty or null"),
        ([], "TaskDefList is empty"),
        ({"name": "t"}, "body: a JSON list is expected"),
        ([{"name": ""}], "Validation failed, check below errors for detail."),
        ([{"name": "ok"}, 5], "Validation failed, check below errors for detail."),
        ([{"name": "t", "timeoutSeconds": 60}], "Validation failed, check below errors for detail."),
    ],
)
async def test_what_is_no_list_of_task_definitions_is_refused_whole(
    server: Server, body: object, said: str
) -> None:
    answer = await server.post(PATH, json=body)

    assert (answer.status, answer.json["message"]) == (400, said)  # type: ignore[index]
    assert (await server.get(PATH)).json == []


@UPDATE
async def test_only_a_task_definition_that_exists_is_updated(server: Server) -> None:
    before = await server.put(PATH, json={"name": "t", "enforceSchema": False})
    await server.post(PATH, json=[{"name": "t"}])
    after = await server.put(PATH, json={"name": "t", "retryCount": 7})

    assert (before.status, before.json["message"]) == (404, "No such task by name t")  # type: ignore[index]
    assert (after.status, after.body) == (200, b"")
    assert (await server.get(f"{PATH}/t")).json["retryCount"] == 7  # type: ignore[index]


@UPDATE
async def test_an_update_that_is_invalid_changes_nothing(server: Server) -> None:
    await server.post(PATH, json=[{"name": "t", "retryCount": 1}])
    answer = await server.put(PATH, json={"name": "t", "retryCount": "many"})

    assert answer.status == 400
    assert (await server.get(f"{PATH}/t")).json["retryCount"] == 1  # type: ignore[index]


@pytest.mark.route("GET /api/metadata/taskdefs")
async def test_task_definitions_are_listed_by_name(server: Server) -> None:
    await server.post(PATH, json=[{"name": "b"}, {"name": "a"}])

    found = (await server.get(PATH, params={"access": "READ", "metadata": "true"})).json

    assert isinstance(found, list)
    assert [each["name"] for each in found] == ["a", "b"]


@GET
@pytest.mark.route("DELETE /api/metadata/taskdefs/{name}")
async def test_a_deleted_task_definition_is_gone(server: Server) -> None:
    await server.post(PATH, json=[{"name": "t"}])

    done = await server.delete(f"{PATH}/t", json={})
    again = await server.delete(f"{PATH}/t")
    gone = await server.get(f"{PATH}/t")

    assert (done.status, again.status) == (200, 404)
    assert (gone.status, gone.json["message"]) == (404, "No such taskType found by name: t")  # type: ignore[index]
