"""Shapes that grow with tasks, executions and jobs, for `bench/growth.py`.

Each is one process's work at one size, with phases that are measured one by one. Steps "beside" are the
same work at each size: what they cost must not depend on what there is besides.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, TypeVar

import asyncflow as af
from asyncflow.app.options import EngineSettings, LocalFunction
from asyncflow.app.service import StartRequest
from asyncflow.app.services import Services, open_services
from asyncflow.model.definition import parse_workflow
from asyncflow.model.limits import Limits
from asyncflow.model.values import JsonObject
from asyncflow.plugins.jobs import Job, JobStatus
from bench.growth_meter import Meter
from bench.w1 import STEPS, chain, step
from bench.w2 import FAN_OUT, branch
from bench.w3 import FORK, Sleepers

T = TypeVar("T")

AT_ONCE = 500
BESIDE = 200
"""Workflows of five steps that are run beside whatever there is."""

BOUNDLESS = Limits(
    request_bytes=1 << 30,
    definition_bytes=1 << 30,
    definition_tasks=2_000_000,
    fork_width=2_000_000,
    loop_iterations=2_000_000,
    payload_bytes=1 << 30,
    history_events=20_000_000,
)
"""Limits that no size reaches: growth is looked at beyond those of the product, too."""

FUNCTIONS: Mapping[str, LocalFunction] = {"step": step, "branch": branch}
HELD: JsonObject = {
    "name": "held",
    "version": 1,
    "tasks": [
        {
            "name": "wait",
            "taskReferenceName": "wait",
            "type": "WAIT",
            "inputParameters": {"until": "2035-01-01 00:00"},
        }
    ],
}


async def in_parts(items: Iterable[T], work: Callable[[T], Awaitable[object]]) -> None:
    """Do it with each, some at once."""
    part: list[T] = []
    for item in items:
        part.append(item)
        if len(part) == AT_ONCE:
            await asyncio.gather(*map(work, part))
            part.clear()
    await asyncio.gather(*map(work, part))


async def started(services: Services, name: str, given: JsonObject | None = None) -> str:
    """The id of a new execution."""
    return await services.executions.start(StartRequest(name=name, input=given or {}))


async def beside(services: Services, meter: Meter, phase: str = "steps beside") -> None:
    """Run the same workflows, whatever there is besides."""

    async def run(_: int) -> None:
        await services.executions.ended(await started(services, "chain"))

    await services.executions.register_workflow(parse_workflow(chain().to_definition()))
    await run(0)
    with meter.phase(phase, BESIDE * STEPS):
        await in_parts(range(BESIDE), run)
        await services.executions.engine.views_caught_up()


async def _one(services: Services, meter: Meter, body: JsonObject, given: JsonObject, size: int) -> str:
    """Run one execution, and read it whole."""
    executions = services.executions
    request = StartRequest(definition=parse_workflow(body, limits=BOUNDLESS), input=given)
    with meter.phase("run", size):
        execution = await executions.start(request)
        state = await executions.ended(execution)
        await executions.engine.views_caught_up()
    assert state.status == "COMPLETED", state.reason
    with meter.phase("read whole", size):
        await executions.get(execution)
    return execution


async def fork(meter: Meter, folder: Path, size: int) -> None:
    """One execution: a dynamic fork of so many no-op tasks, and its join."""
    async with open_services(
        folder / "g.db", functions=FUNCTIONS, settings=EngineSettings(limits=BOUNDLESS)
    ) as services:
        await _one(services, Meter(counts=False), FAN_OUT, {"items": [{}] * 10}, 10)
        await _one(services, meter, FAN_OUT, {"items": [{}] * size}, size)


async def loop(meter: Meter, folder: Path, size: int) -> None:
    """One execution: a loop of so many iterations over a list, each a task that ends at once."""
    body: JsonObject = {
        "name": "long_loop",
        "tasks": [
            {
                "name": "loop",
                "taskReferenceName": "loop",
                "type": "DO_WHILE",
                "inputParameters": {"_items": "${workflow.input.items}"},
                "loopCondition": "",
                "loopOver": [{"name": "body", "taskReferenceName": "body", "type": "NOOP"}],
            }
        ],
    }
    async with open_services(folder / "g.db", settings=EngineSettings(limits=BOUNDLESS)) as services:
        await _one(services, meter, body, {"items": [0] * size}, size)


async def asking_loop(meter: Meter, folder: Path, size: int) -> None:
    """One execution: a loop of so many iterations whose condition is JavaScript."""
    body: JsonObject = {
        "name": "long_loop",
        "tasks": [
            {
                "name": "loop",
                "taskReferenceName": "loop",
                "type": "DO_WHILE",
                "inputParameters": {"most": "${workflow.input.most}"},
                "loopCondition": "$.loop['iteration'] < $.most",
                "loopOver": [{"name": "body", "taskReferenceName": "body", "type": "NOOP"}],
            }
        ],
    }
    async with open_services(folder / "g.db", settings=EngineSettings(limits=BOUNDLESS)) as services:
        await _one(services, meter, body, {"most": size}, size)


async def written_fork(meter: Meter, folder: Path, size: int) -> None:
    """One execution of a definition in which a fork of so many tasks is written down."""
    names = [f"branch_{number}" for number in range(size - 2)]
    body: JsonObject = {
        "name": "written_fork",
        "tasks": [
            {
                "name": "fork",
                "taskReferenceName": "fork",
                "type": "FORK_JOIN",
                "forkTasks": [[{"name": "branch", "taskReferenceName": name}] for name in names],
            },
            {"name": "join", "taskReferenceName": "join", "type": "JOIN", "joinOn": names},
        ],
    }
    await _written(meter, folder, body, size)


async def written_chain(meter: Meter, folder: Path, size: int) -> None:
    """One execution of a definition in which so many tasks are written down in a row."""
    tasks = [{"name": f"t{n}", "taskReferenceName": f"t{n}", "type": "NOOP"} for n in range(size)]
    await _written(meter, folder, {"name": "written_chain", "tasks": tasks}, size)


async def _written(meter: Meter, folder: Path, body: JsonObject, size: int) -> None:
    async with open_services(
        folder / "g.db", functions=FUNCTIONS, settings=EngineSettings(limits=BOUNDLESS)
    ) as services:
        with meter.phase("register", size):
            await services.executions.register_workflow(parse_workflow(body, limits=BOUNDLESS))
        await _one(services, meter, body, {}, size)


async def executions(meter: Meter, folder: Path, size: int) -> None:
    """So many executions that wait for the same moment, and what goes on beside them."""
    async with open_services(folder / "g.db", functions=FUNCTIONS) as services:
        await services.executions.register_workflow(parse_workflow(HELD))
        held: list[str] = []

        async def start(_: int) -> None:
            held.append(await started(services, "held"))

        with meter.phase("start", size):
            await in_parts(range(size), start)
            await services.executions.engine.views_caught_up()
        await beside(services, meter)
        with meter.phase("what waits", 20):
            for _ in range(20):
                await services.overview.open_executions()
        with meter.phase("search", 20):
            for _ in range(20):
                await services.search.executions("status = 'RUNNING' AND workflowType = 'held'", size=20)
        with meter.phase("metrics", 20):
            for _ in range(20):
                services.meters.text()
        with meter.phase("end", size):
            await in_parts(
                held, lambda each: services.workers.update_by_reference(each, "wait", "COMPLETED", {})
            )
            await services.executions.engine.views_caught_up()


class Held(Sleepers):
    """Jobs that end together, once all of them were handed in."""

    expected: ClassVar[list[int]] = [0, 0]
    """How many there will be, and how many there are."""

    async def submit(self, job: Job) -> str:
        """Take it."""
        del job
        self.expected[1] += 1
        return f"job-{self.expected[1]}"

    async def poll(self, instance: str, handles: Sequence[str]) -> Mapping[str, JobStatus]:
        """All run, or all have ended."""
        del instance
        most, there = self.expected
        return dict.fromkeys(handles, JobStatus("succeeded" if there == most else "running"))


async def jobs(meter: Meter, folder: Path, size: int) -> None:
    """Ten forks of jobs, so many in all, that are polled a few times and end together.

    They are polled less often the more there are, as handing them in takes longer.
    """
    every = f"{1 + size // 3_000}s"
    service = af.Resource("sleepers", type="sleepers", poll={"first": every, "max": every})
    engine = af.Engine(
        folder / "g.db",
        resources=[service],
        plugins={"sleepers": Held},
        settings=EngineSettings(limits=BOUNDLESS),
    )
    async with engine:
        await engine.register(FORK)
        Held.expected[:] = [size, 0]
        with meter.phase("run", size):
            forks = [await engine.start(str(FORK["name"]), {"items": [{}] * (size // 10)}) for _ in range(10)]
            for each in forks:
                await each.ended()
            await engine.service.engine.views_caught_up()
