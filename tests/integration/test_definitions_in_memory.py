"""Laws: a definition is in memory while somebody needs it, and comes back from the store for who does."""

from __future__ import annotations

import gc
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.app.service import Service, StartRequest
from asyncflow.model.events import MessageDelivered, MessageQueued
from asyncflow.model.turn import Turn
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine, EngineSettings
from asyncflow.store.records import Page
from asyncflow.store.sqlite import SqliteStore
from tests.integration.engine_support import waiting, workflow

FORGETFUL = EngineSettings(keep_ended=0)
WIDTH = 2_500


def only(name: str) -> JsonObject:
    return workflow(name, [{"name": name, "taskReferenceName": name, "type": "NOOP"}])


def wide(count: int) -> JsonObject:
    """A workflow of many children, with another to clean up after it."""
    fork: JsonObject = {
        "name": "fork",
        "taskReferenceName": "fork",
        "type": "FORK_JOIN_DYNAMIC",
        "inputParameters": {
            "forkTaskWorkflow": "leaf",
            "forkTaskInputs": [{"n": number} for number in range(count)],
        },
    }
    join: JsonObject = {"name": "join", "taskReferenceName": "join", "type": "JOIN"}
    return workflow("wide", [fork, join], failureWorkflow="cleanup")


class BreakingStore(SqliteStore):
    """A store that, once armed, takes no commit any more after one that puts a message into an outbox."""

    is_armed = is_broken = False

    async def append(self, turn: Turn) -> None:
        if self.is_broken:
            raise af.StoreError("out of order")
        await super().append(turn)
        events = [event for entry in turn.entries for event in entry.events]
        self.is_broken = self.is_armed and any(isinstance(event, MessageQueued) for event in events)


async def test_definition_leaves_memory_with_its_last_execution(tmp_path: Path) -> None:
    async with af.Engine(tmp_path / "a.db", settings=FORGETFUL) as engine:
        for index in range(20):
            await engine.run(only(f"only-{index}"))
        open_one = await engine.start(workflow("open", [waiting("w")]))
        await engine.run(only("last"))
        await engine.service.engine.views_caught_up()  # whose writer holds what it has not written
        gc.collect()
        names = {graph.definition.name for graph in engine.service.engine.catalog.graphs.values()}

        assert "open" in names
        assert names.isdisjoint({f"only-{index}" for index in range(20)})
        await open_one.signal("w")
        assert (await open_one.ended()).status == "COMPLETED"


async def test_execution_whose_definition_left_memory_is_restarted(tmp_path: Path) -> None:
    async with af.Engine(tmp_path / "a.db", settings=FORGETFUL) as engine:
        execution = await engine.start(only("inline"))
        await execution.ended()
        await engine.run(only("other"))
        await engine.run(only("another"))
        await engine.service.engine.views_caught_up()  # whose writer holds what it has not written
        gc.collect()
        known = {graph.definition.name for graph in engine.service.engine.catalog.graphs.values()}
        await execution.restart()
        state = await execution.ended()

        assert "inline" not in known
        assert state.status == "COMPLETED"
        assert [type(r.event).__name__ async for r in execution.events()].count("ExecutionRestarted") == 1


async def test_definition_that_comes_back_is_found_at_the_next_start(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    async with af.Engine(database, settings=FORGETFUL) as engine:
        for name in ("one", "two", "three"):
            await engine.run(only(name))
        await engine.service.engine.views_caught_up()  # whose writer holds what it has not written
        gc.collect()
        again = [await engine.start(workflow(name, [waiting("w")])) for name in ("one", "two")]
        await engine.run(only("one"))

    async with af.Engine(database) as engine:
        for each in again:
            await engine.execution(each.id).signal("w")
            assert (await engine.execution(each.id).ended()).status == "COMPLETED"


async def test_start_whose_caller_went_away_is_decided() -> None:
    async with af.Engine() as engine:
        start = engine.start(only("inline"))
        start.send(None)  # into the inbox
        start.close()
        gc.collect()
        other = await engine.start(only("other"))
        await other.ended()

        assert {state.name for state in engine.service.engine.turns.states.values()} == {"inline", "other"}


async def queued(store: SqliteStore) -> dict[str, int]:
    """How many messages each execution has queued and not delivered, durably."""
    found: dict[str, int] = {}
    async for turns in store.read_turns(0):
        for entry in (entry for turn in turns for entry in turn.entries):
            kinds = [type(event) for event in entry.events]
            change = kinds.count(MessageQueued) - kinds.count(MessageDelivered)
            found[entry.stream] = found.get(entry.stream, 0) + change
    return {stream: count for stream, count in found.items() if count}


async def break_at_the_end(store: BreakingStore) -> None:
    """Run the wide workflow and end it; the store breaks before what it sends has been delivered."""
    async with Engine(store) as engine:
        service = Service(engine)
        await service.register_task({"name": "cleanup"})  # bound, it is another one than registered
        for body in (workflow("leaf", [waiting("w")]), only("cleanup"), wide(WIDTH)):
            await service.register_workflow(body)
        parent = await service.start(StartRequest("wide"))
        store.is_armed = True
        await service.terminate(parent, "enough", failure_workflow=True)


async def test_queued_start_finds_its_definition_after_a_restart(tmp_path: Path) -> None:
    """The clean-up waits behind the stops of all children, and nothing else ever ran its definition."""
    database = tmp_path / "a.db"
    async with BreakingStore.open(database) as store:
        with pytest.raises(af.StoreError, match="out of order"):
            await break_at_the_end(store)
        left = await queued(store)
    async with SqliteStore.open(database) as reopened, Engine(reopened) as engine:
        while await queued(reopened):
            await engine.views_caught_up()
        await engine.views_caught_up()
        ran = [
            row.name for row in await reopened.list_executions((), Page(limit=-1)) if row.name == "cleanup"
        ]

    assert len(left) == 1
    assert ran == ["cleanup"]
