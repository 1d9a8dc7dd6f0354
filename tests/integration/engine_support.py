"""Engines for tests of the runtime: a journal that can be held up or fail, and small workflows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import asyncflow as af
from asyncflow.app.service import Service
from asyncflow.errors import StoreError
from asyncflow.model.turn import Turn
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine, EngineSettings
from asyncflow.sdk.tasks import TaskFunction
from asyncflow.store.sqlite import SqliteStore


class HeldStore(SqliteStore):
    """A store whose commits wait while it is held, and fail as told before they reach the file."""

    gate: asyncio.Event
    arrived: asyncio.Event
    failures: list[StoreError]
    fails_after: bool
    one_by_one: bool

    def prepare(self) -> None:
        self.gate, self.arrived = asyncio.Event(), asyncio.Event()
        self.gate.set()
        self.failures, self.fails_after, self.one_by_one = [], False, False

    async def append(self, turn: Turn) -> None:
        self.arrived.set()
        await self.gate.wait()
        if self.one_by_one:
            self.gate.clear()
        if self.failures and not self.fails_after:
            raise self.failures.pop(0)
        await super().append(turn)
        if self.failures:
            raise self.failures.pop(0)


@asynccontextmanager
async def held_engine(
    path: Path, *tasks: TaskFunction[..., object], settings: EngineSettings | None = None
) -> AsyncIterator[tuple[Service, HeldStore]]:
    """A service on an engine whose journal can be held up."""
    async with HeldStore.open(path) as store:
        store.prepare()
        functions = {task.name: task for task in tasks}
        async with Engine(store, functions=functions, settings=settings) as engine:
            yield Service(engine), store


def simple(name: str, *, ref: str = "", **fields: object) -> JsonObject:
    """A SIMPLE task, tried once."""
    once = {"name": name, "retryCount": 0}
    return {
        "name": name,
        "taskReferenceName": ref or name,
        "type": "SIMPLE",
        "taskDefinition": once,
        **fields,
    }


def waiting(ref: str = "wait") -> JsonObject:
    """A WAIT task that only a signal ends."""
    return {"name": ref, "taskReferenceName": ref, "type": "WAIT"}


def child(name: str, ref: str = "child") -> JsonObject:
    """A SUB_WORKFLOW task."""
    return {
        "name": ref,
        "taskReferenceName": ref,
        "type": "SUB_WORKFLOW",
        "subWorkflowParam": {"name": name, "version": 1},
    }


def workflow(name: str, tasks: Sequence[JsonObject], **fields: object) -> JsonObject:
    """A workflow definition of version 1."""
    return {"name": name, "version": 1, "schemaVersion": 2, "tasks": [*tasks], **fields}


def kinds(events: Sequence[object]) -> list[str]:
    """The kinds of recorded events."""
    return [type(event).__name__ for event in events]


@af.task(retries=0)
async def noop() -> None:
    """Do nothing."""
