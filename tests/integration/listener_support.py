"""Listeners that keep what they hear, and engines that they listen to, for tests of listeners."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from asyncflow.app.options import EngineSettings
from asyncflow.app.service import StartRequest
from asyncflow.app.services import Services, open_services
from asyncflow.model.values import JsonObject
from asyncflow.plugins.listeners import CommittedEvent, Listener
from asyncflow.plugins.listening import ListenerSettings
from asyncflow.plugins.resources import PluginConfig
from tests.integration.schedule_support import workflow


class Ear(Listener):
    """Keeps what it hears; raises for the names it is told to, or waits until it may go on."""

    def __init__(self, name: str = "ear") -> None:
        super().__init__(name, PluginConfig())
        self.heard: list[CommittedEvent] = []
        self.refuses: set[str] = set()
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()
        self.tries = 0

    async def on_event(self, event: CommittedEvent) -> None:
        self.tries += 1
        await self.may_go_on.wait()
        if event.name in self.refuses:
            raise ConnectionError(f"no line for {event.name}")
        self.heard.append(event)

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.heard]

    @property
    def ids(self) -> list[str]:
        return [event.id for event in self.heard]


def settings_of(*ears: Listener, more: EngineSettings | None = None, **said: object) -> EngineSettings:
    """Settings of an engine with these listeners, which hear everything and are not patient."""
    fast = {"retry_first_s": 0.001, "retries": 2, "start": "beginning", **said}
    listeners = {ear.name: ListenerSettings(made=ear, **fast) for ear in ears}  # type: ignore[arg-type]
    chosen = more or EngineSettings()
    return EngineSettings(
        listeners=listeners, keep_ended=chosen.keep_ended, turn_log_bytes=chosen.turn_log_bytes
    )


@asynccontextmanager
async def heard_by(
    *ears: Listener, database: str | Path = ":memory:", more: EngineSettings | None = None, **said: object
) -> AsyncIterator[Services]:
    """An engine that these listen to."""
    async with open_services(database, settings=settings_of(*ears, more=more, **said)) as services:
        yield services


async def ran(services: Services, name: str = "w", *tasks: JsonObject) -> str:
    """The id of an execution of this workflow, once it has ended."""
    await services.executions.register_workflow(workflow(name, *tasks))
    execution = await services.executions.start(StartRequest(name=name))
    await services.executions.ended(execution)
    return execution


def shown(services: Services, name: str = "ear") -> Mapping[str, object]:
    """What is shown of a listener."""
    return next(each for each in services.listeners.all() if each["name"] == name)
