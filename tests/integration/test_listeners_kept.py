"""The journal keeps what listeners have still to be told, from an engine's first moment to its last."""

from __future__ import annotations

from pathlib import Path

from asyncflow.app.build import open_engine
from asyncflow.app.options import EngineSettings
from asyncflow.runtime.engine import Engine
from tests.integration.listener_support import Ear, heard_by, ran
from tests.integration.waiting import until

SMALL = EngineSettings(turn_log_bytes=2_000, keep_ended=1)


async def fallen_behind(file: Path) -> None:
    """Leave a file of many turns, of which a listener took none."""
    deaf = Ear()
    deaf.refuses = {"task.completed"}
    async with heard_by(
        deaf, database=file, more=SMALL, patterns=("task.completed",), retries=10**6
    ) as services:
        for _ in range(20):
            await ran(services)


async def first_turn(engine: Engine) -> int:
    return (await engine._store.recover()).first_turn


async def compacted(engine: Engine) -> None:
    """One more round has gone by since."""
    rounds = engine.compaction.rounds
    engine.compaction._wake.set()
    await until(lambda: engine.compaction.rounds > rounds)


async def test_no_turn_goes_before_readers_have_said_what_they_need(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    await fallen_behind(file)
    async with open_engine(file, settings=SMALL) as (engine, _):
        before = await first_turn(engine)
        await compacted(engine)

        assert await first_turn(engine) == before
        engine.compaction.release()
        await compacted(engine)
        assert await first_turn(engine) > before


async def test_turns_stay_while_listeners_are_being_closed(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    ear = Ear()
    ear.refuses = {"task.completed"}
    async with heard_by(
        ear, database=file, more=SMALL, patterns=("task.completed",), retries=10**6
    ) as services:
        for _ in range(20):
            await ran(services)
        engine = services.executions.engine
        await compacted(engine)
        needed = await first_turn(engine)
        await services.listeners.close()
        await compacted(engine)

        assert await first_turn(engine) == needed


async def test_listeners_that_are_told_together_store_their_places(tmp_path: Path) -> None:
    file = tmp_path / "a.db"
    ears = [Ear(f"ear-{number}") for number in range(40)]
    async with heard_by(*ears, database=file, patterns=("execution.completed",)) as services:
        execution = await ran(services)
        await until(lambda: all(ear.heard for ear in ears))
    again = [Ear(f"ear-{number}") for number in range(40)]
    async with heard_by(*again, database=file, patterns=("execution.completed",)) as services:
        later = await ran(services)
        await until(lambda: all(ear.heard for ear in again))

    assert [[event.subject for event in ear.heard] for ear in ears] == [[execution]] * 40
    assert [[event.subject for event in ear.heard] for ear in again] == [[later]] * 40
