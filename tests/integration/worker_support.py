"""Outside workers for tests: a service with its queues, and workers that poll and update."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from asyncflow.app.service import Service, StartRequest
from asyncflow.app.workers import TaskResult, Workers
from asyncflow.model.definition import parse_workflow
from asyncflow.model.values import JsonObject
from asyncflow.runtime.clock import Clock
from asyncflow.runtime.demand import HandOutSettings
from asyncflow.runtime.engine import Engine, EngineSettings
from asyncflow.store.sqlite import SqliteStore
from tests.integration.engine_support import simple, workflow


class Shop:
    """An engine, and the two doors to it that these tests use."""

    def __init__(self, engine: Engine, store: SqliteStore) -> None:
        self.engine = engine
        self.service = Service(engine)
        self.workers = Workers(engine, store)

    async def start(self, body: JsonObject, given: JsonObject | None = None, **more: object) -> str:
        request = StartRequest(definition=parse_workflow(body), input=given, **more)  # type: ignore[arg-type]
        return await self.service.start(request)

    async def start_many(self, count: int, name: str = "far") -> list[str]:
        """Executions of one task for outside workers each, started in few turns."""
        body = workflow("w", [simple(name)])
        return list(await asyncio.gather(*(self.start(body) for _ in range(count))))

    async def poll(self, worker: str, count: int = 1, name: str = "far", **more: object) -> list[JsonObject]:
        return await self.workers.poll(name, worker_id=worker, count=count, **more)  # type: ignore[arg-type]

    async def complete(self, task: JsonObject, status: str = "COMPLETED", **more: object) -> None:
        await self.workers.update(result_of(task, status, **more))

    async def task(self, execution: str, ref: str = "far") -> JsonObject:
        """The newest record of a task."""
        shown = await self.service.get(execution)
        tasks = shown["tasks"]
        assert isinstance(tasks, list)
        return [task for task in tasks if task["referenceTaskName"] == ref][-1]  # type: ignore[no-any-return]

    async def status(self, execution: str) -> object:
        return (await self.service.get(execution))["status"]


@asynccontextmanager
async def shop(
    path: Path, *, settings: EngineSettings | None = None, clock: Clock | None = None, **hand_out: object
) -> AsyncIterator[Shop]:
    """An engine without functions of its own; `hand_out` are settings of it."""
    given = settings or EngineSettings()
    if hand_out:
        given = replace(given, hand_out=HandOutSettings(**hand_out))  # type: ignore[arg-type]
    async with SqliteStore.open(path) as store, Engine(store, settings=given, clock=clock) as engine:
        yield Shop(engine, store)


def result_of(task: JsonObject, status: str = "COMPLETED", **more: object) -> TaskResult:
    given = {"worker_id": str(task.get("workerId") or ""), **more}
    return TaskResult(str(task["workflowInstanceId"]), str(task["taskId"]), status, **given)  # type: ignore[arg-type]
