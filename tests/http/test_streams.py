"""Server-sent events: what is durable, in order, once; taken up where it was left; bounded, ended well."""

from __future__ import annotations

import asyncio

import pytest

from asyncflow.app import streams as app_streams
from asyncflow.app.watching import Ended, Gap, Live, Position, Shown, Watcher, Wish
from asyncflow.errors import InvalidInput
from asyncflow.http import streams as http_streams
from tests.http.conftest import Server
from tests.http.event_streams import WAITING, ran, registered, stream

ALL = pytest.mark.route("GET /api/asyncflow/events")
ONE = pytest.mark.route("GET /api/asyncflow/workflow/{id}/events")


@ONE
async def test_events_of_an_execution_are_all_shown_to_its_end(server: Server) -> None:
    await registered(server, "w")
    workflow_id = await ran(server, "w")

    async with stream(server, f"/api/asyncflow/workflow/{workflow_id}/events") as reader:
        *events, end = await reader.until("end")

    recorded = [each async for each in server.services.executions.events(workflow_id)]
    assert [each.id for each in events] == [str(each.seq) for each in recorded]
    assert [each.event for each in events] == [type(each.event).__name__ for each in recorded]
    assert events[0].event == "ExecutionStarted"
    assert events[0].data["workflow"] == "w"
    assert events[0].data["event"] == recorded[0].event._asdict()
    assert (events[-1].event, end.event) == ("ExecutionEnded", "end")


@ONE
async def test_events_of_an_execution_go_on_behind_an_id(server: Server) -> None:
    await registered(server, "w")
    workflow_id = await ran(server, "w")
    path = f"/api/asyncflow/workflow/{workflow_id}/events"
    async with stream(server, path) as reader:
        *events, _ = await reader.until("end")

    async with stream(server, path, Last_Event_ID="2") as reader:
        *later, _ = await reader.until("end")
    over = await server.get(path, headers={"Last-Event-ID": events[-1].id})

    assert later == events[2:]
    assert over.status == 204  # which tells a browser not to come again


@ONE
async def test_events_of_an_execution_come_as_they_are_durable(server: Server) -> None:
    await server.put("/api/metadata/workflow", json=[WAITING])
    workflow_id = (await server.post("/api/workflow/waiting", json={})).text

    async with stream(server, f"/api/asyncflow/workflow/{workflow_id}/events?kind=TaskEnded") as reader:
        await server.post(f"/api/tasks/{workflow_id}/wait/COMPLETED", json={"done": True})
        messages = await reader.until("end")

    assert [each.event for each in messages] == ["TaskEnded", "end"]
    assert server.services.streams.count == 0


@ONE
@ALL
@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/api/asyncflow/workflow/no-such/events", 404),
        ("/api/asyncflow/events?execution=0f0e0d0c-0000-0000-0000-000000000000", 404),
        ("/api/asyncflow/events?from=yesterday", 400),
        ("/api/asyncflow/events?from=1-2-3", 400),
        ("/api/asyncflow/events?from=1-" + "9" * 40, 400),
    ],
)
async def test_events_that_cannot_be_shown_are_refused(server: Server, path: str, status: int) -> None:
    answer = await server.get(path)
    assert (answer.status, server.services.streams.count) == (status, 0)
    assert answer.message


@ONE
async def test_an_id_of_another_stream_is_refused(server: Server) -> None:
    await registered(server, "w")
    path = f"/api/asyncflow/workflow/{await ran(server, 'w')}/events"
    assert (await server.get(path, headers={"Last-Event-ID": "3-4"})).status == 400


@ALL
async def test_events_of_all_executions_are_told_once_and_in_order(server: Server) -> None:
    await registered(server, "w", "v")
    ids = [await ran(server, "w")]

    async with stream(server, "/api/asyncflow/events?from=0") as reader:
        events = await reader.until("ExecutionEnded")
        for _ in range(20):
            ids.append(await ran(server, "v"))
            events += await reader.until("ExecutionEnded")

    places = [Position.parse(each.id) for each in events]
    assert places == sorted(set(places))
    for workflow_id in ids:
        mine = [each.data["seq"] for each in events if each.data["executionId"] == workflow_id]
        assert mine == [*range(1, len(mine) + 1)]
    assert {each.data["executionId"] for each in events} == set(ids)


@ALL
async def test_events_of_all_go_on_behind_an_id(server: Server) -> None:
    await registered(server, "w")
    for _ in range(3):
        await ran(server, "w")
    async with stream(server, "/api/asyncflow/events?from=0") as reader:
        events = [each for _ in range(3) for each in await reader.until("ExecutionEnded")]

    for place, event in enumerate(events[:-1]):
        async with stream(server, "/api/asyncflow/events", Last_Event_ID=event.id) as reader:
            assert (await reader.message()).id == event.id
            assert await reader.message() == events[place + 1]


@ALL
async def test_events_from_now_on_tell_at_once_where_that_is(server: Server) -> None:
    await registered(server, "w")
    await ran(server, "w")

    async with stream(server, "/api/asyncflow/events") as reader:
        here = (await reader.message()).id
    missed = await ran(server, "w")

    async with stream(server, "/api/asyncflow/events", Last_Event_ID=here) as reader:
        events = await reader.until("ExecutionEnded")
    assert {each.data["executionId"] for each in events} == {missed}


@ALL
async def test_events_are_filtered_by_workflow_and_kind(server: Server) -> None:
    await registered(server, "w", "v")
    path = "/api/asyncflow/events?from=0&workflow=v&kind=ExecutionStarted,ExecutionEnded"
    for name in ("w", "v"):
        await ran(server, name)

    async with stream(server, path) as reader:
        events = await reader.until("ExecutionEnded")
        await ran(server, "w")
        second = await ran(server, "v")
        live = await reader.until("ExecutionEnded")

    assert [each.event for each in events + live] == ["ExecutionStarted", "ExecutionEnded"] * 2
    assert {each.data["workflow"] for each in events + live} == {"v"}
    assert {each.data["executionId"] for each in live} == {second}


@ALL
async def test_the_catalogue_is_not_told(server: Server) -> None:
    await registered(server, "w")
    await ran(server, "w")
    async with stream(server, "/api/asyncflow/events?from=0") as reader:
        events = await reader.until("ExecutionEnded")
    assert not {each.event for each in events} & {"WorkflowRegistered", "DocumentSaved", "EngineStarted"}


@ALL
async def test_silence_is_broken_by_comments(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_streams, "BEAT_S", 0.01)
    async with stream(server, "/api/asyncflow/events") as reader:
        await reader.message()
        assert (await reader.message()).comment == "still here"


@ALL
async def test_streams_are_at_most_so_many(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_streams, "MOST_WATCHERS", 2)
    async with stream(server, "/api/asyncflow/events"), stream(server, "/api/asyncflow/events"):
        answer = await server.get("/api/asyncflow/events")
    assert answer.status == 503
    assert "event_streams" in answer.message


@pytest.mark.scenario("R9")
@ALL
async def test_streams_end_politely_when_the_server_stops(server: Server) -> None:
    async with stream(server, "/api/asyncflow/events") as reader:
        await reader.message()
        server.http.close_for_new()
        await server.services.drain(1.0)
        assert (await reader.message()).event == "closing"
        assert await reader.response.content.read() == b""
        assert (await server.get("/api/asyncflow/events")).status == 503
    assert server.services.streams.count == 0


@ALL
async def test_a_client_that_goes_is_forgotten(server: Server) -> None:
    before = [*server.services.executions.engine.turns.listeners]
    async with stream(server, "/api/asyncflow/events") as reader:
        await reader.message()
        assert server.services.streams.count == 1
    reader.response.close()
    async with asyncio.timeout(60):
        await server.http.door.traffic.rested()
    assert server.services.streams.count == 0
    assert server.services.executions.engine.turns.listeners == before


async def test_what_waits_for_a_watcher_is_bounded() -> None:
    watcher = Watcher(Wish())
    piece = Live(Position(1), 1, False, Shown("1", "X", b"x" * 1_000))
    for _ in range(2_000):
        watcher.put(piece)
    assert watcher.is_behind
    assert [each async for each in watcher.news(0.01)] == []


def test_positions_are_read_strictly() -> None:
    assert Position.parse("12-3") == Position(12, 3)
    assert Position.parse("12") == Position(12, 0)
    for text in ("", "-", "a", "1-b", "1--2", "-1", "१"):
        with pytest.raises(InvalidInput):
            Position.parse(text)


def test_messages_end_with_an_empty_line() -> None:
    for news in (None, Shown("1", "K", b"{}"), Shown("1", "", b""), Gap("x", "1"), Ended("closing")):
        assert http_streams._piece(news).endswith(b"\n\n")


async def test_who_comes_after_the_stop_began_is_told_so(server: Server) -> None:
    streams = server.services.streams
    streams.hurry()
    watcher = streams.enter(Wish())
    async with asyncio.timeout(60):
        found = [each async for each in streams.of_all(watcher, None, beat_s=60)]
    streams.leave(watcher)

    assert found[-1] == Ended("closing")
