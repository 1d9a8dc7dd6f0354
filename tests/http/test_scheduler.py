"""Schedules over HTTP: made, replaced, shown, paused, resumed, searched, deleted and refused."""

from __future__ import annotations

import pytest

from asyncflow.app.logbook import Firing
from asyncflow.app.schedule_starts import EXECUTED
from asyncflow.model.values import JsonObject
from tests.http.conftest import Server
from tests.http.credentials import key_ring

BASE = "/api/scheduler"
SAVE = pytest.mark.route("POST /api/scheduler/schedules")
LIST = pytest.mark.route("GET /api/scheduler/schedules")
SEARCH = pytest.mark.route("GET /api/scheduler/schedules/search")
GET = pytest.mark.route("GET /api/scheduler/schedules/{name}")
DELETE = pytest.mark.route("DELETE /api/scheduler/schedules/{name}")
PAUSE = pytest.mark.route("PUT /api/scheduler/schedules/{name}/pause")
RESUME = pytest.mark.route("PUT /api/scheduler/schedules/{name}/resume")
NEXT = pytest.mark.route("GET /api/scheduler/nextFewSchedules")
EXECUTIONS = pytest.mark.route("GET /api/scheduler/search/executions")
FAR = "0 0 0 1 1 ?"


def body(name: str = "s", **more: object) -> JsonObject:
    return {"name": name, "cronExpression": FAR, "startWorkflowRequest": {"name": "w"}, **more}


async def saved(server: Server, *bodies: JsonObject) -> None:
    for each in bodies:
        answer = await server.post(f"{BASE}/schedules", json=each)
        assert answer.status == 200, answer.text


def record(answer: object) -> JsonObject:
    assert isinstance(answer, dict)
    return answer


def names(answer: object) -> list[str]:
    found = answer["results"] if isinstance(answer, dict) else answer
    assert isinstance(found, list)
    return [each["name"] for each in found]


@SAVE
@GET
async def test_a_schedule_comes_back_as_it_was_sent_with_its_times(server: Server) -> None:
    sent = body("a b/c", zoneId="Europe/Berlin", description="yearly", unknown={"kept": 1}, paused=None)
    answered = await server.post(f"{BASE}/schedules", json=sent)
    found = await server.get(f"{BASE}/schedules/a%20b%2Fc")

    shown = record(found.json)
    assert (answered.status, found.status) == (200, 200)
    assert answered.json == shown
    assert shown["unknown"] == {"kept": 1}
    assert (shown["zoneId"], shown["paused"]) == ("Europe/Berlin", False)
    assert shown["createTime"] == shown["updatedTime"]
    assert int(str(shown["nextRunTime"])) > int(str(shown["createTime"]))


@SAVE
async def test_what_was_given_back_can_be_saved_again(server: Server) -> None:
    await saved(server, body())
    first = record((await server.get(f"{BASE}/schedules/s")).json)
    again = record((await server.post(f"{BASE}/schedules", json=first)).json)

    assert {**again, "updatedTime": 0} == {**first, "updatedTime": 0}


@SAVE
@pytest.mark.parametrize(
    ("sent", "named"),
    [
        ({}, "name"),
        (body(name=""), "name"),
        (body(name="x" * 256), "name"),
        (body(cronExpression=None), "cronExpression"),
        (body(cronExpression="* * * * *"), "cronExpression"),
        (body(cronExpression="99 * * * * *"), "second"),
        (body(cronSchedules=[{"cronExpression": FAR, "zoneId": "Mars/Olympus"}]), "zoneId"),
        (body(zoneId="../../etc/passwd"), "zoneId"),
        (body(startWorkflowRequest=None), "startWorkflowRequest"),
        (body(startWorkflowRequest={}), "Workflow name cannot be null or empty"),
        (body(scheduleStartTime=2, scheduleEndTime=1), "scheduleStartTime"),
    ],
)
async def test_a_schedule_that_cannot_be_is_refused_by_name(
    server: Server, sent: JsonObject, named: str
) -> None:
    refused = await server.post(f"{BASE}/schedules", json=sent)

    assert refused.status == 400
    assert named in refused.message
    assert (await server.get(f"{BASE}/schedules")).json == []


@SAVE
@pytest.mark.parametrize(
    "sent",
    [
        body(asyncflow={"overlap": "never"}),
        body(asyncflow={"catchup": "all"}),
        body(startWorkflowRequest={"name": "w", "input": 5}),
        body(cronSchedules=5),
        body(paused="perhaps"),
    ],
)
async def test_a_schedule_of_another_shape_is_refused_with_the_place(
    server: Server, sent: JsonObject
) -> None:
    refused = await server.post(f"{BASE}/schedules", json=sent)

    assert refused.status == 400
    assert record(refused.json)["validationErrors"]


@SAVE
async def test_a_body_that_is_no_object_is_refused(server: Server) -> None:
    assert (await server.post(f"{BASE}/schedules", json=[])).status == 400
    assert (await server.post(f"{BASE}/schedules", data=b"{")).status == 400


@LIST
async def test_schedules_are_listed_by_name_and_by_workflow(server: Server) -> None:
    await saved(server, body("b"), body("a"), body("c", startWorkflowRequest={"name": "other"}))

    assert names((await server.get(f"{BASE}/schedules")).json) == ["a", "b", "c"]
    assert names((await server.get(f"{BASE}/schedules", params={"workflowName": "other"})).json) == ["c"]


@SEARCH
async def test_schedules_are_searched_and_paged(server: Server) -> None:
    await saved(server, body("nightly"), body("hourly", paused=True), body("c", description="a monthly one"))

    async def found(**params: str | int) -> tuple[object, list[str]]:
        answer = record((await server.get(f"{BASE}/schedules/search", params=params)).json)
        return answer["totalHits"], names(answer)

    assert await found() == (3, ["c", "hourly", "nightly"])
    assert await found(scheduleName="LY") == (2, ["hourly", "nightly"])
    assert await found(paused="True") == (1, ["hourly"])
    assert await found(paused="false") == (2, ["c", "nightly"])
    assert await found(freeText="monthly") == (1, ["c"])
    assert await found(sort="name:DESC,createTime:ASC", size=1, start=1) == (3, ["hourly"])
    assert (await server.get(f"{BASE}/schedules/search", params={"sort": "nothing:ASC"})).status == 400
    assert (await server.get(f"{BASE}/schedules/search", params={"paused": "maybe"})).status == 400
    assert (await server.get(f"{BASE}/schedules/search", params={"size": "-1"})).status == 400


@SEARCH
async def test_only_the_page_of_a_search_is_rendered(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    await saved(server, *(body(f"s{number}", paused=number % 2 == 0) for number in range(9)))
    rendered: list[str] = []
    get = server.services.schedules.get

    def counted(name: str) -> JsonObject:
        rendered.append(name)
        return get(name)

    monkeypatch.setattr(server.services.schedules, "get", counted)

    pages = {"": ["s4", "s5"], "nextRunTime:ASC": ["s7", "s0"], "name:DESC": ["s4", "s3"]}
    for sort, page in pages.items():
        rendered.clear()
        params = {"start": 4, "size": 2, "sort": sort} | ({"start": 3} if "next" in sort else {})
        found = await server.get(f"{BASE}/schedules/search", params=params)
        assert (record(found.json)["totalHits"], names(found.json), rendered) == (9, page, page)


@GET
@PAUSE
@RESUME
async def test_a_schedule_that_is_not_there_is_not_found(server: Server) -> None:
    assert (await server.get(f"{BASE}/schedules/none")).status == 404
    assert (await server.put(f"{BASE}/schedules/none/pause", json={})).status == 404
    assert (await server.put(f"{BASE}/schedules/none/resume", json={})).status == 404


@DELETE
async def test_a_schedule_is_deleted_and_again(server: Server) -> None:
    await saved(server, body())

    assert (await server.delete(f"{BASE}/schedules/s", json={})).status == 200
    assert (await server.get(f"{BASE}/schedules/s")).status == 404
    assert (await server.delete(f"{BASE}/schedules/s")).status == 200


@PAUSE
@RESUME
async def test_a_schedule_is_paused_with_a_reason_and_resumed_once(server: Server) -> None:
    await saved(server, body())
    paused = await server.put(f"{BASE}/schedules/s/pause", params={"reason": "holiday"}, json={})
    shown = record((await server.get(f"{BASE}/schedules/s")).json)
    resumed = await server.put(f"{BASE}/schedules/s/resume", json={})
    again = await server.put(f"{BASE}/schedules/s/resume", json={})

    assert (paused.status, paused.body) == (200, b"")
    assert (shown["paused"], shown["pausedReason"]) == (True, "holiday")
    assert (resumed.status, again.status) == (200, 404)
    assert record((await server.get(f"{BASE}/schedules/s")).json)["paused"] is False


@pytest.mark.route("GET /api/scheduler/schedules/{name}/pause")
@pytest.mark.route("GET /api/scheduler/schedules/{name}/resume")
async def test_a_schedule_is_paused_and_resumed_the_way_older_clients_ask(server: Server) -> None:
    await saved(server, body())
    paused = await server.get(f"{BASE}/schedules/s/pause")
    shown = record((await server.get(f"{BASE}/schedules/s")).json)
    resumed = await server.get(f"{BASE}/schedules/s/resume")
    unknown = await server.get(f"{BASE}/schedules/none/pause")

    assert (paused.status, resumed.status, unknown.status) == (200, 200, 404)
    assert shown["paused"] is True
    assert record((await server.get(f"{BASE}/schedules/s")).json)["paused"] is False


@pytest.mark.route("PUT /api/scheduler/bulk/pause")
@pytest.mark.route("PUT /api/scheduler/bulk/resume")
async def test_many_are_paused_and_resumed_as_far_as_they_can_be(server: Server) -> None:
    await saved(server, body("a"), body("b"))
    paused = record((await server.put(f"{BASE}/bulk/pause", json=["a", "none", "a"])).json)
    resumed = record((await server.put(f"{BASE}/bulk/resume", json=["a", "b"])).json)

    assert paused["bulkSuccessfulResults"] == ["a"]
    assert paused["bulkErrorResults"] == {"none": "no such schedule: none"}
    assert resumed["bulkSuccessfulResults"] == ["a"]
    assert list(record(resumed["bulkErrorResults"])) == ["b"]
    assert (await server.put(f"{BASE}/bulk/pause", json={})).status == 400
    assert (await server.put(f"{BASE}/bulk/resume", json=["x"] * 1_001)).status == 400


@NEXT
async def test_the_next_times_of_an_expression_are_shown(server: Server) -> None:
    bounds = {"scheduleStartTime": 4_102_444_800_000, "scheduleEndTime": 4_102_455_600_000}
    hourly = await server.get(f"{BASE}/nextFewSchedules", params={"cronExpression": "0 0 * * * ?", **bounds})
    many = await server.get(
        f"{BASE}/nextFewSchedules", params={"cronExpression": "@daily", "limit": 50, "zoneId": "Asia/Tokyo"}
    )
    few = await server.get(f"{BASE}/nextFewSchedules", params={"cronExpression": "@daily", "limit": 2})

    assert hourly.json == [4_102_444_800_000 + hour * 3_600_000 for hour in range(4)]
    assert isinstance(many.json, list)
    assert len(many.json) == 5
    assert {each % 86_400_000 for each in many.json} == {15 * 3_600_000}
    assert isinstance(few.json, list)
    assert len(few.json) == 2


@NEXT
@pytest.mark.parametrize(
    "params",
    [
        {},
        {"cronExpression": "not a cron"},
        {"cronExpression": "@daily", "zoneId": "Nowhere"},
        {"cronExpression": "@daily", "limit": "many"},
        {"cronExpression": "@daily", "limit": "-1"},
    ],
)
async def test_an_expression_that_cannot_be_read_is_refused(server: Server, params: dict[str, str]) -> None:
    assert (await server.get(f"{BASE}/nextFewSchedules", params=params)).status == 400


@EXECUTIONS
async def test_what_came_of_times_is_searched(server: Server) -> None:
    for number, state in enumerate([EXECUTED, "FAILED", "SKIPPED"]):
        firing = Firing(
            "s", number, f"e{number}" if state == EXECUTED else "", number, state, f"because {number}"
        )
        await server.services.logbook.record_firing(firing)

    async def found(**params: str) -> list[str]:
        answer = record((await server.get(f"{BASE}/search/executions", params=params)).json)
        results = answer["results"]
        assert isinstance(results, list)
        assert answer["totalHits"] >= len(results)  # type: ignore[operator]
        return [f"{each['scheduledTime']} {each['state']}" for each in results]

    assert await found() == ["2 FAILED", "1 FAILED", "0 EXECUTED"]
    assert await found(query="state = EXECUTED AND scheduleName IN (s, t)") == ["0 EXECUTED"]
    assert await found(query="state = 'SKIPPED'") == ["2 FAILED"]
    assert await found(freeText="because 1") == ["1 FAILED"]
    assert await found(sort="scheduledTime:ASC", size="1") == ["0 EXECUTED"]
    assert (await server.get(f"{BASE}/search/executions", params={"query": "nonsense ="})).status == 400
    assert (await server.get(f"{BASE}/search/executions", params={"sort": "nothing:ASC"})).status == 400


@pytest.mark.route("GET /api/scheduler/admin/pause")
@pytest.mark.route("GET /api/scheduler/admin/resume")
@pytest.mark.route("GET /api/scheduler/admin/requeue")
async def test_the_whole_scheduler_is_held_and_released(server: Server) -> None:
    await saved(server, body())
    held = await server.get(f"{BASE}/admin/pause")
    is_held = server.services.schedules.firing.is_held
    released = await server.get(f"{BASE}/admin/resume")

    assert (held.json, released.json) == ({"paused": True}, {"paused": False})
    assert is_held
    assert not server.services.schedules.firing.is_held
    assert (await server.get(f"{BASE}/admin/requeue")).json == {"schedules": 1}


@SAVE
async def test_what_a_schedule_says_of_its_author_is_not_believed_where_callers_are_known(
    server: Server,
) -> None:
    ring = await key_ring(server.services.keys)
    path, headers = f"{BASE}/schedules", ring.headers("author")
    made = record((await server.post(path, json=body(createdBy="admin-key"), headers=headers)).json)

    assert made["createdBy"] == "author-key"
