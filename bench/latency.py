"""Latency: from the end of a task's function to the beginning of the next one's, while many executions run.

Closed load: so many executions whose steps do nothing, so the engine is as busy as it can be and time in its
queues grows with their number. Open load: as many executions whose steps take a random time, so that
`STEPS_A_SECOND` end whatever the engine does. The floor has the same shape: a row stored durably lies between
two steps, and nothing else. `python -m bench.latency` prints percentiles and how late the loop was.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import statistics
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from rich.console import Console
from rich.table import Table

import asyncflow as af
from asyncflow.app.process import tune_process
from bench import run
from bench.floors import ROW_BYTES, GroupCommit, on_uvloop
from bench.harness import Case, Measured, Row, number, when_asked

STEPS = 20
STEPS_A_SECOND = 2_000
PROBE_S = 0.005


@dataclass(frozen=True, slots=True)
class Load:
    """What runs.

    Attributes:
        name: of the case.
        at_once: executions, or lanes of the floor.
        gaps: how many times between two steps are measured.
        think_s: how long a step takes in the mean; 0 under closed load.
        seconds: about what a sample of the engine takes.
    """

    name: str
    at_once: int
    gaps: int
    think_s: float
    seconds: float


LOADS = (
    Load("closed-1", 1, 2_000, 0, 3),
    Load("closed-100", 100, 10_000, 0, 2),
    Load("closed-10000", 10_000, 30_000, 0, 6),
    Load("open-1", 1, 500, 0.005, 4),  # 2,000 a second are more than a single execution can have
    Load("open-100", 100, 8_000, 100 / STEPS_A_SECOND, 5),
    Load("open-10000", 10_000, 8_000, 10_000 / STEPS_A_SECOND, 9),
)


class Gaps:
    """Times between the end of a step and the beginning of the next one, of all lanes."""

    def __init__(self, load: Load) -> None:
        """Count nothing before `begin`."""
        self._load = load
        self._random = random.Random(load.name)
        self._ended: dict[str, float] = {}
        self._counting = False
        self.seconds: list[float] = []
        self.over = asyncio.Event()

    def begin(self) -> None:
        """Count from now on: all are under way."""
        self._counting = True

    def began(self, lane: str) -> None:
        """A step begins."""
        now = time.perf_counter()
        before = self._ended.pop(lane, None)
        if self._counting and before is not None:
            self.seconds.append(now - before)
            if len(self.seconds) >= self._load.gaps:
                self._counting = False
                self.over.set()

    async def work(self) -> None:
        """What a step does: nothing, or it waits a random time with the mean that the rate asks for."""
        if self._load.think_s:
            await asyncio.sleep(self._random.expovariate(1 / self._load.think_s))

    def ended(self, lane: str) -> None:
        """A step has ended, and another will follow."""
        self._ended[lane] = time.perf_counter()

    def percentiles(self) -> dict[str, float]:
        """In milliseconds."""
        return _percentiles("", self.seconds)


class Lag:
    """How long a callback from another thread waits for the loop, asked every few milliseconds.

    A thread asks, since timers of uvloop are no finer than a millisecond.
    """

    def __init__(self) -> None:
        self._seconds: list[float] = []
        self._over = threading.Event()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Ask while the block lasts."""
        loop = asyncio.get_running_loop()
        asking = threading.Thread(target=self._ask, args=(loop,), daemon=True)
        asking.start()
        try:
            yield
        finally:
            self._over.set()
            asking.join()

    def _ask(self, loop: asyncio.AbstractEventLoop) -> None:
        while not self._over.wait(PROBE_S):
            loop.call_soon_threadsafe(self._answered, time.perf_counter())

    def _answered(self, asked: float) -> None:
        self._seconds.append(time.perf_counter() - asked)

    def percentiles(self) -> dict[str, float]:
        """In milliseconds; none where all was over before it could be asked twice."""
        return _percentiles("lag_", self._seconds) if len(self._seconds) > 1 else {}


def _percentiles(name: str, seconds: Sequence[float]) -> dict[str, float]:
    hundredths = statistics.quantiles(seconds, n=100)
    found = {"p50": hundredths[49], "p99": hundredths[98], "max": max(seconds)}
    return {f"{name}{which}_ms": value * 1e3 for which, value in found.items()}


async def _measured(
    gaps: Gaps, lanes: Sequence[Awaitable[object]], settled: Callable[[], Awaitable[None]]
) -> Measured:
    """Once all has settled, count until there are enough, while the lanes go on; they are broken off."""
    lag = Lag()
    going = [asyncio.ensure_future(lane) for lane in lanes]
    await settled()
    began = time.perf_counter()
    with lag.watched():
        gaps.begin()
        await gaps.over.wait()
    rate = len(gaps.seconds) / (time.perf_counter() - began)
    for lane in going:
        lane.cancel()
    await asyncio.gather(*going, return_exceptions=True)
    found = gaps.percentiles()
    return Measured(found["p99_ms"], {"steps_per_s": rate, **found, **lag.percentiles()})


async def floor(folder: Path, load: Load) -> Measured:
    """Lanes of steps with nothing but a durable row between them."""
    gaps = Gaps(load)
    writer = GroupCommit(folder / "floor.db")

    async def lane(name: str) -> None:
        while True:
            gaps.began(name)
            await gaps.work()
            gaps.ended(name)
            await writer.store(f"{name:>{ROW_BYTES}}")

    async def settled() -> None:
        await writer.store("")

    try:
        return await _measured(gaps, [lane(str(each)) for each in range(load.at_once)], settled)
    finally:
        writer.close()


def chain(gaps: Gaps) -> af.Workflow:
    """Steps in a row that say when they begin and end; the last one's end is followed by no step."""

    @af.task(name="step", retries=0)
    async def step(ctx: af.TaskContext) -> None:
        gaps.began(ctx.execution_id)
        await gaps.work()
        if ctx.ref != f"step_{STEPS - 1}":
            gaps.ended(ctx.execution_id)

    with af.Workflow("chain") as workflow:
        first, *rest = [step.node(f"step_{each}") for each in range(STEPS)]
        chained = workflow >> first
        for node in rest:
            chained = chained >> node
    return workflow


async def executions(folder: Path, load: Load) -> Measured:
    """Executions, each followed by another one; counted from when the views show the first ones."""
    gaps = Gaps(load)
    async with af.Engine(folder / "latency.db") as engine:
        await engine.register(chain(gaps))
        unstarted, all_started = load.at_once, asyncio.Event()

        async def lane() -> None:
            nonlocal unstarted
            while True:
                execution = await engine.start("chain")
                unstarted -= 1
                if not unstarted:
                    all_started.set()
                await execution.result()

        async def settled() -> None:
            await all_started.wait()
            await engine.service.engine.views_caught_up()

        return await _measured(gaps, [lane() for _ in range(load.at_once)], settled)


def measure(folder: Path, work: Callable[[Path, Load], Awaitable[Measured]], load: Load) -> Measured:
    """One sample; its figure is the 99th percentile."""

    async def main() -> Measured:
        return await work(folder, load)

    tune_process()
    return on_uvloop(main)


def _pair(load: Load) -> tuple[Case, ...]:
    floored = Case(f"{load.name}-floor", "ms p99", partial(measure, work=floor, load=load))
    measured = Case(
        load.name,
        "ms p99",
        partial(measure, work=executions, load=load),
        floor=f"latency/{floored.name}",
        higher_is_better=False,
    )
    return when_asked(load.seconds, floored, measured)


CASES = tuple(case for load in LOADS for case in _pair(load))


def print_latencies(title: str, table_rows: Sequence[Row]) -> None:
    """Percentiles of steps and of the loop, medians over the rounds, on stdout."""
    table = Table(title=title, title_justify="left")
    shown = ("steps_per_s", "p50_ms", "p99_ms", "max_ms", "lag_p50_ms", "lag_p99_ms", "lag_max_ms")
    for heading in ("case", *shown, "p99 of the floor's"):
        table.add_column(heading, justify="left" if heading == "case" else "right")
    for row in table_rows:
        ratio = f"{number(statistics.median(row.ratios))} x" if row.ratios else ""
        figures = (number(row.detail[key]) if key in row.detail else "none" for key in shown)
        table.add_row(row.case.removeprefix("latency/"), *figures, ratio)
    Console(width=None if sys.stdout.isatty() else 140).print(table)


if __name__ == "__main__":
    options = run.with_usual_options(argparse.ArgumentParser(prog="python -m bench.latency"))
    cases = run.chosen(run.all_cases(), ["latency/"])
    sys.exit(run.measure_and_tell(cases, options.parse_args(), show=print_latencies))
