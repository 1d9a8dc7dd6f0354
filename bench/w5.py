"""W5: the work of W1, killed with SIGKILL when 40 % of its steps are done, and started again.

The figure is the seconds from the start of the next process, interpreter and imports included, to the first
step that it does. A step that was recorded must not be done again, and none may be missing in the end.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import asyncflow as af
from asyncflow.app.process import tune_process
from asyncflow.model.events import TaskEnded, TaskScheduled
from asyncflow.model.statuses import COMPLETED
from asyncflow.store.reader import SqliteReader
from asyncflow.store.records import Page
from asyncflow.store.sqlite import SqliteStore
from bench.floors import on_uvloop
from bench.harness import CHECKOUT, Case, Measured
from bench.w1 import STEPS

WORKFLOWS = 1_000
AT_ONCE = 100
KILLED_AT = 0.4
_TARGET_S = 2.0

_log = -1


@af.task(retries=0)
async def step(ctx: af.TaskContext) -> None:
    """Write down that it was done, in a way that a kill cannot undo."""
    os.write(_log, f"{ctx.execution_id} {ctx.ref}\n".encode())


def chain() -> af.Workflow:
    """A workflow of five such steps in a row."""
    with af.Workflow("chain") as workflow:
        first, *rest = [step.node(f"step_{number}") for number in range(STEPS)]
        chained = workflow >> first
        for node in rest:
            chained = chained >> node
    return workflow


async def _live(folder: Path) -> None:
    """One process: take up what is there, start what is missing, and wait for all of it."""
    definition = chain()
    async with af.Engine(folder / "w5.db", tasks=[step]) as engine:
        await engine.register(definition)
        await engine.service.engine.views_caught_up()
        known = await _rows(folder)
        left = iter(range(WORKFLOWS - len(known)))

        async def keep_going() -> None:
            for _ in left:
                await (await engine.start("chain")).result()

        async with asyncio.TaskGroup() as group:
            for identity in known:
                group.create_task(engine.execution(identity).result())
            for _ in range(AT_ONCE):
                group.create_task(keep_going())


async def _rows(folder: Path) -> list[str]:
    async with SqliteReader.open(folder / "w5.db") as reader:
        return [row.execution_id for row in await reader.list_executions((), Page(limit=-1))]


async def _recorded(folder: Path) -> set[str]:
    """The steps that the file knows to be done, in the words of the log."""
    async with SqliteStore.open(folder / "w5.db") as store:
        rows = await store.list_executions((), Page(limit=-1))
        histories = await store.read_streams([row.execution_id for row in rows])
    found: set[str] = set()
    for stream, history in histories.items():
        refs = {e.event.number: e.event.ref for e in history if isinstance(e.event, TaskScheduled)}
        ends = [e.event for e in history if isinstance(e.event, TaskEnded)]
        found.update(f"{stream} {refs[end.number]}" for end in ends if end.status == COMPLETED)
    return found


def _process(folder: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-m", "bench.w5", str(folder)], cwd=CHECKOUT)


def _comes_to(log: Path, size: int, process: subprocess.Popen[bytes]) -> None:
    while log.stat().st_size < size:
        if process.poll() is not None:
            raise RuntimeError(f"the process ended with {process.returncode}")
        time.sleep(0.002)


def measure(folder: Path) -> Measured:
    """One kill."""
    log = folder / "done"
    log.touch()
    line = len(f"{'0' * 36} step_1\n")
    first = _process(folder)
    _comes_to(log, int(WORKFLOWS * STEPS * KILLED_AT) * line, first)
    first.kill()
    first.wait()
    recorded = on_uvloop(lambda: _recorded(folder))
    began, size = time.perf_counter(), log.stat().st_size
    second = _process(folder)
    _comes_to(log, size + 1, second)
    running_s = time.perf_counter() - began
    if second.wait():
        raise RuntimeError(f"the process ended with {second.returncode}")
    done = Counter(log.read_text(encoding="utf-8").splitlines())
    again = sum(done[each] > 1 for each in recorded)
    if again or len(done) != WORKFLOWS * STEPS:
        raise RuntimeError(f"{again} recorded steps done again, {len(done)} of {WORKFLOWS * STEPS} done")
    detail = {
        "whole_s": time.perf_counter() - began,
        "recorded": len(recorded),
        "again": sum(done.values()) - len(done),
    }
    return Measured(running_s, detail)


CASES = (Case("first-step", "s", measure, target=_TARGET_S, higher_is_better=False, seconds=3),)


if __name__ == "__main__":
    place = Path(sys.argv[1])
    _log = os.open(place / "done", os.O_WRONLY | os.O_APPEND)
    tune_process()
    on_uvloop(lambda: _live(place))
