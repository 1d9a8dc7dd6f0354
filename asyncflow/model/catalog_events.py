"""Recorded facts that belong to no execution: what is registered, and when the engine was down.

They lie in one stream of their own and follow the rules of `model/events`, whose union they are part
of. They say nothing of an execution. `decide/catalog` gives them effect.
"""

from __future__ import annotations

from typing import NamedTuple

from asyncflow.model.values import JsonObject


class WorkflowRegistered(NamedTuple):
    """A workflow definition was stored under its name and version."""

    name: str
    version: int
    definition: str
    created_by: str = ""
    at_ms: int = 0


class WorkflowUnregistered(NamedTuple):
    """A version was deleted; executions that use it are not touched."""

    name: str
    version: int


class TaskRegistered(NamedTuple):
    """A task definition was stored or replaced; `body` is its JSON."""

    name: str
    body: JsonObject
    created_by: str = ""
    at_ms: int = 0


class TaskUnregistered(NamedTuple):
    """A task definition was deleted."""

    name: str


class DocumentSaved(NamedTuple):
    """A named document of a kind (a schedule, an event handler, an API key, …) was stored or replaced."""

    kind: str
    name: str
    body: JsonObject
    created_by: str = ""
    at_ms: int = 0


class DocumentDeleted(NamedTuple):
    """A named document was deleted."""

    kind: str
    name: str


class EngineStopped(NamedTuple):
    """An engine was closed while executions were open; it was up until the moment of this turn."""


class EngineStarted(NamedTuple):
    """An engine took up executions that went on; until then nothing could happen to them.

    `down_from_ms` is the last moment recorded before it, that of `EngineStopped` unless the engine was
    killed. Both are of the elapsed clock.
    """

    down_from_ms: int
    down_to_ms: int
