"""Event handlers and messages over HTTP: made, replaced, listed, deleted, published, looked back at."""

from __future__ import annotations

from dataclasses import replace

import pytest

from asyncflow.app.options import EngineSettings
from asyncflow.model.limits import DEFAULT_LIMITS
from asyncflow.model.values import JsonObject
from tests.http.conftest import Server
from tests.http.workflow_calls import definition, registered
from tests.integration.waiting import until

CREATE = pytest.mark.route("POST /api/event")
UPDATE = pytest.mark.route("PUT /api/event")
LIST = pytest.mark.route("GET /api/event")
OF_EVENT = pytest.mark.route("GET /api/event/{event}")
DELETE = pytest.mark.route("DELETE /api/event/{name}")
PUBLISH = pytest.mark.route("POST /api/asyncflow/events/{sink}")
HISTORY = pytest.mark.route("GET /api/asyncflow/event-executions")

START: JsonObject = {"action": "start_workflow", "start_workflow": {"name": "w", "version": 1}}


@pytest.fixture
def engine_settings() -> EngineSettings:
    return EngineSettings(limits=replace(DEFAULT_LIMITS, payload_bytes=20_000))


def handler(name: str = "h", event: str = "asyncflow:s", **more: object) -> JsonObject:
    return {"name": name, "event": event, "active": True, "actions": [START], **more}


async def made(server: Server, *bodies: JsonObject) -> None:
    for each in bodies:
        answer = await server.post("/api/event", json=each)
        assert (answer.status, answer.body) == (200, b"")


def names(answer: object) -> list[str]:
    assert isinstance(answer, list)
    return [each["name"] for each in answer]


@CREATE
@LIST
async def test_handlers_come_back_as_they_were_sent(server: Server) -> None:
    sent = handler(condition="$.n > 1", evaluatorType="javascript", more={"kept": True})
    await made(server, sent, {**handler("a"), "active": None})

    found = (await server.get("/api/event")).json
    assert isinstance(found, list)
    assert found[1] == sent
    assert (found[0]["name"], found[0]["active"]) == ("a", False)


@CREATE
async def test_a_name_is_taken_once(server: Server) -> None:
    await made(server, handler())
    again = await server.post("/api/event", json=handler(event="asyncflow:other"))

    assert (again.status, again.message) == (409, "EventHandler with name h already exists!")


@CREATE
@UPDATE
@pytest.mark.parametrize(
    ("sent", "message"),
    [
        ({}, "Missing event handler name"),
        ({"name": "h"}, "Missing event location"),
        (handler(actions=[]), "No actions specified"),
        (handler(evaluatorType="python"), "evaluatorType"),
        (handler("x" * 256), "255"),
        (handler(actions=[{"action": "dance"}]), "Validation failed"),
        (handler(actions=[{"action": "fail_task"}]), "Validation failed"),
        (handler(actions=[{"action": "start_workflow", "start_workflow": 5}]), "Validation failed"),
        (handler(active="perhaps"), "Validation failed"),
        (handler(actions=[START] * 101), "Validation failed"),
    ],
)
async def test_a_handler_that_cannot_be_is_refused(server: Server, sent: JsonObject, message: str) -> None:
    for answer in (await server.post("/api/event", json=sent), await server.put("/api/event", json=sent)):
        assert answer.status == 400
        assert message in answer.message


@UPDATE
async def test_a_handler_is_replaced_and_an_unknown_one_not_found(server: Server) -> None:
    await made(server, handler())
    replaced = await server.put("/api/event", json=handler(event="asyncflow:other"))
    unknown = await server.put("/api/event", json=handler("none"))

    assert (replaced.status, unknown.status) == (200, 404)
    assert unknown.message == "EventHandler with name none not found!"
    assert (await server.get("/api/event")).json == [handler(event="asyncflow:other")]


@OF_EVENT
async def test_handlers_are_listed_by_event(server: Server) -> None:
    await made(
        server, handler("a", "conductor:w:t"), handler("b", "conductor:w:t", active=False), handler("c")
    )

    assert names((await server.get("/api/event/conductor%3Aw%3At")).json) == ["a"]
    assert names((await server.get("/api/event/conductor:w:t", params={"activeOnly": "False"})).json) == [
        "a",
        "b",
    ]
    assert (await server.get("/api/event/nothing")).json == []
    assert (await server.get("/api/event/nothing", params={"activeOnly": "maybe"})).status == 400


@DELETE
async def test_a_handler_is_deleted_once(server: Server) -> None:
    await made(server, handler("a b"))

    assert (await server.delete("/api/event/a%20b", json={})).status == 200
    assert (await server.delete("/api/event/a%20b")).status == 404
    assert (await server.get("/api/event")).json == []


@PUBLISH
@HISTORY
async def test_a_published_message_reaches_its_handlers(server: Server) -> None:
    await registered(server, definition("w"))
    broken: JsonObject = {"action": "terminate_workflow", "terminate_workflow": {}}
    await made(server, handler("good", "asyncflow:s", actions=[START, broken]))
    by_query = await server.post("/api/asyncflow/events/s", json={"n": 1}, params={"messageId": "m1"})
    by_header = await server.post(
        "/api/asyncflow/events/asyncflow%3As", json={"n": 1}, headers={"Idempotency-Key": "m1"}
    )
    drawn = await server.post("/api/asyncflow/events/s")
    counts = server.services.handlers.delivery.counts
    await until(lambda: counts["retried"] >= 3)

    assert by_query.json == by_header.json == {"messageId": "m1"}
    assert isinstance(drawn.json, dict)
    assert drawn.json["messageId"] not in {"", "m1"}
    found = await server.get(
        "/api/asyncflow/event-executions", params={"handler": "good", "state": "completed"}
    )
    assert isinstance(found.json, dict)
    assert found.json["totalHits"] == 2
    assert {each["id"] for each in found.json["results"]} == {"m1_0", f"{drawn.json['messageId']}_0"}
    assert {each["action"] for each in found.json["results"]} == {"start_workflow"}
    none = await server.get("/api/asyncflow/event-executions", params={"handler": "other"})
    assert none.json == {"totalHits": 0, "results": []}


@PUBLISH
async def test_a_message_that_cannot_be_is_refused(server: Server) -> None:
    for body in ("[]", '"text"', "5", "{"):
        assert (await server.post("/api/asyncflow/events/s", data=body)).status == 400
    assert (await server.post(f"/api/asyncflow/events/{'s' * 300}", json={})).status == 400
    too_long = await server.post("/api/asyncflow/events/s", json={}, params={"messageId": "m" * 300})
    assert too_long.status == 400
    too_large = await server.post("/api/asyncflow/events/s", json={"text": "x" * 20_000})
    assert too_large.status == 413


@HISTORY
async def test_a_question_that_cannot_be_is_refused(server: Server) -> None:
    for params in ({"state": "perhaps"}, {"size": "-1"}, {"start": "x"}):
        assert (await server.get("/api/asyncflow/event-executions", params=params)).status == 400
