"""W4: 10,000 tasks of 10 ms through a limit of 100, of the task itself and of a resource that it names.

The ideal is 100 rounds of 10 ms and one commit of this run each, since a slot is freed by the
commit that ends its attempt. The figure is the time taken over that ideal. Between the end of a function
whose slot goes on and the beginning of the next lie two commits: its end, and the intent of the next.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from pathlib import Path

import asyncflow as af
from asyncflow.app.process import tune_process
from bench.calibrate import sync_ms
from bench.floors import on_uvloop
from bench.harness import Case, Measured

TASKS = 10_000
SLOTS = 100
SLEEP_S = 0.010

_began: list[float] = []
_ended: list[float] = []


@af.task(retries=0, concurrency=SLOTS)
async def nap(**_given: object) -> None:
    """Hold a slot for ten milliseconds."""
    await asyncio.sleep(SLEEP_S)


@af.task(retries=0, resources=["slots"])
async def nap_on_resource(**_given: object) -> None:
    """Hold a slot of a named resource for ten milliseconds, and note when."""
    _began.append(time.perf_counter())
    await asyncio.sleep(SLEEP_S)
    _ended.append(time.perf_counter())


def limited(task: str) -> dict[str, object]:
    """A fork of as many of these tasks as there are items."""
    return {
        "name": "limited",
        "version": 1,
        "tasks": [
            {
                "name": "fork",
                "taskReferenceName": "fork",
                "type": "FORK_JOIN_DYNAMIC",
                "inputParameters": {"forkTaskName": task, "forkTaskInputs": "${workflow.input.items}"},
            },
            {"name": "join", "taskReferenceName": "join", "type": "JOIN"},
        ],
    }


async def through_limit(folder: Path, tasks: int, *, on_resource: bool) -> float:
    """Seconds from the first start of a task to the end of the last."""
    function = nap_on_resource if on_resource else nap
    slots = [af.Resource("slots", max_concurrent=SLOTS)]
    _began.clear()
    _ended.clear()
    async with af.Engine(folder / "w4.db", tasks=[nap, nap_on_resource], resources=slots) as engine:
        await engine.service.register_task(function.definition())
        began = time.perf_counter()
        execution = await engine.start(limited(function.name), {"items": [{}] * tasks})
        await execution.result()
        return time.perf_counter() - began


def freed_to_start_ms() -> dict[str, float]:
    """From each end of a function to the beginning of the one that got its slot; and the most at once."""
    waits = sorted(
        (began - ended) * 1e3 for began, ended in zip(_began[SLOTS:], sorted(_ended), strict=False)
    )
    if not waits:
        return {}
    moments = sorted([*((at, 1) for at in _began), *((at, -1) for at in _ended)])
    running = most = 0
    for _, change in moments:
        running += change
        most = max(most, running)
    hundredths = statistics.quantiles(waits, n=100)
    return {"freed_to_start_p50_ms": hundredths[49], "freed_to_start_p99_ms": hundredths[98], "at_once": most}


def measure(folder: Path, *, on_resource: bool) -> Measured:
    """Time taken over the ideal of this disk."""
    commit_s = sync_ms(folder)[0] / 1000

    async def main() -> float:
        warm = folder / "warm"
        warm.mkdir()
        await through_limit(warm, 500, on_resource=on_resource)
        return await through_limit(folder, TASKS, on_resource=on_resource)

    tune_process()
    took_s = on_uvloop(main)
    ideal_s = TASKS / SLOTS * (SLEEP_S + commit_s)
    return Measured(took_s / ideal_s, {"seconds": took_s, "ideal_s": ideal_s, **freed_to_start_ms()})


CASES = (
    Case(
        "limit-100",
        "times ideal",
        lambda folder: measure(folder, on_resource=False),
        target=1.2,
        higher_is_better=False,
        seconds=4,
    ),
    Case(
        "resource-100",
        "times ideal",
        lambda folder: measure(folder, on_resource=True),
        target=1.2,
        higher_is_better=False,
        seconds=4,
    ),
)
