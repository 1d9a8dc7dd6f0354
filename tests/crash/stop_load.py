"""SIGTERM under load: many running executions, each with jobs that a service has or is just being given.

Law: a stop fails, times out, pauses and cancels nothing, hands in nothing twice, and all end after the next
start. Run as a command it prints how long things took: python -m tests.crash.stop_load [--executions N].
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
from aiohttp import web

from asyncflow.app.build import open_reader
from asyncflow.store.records import Condition
from tests.cli.making import Json, environment, task, workflow

JOBS = 2
WITHIN_S = 600
CONFIG = """
[http]
allow = ["127.0.0.1"]
[store]
durability = "normal"
[resources.service]
type = "http-service"
connections = 50
poll = {{ first = "{first_s}s", max = "{first_s}s" }}
submit_url = "{url}/jobs"
status_url = "{url}/jobs/{{handle}}"
cancel_url = "{url}/jobs/{{handle}}"
"""


def definition(url: str) -> Json:
    """Two jobs side by side, then a call that says that the execution is about to end."""
    works = [
        task(f"work_{n}", "HTTP_JOB", inputParameters={"body": {"n": "${workflow.input.n}"}})
        for n in range(JOBS)
    ]
    fork = task("fork", "FORK_JOIN", forkTasks=[[each] for each in works])
    join = task("join", "JOIN", joinOn=[f"work_{n}" for n in range(JOBS)])
    told = {"http_request": {"uri": f"{url}/finished/${{workflow.input.n}}", "method": "GET"}}
    return workflow(fork, join, task("tell", "HTTP", inputParameters=told), name="load")


@dataclass
class Outside:
    """The service: what it was asked for, how often it was looked at, and who said to be at the end.

    Attributes:
        made: how many jobs were handed in, by key; a key comes again only where an answer was lost.
        looks: polls since they were last counted.
    """

    wanted: int
    made: Counter[str] = field(default_factory=Counter)
    cancelled: int = 0
    looks: int = 0
    is_released: bool = False
    finished: set[str] = field(default_factory=set)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    url: str = ""

    async def take(self, request: web.Request) -> web.Response:
        key = request.headers["Idempotency-Key"]
        self.made[key] += 1
        self.news.set()
        return web.json_response({"id": key}, status=202)

    async def look(self, request: web.Request) -> web.Response:
        self.looks += 1
        self.news.set()
        known = request.match_info["key"] in self.made
        word = "done" if self.is_released else "running"
        return web.json_response({"status": word}, status=200 if known else 404)

    async def cancel(self, _: web.Request) -> web.Response:
        self.cancelled += 1
        return web.json_response({})

    async def finish(self, request: web.Request) -> web.Response:
        self.finished.add(request.match_info["n"])
        self.news.set()
        return web.json_response({})

    async def until(self, is_so: Callable[[], bool]) -> None:
        """Wait until something is so."""
        async with asyncio.timeout(WITHIN_S):
            while not is_so():
                self.news.clear()
                await self.news.wait()


@asynccontextmanager
async def outside(wanted: int) -> AsyncIterator[Outside]:
    """The service, listening."""
    service = Outside(wanted)
    app = web.Application()
    app.router.add_post("/jobs", service.take)
    app.router.add_get("/jobs/{key}", service.look)
    app.router.add_delete("/jobs/{key}", service.cancel)
    app.router.add_get("/finished/{n}", service.finish)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0, backlog=1024).start()
        service.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield service
    finally:
        await runner.cleanup()


class Server:
    """`asyncflow serve` in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.url = ""

    async def start(self) -> float:
        """Start it; seconds until it was ready."""
        began_s = time.perf_counter()
        self._process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "asyncflow", "serve", "--port", "0", "--log-level", "warning"),
            cwd=self._folder,
            env=environment(),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        assert self._process.stdout is not None
        line = (await self._process.stdout.readline()).decode()
        assert line.startswith("asyncflow ready on "), (await self._process.communicate())[1].decode()
        self.url = line.split()[-1]
        return time.perf_counter() - began_s

    async def stop(self) -> tuple[float, int, str]:
        """Send SIGTERM; seconds until its end, its exit code and what it said."""
        began_s = time.perf_counter()
        self._process.send_signal(signal.SIGTERM)
        _, err = await asyncio.wait_for(self._process.communicate(), WITHIN_S)
        assert self._process.returncode is not None
        return time.perf_counter() - began_s, self._process.returncode, err.decode()

    async def begin(self, body: Json, numbers: range) -> None:
        """Start that many executions in one request."""
        starts = [{"name": "load", "workflowDef": body, "input": {"n": n}} for n in numbers]
        async with (
            aiohttp.ClientSession() as session,
            session.post(f"{self.url}/api/asyncflow/workflow/bulk/start", json=starts) as answer,
        ):
            assert answer.status == 200, await answer.text()


@dataclass
class Measured:
    """What came of it.

    Attributes:
        code: exit code of the stop under load; `end_code` that of the one after all was done.
        statuses, ends: how many executions had which status after each stop.
    """

    code: int = -1
    end_code: int = -1
    said: str = ""
    seconds: dict[str, float] = field(default_factory=dict)
    statuses: dict[str, int] = field(default_factory=dict)
    ends: dict[str, int] = field(default_factory=dict)
    jobs: int = 0
    cancelled: int = 0
    submitted_at_stop: int = 0
    looks_while_down: int = 0


async def count(database: Path) -> dict[str, int]:
    """How many executions have which status, as the file says."""
    found: dict[str, int] = {}
    async with open_reader(database) as reader:
        for status in ("RUNNING", "PAUSED", "COMPLETED", "FAILED", "TIMED_OUT", "TERMINATED"):
            number = await reader.count_executions([Condition("status", "=", (status,))])
            if number:
                found[status] = number
    return found


async def run(folder: Path, executions: int, *, at: float = 1.0, first_s: int = 2) -> Measured:
    """Start so many, stop once this part of their jobs is at the service, start again, let all end."""
    measured, jobs = Measured(), executions * JOBS
    async with outside(jobs) as service:
        (folder / "asyncflow.toml").write_text(CONFIG.format(url=service.url, first_s=first_s))
        server, body = Server(folder), definition(service.url)
        measured.seconds["first start"] = await server.start()
        for begin in range(0, executions, 500):
            await server.begin(body, range(begin, min(begin + 500, executions)))
        await service.until(lambda: len(service.made) >= at * jobs)
        measured.submitted_at_stop = len(service.made)
        measured.seconds["stop"], measured.code, measured.said = await server.stop()
        service.looks = 0
        measured.statuses = await count(folder / "asyncflow.db")
        measured.looks_while_down = service.looks
        measured.seconds["start"] = await server.start()
        service.is_released = True
        began_s = time.perf_counter()
        await service.until(lambda: len(service.finished) == executions)
        measured.seconds["until all have ended"] = time.perf_counter() - began_s
        measured.seconds["last stop"], measured.end_code, _ = await server.stop()
        measured.ends = await count(folder / "asyncflow.db")
        measured.jobs, measured.cancelled = len(service.made), service.cancelled
    return measured


def faults(measured: Measured, executions: int) -> list[str]:
    """What of the law does not hold."""
    checks = {
        "exit codes": ((measured.code, measured.end_code), (0, 0)),
        "executions after the stop": (measured.statuses, {"RUNNING": executions}),
        "executions in the end": (measured.ends, {"COMPLETED": executions}),
        "jobs at the service": (measured.jobs, executions * JOBS),
        "cancels": (measured.cancelled, 0),
    }
    return [f"{what}: {found}, not {wanted}" for what, (found, wanted) in checks.items() if found != wanted]


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def main() -> int:
    """Run it at two moments, and print what was measured."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--executions", type=int, default=5_000)
    executions = parser.parse_args().executions
    worst = 0
    for at in (1.0, 0.5):
        with tempfile.TemporaryDirectory(prefix="asyncflow-") as folder:
            measured = asyncio.run(run(Path(folder), executions, at=at, first_s=10))
        say(f"SIGTERM with {executions} running executions, {measured.submitted_at_stop} jobs outside")
        for what, seconds in measured.seconds.items():
            say(f"  {what:22} {seconds:7.2f} s")
        say(f"  after the stop {measured.statuses}, in the end {measured.ends}, jobs {measured.jobs}")
        say(f"  said at the stop: {measured.said.strip() or 'nothing'}")
        found = faults(measured, executions)
        say("  " + ("; ".join(found) or "nothing failed, timed out, paused, cancelled, lost or doubled"))
        worst = max(worst, bool(found))
    return worst


if __name__ == "__main__":
    sys.exit(main())
