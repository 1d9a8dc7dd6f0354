"""W1 over REST: a thousand workflows of five no-op steps, 100 at once, done by workers outside.

Every workflow is one synchronous execute, answered when it has ended. The workers are processes of the
unmodified Python SDK, or as many connections of the lean client; both update by update-v2, whose
answer brings the next task. The floor of each is the same workers and calls against
`bench/floor_tasks.py`, which decides nothing, so a ratio near one says that the worker is the limit.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from bench.floors import on_uvloop
from bench.harness import CHECKOUT, Case, Measured, when_asked
from bench.lean_client import Link, ServerProcess, asyncflow_server, server

WORKFLOWS = 1_000
STEPS = 5
OUTSTANDING = 100
WARM = 200
CHAIN = {
    "name": "chain",
    "version": 1,
    "tasks": [{"name": "step", "taskReferenceName": f"step_{n}", "type": "SIMPLE"} for n in range(STEPS)],
}
EXECUTE = "/api/workflow/execute/chain/1?waitForSeconds=120"
SEEN_WITHIN_S = 60


@dataclass(frozen=True, slots=True)
class Crowd:
    """Who does the steps: `kind` is lean, async or sync; so many processes of so many slots each."""

    kind: str
    processes: int
    slots: int


async def executions(port: int, count: int) -> None:
    """So many executions to their ends, a hundred at once."""
    remaining = iter(range(count))

    async def caller() -> None:
        async with Link(port) as link:
            for _ in remaining:
                answer = await link.json("POST", EXECUTE, {"name": "chain", "version": 1})
                assert isinstance(answer, dict)
                assert answer["status"] == "COMPLETED", answer

    async with asyncio.TaskGroup() as group:
        for _ in range(OUTSTANDING):
            group.create_task(caller())


async def _lean_worker(port: int, name: str) -> None:
    """Poll for one, then go on with what each update brings."""
    path = f"/api/tasks/poll/batch/step?count=1&timeout=100&workerid={name}"
    async with Link(port) as link:
        while True:
            polled = await link.json("GET", path)
            task = polled[0] if isinstance(polled, list) and polled else None
            while task is not None:
                done = {key: task[key] for key in ("workflowInstanceId", "taskId")}
                update = {**done, "workerId": name, "status": "COMPLETED", "outputData": {}}
                task = await link.json("POST", "/api/tasks/update-v2", update)


@asynccontextmanager
async def _lean_workers(port: int, count: int) -> AsyncIterator[None]:
    workers = [asyncio.ensure_future(_lean_worker(port, f"w{n}")) for n in range(count)]
    try:
        yield
        assert not any(worker.done() for worker in workers), "a worker has ended"
    finally:
        for worker in workers:
            worker.cancel()
        await asyncio.gather(*workers, return_exceptions=True)


@contextmanager
def _sdk_workers(port: int, crowd: Crowd) -> Iterator[list[int]]:
    """The sessions of the SDK's processes: it has children of its own in each."""
    told = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(Path.home()),
        "CONDUCTOR_SERVER_URL": f"http://127.0.0.1:{port}/api",
        "CONDUCTOR_WORKER_THREAD_COUNT": str(crowd.slots),
    }
    command = [sys.executable, "-m", "bench.sdk_worker", crowd.kind]
    started = [
        subprocess.Popen(
            command,
            cwd=CHECKOUT,
            env={**told, "CONDUCTOR_WORKER_WORKER_ID": f"w{number}"},
            stdout=subprocess.DEVNULL,
            start_new_session=True,
        )
        for number in range(crowd.processes)
    ]
    try:
        yield [process.pid for process in started]
        assert all(process.poll() is None for process in started), "a worker has ended"
    finally:
        for process in started:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def sessions_cpu_s(sessions: Sequence[int]) -> float:
    """CPU seconds so far of all living processes of these sessions."""
    used = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:  # it has ended meanwhile
            continue
        if int(fields[3]) in sessions:
            used += int(fields[11]) + int(fields[12])
    return used / 100


async def _seen(port: int, workers: int) -> None:
    """Return when so many workers have polled."""
    async with Link(port) as link, asyncio.timeout(SEEN_WITHIN_S):
        while True:
            rows = await link.json("GET", "/api/tasks/queue/polldata?taskType=step")
            if isinstance(rows, list) and len(rows) >= workers:
                return
            await asyncio.sleep(0.1)


async def _measured(running: ServerProcess, workers: int, worker_cpu_s: Callable[[], float]) -> Measured:
    await _seen(running.port, workers)
    await executions(running.port, WARM)
    served, worked, began = running.cpu_s(), worker_cpu_s(), time.perf_counter()
    await executions(running.port, WORKFLOWS)
    took_s = time.perf_counter() - began
    served, worked = running.cpu_s() - served, worker_cpu_s() - worked
    steps = WORKFLOWS * STEPS
    detail = {
        "server_cpu_us_per_step": served / steps * 1e6,
        "server_busy": served / took_s,
        "worker_cpu_us_per_step": worked / steps * 1e6,
        "worker_busy": worked / took_s,
    }
    return Measured(steps / took_s, detail)


async def _work(running: ServerProcess, crowd: Crowd) -> Measured:
    async with Link(running.port) as link:
        await link.ask("POST", "/api/metadata/workflow", json.dumps(CHAIN).encode())
    if crowd.kind == "lean":
        count = crowd.processes * crowd.slots
        async with _lean_workers(running.port, count):
            return await _measured(running, count, time.process_time)
    with _sdk_workers(running.port, crowd) as sessions:
        return await _measured(running, crowd.processes, lambda: sessions_cpu_s(sessions))


def measure(folder: Path, *, crowd: Crowd, floor: bool = False) -> Measured:
    """Steps a second; CPU of the server and of the workers (of the lean client, its callers included)."""
    where, command = asyncflow_server(folder)
    if floor:
        command = ("bench.floor_tasks", str(folder / "floor.db"), str(STEPS))
    with server(where, *command) as running:
        return on_uvloop(lambda: _work(running, crowd))


def _pair(name: str, crowd: Crowd) -> tuple[Case, Case]:
    floor = Case(f"{name}-floor", "steps/s", partial(measure, crowd=crowd, floor=True))
    return floor, Case(name, "steps/s", partial(measure, crowd=crowd), floor=f"w1_rest/{floor.name}")


CASES = when_asked(
    8,
    *_pair("lean-20", Crowd("lean", 1, 20)),
    *_pair("sdk-async-1x50", Crowd("async", 1, 50)),
    *_pair("sdk-async-4x25", Crowd("async", 4, 25)),
    *_pair("sdk-sync-1x20", Crowd("sync", 1, 20)),
)
