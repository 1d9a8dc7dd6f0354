"""Engines with one scripted resource, for tests of jobs: the service, its manager, and virtual time."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from asyncflow.app.service import Service, StartRequest
from asyncflow.errors import InvalidInput
from asyncflow.model.job_events import JobNoted
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.state import ExecutionState
from asyncflow.model.values import JsonObject
from asyncflow.plugins.jobs import Tier
from asyncflow.plugins.resources import ResourceManager
from asyncflow.runtime.engine import Engine, EngineSettings
from asyncflow.store.sqlite import SqliteStore
from asyncflow.testing.clock import VirtualClock
from asyncflow.testing.services import TASK_TYPE, JobService, manager_of

RESOURCE = "fake"


@dataclass
class OnePool:
    """A pool with managers that are always open, and instances that are what a test says."""

    managers: dict[str, ResourceManager]
    settings: Mapping[str, ResourceSettings]
    instances: dict[str, list[str]] = field(default_factory=dict)
    placed: list[tuple[str, str]] = field(default_factory=list)
    gone: list[tuple[str, str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    troubles: dict[str, str] = field(default_factory=dict)

    def settings_of(self, name: str) -> ResourceSettings | None:
        return self.settings.get(name)

    def manager(self, name: str) -> ResourceManager | None:
        return None if name in self.troubles else self.managers.get(name)

    def trouble(self, name: str) -> str:
        return self.troubles.get(name, "")

    def for_task(self, task_type: str, named: Sequence[str]) -> str:
        fitting = [name for name in named or self.managers if task_type in self.managers[name].tasks]
        if len(fitting) != 1 and not named:
            raise InvalidInput(f"{task_type}: {fitting}", field="asyncflow.resources")
        return fitting[0]

    def parts(self, name: str, given: JsonObject) -> Iterable[str]:
        return type(self.managers[name]).parts(given)

    def place(self, name: str) -> str:
        instances = self.instances.get(name)
        if not instances:
            return ""
        self.placed.append((name, instances[0]))
        return instances[0]

    def unplace(self, name: str, instance: str) -> None:
        self.placed.remove((name, instance))

    def restore_place(self, name: str, instance: str) -> None:
        self.placed.append((name, instance))

    def handle_of(self, name: str, instance: str) -> str:
        return f"handle of {instance}"

    def instance_gone(self, name: str, instance: str, reason: str) -> None:
        self.gone.append((name, instance))

    def wanted(self, name: str) -> None:
        self.asked.append(name)


class Bench:
    """One service and the engines that use it, one after the other on one file.

    Attributes:
        service: what takes the jobs; it goes on while no engine runs.
        clock: the time of all of them.
    """

    def __init__(
        self, path: Path, tier: Tier = "token", *, searchable: bool | None = None, **constants: object
    ) -> None:
        self.path, self.clock = path, VirtualClock(auto=False)
        self.service = JobService(self.clock, lambda: self.clock.now().elapsed_ms)
        self.tier, self.searchable, self.constants = tier, searchable, constants
        self.resource = ResourceSettings("fake")
        self.settings = EngineSettings(installation="test")
        self.pool = OnePool({}, {})

    def manager(self) -> ResourceManager:
        return manager_of(self.service, self.tier, searchable=self.searchable, **self.constants)

    @asynccontextmanager
    async def engine(self) -> AsyncIterator[Service]:
        """An engine until the end of the block; leaving it is what a crash is to its jobs."""
        self.pool = OnePool({RESOURCE: self.manager()}, {RESOURCE: self.resource}, self.pool.instances)
        async with SqliteStore.open(self.path) as store:
            engine = Engine(store, settings=self.settings, clock=self.clock, pool=self.pool)
            engine.catalog.job_types[TASK_TYPE] = "fake"
            async with engine:
                self.clock.attach(engine)
                self.clock.on_rest(_nothing)
                try:
                    yield Service(engine)
                finally:
                    self.clock.detach(_nothing)

    async def start(self, service: Service, body: JsonObject, given: JsonObject | None = None) -> str:
        await service.register_workflow(body)
        return await service.start(StartRequest(name=str(body["name"]), input=given or {}))

    async def end(self, service: Service, execution: str, *, within_s: float = 3_600) -> ExecutionState:
        """Let time pass until the execution has ended, or so much has passed."""

        def is_over() -> bool:
            state = service.engine.turns.states.get(execution)
            return state is not None and state.is_ended and not state.jobs

        await self.clock.run(is_over, seconds=within_s)
        return await service.engine.state(execution)


def callback_proof(service: Service, token: str) -> str:
    """What has to come with a token, so that a callback counts; services have it in their address."""
    return service.engine.jobs._around.preparing.callbacks.proof(token)


def _nothing() -> bool:
    return False


def job(ref: str = "job", **fields: object) -> JsonObject:
    """A job task, tried once."""
    return {
        "name": ref,
        "taskReferenceName": ref,
        "type": TASK_TYPE,
        "inputParameters": {"name": ref},
        "taskDefinition": {"name": ref, "retryCount": 0},
        **fields,
    }


def notes(state: ExecutionState) -> list[str]:
    """The kinds of what was noted of all jobs."""
    known = [*state.jobs.values(), *state.past_jobs.values()]
    return [kind for each in known for kind in each.notes or ()]


def noted(events: Sequence[object]) -> list[str]:
    """The kinds of notes in a history."""
    return [event.kind for event in events if isinstance(event, JobNoted)]
