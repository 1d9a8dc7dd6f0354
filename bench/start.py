"""How long a start takes with very many open attempts, after a stop and after a kill.

A database is prepared by one process and opened by another: the time is that from the end of the imports to
an engine that takes work. `python -m bench.start [--open N]` prints the table; the target is 5 s for 100,000.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import asyncflow as af
from asyncflow.app.process import tune_process
from asyncflow.plugins.jobs import Job, JobStatus
from bench.floors import on_uvloop
from bench.w3 import FORK, ONE, Sleepers

POLL_S = 5.0
AT_ONCE = 1_000
WAIT: dict[str, object] = {
    "name": "waiting",
    "version": 1,
    "tasks": [
        {
            "name": "wait",
            "taskReferenceName": "wait",
            "type": "WAIT",
            "inputParameters": {"duration": "1 days"},
        }
    ],
}
SHAPES = {
    "10 forks of jobs": (FORK, 10),
    "executions of one job": (ONE, 0),
    "executions that wait": (WAIT, 0),
}


class Endless(Sleepers):
    """Jobs that never end."""

    numbers: ClassVar[list[int]] = [0, 0]
    """How many were handed in, and how often one was polled."""

    async def submit(self, job: Job) -> str:
        """Take it."""
        del job
        self.numbers[0] += 1
        return f"job-{self.numbers[0]}"

    async def poll(self, instance: str, handles: Sequence[str]) -> Mapping[str, JobStatus]:
        """All run."""
        del instance
        self.numbers[1] += len(handles)
        return dict.fromkeys(handles, JobStatus("running"))


def _engine(database: Path) -> af.Engine:
    service = af.Resource("sleepers", type="sleepers", poll={"first": f"{POLL_S:g}s", "max": f"{POLL_S:g}s"})
    return af.Engine(database, resources=[service], plugins={"sleepers": Endless})


async def prepare(database: Path, shape: str, many: int, end: str) -> None:
    """Leave so many open attempts, by a stop or a kill."""
    body, forks = SHAPES[shape]
    async with _engine(database) as engine:
        await engine.register(body)
        name = str(body["name"])
        given: dict[str, object] = {"items": [{}] * (many // forks)} if forks else {}
        executions = forks or many
        for first in range(0, executions, AT_ONCE):
            part = range(first, min(executions, first + AT_ONCE))
            await asyncio.gather(*(engine.start(name, given) for _ in part))
        while body is not WAIT and not _all_handed_in(engine, many):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.1)
        await engine.service.engine.views_caught_up()
        if end == "kill":
            os._exit(0)


def _all_handed_in(engine: af.Engine, many: int) -> bool:
    counts = engine.service.engine.jobs.counts().get("sleepers", {})
    return counts.get("submitted", 0) >= many and not counts.get("intent")


async def opened(database: Path, began_s: float) -> dict[str, float]:
    """Open it, and see what the first second brings."""
    async with _engine(database) as engine:
        ready_s = time.perf_counter() - began_s
        cpu_s = time.process_time()
        await asyncio.sleep(1)
        polled, second_s = Endless.numbers[1], time.perf_counter() - began_s - ready_s
        await engine.service.engine.views_caught_up()
    return {
        "ready_s": ready_s,
        "cpu_s": cpu_s,
        "then_s": second_s,
        "polled_then": polled,
        "closed_s": time.perf_counter() - began_s - ready_s - second_s,
    }


def _child(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "bench.start", *arguments], check=True, capture_output=True, text=True
    )
    return done.stdout


def main() -> int:
    """Print a row for each shape and end; 1 if a start took longer than it may."""
    began_s = time.perf_counter()
    parser = argparse.ArgumentParser()
    parser.add_argument("--open", type=int, default=100_000)
    parser.add_argument("--role", nargs=4, metavar=("ROLE", "FILE", "SHAPE", "END"))
    options = parser.parse_args()
    tune_process()
    if options.role:
        role, file, shape, end = options.role
        if role == "prepare":
            on_uvloop(lambda: prepare(Path(file), shape, options.open, end))
        else:
            print(json.dumps(on_uvloop(lambda: opened(Path(file), began_s))))
        return 0
    slowest = 0.0
    print(f"{options.open} open attempts")
    for shape in SHAPES:
        for end in ("stop", "kill"):
            with tempfile.TemporaryDirectory(prefix="asyncflow-") as folder:
                rest = [str(Path(folder) / "start.db"), shape, end, "--open", str(options.open)]
                _child("--role", "prepare", *rest)
                found = json.loads(_child("--role", "open", *rest))
            slowest = max(slowest, found["ready_s"])
            print(
                f"  {shape:24} after a {end}: " + ", ".join(f"{k} {v:.2f}" for k, v in found.items()),
                flush=True,
            )
    return int(slowest > 5)


if __name__ == "__main__":
    sys.exit(main())
