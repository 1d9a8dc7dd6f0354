"""Shapes that grow with what is kept: finished executions, definitions, schedules, listeners, event handlers.

Each is one process's work at one size, as in `bench/growth_executions.py`. Phases named "beside" and those of
one page or one object are the same work at each size.
"""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import ClassVar

from asyncflow.app.build import open_engine
from asyncflow.app.catalogue import Catalogue
from asyncflow.app.execution_sweep import ExecutionSweep
from asyncflow.app.options import EngineSettings
from asyncflow.app.schedules import Wanted
from asyncflow.app.services import Services, open_services
from asyncflow.model.definition import parse_workflow
from asyncflow.model.values import JsonObject
from asyncflow.plugins.listeners import CommittedEvent, Listener
from asyncflow.plugins.registry import Registry
from asyncflow.sdk.resources import with_plugins
from asyncflow.testing.clock import VirtualClock
from bench import big_file
from bench.growth_executions import FUNCTIONS, HELD, beside, in_parts, started
from bench.growth_meter import Meter

_NEW_YEAR_MS = 1_893_456_000_000  # 2030-01-01
_SMALL: JsonObject = {
    "name": "small",
    "version": 1,
    "tasks": [
        {
            "name": "set",
            "taskReferenceName": "set",
            "type": "SET_VARIABLE",
            "inputParameters": {"a": 1},
        }
    ],
}
_TIMES = 20
_SWEPT = 500


async def finished(meter: Meter, folder: Path, size: int) -> None:
    """So many executions of ten tasks in the file that ended days ago."""
    file = folder / "g.db"
    await big_file.fill(file, size)
    await asyncio.to_thread(_spread, file)
    with meter.phase("open the engine"):
        opened = open_services(file, functions=FUNCTIONS)
        services = await opened.__aenter__()
    await beside(services, meter)
    search = services.search.executions
    first = (await search(size=1, sort=["startTime:ASC"])).rows[0].execution_id
    questions = {
        "list, first page": "",
        "list of a workflow": "workflowType = 'ended'",
        "list of both": "workflowType = 'ended' AND status = 'COMPLETED'",
        "list of one status": "status = 'FAILED'",
        "list of what runs": "status = 'RUNNING'",
    }
    for phase, question in questions.items():
        with meter.phase(phase, _TIMES):
            for _ in range(_TIMES):
                await search(question, size=20)
    with meter.phase("status of one", _TIMES):
        for _ in range(_TIMES):
            await services.executions.get(first)
    with meter.phase("what waits", _TIMES):
        for _ in range(_TIMES):
            await services.overview.open_executions()
    await opened.__aexit__(None, None, None)
    await _sweep(meter, file)


def _spread(file: Path) -> None:
    """Have them begun one after the other: no list sorts thousands that began in the same millisecond."""
    with closing(sqlite3.connect(file)) as db, db:
        db.execute("UPDATE execution SET started_at_ms = started_at_ms + rowid")


async def _sweep(meter: Meter, file: Path) -> None:
    """Some batches of retention."""
    async with open_engine(file) as (engine, store):
        work = ExecutionSweep(engine, store, big_file.OLD)
        with meter.phase("retention"):
            sweeping = asyncio.ensure_future(work.sweep())
            while work.removed < _SWEPT and not sweeping.done():  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
            sweeping.cancel()
            await asyncio.wait((sweeping,))
        meter.phases["retention"].units = work.removed


async def definitions(meter: Meter, folder: Path, size: int) -> None:
    """So many registered definitions."""

    async def register(number: int) -> None:
        await services.executions.register_workflow(parse_workflow({**_SMALL, "name": f"small_{number}"}))

    async with open_services(folder / "g.db", functions=FUNCTIONS) as services:
        with meter.phase("register", size):
            await in_parts(range(size), register)
        await beside(services, meter)
        await _register_beside(services, meter)
        with meter.phase("list of names", size):
            Catalogue(services.executions.engine).workflow_names()
    with meter.phase("open the engine", size):
        opened = open_services(folder / "g.db", functions=FUNCTIONS)
        services = await opened.__aenter__()
    with meter.phase("start each", size):
        await in_parts(range(size), lambda number: started(services, f"small_{number}"))
    await opened.__aexit__(None, None, None)


async def _register_beside(services: Services, meter: Meter) -> None:
    """One registers, another starts, in turn."""
    with meter.phase("register and start beside", 100):
        for number in range(100):
            body = {**_SMALL, "name": "changing", "description": str(number)}
            await services.executions.register_workflow(parse_workflow(body))
            await services.executions.ended(await started(services, "changing"))


def _yearly(number: int) -> JsonObject:
    return {
        "name": f"yearly_{number}",
        "cronExpression": "0 0 0 1 1 *",
        "startWorkflowRequest": {"name": "small"},
    }


async def schedules(meter: Meter, folder: Path, size: int) -> None:
    """So many schedules that are due at new year, and one that is due each second."""
    clock = VirtualClock(_NEW_YEAR_MS - 1_000_000, auto=False)
    each_second: JsonObject = {**_yearly(0), "name": "often", "cronExpression": "* * * * * *"}
    async with _timed(clock, folder) as services:
        await services.executions.register_workflow(parse_workflow(_SMALL))
        with meter.phase("save", size):
            await in_parts(range(size), lambda number: services.schedules.save(_yearly(number)))
        await beside(services, meter)
        await services.schedules.save(each_second)
        with meter.phase("firings beside", 100):
            await clock.advance(100)
        with meter.phase("pause and resume beside", 2 * _TIMES):
            for number in range(_TIMES):
                await services.schedules.pause(f"yearly_{number}")
                await services.schedules.resume(f"yearly_{number}")
        await services.schedules.delete("often")
        with meter.phase("list, first page", size):
            services.schedules.search(Wanted(), size=20)
    with meter.phase("open the engine", size):
        opened = _timed(clock, folder)
        services = await opened.__aenter__()
    with meter.phase("all fire", size):
        await clock.advance(1_000)
    counted = services.schedules.firing.counts.executed
    assert counted == size, counted
    await opened.__aexit__(None, None, None)


@asynccontextmanager
async def _timed(clock: VirtualClock, folder: Path) -> AsyncIterator[Services]:
    """Everything, with time that this clock moves."""
    async with open_services(folder / "g.db", clock=clock, functions=FUNCTIONS) as services:
        clock.attach(services.executions.engine)
        clock.on_rest(_never)
        yield services
        clock.detach(_never)


def _never() -> bool:
    return False


class Deaf(Listener):
    """Takes everything and keeps nothing; counts what all of its kind were told."""

    told: ClassVar[list[int]] = [0]

    async def on_event(self, event: CommittedEvent) -> None:
        """Count it."""
        del event
        self.told[0] += 1


async def listeners(meter: Meter, folder: Path, size: int) -> None:
    """So many listeners of events that hardly come, and what goes on beside them; then one event for all."""
    settings = EngineSettings(registry=with_plugins(Registry.built_in(), {"deaf": Deaf}))

    async def save(number: int) -> None:
        body: JsonObject = {"type": "deaf", "patterns": ["execution.terminated"]}
        await services.listeners.save(f"deaf-{number}", body)

    async with open_services(folder / "g.db", functions=FUNCTIONS, settings=settings) as services:
        with meter.phase("save", size):
            await in_parts(range(size), save)
        await beside(services, meter)
        with meter.phase("list", size):
            services.listeners.all()
        await _tell_all(services, meter, size)
        with meter.phase("change beside", _TIMES):
            await in_parts(range(_TIMES), save)
        with meter.phase("compaction"):
            await services.executions.engine.compaction.compact()
    with meter.phase("open the engine", size):
        opened = open_services(folder / "g.db", functions=FUNCTIONS, settings=settings)
        services = await opened.__aenter__()
    with meter.phase("close the engine", size):
        await opened.__aexit__(None, None, None)


async def _tell_all(services: Services, meter: Meter, size: int) -> None:
    """Three events that every listener hears."""
    executions = services.executions
    await executions.register_workflow(parse_workflow(HELD))
    ended = [await started(services, "held") for _ in range(3)]
    Deaf.told[0] = 0
    with meter.phase("tell", 3 * size):
        for each in ended:
            await executions.terminate(each)
        while Deaf.told[0] < 3 * size:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)


async def handlers(meter: Meter, folder: Path, size: int) -> None:
    """So many event handlers, one of which hears of a message, and what goes on beside them."""

    async def create(number: int) -> None:
        action: JsonObject = {"action": "start_workflow", "start_workflow": {"name": "small"}}
        await services.handlers.create(
            {
                "name": f"handler_{number}",
                "event": f"asyncflow:sink_{number}",
                "active": True,
                "actions": [action],
            }
        )

    async with open_services(folder / "g.db", functions=FUNCTIONS) as services:
        await services.executions.register_workflow(parse_workflow(_SMALL))
        with meter.phase("create", size):
            await in_parts(range(size), create)
        await beside(services, meter)
        delivery = services.handlers.delivery
        with meter.phase("messages beside", 100):
            for number in range(100):
                await services.handlers.publish(f"sink_{number % size}", {"number": number})
            while delivery.counts["done"] < 100:  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.01)
        with meter.phase("list of one event", _TIMES):
            for number in range(_TIMES):
                services.handlers.all(f"asyncflow:sink_{number}")
    with meter.phase("open the engine", size):
        opened = open_services(folder / "g.db", functions=FUNCTIONS)
        await opened.__aenter__()
    await opened.__aexit__(None, None, None)
