"""W1: many small workflows, every step durable before the next begins.

A thousand workflows of five no-op steps, 100 or 1,000 of them at once, on a file with
`synchronous=FULL`. The clock stops when the views have caught up. Beside it the same work with
nothing but the floor's writer: see `bench/floors.py`.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import asyncflow as af
from asyncflow.app.process import tune_process
from bench.floors import on_uvloop
from bench.harness import Case, Measured

WORKFLOWS = 2_000
STEPS = 5


@af.task(retries=0)
async def step() -> None:
    """Do nothing."""


def chain() -> af.Workflow:
    """A workflow of five no-op steps in a row."""
    with af.Workflow("chain") as workflow:
        first, *rest = [step.node(f"step_{number}") for number in range(STEPS)]
        chained = workflow >> first
        for node in rest:
            chained = chained >> node
    return workflow


async def run_many(folder: Path, *, workflows: int, outstanding: int) -> Measured:
    """Steps per second, the views included."""
    remaining = iter(range(workflows))
    definition = chain()
    async with af.Engine(folder / "w1.db") as engine:
        await engine.register(definition)

        async def keep_going() -> None:
            for _ in remaining:
                execution = await engine.start("chain")
                await execution.result()

        began = time.perf_counter()
        busy = time.process_time()
        async with asyncio.TaskGroup() as group:
            for _ in range(outstanding):
                group.create_task(keep_going())
        ran_s = time.perf_counter() - began
        await engine.service.engine.views_caught_up()
        took_s = time.perf_counter() - began
        cpu_s = time.process_time() - busy
    steps = workflows * STEPS
    return Measured(
        steps / took_s, {"cpu_us_per_step": cpu_s / steps * 1e6, "steps_per_s_before_views": steps / ran_s}
    )


def measure(folder: Path, *, outstanding: int) -> Measured:
    """One sample, after a short run to warm up."""

    async def main() -> Measured:
        warm = folder / "warm"
        warm.mkdir()
        await run_many(warm, workflows=200, outstanding=outstanding)
        return await run_many(folder, workflows=WORKFLOWS, outstanding=outstanding)

    tune_process()
    return on_uvloop(main)


CASES = (
    Case("steps-100", "steps/s", lambda f: measure(f, outstanding=100), floor="floors/F2-100", target=0.35),
    Case(
        "steps-1000", "steps/s", lambda f: measure(f, outstanding=1_000), floor="floors/F2-100", target=0.35
    ),
)
