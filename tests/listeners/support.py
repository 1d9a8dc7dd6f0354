"""A listener as a plugin, whose instances of one name share what they hear, and engines that have it."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import ClassVar

from asyncflow.app.options import EngineSettings
from asyncflow.app.services import Services, open_services
from asyncflow.model.values import JsonObject
from asyncflow.plugins.listeners import CommittedEvent, Listener
from asyncflow.plugins.registry import Registry
from asyncflow.plugins.resources import PluginConfig


@dataclass
class Notes:
    """What listeners of one name heard, and what they refuse."""

    heard: list[CommittedEvent] = field(default_factory=list)
    refuses: set[str] = field(default_factory=set)
    may_go_on: asyncio.Event = field(default_factory=asyncio.Event)
    at_once: int = 0
    most_at_once: int = 0
    tries: int = 0
    lives: int = 0
    closed: int = 0

    @property
    def names(self) -> list[str]:
        return [event.name for event in self.heard]

    @property
    def subjects(self) -> list[str]:
        return [event.subject for event in self.heard]


NOTES: dict[str, Notes] = defaultdict(Notes)
"""By name of the listener; emptied before each test."""


class NotingConfig(PluginConfig):
    """Settings of a listener that notes."""

    of_the_machine: ClassVar[frozenset[str]] = frozenset({"folder"})

    tag: str = ""
    password: str = ""
    folder: str = ""


class Noting(Listener):
    """Notes what it hears; raises for the names it is told to."""

    Config: ClassVar[type[PluginConfig]] = NotingConfig

    def __init__(self, name: str, config: PluginConfig) -> None:
        super().__init__(name, config)
        self.notes = NOTES[name]
        self.notes.lives += 1

    async def on_event(self, event: CommittedEvent) -> None:
        notes = self.notes
        notes.tries += 1
        notes.at_once += 1
        notes.most_at_once = max(notes.most_at_once, notes.at_once)
        try:
            await notes.may_go_on.wait()
            if event.name in notes.refuses:
                raise ConnectionError(f"no line for {event.name}")
            notes.heard.append(event)
        finally:
            notes.at_once -= 1

    async def close(self) -> None:
        self.notes.closed += 1


def notes_of(name: str) -> Notes:
    """The notes of a listener, which may go on."""
    found = NOTES[name]
    found.may_go_on.set()
    return found


NOTING: JsonObject = {"type": "noting", "retries": 0, "retry_first": 0.001, "patterns": ["execution.*ed"]}
"""The settings of one that hears of executions, and is not patient."""

SETTINGS = EngineSettings(registry=Registry.built_in().with_classes(listeners={"noting": Noting}))


@asynccontextmanager
async def listened(
    database: str | Path = ":memory:", settings: EngineSettings = SETTINGS, **more: object
) -> AsyncIterator[Services]:
    """An engine that knows this plugin."""
    async with open_services(database, settings=replace(settings, **more)) as services:  # type: ignore[arg-type]  # by name
        yield services
