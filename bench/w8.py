"""W8: reads beside work, and more workers for the same work, over HTTP.

The workload is that of `w6/rest-steps-20`, with 500 reads of a status a second beside it and without, by
turns; and tasks of 10 ms that one and eight workers take one at a time, with an update that gives the next.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

from bench import w6
from bench.floors import on_uvloop
from bench.harness import Case, Measured, when_asked
from bench.lean_client import Link, ServerProcess, asyncflow_server, server

READS_A_SECOND = 500
READERS = 10
PAIRS = 6
ALONE_S = 4.0
TASK_S = 0.010
TASKS = 400
ONE = {
    "name": "chain",
    "version": 1,
    "tasks": [{"name": "step", "taskReferenceName": "step", "type": "SIMPLE"}],
}


async def _read(port: int, execution: str, over: asyncio.Event, reads: list[int]) -> None:
    """Ask for the status of one execution again and again, in step with the clock."""
    async with Link(port) as link:
        due = time.perf_counter()
        while not over.is_set():
            await link.ask("GET", f"/api/workflow/{execution}/status")
            reads[0] += 1
            due = max(due + READERS / READS_A_SECOND, time.perf_counter() - 0.1)
            await asyncio.sleep(max(0, due - time.perf_counter()))


@asynccontextmanager
async def _readers(port: int, execution: str, count: int) -> AsyncIterator[list[int]]:
    """So many clients that read; how many reads they made."""
    reads, over = [0], asyncio.Event()
    reading = [asyncio.ensure_future(_read(port, execution, over, reads)) for _ in range(count)]
    try:
        yield reads
    finally:
        over.set()
        await asyncio.gather(*reading)


async def _with_and_without(running: ServerProcess) -> Measured:
    """Steps a second with readers, of those without: turn by turn on one server, as one drifts."""
    port = running.port
    async with Link(port) as link:
        await link.json("POST", "/api/metadata/workflow", w6.WAITING)
        execution = (await link.ask("POST", "/api/workflow", w6.START)).decode()
    await w6.steps_done(port, workers=20)  # warm
    without: list[float] = []
    beside: list[float] = []
    asked: list[float] = []
    for turn in range(2 * PAIRS):
        is_read = turn % 4 in (1, 2)  # without, with, with, without
        async with _readers(port, execution, READERS if is_read else 0) as reads:
            began = time.perf_counter()
            rate = await w6.steps_done(port, workers=20)
            took_s = time.perf_counter() - began
        (beside if is_read else without).append(rate)
        if is_read:
            asked.append(reads[0] / took_s)
    used_s = running.cpu_s()
    async with _readers(port, execution, READERS) as reads:
        await asyncio.sleep(ALONE_S)
    each_us = (running.cpu_s() - used_s) / reads[0] * 1e6
    detail = {"reads_per_s": median(asked), "cpu_us_a_read_alone": each_us, "steps_per_s": median(without)}
    return Measured(median(beside) / median(without), detail)


def beside_reads(folder: Path) -> Measured:
    """How many of the steps a second are left while 500 reads a second are answered."""
    where, command = asyncflow_server(folder)
    with server(where, *command) as running:
        return on_uvloop(lambda: _with_and_without(running))


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


CASES = (
    *when_asked(40, Case("reads-500", "of the rate without", beside_reads, target=0.95)),
    *when_asked(
        6,
        Case("slow-1", "tasks/s", lambda f: slow_tasks(f, workers=1)),
        Case("slow-8", "tasks/s", lambda f: slow_tasks(f, workers=8), floor="w8/slow-1", target=7),
    ),
)
