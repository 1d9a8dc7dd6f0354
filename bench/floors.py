"""The floors: what the loop alone, and the loop with the simplest durable writer, do on this machine.

Nothing of asyncflow may be imported here: a floor that grew with the engine would measure nothing.
The cases are divided into by the workloads; `bench/README.md` says what each floor stands for.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import statistics
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import TypeVar

import uvloop

from bench.harness import Case, Measured

STEPS_PER_WORKFLOW = 5
ROW_BYTES = 300
Item = tuple[str, "asyncio.Future[None]"]
T = TypeVar("T")


def on_uvloop(main: Callable[[], Coroutine[object, object, T]]) -> T:
    """Run a coroutine function to its end on a new uvloop, as the engine's own entry point does."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(main())


def bare_steps(*, workflows: int = 20_000, outstanding: int = 100) -> float:
    """F1: steps per second of workflows of five no-op steps, an asyncio task a step, nothing stored.

    Args:
        workflows: how many run in all; the default takes about a quarter of a second.
        outstanding: how many run at once.
    """
    return on_uvloop(lambda: _bare(workflows, outstanding))


def durable_steps(folder: Path, *, steps: int = 50_000, outstanding: int = 100) -> Measured:
    """F2: steps per second where each step is one stored row and waits for the commit that holds it.

    One thread owns the connection. It commits whatever had come in when it was last free, and a commit
    is fsynced (WAL, `synchronous=FULL`). The detail names the commit's median and the rows in one.

    Args:
        folder: an empty folder on the disk to be measured.
        steps: rows in all.
        outstanding: how many steps wait at once; the next begins when one was acknowledged.
    """
    return on_uvloop(lambda: _durable(folder / "floor.db", steps, outstanding))


async def _bare(workflows: int, outstanding: int) -> float:
    remaining = iter(range(workflows))

    async def step() -> None:
        return None

    async def lane() -> None:
        for _workflow in remaining:
            for _ in range(STEPS_PER_WORKFLOW):
                await asyncio.create_task(step())

    began = time.perf_counter()
    await asyncio.gather(*(lane() for _ in range(outstanding)))
    return workflows * STEPS_PER_WORKFLOW / (time.perf_counter() - began)


class GroupCommit:
    """A thread that commits batches, and the loop's half: rows that came in while it was busy."""

    def __init__(self, file: Path) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = _open(file)
        self._batches: queue.SimpleQueue[list[Item] | None] = queue.SimpleQueue()
        self._waiting: list[Item] = []
        self._busy = False
        self.commit_seconds: list[float] = []
        self._thread = threading.Thread(target=self._write, daemon=True)
        self._thread.start()

    async def store(self, body: str) -> None:
        """Return when the row is on disk."""
        acknowledged = self._loop.create_future()
        self._waiting.append((body, acknowledged))
        if not self._busy:  # the rest of this tick joins the batch
            self._busy = True
            self._loop.call_soon(self._hand_over)
        await acknowledged

    def close(self) -> None:
        """Commit what there is, and end the thread."""
        self._batches.put(None)
        self._thread.join()

    def _hand_over(self) -> None:
        self._batches.put(self._waiting)
        self._waiting = []

    def _acknowledge(self, batch: list[Item], error: BaseException | None) -> None:
        for _, acknowledged in batch:
            if acknowledged.done():  # whoever waited has gone
                continue
            if error is None:
                acknowledged.set_result(None)
            else:
                acknowledged.set_exception(error)
        self._busy = bool(self._waiting)
        if self._busy:
            self._hand_over()

    def _write(self) -> None:
        connection = self._connection
        while (batch := self._batches.get()) is not None:
            began = time.perf_counter()
            error: BaseException | None = None
            try:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("INSERT INTO step (body) VALUES (?)", [(body,) for body, _ in batch])
                connection.execute("COMMIT")
            except sqlite3.Error as fault:
                error = fault
            self.commit_seconds.append(time.perf_counter() - began)
            self._loop.call_soon_threadsafe(self._acknowledge, batch, error)
        connection.close()


def _open(file: Path) -> sqlite3.Connection:
    # opened on the loop's thread, so that a fault is raised where the caller sees it; used by one thread
    connection = sqlite3.connect(file, isolation_level=None, check_same_thread=False)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute("PRAGMA synchronous=FULL")
    connection.execute("PRAGMA wal_autocheckpoint=8000")
    connection.execute("CREATE TABLE step (id INTEGER PRIMARY KEY, body TEXT NOT NULL)")
    return connection


async def _durable(file: Path, steps: int, outstanding: int) -> Measured:
    remaining = iter(range(steps))
    writer = GroupCommit(file)

    async def lane() -> None:
        for number in remaining:
            await writer.store(f"{number:0{ROW_BYTES}d}")

    await writer.store("0" * ROW_BYTES)  # the file exists, the thread runs
    writer.commit_seconds.clear()
    began = time.perf_counter()
    try:
        await asyncio.gather(*(lane() for _ in range(outstanding)))
        rate = steps / (time.perf_counter() - began)
    finally:
        writer.close()
    commits = writer.commit_seconds
    detail = {"commit_p50_ms": statistics.median(commits) * 1e3, "rows_per_commit": steps / len(commits)}
    return Measured(rate, detail)


CASES = (
    Case("F1", "steps/s", lambda _folder: Measured(bare_steps()), seconds=1),
    Case("F2-100", "steps/s", durable_steps),
    Case("F2-1000", "steps/s", lambda folder: durable_steps(folder, steps=200_000, outstanding=1000)),
)
