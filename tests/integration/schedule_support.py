"""Services in virtual time for tests of schedules and event handlers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

from asyncflow.app.options import EngineSettings
from asyncflow.app.services import Services, open_services
from asyncflow.model.values import JsonObject
from asyncflow.testing.clock import VirtualClock

HOUR, DAY = 3_600, 86_400


def workflow(name: str, *tasks: JsonObject) -> JsonObject:
    """A definition; without tasks it ends at once."""
    done: JsonObject = {
        "name": "s",
        "taskReferenceName": "s",
        "type": "SET_VARIABLE",
        "inputParameters": {"a": 1},
    }
    return {"name": name, "version": 1, "schemaVersion": 2, "tasks": list(tasks) or [done]}


def wait(ref: str, **given: object) -> JsonObject:
    """A WAIT task: for a duration, or without one until it is told."""
    return {"name": ref, "taskReferenceName": ref, "type": "WAIT", "inputParameters": given}


def schedule(name: str, cron: str, *, starts: str = "w", **more: object) -> JsonObject:
    """A schedule of this workflow."""
    return {"name": name, "cronExpression": cron, "startWorkflowRequest": {"name": starts}, **more}


def ms(text: str) -> int:
    """A moment in UTC milliseconds."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def clock_at(text: str) -> VirtualClock:
    """A clock that stands at this moment."""
    return VirtualClock(ms(text), auto=False)


@asynccontextmanager
async def services_on(
    clock: VirtualClock, database: str | Path = ":memory:", *, settings: EngineSettings | None = None
) -> AsyncIterator[Services]:
    """Everything, with time moved by this clock; one after another may be opened on one file."""
    async with open_services(database, clock=clock, settings=settings) as services:
        clock.attach(services.executions.engine)
        clock.on_rest(_nothing)
        await clock.rest()
        yield services
        clock.detach(_nothing)


def _nothing() -> bool:
    return False


async def times(services: Services, query: str = "", state: str = "") -> list[str]:
    """The times of schedules that came, oldest first, as `MM-DD HH:MM`."""
    _, found = await services.schedules.history.find(query, size=1_000)
    chosen = [each for each in found if not state or _state(each) == state]
    return [f"{datetime.fromtimestamp(_due(each), UTC):%m-%d %H:%M}" for each in reversed(chosen)]


def _due(firing: JsonObject) -> float:
    due = firing["scheduledTime"]
    assert isinstance(due, int)
    return due / 1000


def _state(firing: JsonObject) -> object:
    ours = firing["asyncflow"]
    assert isinstance(ours, dict)
    return ours["state"]


async def started(services: Services, name: str = "w") -> int:
    """How many executions of a workflow there are."""
    return (await services.search.executions(f"workflowType = '{name}'")).total
