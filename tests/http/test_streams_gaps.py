"""Server-sent events of which some are missing or long past: what a client is told, and where it goes on."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from asyncflow.app import watching
from asyncflow.app.watching import Gap, Position, Shown, Wish
from tests.http.conftest import Server, serving
from tests.http.event_streams import WAITING, Message, ran, registered, stream

ALL = pytest.mark.route("GET /api/asyncflow/events")
ONE = pytest.mark.route("GET /api/asyncflow/workflow/{id}/events")


@ALL
async def test_what_was_trimmed_is_told_as_a_gap(server: Server) -> None:
    await registered(server, "w")
    await ran(server, "w")
    engine = server.services.executions.engine
    journal = server.services.streams._journal
    await journal.trim_turns(engine.turns.number)

    async with stream(server, "/api/asyncflow/events?from=1") as reader:
        [gap] = await reader.until("gap")

    assert gap.data == {"reason": "trimmed", "resume": f"{engine.turns.number}-0"}


@ALL
async def test_an_id_of_a_time_that_a_restored_backup_lacks_is_told_as_a_gap(tmp_path: Path) -> None:
    """Nobody waits for the journal to come to where it was once: the stream goes on from now on."""
    file, backup = tmp_path / "a.db", tmp_path / "backup.db"
    async with serving(database=file) as server:
        await registered(server, "w")
        await ran(server, "w")
    shutil.copy(file, backup)
    async with serving(database=file) as server:
        for _ in range(9):
            await ran(server, "w")
        async with stream(server, "/api/asyncflow/events") as reader:
            here = (await reader.message()).id

    async with serving(database=backup) as server:
        async with stream(server, "/api/asyncflow/events", Last_Event_ID=here) as reader:
            [gap] = await reader.until("gap")
            resumed = await reader.message()
            execution = await ran(server, "w")
            events = await reader.until("ExecutionEnded")
        async with stream(server, "/api/asyncflow/events", Last_Event_ID=resumed.id) as reader:
            assert (await reader.message()).event == ""
            again = await reader.until("ExecutionEnded")

    assert gap.data == {"reason": "ahead", "resume": resumed.id}
    assert Position.parse(resumed.id) < Position.parse(here)
    assert {each.data["executionId"] for each in events} == {execution}
    assert again == events


@ALL
async def test_where_a_stream_began_is_never_ahead(server: Server) -> None:
    """Also before anything was committed, and the next id that there will be."""
    for _ in range(3):
        async with stream(server, "/api/asyncflow/events") as reader:
            here = (await reader.message()).id
        async with stream(server, "/api/asyncflow/events", Last_Event_ID=here) as reader:
            assert await reader.message() == Message(here, "", {})
        await registered(server, "w")
        await ran(server, "w")


@ONE
async def test_an_id_that_an_execution_never_came_to_is_told_as_a_gap(server: Server) -> None:
    await server.put("/api/metadata/workflow", json=[WAITING])
    workflow_id = (await server.post("/api/workflow/waiting", json={})).text
    path = f"/api/asyncflow/workflow/{workflow_id}/events"
    async with stream(server, path, Last_Event_ID="400") as reader:
        [gap] = await reader.until("gap")
        await server.post(f"/api/tasks/{workflow_id}/wait/COMPLETED", json={"done": True})
        *live, end = await reader.until("end")
    async with stream(server, path, Last_Event_ID="400") as reader:
        late = await reader.until("end")

    recorded = [str(each.seq) async for each in server.services.executions.events(workflow_id)]
    assert gap.data["reason"] == "ahead"
    assert [each.id for each in live] == recorded[int(str(gap.data["resume"])) :]
    assert (live[-1].event, end.event) == ("ExecutionEnded", "end")
    assert [each.event for each in late] == ["gap", "end"]
    assert late[0].data == {"reason": "ahead", "resume": recorded[-1]}


@pytest.mark.scenario("R102")
@ALL
async def test_a_client_that_does_not_read_is_cut_and_goes_on(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "BACKLOG_BYTES", 2_000)
    await registered(server, "w")
    streams = server.services.streams
    watcher = streams.enter(Wish())
    news = streams.of_all(watcher, None, beat_s=20)
    assert isinstance(await anext(news), Shown)
    ids = [await ran(server, "w") for _ in range(5)]  # and it takes nothing meanwhile

    gap = await anext(news)

    assert isinstance(gap, Gap)
    assert (gap.reason, streams.cut) == ("backlog", 1)
    streams.leave(watcher)
    async with stream(server, "/api/asyncflow/events", Last_Event_ID=gap.resume) as reader:
        events = [each for _ in ids for each in await reader.until("ExecutionEnded")]
    assert list(dict.fromkeys(each.data["executionId"] for each in events)) == ids


@ONE
async def test_a_long_execution_is_shown_page_by_page(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncflow.store.reading._EVENT_BYTES", 1)
    await registered(server, "w")
    workflow_id = await ran(server, "w")
    path = f"/api/asyncflow/workflow/{workflow_id}/events"

    async with stream(server, path) as reader:
        *events, _ = await reader.until("end")
    async with stream(server, path, Last_Event_ID="1") as reader:
        *later, _ = await reader.until("end")

    assert [each.id for each in events] == [str(seq) for seq in range(1, len(events) + 1)]
    assert later == events[1:]
