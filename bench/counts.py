"""Counts in place of times: what a step and a record cost, the same on a busy machine as on a quiet one.

It measures no speed and judges nothing: `tests/integration/test_counts.py` holds the bounds, the
workloads with a clock are `w1.py` and `w2.py`. `python -m bench.counts` prints the table.
"""

from __future__ import annotations

import asyncio
import gc
import tempfile
import tracemalloc
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import asyncflow as af
from asyncflow.app.services import open_services
from asyncflow.http.server import HttpServer, HttpSettings
from asyncflow.model.definition import parse_workflow
from bench import w3, w6
from bench.counting import Counting, Work, counting
from bench.floors import on_uvloop
from bench.harness import number
from bench.lean_client import Link
from bench.w1 import STEPS, chain
from bench.w2 import FAN_OUT, branch
from bench.w4 import limited

HELD: dict[str, object] = {
    "name": "held",
    "tasks": [{"name": "human", "taskReferenceName": "human", "type": "HUMAN"}],
}
HELD_FORK: dict[str, object] = {
    **FAN_OUT,
    "name": "held_fork",
    "tasks": [
        {
            "name": "fork",
            "taskReferenceName": "fork",
            "type": "FORK_JOIN_DYNAMIC",
            "inputParameters": {
                "forkTaskName": "nobody",
                "forkTaskType": "SIMPLE",
                "forkTaskInputs": "${workflow.input.items}",
            },
        },
        {"name": "join", "taskReferenceName": "join", "type": "JOIN"},
    ],
}


DATABASE = "counts.db"


@af.task(retries=0, concurrency=10)
async def narrow(**_given: object) -> None:
    """Do nothing, ten at a time."""


async def _run(engine: af.Engine, name: str, given: dict[str, object]) -> None:
    await (await engine.start(name, given)).result()


async def _runs(
    engine: af.Engine, definition: af.Workflow | dict[str, object], given: dict[str, object], *, starts: int
) -> Counting:
    """Start executions at once and see them end, and the views catch up."""
    name = definition.name if isinstance(definition, af.Workflow) else str(definition["name"])
    async with engine:
        await engine.register(definition)
        await engine.service.register_task(narrow.definition())
        await _run(engine, name, given)  # what is done once is done now
        async with counting(engine.service.engine) as counted, asyncio.TaskGroup() as group:
            for _ in range(starts):
                group.create_task(_run(engine, name, given))
    return counted


def chain_of_steps(folder: Path, *, workflows: int = 200) -> Work:
    """W1's shape, by step: workflows of five no-op steps, all at once."""
    engine = af.Engine(folder / DATABASE, tasks=[narrow])
    counted = on_uvloop(lambda: _runs(engine, chain(), {}, starts=workflows))
    return counted.work(folder / DATABASE, workflows * STEPS)


def fork_and_join(folder: Path, *, width: int = 2_000) -> Work:
    """W2's shape, by branch: one workflow that fans out to no-op tasks, and joins."""
    engine = af.Engine(folder / DATABASE, tasks=[branch, narrow])
    counted = on_uvloop(lambda: _runs(engine, FAN_OUT, {"items": [{}] * width}, starts=1))
    return counted.work(folder / DATABASE, width)


def jobs_of_a_fork(folder: Path, *, width: int = 500) -> Work:
    """W3's shape, by job: one workflow that fans out to jobs, each over when first asked for."""
    w3.books.__init__(0.0)  # type: ignore[misc]  # begun anew
    sleepers = af.Resource("sleepers", type="sleepers", poll={"first": "200ms", "max": "200ms"})
    plugins = {"sleepers": w3.Sleepers}
    engine = af.Engine(folder / DATABASE, tasks=[narrow], resources=[sleepers], plugins=plugins)
    counted = on_uvloop(lambda: _runs(engine, w3.FORK, {"items": [{}] * width}, starts=1))
    return counted.work(folder / DATABASE, width)


def limited_tasks(folder: Path, *, width: int = 1_000) -> Work:
    """W4's shape, by task: one workflow that fans out to no-op tasks of which ten may run at once."""
    engine = af.Engine(folder / DATABASE, tasks=[narrow])
    counted = on_uvloop(lambda: _runs(engine, limited("narrow"), {"items": [{}] * width}, starts=1))
    return counted.work(folder / DATABASE, width)


async def _ask(port: int, connections: int, requests: int) -> None:
    """Start executions over so many connections at once."""

    async def connection() -> None:
        async with Link(port) as link:
            for _ in range(requests):
                await link.ask("POST", "/api/workflow", w6.START)

    async with asyncio.TaskGroup() as group:
        for _ in range(connections):
            group.create_task(connection())


async def _started_over_http(folder: Path, connections: int, requests: int) -> Counting:
    """Ask a server of this process from a thread, whose calls do not count."""
    async with (
        open_services(folder / DATABASE) as services,
        HttpServer(HttpSettings(port=0)) as http,
    ):
        http.open_for(services)
        await services.executions.register_workflow(parse_workflow(w6.WAITING))
        port = int(http.url.rpartition(":")[2])
        await asyncio.to_thread(asyncio.run, _ask(port, 1, 1))
        async with counting(services.executions.engine) as counted:
            await asyncio.to_thread(asyncio.run, _ask(port, connections, requests))
    return counted


def starts_over_http(folder: Path, *, connections: int = 20, requests: int = 20) -> Work:
    """W6's shape, by start: each is a request of its own."""
    counted = on_uvloop(lambda: _started_over_http(folder, connections, requests))
    return counted.work(folder / DATABASE, connections * requests)


async def _held(folder: Path, definition: dict[str, object], given: dict[str, object], starts: int) -> int:
    """Bytes that executions take which wait for somebody, once their rows are written."""
    name = str(definition["name"])
    async with af.Engine(folder / "held.db") as engine:
        await engine.register(definition)
        await engine.start(name, {"items": []})
        inner = engine.service.engine
        await inner.views_caught_up()
        gc.collect()
        tracemalloc.start()
        async with asyncio.TaskGroup() as group:
            for _ in range(starts):
                group.create_task(engine.start(name, given))
        await inner.views_caught_up()
        gc.collect()
        kept, _ = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    return kept


def bytes_of_an_execution(folder: Path, *, executions: int = 1_000) -> float:
    """Memory that an execution takes which waits in its only task, with all that is kept for it."""
    return on_uvloop(lambda: _held(folder, HELD, {}, executions)) / executions


def bytes_of_a_branch(folder: Path, *, width: int = 5_000) -> float:
    """Memory that a branch of a wide fork takes which is offered to workers."""
    return on_uvloop(lambda: _held(folder, HELD_FORK, {"items": [{}] * width}, 1)) / width


WORK = (chain_of_steps, fork_and_join, jobs_of_a_fork, limited_tasks, starts_over_http)


def main() -> None:
    """Print all counts."""

    def measured(count: Callable[[Path], Work | float]) -> Work | float:
        with tempfile.TemporaryDirectory() as folder:
            return count(Path(folder))

    for count in WORK:
        work = measured(count)
        assert isinstance(work, Work)  # these give it
        print(f"{count.__name__}: " + "  ".join(f"{key}={number(v)}" for key, v in asdict(work).items()))
    for size in (bytes_of_an_execution, bytes_of_a_branch):
        kept = measured(size)
        assert isinstance(kept, float)  # these two give it
        print(f"{size.__name__}: {number(kept)}")


if __name__ == "__main__":
    main()
