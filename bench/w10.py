"""W10: what waiting costs a server: fifty workers that poll, and ten thousand long polls held at once.

Figures are shares of a core and bytes a poll, of the server process alone. The polls of the crowd come
over connections of their own, as those of workers do; without connections is `held-engine`.
"""

from __future__ import annotations

import asyncio
import resource
import time
from pathlib import Path

from asyncflow.app.services import Services, open_services
from bench.floors import on_uvloop
from bench.harness import Case, Measured, when_asked
from bench.lean_client import Link, ServerProcess, asyncflow_server, server

CROWD = 10_000
POLL_MS = 5_000
MEASURED_S = 10.0


async def _poll(port: int, worker: int, *, timeout_ms: int, begins_at_s: float = 0) -> None:
    """One worker that polls for work that never comes."""
    await asyncio.sleep(begins_at_s)
    path = f"/api/tasks/poll/batch/idle?count=1&timeout={timeout_ms}&workerid=w{worker}"
    async with Link(port) as link:
        while True:
            await link.ask("GET", path)


async def _share(running: ServerProcess, workers: int, *, timeout_ms: int, warm_s: float) -> Measured:
    """The share of a core that so many polling workers cost, and memory each."""
    before_kb = running.rss_kb()
    polls = [
        asyncio.ensure_future(
            _poll(running.port, n, timeout_ms=timeout_ms, begins_at_s=warm_s * 0.6 * n / workers)
        )
        for n in range(workers)
    ]
    await asyncio.sleep(warm_s)
    cpu, began = running.cpu_s(), time.perf_counter()
    await asyncio.sleep(MEASURED_S)
    share = (running.cpu_s() - cpu) / (time.perf_counter() - began) * 100
    broken = sum(poll.done() for poll in polls)
    for poll in polls:
        poll.cancel()
    await asyncio.gather(*polls, return_exceptions=True)
    each_kb = (running.rss_kb() - before_kb) / workers
    return Measured(share, {"kb_each": each_kb, "broken": broken, "workers": workers})


def polling(folder: Path, *, workers: int, timeout_ms: int, warm_s: float) -> Measured:
    """The cost of polls over HTTP."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    where, command = asyncflow_server(folder)
    with server(where, *command) as running:
        found = on_uvloop(lambda: _share(running, workers, timeout_ms=timeout_ms, warm_s=warm_s))
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    return found


async def _engine_share(folder: Path) -> Measured:
    async with open_services(folder / "w.db") as services:
        before_kb = _own_kb()
        polls = [asyncio.ensure_future(_poll_engine(services, n)) for n in range(CROWD)]
        await asyncio.sleep(2)
        each_kb = (_own_kb() - before_kb) / CROWD
        cpu, began = time.process_time(), time.perf_counter()
        await asyncio.sleep(MEASURED_S)
        share = (time.process_time() - cpu) / (time.perf_counter() - began) * 100
        for poll in polls:
            poll.cancel()
        await asyncio.gather(*polls, return_exceptions=True)
    return Measured(share, {"kb_each": each_kb})


async def _poll_engine(services: Services, worker: int) -> None:
    while True:
        await services.workers.poll("idle", worker_id=f"w{worker}", timeout_ms=POLL_MS)


def _own_kb() -> float:
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / 1024


CASES = when_asked(
    18,
    Case(
        "idle-50",
        "% of a core",
        lambda f: polling(f, workers=50, timeout_ms=100, warm_s=2),
        target=25,
        higher_is_better=False,
    ),
    Case(
        "held-engine",
        "% of a core",
        lambda f: on_uvloop(lambda: _engine_share(f)),
        target=20,
        higher_is_better=False,
    ),
    Case(
        "held-10000",
        "% of a core",
        lambda f: polling(f, workers=CROWD, timeout_ms=POLL_MS, warm_s=15),
    ),
)
