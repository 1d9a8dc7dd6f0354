"""How work is counted: facts, commits, rows, calls and bytes between a beginning and an end.

It knows no workload and judges nothing. What is counted is in `bench/counts.py`, the bounds are in
`tests/integration/test_counts.py`.
"""

from __future__ import annotations

import gc
import sqlite3
import sys
import tracemalloc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from asyncflow.model.turn import Turn
from asyncflow.runtime.engine import Engine

TABLES = ("turn", "segment", "execution", "task")


@dataclass(frozen=True, slots=True)
class Work:
    """What some steps cost, divided by their number.

    Attributes:
        events: recorded facts.
        turns: commits; how many depends on how long one takes, unlike the rest.
        rows: rows in the file when the views had caught up.
        python_calls: functions of Python entered on the loop's thread, coroutines resumed included.
        builtin_calls: functions written in C that were called there.
        left: bytes of memory that were taken meanwhile and not given back, all threads, with no garbage
            collected: what is kept of steps, and what they leave in cycles. What is taken at most
            meanwhile follows how far the disk is behind, and is not counted.
    """

    events: float
    turns: float
    rows: float
    python_calls: float
    builtin_calls: float
    left: float


class Counting:
    """What was counted of an engine's work between the beginning and the end."""

    def __init__(self) -> None:
        """Nothing was."""
        self.turns: list[Turn] = []
        self.python = self.builtin = self.left = 0

    def seen(self, _frame: FrameType, event: str, _argument: object) -> None:
        """Something was called, or returned."""
        if event == "call":
            self.python += 1
        elif event == "c_call":
            self.builtin += 1

    def work(self, database: Path, steps: int) -> Work:
        """The same by step, with the rows that are in the file now."""
        with closing(sqlite3.connect(database)) as connection:
            counts = [connection.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in TABLES]
        events = sum(len(entry.events) for turn in self.turns for entry in turn.entries)
        found = (events, len(self.turns), sum(counts), self.python, self.builtin, self.left)
        return Work(*(count / steps for count in found))


@asynccontextmanager
async def counting(engine: Engine) -> AsyncIterator[Counting]:
    """Count until the block is over and the views have caught up with what it did."""
    counted = Counting()
    engine.turns.listeners.append(lambda _, turn: counted.turns.append(turn))
    gc.collect()
    gc.disable()
    tracemalloc.start()
    sys.setprofile(counted.seen)
    try:
        yield counted
        await engine.views_caught_up()
    finally:
        sys.setprofile(None)
        counted.left = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        gc.enable()
