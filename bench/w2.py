"""W2: one workflow that fans out to no-op tasks with outputs of about 200 bytes, and joins.

10,000 branches against the floor's writer; then 100,000, whose cost is compared with ten times
that of 10,000. The clock stops when the views have caught up.
"""

from __future__ import annotations

import resource
import time
from pathlib import Path

import asyncflow as af
from asyncflow.app.process import tune_process
from bench.floors import on_uvloop
from bench.harness import Case, Measured

_PADDING = "x" * 180

FAN_OUT: dict[str, object] = {
    "name": "fan_out",
    "version": 1,
    "tasks": [
        {
            "name": "fork",
            "taskReferenceName": "fork",
            "type": "FORK_JOIN_DYNAMIC",
            "inputParameters": {"forkTaskName": "branch", "forkTaskInputs": "${workflow.input.items}"},
        },
        {"name": "join", "taskReferenceName": "join", "type": "JOIN"},
    ],
    "outputParameters": {"first": "${join.output._branch_0.text}"},
}


@af.task(retries=0)
async def branch(**_given: object) -> dict[str, str]:
    """Give 200 bytes."""
    return {"text": _PADDING}


async def fan_out(folder: Path, width: int) -> Measured:
    """Tasks per second from the start request to views that show everything."""
    async with af.Engine(folder / "w2.db", tasks=[branch]) as engine:
        began, busy = time.perf_counter(), time.process_time()
        execution = await engine.start(FAN_OUT, {"items": [{}] * width})
        await execution.result()
        joined_s = time.perf_counter() - began
        await engine.service.engine.views_caught_up()
        took_s = time.perf_counter() - began
        cpu_s = time.process_time() - busy
    rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Measured(
        width / took_s,
        {"seconds": took_s, "joined_s": joined_s, "cpu_us_per_task": cpu_s / width * 1e6, "rss_mb": rss},
    )


def measure(folder: Path, width: int) -> Measured:
    """One sample, after a short run to warm up."""

    async def main() -> Measured:
        warm = folder / "warm"
        warm.mkdir()
        await fan_out(warm, 500)
        return await fan_out(folder, width)

    tune_process()
    return on_uvloop(main)


def measure_growth(folder: Path) -> Measured:
    """How many times the cost of 10,000 branches 100,000 of them have."""
    small_folder, large_folder = folder / "small", folder / "large"
    small_folder.mkdir()
    large_folder.mkdir()
    small = measure(small_folder, 10_000)
    large = measure(large_folder, 100_000)
    return Measured(
        large.detail["seconds"] / small.detail["seconds"],
        {"seconds_100k": large.detail["seconds"], "rss_mb": large.detail["rss_mb"]},
    )


CASES = (
    Case("fork-10k", "tasks/s", lambda f: measure(f, 10_000), floor="floors/F2-100", target=0.35),
    Case("growth-100k", "times", measure_growth, target=12, higher_is_better=False, seconds=9),
)
