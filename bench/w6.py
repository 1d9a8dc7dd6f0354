"""W6: starts over HTTP, and W1 over HTTP with outside workers.

Fifty connections start executions of one waiting task, one request after the other. The floor is the
same traffic against an aiohttp handler with nothing but a group commit. A bulk start sends a hundred
in one request. Servers are processes of their own; the client is one too, and as lean as can be.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path

from bench.floors import on_uvloop
from bench.harness import Case, Measured
from bench.lean_client import Link, ServerProcess, asyncflow_server, server

CONNECTIONS = 50
STARTS = 10_000
BULK = 100
WORKFLOWS = 1_000
STEPS = 5
BATCH = 50
WAITING = {
    "name": "waiting",
    "version": 1,
    "tasks": [{"name": "wait", "taskReferenceName": "wait", "type": "WAIT"}],
}
CHAIN = {
    "name": "chain",
    "version": 1,
    "tasks": [{"name": "step", "taskReferenceName": f"step_{n}", "type": "SIMPLE"} for n in range(STEPS)],
}
START = json.dumps({"name": "waiting", "version": 1, "input": {"x": 1}}).encode()


async def start_all(port: int, starts: int, *, at_once: int = 1) -> float:
    """Starts a second over fifty connections, so many in one request."""
    path = "/api/workflow" if at_once == 1 else "/api/asyncflow/workflow/bulk/start"
    body = START if at_once == 1 else b"[" + b",".join([START] * at_once) + b"]"
    remaining = iter(range(starts // at_once))

    async def connection(left: Iterator[int]) -> None:
        async with Link(port) as link:
            for _ in left:
                await link.ask("POST", path, body)

    await _together(CONNECTIONS, lambda: connection(iter(range(2))))  # warm
    began = time.perf_counter()
    await _together(CONNECTIONS, lambda: connection(remaining))
    return starts / (time.perf_counter() - began)


async def _together(count: int, work: Callable[[], Coroutine[object, object, None]]) -> None:
    async with asyncio.TaskGroup() as group:
        for _ in range(count):
            group.create_task(work())


def floor(folder: Path) -> Measured:
    """The same traffic where nothing but a row is stored."""
    with server(folder, "bench.floor_server", str(folder / "floor.db")) as floor_server:
        before = floor_server.cpu_s()
        rate = on_uvloop(lambda: start_all(floor_server.port, STARTS))
        return Measured(rate, {"server_cpu_us_each": (floor_server.cpu_s() - before) / STARTS * 1e6})


def starts(folder: Path, *, at_once: int) -> Measured:
    """Starts a second."""
    count = STARTS * (1 if at_once == 1 else 2)

    async def main(running: ServerProcess) -> float:
        async with Link(running.port) as link:
            await link.json("POST", "/api/metadata/workflow", WAITING)
        return await start_all(running.port, count, at_once=at_once)

    where, command = asyncflow_server(folder)
    with server(where, *command) as running:
        before = running.cpu_s()
        rate = on_uvloop(lambda: main(running))
        return Measured(rate, {"server_cpu_us_each": (running.cpu_s() - before) / count * 1e6})


async def _worker(port: int, worker: int, left: list[int], over: asyncio.Event) -> None:
    """Poll in batches, complete each task with an update of its own."""
    async with Link(port) as link:
        path = f"/api/tasks/poll/batch/step?count={BATCH}&timeout=200&workerid=w{worker}"
        while not over.is_set():
            tasks = await link.json("GET", path)
            assert isinstance(tasks, list)
            for task in tasks:
                known = {key: task[key] for key in ("workflowInstanceId", "taskId")}
                update = {**known, "status": "COMPLETED", "outputData": {}}
                await link.ask("POST", "/api/tasks", json.dumps(update).encode())
                left[0] -= 1
                if not left[0]:
                    over.set()


async def steps_done(port: int, *, workers: int) -> float:
    """Steps a second of a thousand workflows of five steps, done by lean workers outside."""
    async with Link(port) as link:
        await link.json("PUT", "/api/metadata/workflow", [CHAIN])  # it may be there already
        start = {"name": "chain", "version": 1}
        for _ in range(WORKFLOWS // BULK):
            await link.json("POST", "/api/asyncflow/workflow/bulk/start", [start] * BULK)
    left, over = [WORKFLOWS * STEPS], asyncio.Event()
    numbers = iter(range(workers))
    began = time.perf_counter()
    await _together(workers, lambda: _worker(port, next(numbers), left, over))
    return WORKFLOWS * STEPS / (time.perf_counter() - began)


def steps(folder: Path, *, workers: int) -> Measured:
    """W1 through REST, and what a step costs the server."""
    where, command = asyncflow_server(folder)
    with server(where, *command) as running:
        before = running.cpu_s()
        rate = on_uvloop(lambda: steps_done(running.port, workers=workers))
        used = running.cpu_s() - before
        return Measured(rate, {"server_cpu_us_per_step": used / (WORKFLOWS * STEPS) * 1e6})


CASES = (
    Case("floor", "starts/s", floor),
    Case("starts-50", "starts/s", lambda f: starts(f, at_once=1), floor="w6/floor", target=0.5, seconds=5),
    Case(
        "bulk-100", "starts/s", lambda f: starts(f, at_once=BULK), floor="w6/starts-50", target=5, seconds=5
    ),
    Case("rest-steps-20", "steps/s", lambda f: steps(f, workers=20), floor="floors/F2-100", seconds=5),
)
