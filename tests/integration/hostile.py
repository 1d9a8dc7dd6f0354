"""What the hostile tests share: definitions as JSON, and an engine that is asked whether it is well."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncflow as af
from asyncflow.model.limits import Limits
from asyncflow.model.state import ExecutionState
from asyncflow.runtime.engine import EngineSettings
from asyncflow.sdk.tasks import TaskFunction

Json = dict[str, object]
PATIENCE_SECONDS = 60


def task(kind: str = "SIMPLE", ref: str = "t", **fields: object) -> Json:
    """A task of that type, named as it is referred to; without retries where it could have any."""
    once = {"name": ref, "retryCount": 0}
    return {"name": ref, "taskReferenceName": ref, "type": kind, "taskDefinition": once, **fields}


def workflow(*tasks: Json, name: str = "w", **fields: object) -> Json:
    """A workflow of these tasks."""
    return {"name": name, "schemaVersion": 2, "tasks": list(tasks), **fields}


def gives(value: object, ref: str = "a") -> Json:
    """A task whose output is `{"result": value}`, without any code of an author."""
    return task(
        "INLINE", ref, inputParameters={"evaluatorType": "value-param", "expression": "v", "v": value}
    )


HEALTHY = workflow(gives("${workflow.input.n}"), name="healthy", outputParameters={"n": "${a.output.result}"})


@asynccontextmanager
async def hostile_engine(
    *functions: TaskFunction[..., object],
    database: str | Path = ":memory:",
    limits: Limits | None = None,
) -> AsyncIterator[af.Engine]:
    """An engine that is well when the test leaves it: it runs a healthy workflow."""
    settings = EngineSettings() if limits is None else EngineSettings(limits=limits)
    async with af.Engine(database, tasks=functions, settings=settings) as engine:
        yield engine
        await is_well(engine)


async def is_well(engine: af.Engine) -> None:
    """The engine runs a healthy workflow to its end."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        assert await engine.run(HEALTHY, {"n": 7}) == {"n": 7}


async def end_of(engine: af.Engine, body: Json | str, given: Json | None = None) -> ExecutionState:
    """Start it and wait for its end, whatever it is."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        execution = await engine.start(body, given)
        return await execution.ended()


def stored(engine: af.Engine) -> tuple[int, int]:
    """Executions in memory and workflows registered: what a refusal must not change."""
    inside = engine.service.engine
    return len(inside.turns.states), sum(map(len, inside.catalog.workflows.values()))
