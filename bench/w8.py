"""W8: reads beside work, and more workers for the same work, over HTTP.

The workload is that of `w6/rest-steps-20`, with 500 reads of executions a second beside it; and tasks of
10 ms that one and eight workers take one at a time, with an update that gives the next.
"""

from __future__ import annotations

import asyncio
import json
import time
from pathlib import Path

from bench import w6
from bench.floors import on_uvloop
from bench.harness import Case, Measured, when_asked
from bench.lean_client import Link, asyncflow_server, server

READS_A_SECOND = 500
TASK_S = 0.010
TASKS = 400
ONE = {
    "name": "chain",
    "version": 1,
    "tasks": [{"name": "step", "taskReferenceName": "step", "type": "SIMPLE"}],
}


async def _read(port: int, execution: str, over: asyncio.Event, reads: list[int]) -> None:
    """Read one execution again and again, in step with the clock."""
    async with Link(port) as link:
        due = time.perf_counter()
        while not over.is_set():
            await link.ask("GET", f"/api/workflow/{execution}?includeTasks=false")
            reads[0] += 1
            due = max(due + 10 / READS_A_SECOND, time.perf_counter() - 0.1)
            await asyncio.sleep(max(0, due - time.perf_counter()))


async def _steps_beside_reads(port: int, *, readers: int) -> tuple[float, float]:
    """Steps a second, and reads a second."""
    async with Link(port) as link:
        await link.json("POST", "/api/metadata/workflow", w6.WAITING)
        execution = (await link.ask("POST", "/api/workflow", w6.START)).decode()
    reads, over = [0], asyncio.Event()
    reading = [asyncio.ensure_future(_read(port, execution, over, reads)) for _ in range(readers)]
    began = time.perf_counter()
    rate = await w6.steps_done(port, workers=20)
    took_s = time.perf_counter() - began
    over.set()
    await asyncio.gather(*reading)
    return rate, reads[0] / took_s


def beside_reads(folder: Path, *, readers: int) -> Measured:
    """Steps a second while so many clients read fifty times a second each."""
    where, command = asyncflow_server(folder)
    with server(where, *command) as running:
        rate, reads = on_uvloop(lambda: _steps_beside_reads(running.port, readers=readers))
    return Measured(rate, {"reads_per_s": reads})


async def _slow_worker(port: int, worker: int, left: list[int]) -> None:
    """Take one task at a time, work 10 ms on it, report it and take the next."""
    async with Link(port) as link:
        poll = f"/api/tasks/poll/batch/step?count=1&timeout=1000&workerid=w{worker}"
        while left[0] > 0:
            tasks = await link.json("GET", poll)
            assert isinstance(tasks, list)
            for task in tasks:
                left[0] -= 1
                await asyncio.sleep(TASK_S)
                known = {key: task[key] for key in ("workflowInstanceId", "taskId")}
                await link.ask("POST", "/api/tasks", json.dumps({**known, "status": "COMPLETED"}).encode())


async def _slow_rate(port: int, workers: int) -> float:
    async with Link(port) as link:
        await link.json("POST", "/api/metadata/workflow", ONE)
        start = {"name": "chain", "version": 1}
        for _ in range(TASKS // w6.BULK + 1):
            await link.json("POST", "/api/asyncflow/workflow/bulk/start", [start] * w6.BULK)
    left = [TASKS]
    began = time.perf_counter()
    await asyncio.gather(*(_slow_worker(port, worker, left) for worker in range(workers)))
    return TASKS / (time.perf_counter() - began)


def slow_tasks(folder: Path, *, workers: int) -> Measured:
    """Tasks of 10 ms a second."""
    where, command = asyncflow_server(folder)
    with server(where, *command) as running:
        return Measured(on_uvloop(lambda: _slow_rate(running.port, workers)))


CASES = when_asked(
    6,
    Case("no-reads", "steps/s", lambda f: beside_reads(f, readers=0)),
    Case("reads-500", "steps/s", lambda f: beside_reads(f, readers=10), floor="w8/no-reads", target=0.95),
    Case("slow-1", "tasks/s", lambda f: slow_tasks(f, workers=1)),
    Case("slow-8", "tasks/s", lambda f: slow_tasks(f, workers=8), floor="w8/slow-1", target=7),
)
