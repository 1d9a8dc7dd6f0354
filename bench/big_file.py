"""A large database: how long a start takes, and how commands fare while old executions are removed.

One execution is run, and its history, rows and tasks are written again and again under new ids, as so many
ended ones would have left them. `python -m bench.big_file [--executions N]` prints the table; the targets are
5 s for a start and 100 ms for the slowest commit in a hundred.
"""

from __future__ import annotations

import argparse
import asyncio
import sqlite3
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from asyncflow.app.build import open_engine
from asyncflow.app.execution_sweep import ExecutionSweep
from asyncflow.app.service import Service, StartRequest
from asyncflow.ids import task_id
from asyncflow.model.definition import parse_workflow
from asyncflow.model.retention import ExecutionRetention, Kept
from asyncflow.store.writing import segment_crc
from bench.floors import on_uvloop

TASKS = 10
OLD_DAYS = 10
_DAY_MS = 86_400_000
_BATCH = 2_000
ENDED: dict[str, object] = {
    "name": "ended",
    "version": 1,
    "tasks": [
        {
            "name": f"t{n}",
            "taskReferenceName": f"t{n}",
            "type": "SET_VARIABLE",
            "inputParameters": {f"v{n}": n},
        }
        for n in range(TASKS)
    ],
}
WAITS: dict[str, object] = {
    "name": "waits",
    "version": 1,
    "tasks": [{"name": "wait", "taskReferenceName": "wait", "type": "WAIT"}],
}
OLD = ExecutionRetention(workflows={"ended": Kept(days=OLD_DAYS / 2)})

Row = tuple[object, ...]


async def fill(path: Path, executions: int) -> None:
    """Make a file with so many executions that ended days ago."""
    async with open_engine(path) as (engine, _):
        stream = await Service(engine).start(StartRequest(definition=parse_workflow(ENDED)))
        await Service(engine).ended(stream)
        await engine.compaction.compact()
        await engine.views_caught_up()
    await asyncio.to_thread(_multiply, path, stream, executions - 1)


def _multiply(path: Path, stream: str, count: int) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA synchronous = OFF")
        age = OLD_DAYS * _DAY_MS
        db.execute(
            "UPDATE execution SET started_at_ms = started_at_ms - ?, ended_at_ms = ended_at_ms - ?",
            (age, age),
        )
        ((from_seq, to_seq, is_open, _, body),) = db.execute(
            "SELECT from_seq, to_seq, open, crc, body FROM segment WHERE stream = ?", (stream,)
        ).fetchall()
        execution = db.execute("SELECT * FROM execution WHERE execution_id = ?", (stream,)).fetchone()
        tasks = db.execute("SELECT * FROM task WHERE execution_id = ?", (stream,)).fetchall()
        for names in _names(count):
            segments = [
                (n, from_seq, to_seq, is_open, segment_crc(n, from_seq, to_seq, body), body) for n in names
            ]
            _insert(db, "segment", segments)
            _insert(db, "execution", [(name, *execution[1:]) for name in names])
            _insert(db, "task", [(task_id(n, task[2]), n, *task[2:]) for n in names for task in tasks])
            db.commit()


def _names(count: int) -> Iterator[list[str]]:
    for start in range(0, count, _BATCH):
        yield [str(uuid.uuid4()) for _ in range(min(_BATCH, count - start))]


def _insert(db: sqlite3.Connection, table: str, rows: Sequence[Row]) -> None:
    marks = ", ".join("?" * len(rows[0]))
    db.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)


async def start_s(path: Path) -> float:
    """Seconds until an engine on the file takes work."""
    began_s = time.perf_counter()
    async with open_engine(path):
        return time.perf_counter() - began_s


async def sweep(path: Path, seconds: float) -> tuple[int, list[float]]:
    """How many executions were removed meanwhile, and how long each command took beside that."""
    taken: list[float] = []
    async with open_engine(path) as (engine, store):
        service = Service(engine)
        stream = await service.start(StartRequest(definition=parse_workflow(WAITS)))
        work = ExecutionSweep(engine, store, OLD)
        sweeping = asyncio.ensure_future(work.sweep())
        ends_s = time.perf_counter() + seconds
        while time.perf_counter() < ends_s and not sweeping.done():
            began_s = time.perf_counter()
            await service.set_variables(stream, {"at": len(taken)})
            taken.append(time.perf_counter() - began_s)
        sweeping.cancel()
        await asyncio.wait((sweeping,))
    return work.removed, sorted(taken)


async def measure(executions: int, seconds: float) -> str:
    """The table."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "big.db"
        await fill(path, executions)
        size, started_s = path.stat().st_size, await start_s(path)
        removed, taken = await sweep(path, seconds)
    rate, half, worst = removed / seconds, taken[len(taken) // 2], taken[len(taken) * 99 // 100]
    return (
        f"{executions:,} ended executions, {executions * TASKS:,} tasks, {size / 1e9:.2f} GB\n"
        f"start: {started_s:.2f} s\n"
        f"removed beside {len(taken)} commands: {removed} ({rate:.0f}/s)\n"
        f"command: p50 {half * 1e3:.1f} ms, p99 {worst * 1e3:.1f} ms, slowest {taken[-1] * 1e3:.1f} ms\n"
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=100_000)
    parser.add_argument("--seconds", type=float, default=20)
    given = parser.parse_args()
    sys.stdout.write(on_uvloop(partial(measure, given.executions, given.seconds)))


if __name__ == "__main__":
    main()
