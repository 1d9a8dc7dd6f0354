"""Law: what is kept no longer goes in small batches, first into the archive; what lives stays."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from asyncflow.app import archiving
from asyncflow.app.build import open_engine
from asyncflow.app.execution_sweep import ExecutionSweep
from asyncflow.app.service import Service, StartRequest
from asyncflow.errors import NotFound, StoreError
from asyncflow.model.definition import parse_workflow
from asyncflow.model.retention import ExecutionRetention, Kept
from asyncflow.model.values import JsonObject
from asyncflow.store.records import Page
from asyncflow.store.retention import Expired
from asyncflow.store.sqlite import SqliteReader
from tests.integration.engine_support import child, waiting, workflow
from tests.store.making import sql

DAY_MS = 86_400_000
STEP: JsonObject = {"name": "s", "taskReferenceName": "s", "type": "NOOP"}
QUICK = workflow("quick", [STEP])
OPEN = workflow("open", [waiting()])


def of(**kept: Kept) -> ExecutionRetention:
    return ExecutionRetention(workflows=kept)


async def started(service: Service, definition: JsonObject, count: int = 1, **more: object) -> list[str]:
    request = StartRequest(definition=parse_workflow(definition), **more)  # type: ignore[arg-type]
    return [await service.start(request) for _ in range(count)]


async def left(store: SqliteReader) -> set[str]:
    return {row.execution_id for row in await store.list_executions([], Page(-1))}


def age(path: Path, days: float, *streams: str) -> None:
    """Have executions be so much older in the views."""
    for stream in streams:
        sql(
            path,
            "UPDATE execution SET started_at_ms = started_at_ms - ?, ended_at_ms = max(0, ended_at_ms - ?) "
            "WHERE execution_id = ?",
            *(round(days * DAY_MS), round(days * DAY_MS), stream),
        )


@pytest.mark.scenario("R37")
async def test_old_executions_go_and_live_ones_and_young_ones_stay(tmp_path: Path) -> None:
    path, rules = tmp_path / "a.db", of(quick=Kept(days=3), open=Kept(days=3))
    async with open_engine(path) as (engine, store):
        service = Service(engine)
        old, young = await started(service, QUICK, 60), await started(service, QUICK, 3)
        live = await started(service, OPEN, 2)
        await engine.views_caught_up()
        age(path, 5, *old, *live)
        sweep = ExecutionSweep(engine, store, rules)

        assert await sweep.sweep() == 60
        assert await left(store) == {*young, *live}
        assert await sweep.sweep() == 0
        with pytest.raises(NotFound):
            await service.get(old[0])
        assert [(await service.get(stream))["status"] for stream in live] == ["RUNNING"] * 2


async def test_newest_of_a_workflow_are_kept_by_number(tmp_path: Path) -> None:
    path, rules = tmp_path / "a.db", of(quick=Kept(executions=2))
    async with open_engine(path) as (engine, store):
        streams = await started(Service(engine), QUICK, 6)
        others = await started(Service(engine), workflow("other", [STEP]), 3)
        await engine.views_caught_up()
        age(path, 1, *streams[:4])

        assert await ExecutionSweep(engine, store, rules).sweep() == 4
        assert await left(store) == {*streams[4:], *others}


async def test_children_go_after_their_parent_and_never_before(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    rules = ExecutionRetention(kept=Kept(days=1))
    async with open_engine(path) as (engine, store):
        service = Service(engine)
        await service.register_workflow(QUICK)
        (parent,) = await started(service, workflow("p", [child("quick"), waiting()]))
        await engine.views_caught_up()
        family = await left(store)
        age(path, 5, *family)
        sweep = ExecutionSweep(engine, store, rules)

        assert await sweep.sweep() == 0
        await service.signal(parent, "wait")
        await service.ended(parent)
        await engine.views_caught_up()
        age(path, 5, parent)
        assert await sweep.sweep() + await sweep.sweep() == len(family) == 2
        assert await left(store) == set()


async def test_key_of_a_start_outlives_the_rule(tmp_path: Path) -> None:
    path, rules = tmp_path / "a.db", of(quick=Kept(days=1))
    async with open_engine(path) as (engine, store):
        (stream,) = await started(Service(engine), QUICK, idempotency_key="k")
        await engine.views_caught_up()
        age(path, 5, stream)
        sweep = ExecutionSweep(engine, store, rules)
        assert await sweep.sweep() == 0
        age(path, 5, stream)

        assert await sweep.sweep() == 1


async def test_what_goes_is_in_the_archive_first_and_comes_back(tmp_path: Path) -> None:
    path, kept = tmp_path / "a.db", tmp_path / "old.db"
    rules = ExecutionRetention(kept=Kept(days=1), archive=kept)
    async with open_engine(path) as (engine, store):
        service = Service(engine)
        streams = await started(service, QUICK, 3)
        before = [await service.get(stream) for stream in streams]
        await engine.views_caught_up()
        age(path, 5, *streams)
        assert await ExecutionSweep(engine, store, rules).sweep() == 3
        assert await left(store) == set()

    async with SqliteReader.open(kept) as archive:
        assert await left(archive) == set(streams)
        assert await archive.find_faults() == []
    made = await archiving.restore(kept, tmp_path / "new.db")
    again = await archiving.restore(kept, tmp_path / "new.db", executions=streams[:1])
    async with open_engine(tmp_path / "new.db") as (engine, _):
        service = Service(engine)
        assert [await service.get(stream) for stream in streams] == before
        await service.restart(streams[0])
        assert (await service.ended(streams[0])).epoch == 1

    assert (made, again) == ((3, 0), (0, 1))
    with pytest.raises(StoreError, match="cannot be copied"):  # the turns of the file still say that it went
        await archiving.restore(kept, path)


async def test_archive_is_brought_up_to_date_and_damage_in_one_holds_up_no_other(tmp_path: Path) -> None:
    path, kept = tmp_path / "a.db", tmp_path / "old.db"
    rules = ExecutionRetention(kept=Kept(days=1), archive=kept)
    async with open_engine(path) as (engine, store):
        service = Service(engine)
        streams = await started(service, QUICK, 3)
        await engine.views_caught_up()
        assert await archiving.archive(path, kept) == (3, 0)
        await service.restart(streams[0])
        await engine.views_caught_up()
        assert await archiving.archive(path, kept, name="quick") == (1, 2)
        (broken,) = await started(service, QUICK)
        await engine.views_caught_up()
        await engine.compaction.compact()
        sql(path, "UPDATE segment SET body = x'00' WHERE stream = ?", broken)
        age(path, 5, *streams, broken)

        assert await ExecutionSweep(engine, store, rules).sweep() == 3
        assert await left(store) == {broken}


@pytest.mark.scenario("R37")
async def test_sweep_that_is_broken_off_goes_on_where_it_was(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    rules = ExecutionRetention(kept=Kept(days=1), archive=tmp_path / "old.db")
    async with open_engine(path) as (engine, _):
        streams = await started(Service(engine), QUICK, 120)
        await engine.views_caught_up()
        age(path, 5, *streams)
    gone = 0
    for _ in range(3):
        async with open_engine(path) as (engine, store):
            sweep = ExecutionSweep(engine, store, rules)
            work = asyncio.ensure_future(sweep.sweep())
            while not (work.done() or sweep.removed):
                await asyncio.wait((work,), timeout=0.01)
            work.cancel()
            await asyncio.wait((work,))
            gone += sweep.removed
    async with open_engine(path) as (engine, store):
        await ExecutionSweep(engine, store, rules).sweep()
        assert await left(store) == set()
    async with SqliteReader.open(tmp_path / "old.db") as archive:
        assert await left(archive) == set(streams)
    assert gone > 0


async def test_what_is_looked_for_is_bounded(tmp_path: Path) -> None:
    async with open_engine(tmp_path / "a.db") as (engine, store):
        await started(Service(engine), QUICK, 8)
        await engine.views_caught_up()
        now = engine.clock.now().wall_ms + 1

        first = await store.find_expired(Expired("quick", ended_ms=now, most=5))
        rest = await store.find_expired(Expired("quick", ended_ms=now, most=5, passed=5))
        assert (len(first), len(rest)) == (5, 3)
        assert not set(first) & set(rest)
        assert await store.workflow_names() == ["quick"]
