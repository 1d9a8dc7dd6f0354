"""An engine whose jobs run on instances of a scripted service: clusters that come, go, and are counted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

from asyncflow.app.service import Service
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resource_state import Instance
from asyncflow.model.values import JsonObject
from asyncflow.plugins.errors import InstanceGone, OutcomeOpen, Rejected
from asyncflow.plugins.jobs import Found, InstanceOrder, InstanceStatus, InstanceWord, Job
from asyncflow.plugins.registry import Registry
from asyncflow.plugins.resources import ResourceManager
from asyncflow.runtime.engine import Engine, EngineSettings
from asyncflow.runtime.resource_keeper import Keeper
from asyncflow.runtime.resources import Resources
from asyncflow.store.sqlite import SqliteStore
from asyncflow.testing.services import TASK_TYPE, ServiceManager
from tests.integration.job_support import Bench, job

ONE_JOB: JsonObject = {"name": "w", "version": 1, "schemaVersion": 2, "tasks": [job()]}


@dataclass
class Clusters:
    """What the service has: how each cluster stands, and every order it took."""

    stands: dict[str, InstanceWord] = field(default_factory=dict)
    tokens: dict[str, str] = field(default_factory=dict)
    created: list[str] = field(default_factory=list)
    destroyed: list[str] = field(default_factory=list)
    submitted: list[tuple[str, InstanceWord]] = field(default_factory=list)
    refusals: int = 0
    lost_answers: int = 0
    faults_of_open: int = 0
    is_silent: bool = False
    is_deaf: bool = False  # answers to submits are lost
    is_mute: bool = False  # checks get no answer
    drowned: int = 0
    stubborn: set[str] = field(default_factory=set)  # of these the next order to end gets no answer
    protected: set[str] = field(default_factory=set)  # of these every order to end is refused
    breaks: list[BaseException] = field(default_factory=list)  # what the next checks raise
    opening: asyncio.Event | None = None  # managers open when it is set
    opened: list[object] = field(default_factory=list)
    closed: list[object] = field(default_factory=list)
    protests: list[str] = field(default_factory=list)

    async def open(self, manager: object) -> None:
        if self.faults_of_open:
            self.faults_of_open -= 1
            raise OutcomeOpen("nobody answers")
        self.opened.append(manager)
        if self.opening is not None:
            await self.opening.wait()

    def hear_check(self) -> None:
        if self.breaks:
            raise self.breaks.pop()
        if self.is_mute:
            raise OutcomeOpen("nobody answers")

    def hear_submit(self, instance: str) -> None:
        if self.is_silent:
            raise OutcomeOpen("nobody answers")
        word = self.stands.get(instance, "gone")
        self.submitted.append((instance, word))
        if word == "gone":
            raise InstanceGone("the cluster ended")

    def hear_end(self, handle: str) -> None:
        if handle in self.protected:
            self.protests.append(handle)
            raise Rejected("it is protected")
        if handle in self.stubborn:
            self.stubborn.remove(handle)
            raise OutcomeOpen("nobody answers")


class ClusterBench(Bench):
    """A service with clusters and the engines that use it, one after the other on one file."""

    def __init__(self, path: Path, resource: ResourceSettings | None = None) -> None:
        super().__init__(path)
        self.clusters = Clusters()
        self.can_find_instances = True
        self.resource = resource or ResourceSettings("cluster", idle_after_s=600)

    def kind(self) -> type[ResourceManager]:
        made = self.manager()
        assert isinstance(made, ServiceManager)
        clusters, base = self.clusters, type(made)

        class ClusterManager(base):  # type: ignore[valid-type, misc]  # of the tier that the bench has
            async def open(self) -> None:
                await clusters.open(self)

            async def close(self) -> None:
                clusters.closed.append(self)

            async def create(self, order: InstanceOrder) -> str:
                if clusters.refusals:
                    clusters.refusals -= 1
                    raise Rejected("no capacity")
                if clusters.drowned:
                    clusters.drowned -= 1
                    raise OutcomeOpen("nobody answers")
                handle = f"j-{len(clusters.created) + 1}"
                clusters.created.append(order.token)
                clusters.stands[handle], clusters.tokens[handle] = "ready", order.token
                if clusters.lost_answers:
                    clusters.lost_answers -= 1
                    raise OutcomeOpen("the answer was lost")
                return handle

            async def find_instance(self, order: InstanceOrder, since_ms: int) -> Sequence[Found]:
                return [Found(each) for each, token in clusters.tokens.items() if token == order.token]

            async def check(self, handle: str) -> InstanceStatus:
                clusters.hear_check()
                return InstanceStatus(clusters.stands.get(handle, "gone"))

            async def destroy(self, handle: str) -> None:
                clusters.hear_end(handle)
                clusters.destroyed.append(handle)
                clusters.stands[handle] = "gone"

            async def submit(self, job: Job) -> str:
                clusters.hear_submit(job.instance)
                answer = await super().submit(job)
                if clusters.is_deaf:
                    raise OutcomeOpen("the answer was lost")
                assert isinstance(answer, str)
                return answer

        if not self.can_find_instances:
            ClusterManager.find_instance = ResourceManager.find_instance  # type: ignore[method-assign]  # has none
        return self.bound(ClusterManager, made)

    def bound(self, kind: type[ResourceManager], made: ResourceManager) -> type[ResourceManager]:
        """The class, with what its own constructor is not given by an engine."""
        given = {key: value for key, value in vars(made).items() if key not in {"config", "context"}}

        class Bound(kind):  # type: ignore[valid-type, misc]  # as above
            def __init__(self, config: object, context: object) -> None:
                self.config, self.context = config, context
                self.__dict__.update(given)

        return Bound

    def registry(self) -> Registry:
        return Registry.built_in().with_classes(resources={"cluster": self.kind()}, listeners={})

    def engine_settings(self) -> EngineSettings:
        return EngineSettings(installation="test", registry=self.registry())

    @asynccontextmanager
    async def engine(self, *, is_configured: bool = True) -> AsyncIterator[Service]:
        resources = {"emr": self.resource} if is_configured else {}
        settings = replace(self.engine_settings(), resources=resources)
        async with SqliteStore.open(self.path) as store:
            engine = Engine(store, settings=settings, clock=self.clock)
            engine.catalog.job_types[TASK_TYPE] = "cluster"
            async with engine:
                self.clock.attach(engine)
                self.clock.on_rest(_nothing)
                try:
                    yield Service(engine)
                finally:
                    self.clock.detach(_nothing)


def _nothing() -> bool:
    return False


def cluster_bench(path: Path, **settings: object) -> ClusterBench:
    """One whose resource `emr` makes clusters, with these settings."""
    return ClusterBench(path / "a.db", ResourceSettings("cluster", **settings))  # type: ignore[arg-type]


def kept_resources(service: Service) -> Resources:
    kept = service.engine.kept_resources
    assert kept is not None
    return kept


def keeper_of_clusters(service: Service) -> Keeper:
    return kept_resources(service).keepers["emr"]


def instances_of(service: Service) -> list[Instance]:
    """The clusters there are; none where nobody keeps any."""
    keeper = kept_resources(service).keepers.get("emr")
    return [] if keeper is None else list(keeper.state.instances.values())
