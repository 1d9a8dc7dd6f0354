"""W4: 10,000 tasks of 10 ms through a limit of 100.

The ideal is 100 rounds of 10 ms and one commit of this run each, since a slot is freed by the
commit that ends its attempt. The figure is the time taken over that ideal.
"""

from __future__ import annotations

import asyncio
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


@af.task(retries=0, concurrency=SLOTS)
async def nap(**_given: object) -> None:
    """Hold a slot for ten milliseconds."""
    await asyncio.sleep(SLEEP_S)


LIMITED: dict[str, object] = {
    "name": "limited",
    "version": 1,
    "tasks": [
        {
            "name": "fork",
            "taskReferenceName": "fork",
            "type": "FORK_JOIN_DYNAMIC",
            "inputParameters": {"forkTaskName": "nap", "forkTaskInputs": "${workflow.input.items}"},
        },
        {"name": "join", "taskReferenceName": "join", "type": "JOIN"},
    ],
}


async def through_limit(folder: Path, tasks: int) -> float:
    """Seconds from the first start of a task to the end of the last."""
    async with af.Engine(folder / "w4.db", tasks=[nap]) as engine:
        await engine.service.register_task(nap.definition())
        began = time.perf_counter()
        execution = await engine.start(LIMITED, {"items": [{}] * tasks})
        await execution.result()
        return time.perf_counter() - began


def measure(folder: Path) -> Measured:
    """Time taken over the ideal of this disk."""
    commit_s = sync_ms(folder)[0] / 1000

    async def main() -> float:
        warm = folder / "warm"
        warm.mkdir()
        await through_limit(warm, 500)
        return await through_limit(folder, TASKS)

    tune_process()
    took_s = on_uvloop(main)
    ideal_s = TASKS / SLOTS * (SLEEP_S + commit_s)
    return Measured(took_s / ideal_s, {"seconds": took_s, "ideal_s": ideal_s})


CASES = (Case("limit-100", "times ideal", measure, target=1.2, higher_is_better=False),)
