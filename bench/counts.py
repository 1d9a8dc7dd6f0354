"""Counts in place of times: what a step and a record cost, the same on a busy machine as on a quiet one.

It measures no speed and judges nothing: `tests/integration/test_counts.py` holds the bounds, the
workloads with a clock are `w1.py` and `w2.py`. `python -m bench.counts` prints the table.
"""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import sys
import tempfile
import tracemalloc
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from types import FrameType

import asyncflow as af
from asyncflow.model.turn import Turn
from bench.floors import on_uvloop
from bench.harness import number
from bench.w1 import STEPS, chain
from bench.w2 import FAN_OUT, branch

HELD: dict[str, object] = {
    "name": "held",
    "tasks": [{"name": "human", "taskReferenceName": "human", "type": "HUMAN"}],
}
HELD_FORK: dict[str, object] = {
    **FAN_OUT,
    "name": "held_fork",
    "tasks": [
        {
            "name": "fork",
            "taskReferenceName": "fork",
            "type": "FORK_JOIN_DYNAMIC",
            "inputParameters": {
                "forkTaskName": "nobody",
                "forkTaskType": "SIMPLE",
                "forkTaskInputs": "${workflow.input.items}",
            },
        },
        {"name": "join", "taskReferenceName": "join", "type": "JOIN"},
    ],
}


@dataclass(frozen=True, slots=True)
class Work:
    """What some steps cost, divided by their number.

    Attributes:
        events: recorded facts.
        turns: commits; how many depends on how long one takes, unlike the rest.
        rows: rows in the file when the views had caught up.
        python_calls: functions of Python entered on the loop's thread, coroutines resumed included.
        builtin_calls: functions written in C that were called there.
    """

    events: float
    turns: float
    rows: float
    python_calls: float
    builtin_calls: float


class _Calls:
    """Counts calls of its own thread between `begin` and `end`."""

    def __init__(self) -> None:
        self.python = self.builtin = 0

    def begin(self) -> None:
        sys.setprofile(self._seen)

    def end(self) -> None:
        sys.setprofile(None)

    def _seen(self, _frame: FrameType, event: str, _argument: object) -> None:
        if event == "call":
            self.python += 1
        elif event == "c_call":
            self.builtin += 1


async def _run(engine: af.Engine, name: str, given: dict[str, object]) -> None:
    await (await engine.start(name, given)).result()


async def _work(
    folder: Path, definition: af.Workflow | dict[str, object], given: dict[str, object], *, starts: int
) -> tuple[_Calls, list[Turn]]:
    """Start executions at once and see them end, and the views catch up."""
    calls, turns = _Calls(), list[Turn]()
    name = definition.name if isinstance(definition, af.Workflow) else str(definition["name"])
    async with af.Engine(folder / "counts.db", tasks=[branch]) as engine:
        await engine.register(definition)
        await _run(engine, name, given)  # what is done once is done now
        inner = engine.service.engine
        inner.turns.listeners.append(lambda _, turn: turns.append(turn))
        calls.begin()
        async with asyncio.TaskGroup() as group:
            for _ in range(starts):
                group.create_task(_run(engine, name, given))
        await inner.views_caught_up()
        calls.end()
    return calls, turns


def _divided(folder: Path, calls: _Calls, turns: list[Turn], *, steps: int) -> Work:
    with closing(sqlite3.connect(folder / "counts.db")) as connection:
        rows = sum(
            connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0]
            for table in ("turn", "segment", "execution", "task")
        )
    events = sum(len(entry.events) for turn in turns for entry in turn.entries)
    return Work(events / steps, len(turns) / steps, rows / steps, calls.python / steps, calls.builtin / steps)


def chain_of_steps(folder: Path, *, workflows: int = 200) -> Work:
    """W1's shape, by step: workflows of five no-op steps, all at once."""
    calls, turns = on_uvloop(lambda: _work(folder, chain(), {}, starts=workflows))
    return _divided(folder, calls, turns, steps=workflows * STEPS)


def fork_and_join(folder: Path, *, width: int = 2_000) -> Work:
    """W2's shape, by branch: one workflow that fans out to no-op tasks, and joins."""
    calls, turns = on_uvloop(lambda: _work(folder, FAN_OUT, {"items": [{}] * width}, starts=1))
    return _divided(folder, calls, turns, steps=width)


async def _held(folder: Path, definition: dict[str, object], given: dict[str, object], starts: int) -> int:
    """Bytes that executions take which wait for somebody, once their rows are written."""
    name = str(definition["name"])
    async with af.Engine(folder / "held.db") as engine:
        await engine.register(definition)
        await engine.start(name, {"items": []})
        inner = engine.service.engine
        await inner.views_caught_up()
        gc.collect()
        tracemalloc.start()
        async with asyncio.TaskGroup() as group:
            for _ in range(starts):
                group.create_task(engine.start(name, given))
        await inner.views_caught_up()
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return kept


def bytes_of_an_execution(folder: Path, *, executions: int = 1_000) -> float:
    """Memory that an execution takes which waits in its only task, with all that is kept for it."""
    return on_uvloop(lambda: _held(folder, HELD, {}, executions)) / executions


def bytes_of_a_branch(folder: Path, *, width: int = 5_000) -> float:
    """Memory that a branch of a wide fork takes which is offered to workers."""
    return on_uvloop(lambda: _held(folder, HELD_FORK, {"items": [{}] * width}, 1)) / width


def main() -> None:
    """Print all counts."""

    def measured(count: Callable[[Path], Work | float]) -> Work | float:
        with tempfile.TemporaryDirectory() as folder:
            return count(Path(folder))

    for count in (chain_of_steps, fork_and_join):
        work = measured(count)
        assert isinstance(work, Work)  # these two give it
        print(f"{count.__name__}: " + "  ".join(f"{key}={number(v)}" for key, v in asdict(work).items()))
    for size in (bytes_of_an_execution, bytes_of_a_branch):
        kept = measured(size)
        assert isinstance(kept, float)  # these two give it
        print(f"{size.__name__}: {number(kept)}")


if __name__ == "__main__":
    main()
