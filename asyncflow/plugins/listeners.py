"""The contract of listeners: told of committed events, at least once, and unable to delay anybody.

A listener has a cursor of its own in the database; what it could not take is told again. Names and
schemas of events are listed in `docs/event-catalogue.md`.
"""

from __future__ import annotations

from typing import ClassVar, NamedTuple

from asyncflow.model.values import JsonObject
from asyncflow.plugins.resources import CONTRACT_VERSION, PluginConfig


class CommittedEvent(NamedTuple):
    """One event that is durable.

    Attributes:
        id: the same whenever it is told again: `<stream>:<seq>`.
        name: such as `task.timed_out`, `execution.completed`, `resource.destroyed`.
        at_ms: when it was recorded, UTC milliseconds.
        subject: the execution's id, or the resource's name.
        data: its facts, by the schema of its name.
    """

    id: str
    name: str
    at_ms: int
    subject: str
    data: JsonObject


class Listener:
    """Hears of events. Subclass it and write `on_event`.

    Attributes:
        contract: the version of this contract it is written for.
        Config: its settings: the keys of `[listeners.NAME]` that are not the engine's own.
        patterns: names of events, with `*` for any part: `task.*`, `*.failed`. The settings may narrow it.
    """

    contract: ClassVar[int] = CONTRACT_VERSION
    Config: ClassVar[type[PluginConfig]] = PluginConfig
    patterns: ClassVar[tuple[str, ...]] = ("*",)

    def __init__(self, name: str, config: PluginConfig) -> None:
        """Keep what is given; connect to nothing yet."""
        self.name = name
        self.config = config

    async def open(self) -> None:
        """Begin: called once, before the first event."""

    async def close(self) -> None:
        """End."""

    async def on_event(self, event: CommittedEvent) -> None:
        """Take one event. What is raised has it told again, later and later, then skipped and counted."""
        raise NotImplementedError
