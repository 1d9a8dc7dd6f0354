"""Laws: made into segments, a history is what it was, for starts and for loads, and the log stays short."""

from __future__ import annotations

from pathlib import Path

import asyncflow as af
from asyncflow.decide.render import render_execution
from asyncflow.model.turn import Recorded
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import EngineSettings
from asyncflow.store.sqlite import SqliteStore
from tests.integration.engine_support import noop, simple, waiting, workflow
from tests.integration.waiting import until

SMALL = EngineSettings(turn_log_bytes=20_000, keep_ended=2)
STEPS = workflow("steps", [simple("noop", ref=f"n{number}") for number in range(5)])
OPEN = workflow("open", [simple("noop"), waiting("w"), simple("noop", ref="last")])


async def history_of(engine: af.Engine, execution: str) -> list[Recorded]:
    store = engine.service.engine.reading._journal
    return (await store.read_streams([execution]))[execution]


async def test_log_stays_short_and_histories_stay_whole(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    async with af.Engine(database, tasks=[noop], settings=SMALL, durability="normal") as engine:
        open_one = await engine.start(OPEN)
        ended = [(await engine.start(STEPS)) for _ in range(150)]
        for execution in ended:
            await execution.result()
        parts = engine.service.engine
        await parts.views_caught_up()
        await parts.compaction._measure()

        def is_short() -> bool:
            parts.compaction._wake.set()  # its own coroutine compacts: two would meet
            return parts.compaction.turn_bytes <= 40_000

        await until(is_short)
        first, last = await history_of(engine, ended[0].id), await history_of(engine, ended[-1].id)
        shown = await engine.execution(ended[0].id).get()
        rounds = parts.compaction.rounds

    async with af.Engine(database, tasks=[noop], settings=SMALL) as engine:
        again = await history_of(engine, ended[0].id)
        state = await engine.service.engine.state(ended[0].id)
        is_live = open_one.id in engine.service.engine.turns.states
        await engine.execution(open_one.id).signal("w")
        end = await engine.execution(open_one.id).ended()

    assert rounds > 0
    assert [r.seq for r in first] == list(range(1, len(first) + 1))
    assert [type(r.event) for r in first] == [type(r.event) for r in last]
    assert again == first
    assert render_execution(state) == shown
    assert is_live
    assert end.status == "COMPLETED"
    async with SqliteStore.open(database) as store:
        assert await store.find_faults() == []


async def test_large_execution_gets_segments_when_it_ends(tmp_path: Path) -> None:
    fork: JsonObject = {
        "name": "fork",
        "taskReferenceName": "fork",
        "type": "FORK_JOIN_DYNAMIC",
        "inputParameters": {"forkTaskName": "noop", "forkTaskInputs": [{} for _ in range(1_100)]},
    }
    join: JsonObject = {"name": "join", "taskReferenceName": "join", "type": "JOIN"}
    database = tmp_path / "a.db"
    async with af.Engine(database, tasks=[noop], durability="normal") as engine:
        execution = await engine.start(workflow("wide", [fork, join]))
        state = await execution.ended()
        seq = state.seq
        compaction = engine.service.engine.compaction
        while compaction._ended or not compaction._at_rest.is_set():
            await history_of(engine, execution.id)

    async with SqliteStore.open(database) as store:
        segments = (await store.read_streams([execution.id], segments_only=True))[execution.id]
        position = await store.recover()
    assert seq > 1_000
    assert [recorded.seq for recorded in segments] == list(range(1, seq + 1))
    assert execution.id not in position.open_streams
