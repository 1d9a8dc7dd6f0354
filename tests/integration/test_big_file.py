"""Law: a start reads nothing of what has ended, and what is removed goes in small turns."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from asyncflow.app.build import open_engine
from asyncflow.app.execution_sweep import ExecutionSweep
from asyncflow.model.turn import Recorded, Turn
from asyncflow.store.sqlite import SqliteStore
from bench.big_file import OLD, fill

EXECUTIONS = 600


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    await fill(tmp_path / "big.db", EXECUTIONS)
    return tmp_path / "big.db"


@pytest.mark.scenario("R73")
async def test_start_reads_no_history_of_what_has_ended(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    original = SqliteStore.read_streams

    async def counted(
        store: SqliteStore, streams: Sequence[str], *, segments_only: bool = False
    ) -> dict[str, list[Recorded]]:
        read.extend(streams)
        return await original(store, streams, segments_only=segments_only)

    monkeypatch.setattr(SqliteStore, "read_streams", counted)
    async with open_engine(path) as (engine, _):
        assert not engine.turns.states

    assert set(read) <= {"catalog"}


@pytest.mark.scenario("R73", "R37")
async def test_old_executions_are_removed_in_small_turns(path: Path) -> None:
    turns: list[Turn] = []
    async with open_engine(path) as (engine, store):
        engine.turns.listeners.append(lambda _, record: turns.append(record))
        removed = await ExecutionSweep(engine, store, OLD).sweep()
        left = await store.count_executions()

    assert (removed, left) == (EXECUTIONS, 0)
    assert max(len(turn.removed) for turn in turns) <= 50
