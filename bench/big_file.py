"""A large database: how long a start takes, and how commands fare while old executions are removed.

One execution is run, and its history, rows and tasks are written again and again under new ids, as so many
ended ones would have left them; others wait. `python -m bench.big_file [--executions N] [--open N]` prints
the table; the targets are 5 s for a start, whatever has ended, and 100 ms for the slowest commit in a
hundred.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from urllib.request import urlopen

from asyncflow.app.build import open_engine
from asyncflow.app.execution_sweep import ExecutionSweep
from asyncflow.app.identities import draw_execution_id
from asyncflow.app.service import Service, StartRequest
from asyncflow.ids import task_id
from asyncflow.model.definition import parse_workflow
from asyncflow.model.retention import ExecutionRetention, Kept
from asyncflow.store.records import ExecutionRow
from asyncflow.store.writing import segment_crc
from bench.floors import on_uvloop
from bench.lean_client import ServerProcess, server

TASKS = 10
OLD_DAYS = 10
_DAY_MS = 86_400_000
_BATCH = 2_000
_AT_ONCE = 1_000
_TIMES = 5
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


async def fill(path: Path, executions: int, *, waiting: int = 0) -> None:
    """Make a file with so many executions that ended days ago, and so many that wait for a signal."""
    async with open_engine(path) as (engine, _):
        stream = await Service(engine).start(StartRequest(definition=parse_workflow(ENDED)))
        await Service(engine).ended(stream)
        await engine.compaction.compact()
        await engine.views_caught_up()
    await asyncio.to_thread(_multiply, path, stream, executions - 1)
    async with open_engine(path) as (engine, _):
        start = StartRequest(definition=parse_workflow(WAITS))
        for first in range(0, waiting, _AT_ONCE):
            count = min(_AT_ONCE, waiting - first)
            await asyncio.gather(*(Service(engine).start(start) for _ in range(count)))


def _multiply(path: Path, stream: str, count: int) -> None:
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("PRAGMA cache_size = -1000000")
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
            _insert(db, "execution", [_as_of(name, execution) for name in names])
            _insert(db, "task", [(task_id(n, task[2]), n, *task[2:]) for n in names for task in tasks])
            db.commit()


def _as_of(name: str, execution: Row) -> Row:
    """The row under another id, begun at the moment that the id is of."""
    began = int(name[:8] + name[9:13], 16)
    row = ExecutionRow._make(execution)
    moved = {time: getattr(row, time) + began for time in ("started_at_ms", "updated_at_ms", "ended_at_ms")}
    return row._replace(execution_id=name, **moved)


def _names(count: int) -> Iterator[list[str]]:
    for start in range(0, count, _BATCH):
        # A millisecond apart, as those of executions that were started one after the other.
        yield [draw_execution_id(start + each) for each in range(min(_BATCH, count - start))]


def _insert(db: sqlite3.Connection, table: str, rows: Sequence[Row]) -> None:
    marks = ", ".join("?" * len(rows[0]))
    db.executemany(f"INSERT INTO {table} VALUES ({marks})", rows)


READS = {
    "a status": "/api/workflow/{open}?includeTasks=false",
    "an ended execution with its tasks": "/api/workflow/{ended}",
    "the newest": "/api/workflow/search?size=100&sort=startTime:DESC",
    "of a workflow, page 100": "/api/workflow/search?size=100&start=9900&query=workflowType%20%3D%20'ended'",
    "the running": "/api/workflow/search?size=100&query=status%20%3D%20'RUNNING'",
    "the failed": "/api/workflow/search?size=100&query=status%20%3D%20'FAILED'",
    "running by name": "/api/workflow/running/waits",
    "by correlation id": "/api/workflow/ended/correlated/none",
    "a free text": "/api/workflow/search?size=100&freeText=nothing",
    "tasks of an execution": "/api/tasks/search-v2?size=100&query=workflowId%20%3D%20'{ended}'",
    "what is open": "/api/asyncflow/overview",
    "health": "/health",
    "metrics": "/metrics",
}
"""What an operator asks; each answer may take as long as is in proportion to what it shows."""


def reads(service: ServerProcess) -> Iterator[str]:
    """How long each answer takes: the first brings pages into memory, the others find them there."""
    root = f"http://127.0.0.1:{service.port}"
    found = {kind: _newest(root, status) for kind, status in (("open", "RUNNING"), ("ended", "COMPLETED"))}
    for name, path in READS.items():
        first, *others = [_taken_s(root + path.format(**found)) for _ in range(_TIMES)]
        yield f"read {name}: first {first * 1e3:.1f} ms, then {sorted(others)[len(others) // 2] * 1e3:.1f}"


def _newest(root: str, status: str) -> str:
    with urlopen(f"{root}/api/workflow/search?size=1&query=status%3D{status}") as answer:
        rows = json.load(answer)["results"]
    return str(rows[0]["workflowId"]) if rows else "none"


def _taken_s(url: str) -> float:
    began_s = time.perf_counter()
    with urlopen(url) as answer:
        answer.read()
    return time.perf_counter() - began_s


def served(path: Path) -> list[str]:
    """A server on the file: until it is ready, what it used by then, and how long reads take."""
    began_s = time.perf_counter()
    with server(path.parent, "asyncflow", "serve", "--port", "0", "--db", str(path)) as service:
        ready_s = time.perf_counter() - began_s
        used = f"{service.cpu_s():.2f} s of CPU, {service.rss_kb() / 1024:.0f} MB"
        return [f"start of a server: ready after {ready_s:.2f} s, {used}", *reads(service)]


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


async def measure(executions: int, seconds: float, *, waiting: int, folder: Path | None) -> str:
    """The table."""
    with tempfile.TemporaryDirectory(dir=folder) as place:
        path = Path(place) / "big.db"
        await fill(path, executions, waiting=waiting)
        size, lines = path.stat().st_size, await asyncio.to_thread(served, path)
        removed, taken = await sweep(path, seconds)
    rate, half, worst = removed / seconds, taken[len(taken) // 2], taken[len(taken) * 99 // 100]
    return "\n".join(
        (
            f"{executions:,} ended executions of {TASKS} tasks, {waiting:,} that wait: {size / 1e9:.2f} GB",
            *lines,
            f"removed beside {len(taken)} commands: {removed} ({rate:.0f}/s)",
            f"command: p50 {half * 1e3:.1f} ms, p99 {worst * 1e3:.1f} ms, slowest {taken[-1] * 1e3:.1f} ms\n",
        )
    )


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--executions", type=int, default=100_000, help="that have ended, of ten tasks each")
    parser.add_argument("--open", type=int, default=0, help="that wait")
    parser.add_argument("--seconds", type=float, default=20, help="for which retention is watched")
    parser.add_argument("--folder", type=Path, help="where the file is made; 3 KB an ended execution")
    given = parser.parse_args()
    if given.folder is not None:
        given.folder.mkdir(parents=True, exist_ok=True)
    work = partial(measure, given.executions, given.seconds, waiting=given.open, folder=given.folder)
    sys.stdout.write(on_uvloop(work))


if __name__ == "__main__":
    main()
