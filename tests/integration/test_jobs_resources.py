"""Jobs on the engine's own resources: opened from a registry, told of in metrics, used by functions."""

from __future__ import annotations

from pathlib import Path

import asyncflow as af
from asyncflow.app.service import Service, StartRequest
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.plugins.registry import Registry
from asyncflow.runtime.context import TaskContext
from asyncflow.runtime.engine import Engine, EngineSettings
from asyncflow.store.sqlite import SqliteStore
from asyncflow.testing.clock import VirtualClock
from asyncflow.testing.services import JobService, ServiceManager
from tests.integration.engine_support import simple, workflow
from tests.integration.job_support import _nothing, job


async def test_a_job_runs_on_a_resource_of_the_engine_and_a_function_uses_its_client(tmp_path: Path) -> None:
    clock = VirtualClock(auto=False)
    service_behind = JobService(clock, lambda: clock.now().elapsed_ms)

    class Manager(ServiceManager):
        service = service_behind

        def client(self, instance: str) -> object:
            return {"service": "at hand", "instance": instance}

    @af.task(retries=0)
    async def uses(ctx: TaskContext) -> object:
        return ctx.resource("emr")

    @af.task(retries=0)
    async def strays(ctx: TaskContext) -> object:
        return ctx.resource("other")

    settings = EngineSettings(
        installation="test",
        resources={"emr": ResourceSettings("fake"), "other": ResourceSettings("fake")},
        registry=Registry.built_in().with_classes(resources={"fake": Manager}),
    )
    names = {"resources": [{"name": "emr"}]}
    body = workflow(
        "w",
        [job(asyncflow=names), simple("uses", asyncflow=names), simple("strays", asyncflow=names)],
    )
    async with SqliteStore.open(tmp_path / "f.db") as store:
        engine = Engine(store, functions={"uses": uses, "strays": strays}, settings=settings, clock=clock)
        async with engine:
            clock.attach(engine)
            clock.on_rest(_nothing)
            service = Service(engine)
            await service.register_workflow(body)
            execution = await service.start(StartRequest("w"))
            await clock.advance(2)
            waits = await service.why(execution)
            assert waits[0]["kind"] == "job"
            await clock.run(lambda: engine.turns.states[execution].is_ended, seconds=600)
            state = await engine.state(execution)
            clock.detach(_nothing)
    assert state.by_ref["job"].status == "COMPLETED"
    assert state.by_ref["uses"].output == {"service": "at hand", "instance": ""}
    assert "does not name other" in str(state.by_ref["strays"].reason)
    assert len(service_behind.made) == 1
