"""Law: what is set aside is listed, explained, and goes on from what is recorded once it was released."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.app.service import StartRequest
from asyncflow.app.services import Services, open_services
from asyncflow.errors import NotFound, Refused, StoreError
from asyncflow.model.definition import parse_workflow
from asyncflow.model.quarantine import Quarantined
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resources import ResourceLimit
from asyncflow.model.values import JsonObject
from asyncflow.runtime import quarantine
from asyncflow.store.sqlite import SqliteStore
from tests.integration.engine_support import child, waiting, workflow
from tests.integration.job_support import job
from tests.integration.resource_support import ClusterBench
from tests.integration.test_set_aside import break_deciding


async def set_aside(services: Services, stream: str) -> None:
    """Ask for what breaks deciding."""
    with pytest.raises(StoreError, match="quarantined"):
        await services.executions.pause(stream)


async def begun(services: Services, definition: JsonObject) -> str:
    return await services.executions.start(StartRequest(definition=parse_workflow(definition)))


async def test_one_that_a_bug_set_aside_goes_on_when_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_services(tmp_path / "a.db") as services:
        stream = await begun(services, workflow("w", [waiting("one"), waiting("two")]))
        await services.executions.signal(stream, "one")
        with monkeypatch.context() as patch:
            break_deciding(patch)
            await set_aside(services, stream)
        listed = await services.quarantine.listed()
        why = await services.overview.why(stream)
        shown = await services.quarantine.release(stream)
        await services.executions.signal(stream, "two")

        assert (await services.executions.ended(stream)).status == "COMPLETED"
        assert [(each["workflowId"], each["kind"]) for each in rows(listed)] == [(stream, "bug")]
        assert rows(why, "waitsFor")[0]["kind"] == "release"
        assert (shown["status"], shown["openTasks"]) == ("RUNNING", 1)
        assert (await services.quarantine.listed())["totalHits"] == 0
        with pytest.raises(NotFound):
            await services.quarantine.release(stream)
        await services.executions.engine.views_caught_up()
    with sqlite3.connect(tmp_path / "a.db") as db:
        assert db.execute("SELECT status FROM execution").fetchall() == [("COMPLETED",)]


def rows(found: JsonObject, key: str = "results") -> list[JsonObject]:
    listed = found[key]
    assert isinstance(listed, list)
    return [each for each in listed if isinstance(each, dict)]


@pytest.mark.scenario("R69")
async def test_one_with_a_flipped_bit_is_set_aside_and_goes_on_once_it_is_mended(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with open_services(path) as services:
        bad = await begun(services, workflow("bad", [waiting()]))
        good = await begun(services, workflow("good", [waiting()]))
        engine = services.executions.engine
        await engine.compaction.compact()
        await services.executions.set_variables(good, {"a": 1})
        await engine.compaction.compact()
    sound = flip(path, bad)
    async with open_services(path) as services:
        with pytest.raises(Refused, match="stays quarantined"):
            await services.quarantine.release(bad)
        (aside,) = rows(await services.quarantine.listed())
        await services.executions.signal(good, "wait")
        assert (await services.executions.ended(good)).status == "COMPLETED"
        with sqlite3.connect(path) as db:
            db.execute("UPDATE segment SET body = ? WHERE stream = ?", (sound, bad))
        await services.quarantine.release(bad)
        await services.executions.signal(bad, "wait")

        assert (await services.executions.ended(bad)).status == "COMPLETED"
        assert (aside["workflowId"], aside["kind"]) == (bad, "unreadable")
        assert "damaged" in str(aside["reason"])


def flip(path: Path, stream: str) -> bytes:
    """Flip a bit of a stored history, and give what it was."""
    with sqlite3.connect(path) as db:
        ((sound,),) = db.execute("SELECT body FROM segment WHERE stream = ?", (stream,)).fetchall()
        assert isinstance(sound, bytes)
        broken = bytearray(sound)
        broken[len(broken) // 2] ^= 4
        db.execute("UPDATE segment SET body = ? WHERE stream = ?", (bytes(broken), stream))
    return sound


async def test_one_that_is_held_is_touched_by_no_start_until_it_is_released(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with open_services(path) as services:
        stream = await begun(services, workflow("w", [waiting()]))
        await services.executions.engine.compaction.compact()
        await services.executions.set_variables(stream, {"a": 1})
    async with SqliteStore.open(path) as store:
        await store.hold(stream, Quarantined("crash", "died of it", 7))
    for _ in range(2):
        async with open_services(path) as services:
            (aside,) = rows(await services.quarantine.listed())
            assert (aside["kind"], aside["reason"], aside["since"]) == ("crash", "died of it", 7)
            with pytest.raises(StoreError, match="died of it"):
                await services.executions.signal(stream, "wait")
            with pytest.raises(StoreError, match="died of it"):
                await services.executions.get(stream)
    async with open_services(path) as services:
        await services.quarantine.release(stream)
    async with open_services(path) as services:
        await services.executions.signal(stream, "wait")

        assert (await services.executions.ended(stream)).status == "COMPLETED"


async def test_what_nobody_knows_is_not_listed_for_ever(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with SqliteStore.open(path) as store:
        await store.hold("gone", Quarantined("crash", "died of it", 7))
    async with open_services(path) as services:
        with pytest.raises(NotFound):
            await services.quarantine.release("gone")

        assert (await services.quarantine.listed())["totalHits"] == 0


async def test_messages_for_one_set_aside_reach_it_once_it_is_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_services(tmp_path / "a.db") as services:
        await services.executions.register_workflow(workflow("c", [waiting()]))
        parent = await begun(services, workflow("p", [child("c")]))
        state = await services.executions.engine.state(parent)
        (record,) = state.tasks.values()
        assert record.more is not None
        below = str(record.more.child_id)
        with monkeypatch.context() as patch:
            break_deciding(patch)
            await set_aside(services, parent)
        await services.executions.signal(below, "wait")
        await services.executions.ended(below)
        await services.quarantine.release(parent)

        assert (await services.executions.ended(parent)).status == "COMPLETED"


async def test_attempts_of_one_set_aside_begin_again_when_it_is_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []
    opened = asyncio.Event()

    @af.task(retries=0)
    async def hang() -> None:
        calls.append(1)
        await opened.wait()

    definition = workflow("w", [{"name": "hang", "taskReferenceName": "hang", "type": "SIMPLE"}])
    async with open_services(tmp_path / "a.db", functions={hang.name: hang}) as services:
        stream = await begun(services, definition)
        while not calls:
            await services.executions.evaluate(stream)
        with monkeypatch.context() as patch:
            break_deciding(patch)
            await set_aside(services, stream)
        await services.quarantine.release(stream)
        opened.set()

        assert (await services.executions.ended(stream)).status == "COMPLETED"
        assert len(calls) == 2


async def test_job_of_one_set_aside_keeps_its_slot_and_its_cluster(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = ClusterBench(tmp_path / "a.db", ResourceSettings("cluster", ResourceLimit(1), idle_after_s=60))
    bench.service.duration_s = 600
    async with bench.engine() as service:
        first = await bench.start(service, workflow("w", [job()]))
        await bench.clock.run(lambda: len(bench.service.made) == 1, seconds=60)
        second = await bench.start(service, workflow("w", [job()]))
        with monkeypatch.context() as patch:
            break_deciding(patch)
            with pytest.raises(StoreError, match="quarantined"):
                await service.pause(first)
        await bench.clock.run(lambda: False, seconds=300)
        meanwhile = len(bench.service.made), list(bench.clusters.destroyed)
        await quarantine.release(service.engine, service.engine._store, first)
        ends = [(await bench.end(service, stream)).status for stream in (first, second)]

    assert meanwhile == (1, [])
    assert ends == ["COMPLETED", "COMPLETED"]
    assert len(bench.service.made) == 2
