"""Laws of messages over several lives of an engine: none is lost, and each has its effect once."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from pathlib import Path

from asyncflow.app.options import EngineSettings
from asyncflow.app.services import Services
from asyncflow.runtime.engine import Engine
from asyncflow.runtime.rebuild import rebuild_views
from asyncflow.store.sqlite import SqliteStore
from tests.integration.event_support import BEGIN, act, handler, history, holding, run, start, telling
from tests.integration.schedule_support import clock_at, services_on, started, workflow
from tests.integration.waiting import until

SMALL = EngineSettings(turn_log_bytes=4_000, keep_ended=0)


async def grow(services: Services) -> str:
    """An execution with a list, and a handler that puts every message on it."""
    execution = await holding(services)
    await services.executions.set_variables(execution, {"seen": []})
    variables = act(
        "update_workflow_variables", workflowId=execution, variables={"seen": "${n}"}, appendArray=True
    )
    await services.handlers.create(handler("grow", "asyncflow:s", variables))
    return execution


async def seen(services: Services, execution: str) -> object:
    variables = (await services.executions.get(execution))["variables"]
    assert isinstance(variables, dict)
    return variables["seen"]


async def test_messages_that_were_not_dealt_with_come_after_a_restart(tmp_path: Path) -> None:
    """An engine that stops as soon as they are published."""
    clock = clock_at(BEGIN)
    async with services_on(clock, tmp_path / "a.db") as services:
        await services.executions.register_workflow(workflow("w"))
        execution = await grow(services)
        await services.handlers.create(handler("start", "asyncflow:s", start("w")))
        for number in range(5):
            await services.handlers.publish("s", {"n": number})
    async with services_on(clock, tmp_path / "a.db") as services:
        await clock.rest()

        assert await seen(services, execution) == [0, 1, 2, 3, 4]
        assert await started(services) == 5


async def test_messages_that_come_again_change_nothing(tmp_path: Path) -> None:
    """A cursor that lags behind: everything is delivered anew, and recognised."""
    clock = clock_at(BEGIN)
    database = tmp_path / "a.db"
    async with services_on(clock, database, settings=EngineSettings(keep_ended=0)) as services:
        await services.executions.register_workflow(workflow("w"))
        await services.executions.register_workflow(workflow("teller", telling("asyncflow:s", n="told")))
        execution = await grow(services)
        await services.handlers.create(handler("start", "asyncflow:s", start("w")))
        await services.handlers.publish("s", {"n": 1})
        await run(services, "teller")
        await clock.rest()
        before = await history(services)
    for is_forgotten in (False, True):
        async with SqliteStore.open(database) as store:
            await store.move_cursors({"events": 1})
        if is_forgotten:
            forget_audit(database)
        async with services_on(clock, database) as services:
            await clock.rest()

            assert await seen(services, execution) == [1, "told"]
            assert await started(services) == 2
            assert len(await history(services)) == (0 if is_forgotten else len(before))


def forget_audit(database: Path) -> None:
    """As if the engine had been killed between what it did and the note of it."""
    with sqlite3.connect(database) as db:
        for (name,) in db.execute(
            "SELECT name FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'audit'"
        ):
            db.execute(f"DROP TRIGGER {name}")
        db.execute("DELETE FROM audit")
    db.close()


async def test_retries_go_on_after_a_restart(tmp_path: Path) -> None:
    clock = clock_at(BEGIN)
    async with services_on(clock, tmp_path / "a.db") as services:
        await services.handlers.create(handler("h", "asyncflow:s", start("late")))
        await services.handlers.publish("s", {})
        await clock.advance(2)
    async with services_on(clock, tmp_path / "a.db") as services:
        await services.executions.register_workflow(workflow("late"))
        await clock.advance(60)

        assert await started(services, "late") == 1


async def test_the_journal_keeps_what_was_not_dealt_with(tmp_path: Path) -> None:
    clock = clock_at(BEGIN)
    async with services_on(clock, tmp_path / "a.db", settings=SMALL) as services:
        engine = services.executions.engine
        await services.executions.register_workflow(workflow("w"))
        await services.handlers.create(handler("h", "asyncflow:s", start("late")))
        await services.handlers.publish("s", {})
        await clock.rest()
        kept = engine.turns.number
        rounds = engine.compaction.rounds
        await fill(services)
        await until(lambda: engine.compaction.rounds > rounds)
        assert (await engine._store.recover()).first_turn <= kept
        await clock.advance(60)
        rounds = engine.compaction.rounds
        await fill(services)
        await until(lambda: engine.compaction.rounds > rounds + 1)
        assert (await engine._store.recover()).first_turn > kept


async def fill(services: Services) -> None:
    """Have more recorded than the turn log may hold."""
    for _ in range(20):
        await services.handlers.publish("nobody", {"text": "x" * 1_000})
        await run(services, "w")
    await services.executions.engine.views_caught_up()


async def test_messages_survive_as_segments_and_concern_no_view(tmp_path: Path) -> None:
    clock = clock_at(BEGIN)
    database = tmp_path / "a.db"
    for life in range(2):
        async with services_on(clock, database, settings=SMALL) as services:
            engine = services.executions.engine
            execution = await holding(services, f"holding{life}")
            for _ in range(30):
                await services.handlers.publish("s", {"text": "x" * 500})
            await until(partial(compacted, engine))
            assert engine.turns.quarantined == {}
            assert (await services.search.executions()).total == life + 1
    async with SqliteStore.open(database) as store:
        assert await store.find_faults() == []
        streams = {
            each.stream async for turns in store.read_turns(0) for turn in turns for each in turn.entries
        }
        streams.update(await store.segmented_streams())
        messages = [each for each in streams if each.startswith("messages:")]
        counted = sum(len(each) for each in (await store.read_streams(messages)).values())
        before = await store.list_executions()
        await rebuild_views(store)
        assert await store.list_executions() == before
    assert (len(messages), counted) == (2, 60)
    async with services_on(clock, database) as services:
        assert (await services.executions.get(execution))["status"] == "RUNNING"


def compacted(engine: Engine) -> bool:
    return engine.compaction.rounds > 0


async def test_more_messages_than_memory_keeps_are_read_from_the_journal(tmp_path: Path) -> None:
    clock = clock_at(BEGIN)
    async with services_on(clock, tmp_path / "a.db") as services:
        execution = await grow(services)
        await asyncio.gather(*(services.handlers.publish("s", {"n": number}) for number in range(1_500)))
        await clock.rest()
        found = await seen(services, execution)

    assert found == [*range(1_500)]


async def test_a_first_handler_gets_nothing_from_before(tmp_path: Path) -> None:
    clock = clock_at(BEGIN)
    async with services_on(clock, tmp_path / "a.db") as services:
        await services.executions.register_workflow(workflow("w"))
        await services.handlers.publish("s", {})
        await services.handlers.create(handler("h", "asyncflow:s", start("w")))
    async with services_on(clock, tmp_path / "a.db") as services:
        await clock.rest()

        assert await started(services) == 0
