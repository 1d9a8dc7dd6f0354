"""A server whose resource loses answers and cannot be asked again, so that a person has to decide."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asyncflow.app.options import EngineSettings
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.plugins.errors import OutcomeOpen
from asyncflow.plugins.jobs import InstanceOrder, InstanceStatus
from asyncflow.plugins.registry import Registry
from asyncflow.plugins.resources import ResourceManager
from asyncflow.testing.clock import VirtualClock
from asyncflow.testing.services import TASK_TYPE, JobService, ServiceManager
from tests.http.conftest import Server, serving

UNDECIDED = "NEEDS_DECISION"
DEFINITION = {
    "name": "w",
    "version": 1,
    "schemaVersion": 2,
    "tasks": [
        {
            "name": "job",
            "taskReferenceName": "job",
            "type": TASK_TYPE,
            "inputParameters": {"name": "job"},
            "taskDefinition": {"name": "job", "retryCount": 0},
        }
    ],
}


class Undecided:
    """A service of tier none whose first answer is lost: to a submit, or to the making of an instance.

    Attributes:
        jobs: what the service has.
        created: the handles of all instances that were ever made.
    """

    def __init__(self, *, creates: bool) -> None:
        self.clock = VirtualClock(auto=False)
        self.jobs = JobService(self.clock, lambda: self.clock.now().elapsed_ms)
        self.created: list[str] = []
        self._is_lost = creates
        if not creates:
            self.jobs.fail("submit", "cut_after")

    def kind(self, *, creates: bool) -> type[ResourceManager]:
        bench = self

        class Fake(ServiceManager):
            tier = "none"
            service = bench.jobs

        class WithInstances(Fake):
            async def create(self, order: InstanceOrder) -> str:
                bench.created.append(f"j-{len(bench.created) + 1}")
                if bench._is_lost:
                    bench._is_lost = False
                    raise OutcomeOpen("the answer was lost")
                return bench.created[-1]

            async def check(self, handle: str) -> InstanceStatus:
                return InstanceStatus("ready" if handle in bench.created else "gone")

            async def destroy(self, handle: str) -> None:
                del handle

        return WithInstances if creates else Fake

    async def stuck(self, server: Server) -> str:
        """Start an execution and let time pass until a person is asked; its id."""
        answer = await server.post("/api/workflow", json={"name": "w", "workflowDef": DEFINITION})
        assert answer.status == 200, answer.text
        await self.clock.advance(120)
        return answer.text

    async def task_id(self, server: Server, execution: str) -> str:
        found = (await server.get(f"/api/workflow/{execution}")).json
        assert isinstance(found, dict)
        return str(found["tasks"][0]["taskId"])

    async def ended(self, server: Server, execution: str) -> None:
        """Let time pass until the execution has ended."""
        states = server.services.executions.engine.turns.states

        def is_over() -> bool:
            state = states.get(execution)
            return state is None or (state.is_ended and not state.jobs)

        await self.clock.run(is_over, seconds=600)


@asynccontextmanager
async def undecided_server(*, creates: bool = False) -> AsyncIterator[tuple[Undecided, Server]]:
    """A server with such a resource, in virtual time."""
    made = Undecided(creates=creates)
    registry = Registry.built_in().with_classes(resources={"fake": made.kind(creates=creates)}, listeners={})
    settings = EngineSettings(
        installation="test", registry=registry, resources={"fake": ResourceSettings("fake")}
    )
    async with serving(engine=settings, clock=made.clock) as server:
        engine = server.services.executions.engine
        made.clock.attach(engine)
        made.clock.on_rest(_nothing)
        try:
            yield made, server
        finally:
            made.clock.detach(_nothing)


def _nothing() -> bool:
    return False
