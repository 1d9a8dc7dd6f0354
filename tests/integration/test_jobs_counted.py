"""What is told of jobs beside their outputs: data that went through, and those that wait for a person."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel

import asyncflow as af
from asyncflow.app.options import EngineSettings, Registry, ResourceSettings
from asyncflow.app.service import StartRequest
from asyncflow.app.services import open_services
from asyncflow.model.values import JsonObject
from asyncflow.plugins.jobs import Ended, Job, JobStatus, Tier
from asyncflow.plugins.resources import ResourceManager
from asyncflow.testing.services import AnyInput
from tests.integration import task_functions
from tests.integration.engine_support import workflow
from tests.integration.job_support import Bench, job


class Loader(ResourceManager):
    """Jobs that are over at once, and say how much went through them."""

    tasks: ClassVar[Mapping[str, type[BaseModel]]] = {"LOAD": AnyInput}
    tier: ClassVar[Tier] = "token"

    async def submit(self, job: Job) -> Ended:
        """It read three rows and wrote two, of which it knows the bytes."""
        return Ended(job.token, JobStatus("succeeded", {}, rows_in=3, rows_out=2, bytes_out=50))

    async def poll(self, instance: str, handles: Sequence[str]) -> Mapping[str, JobStatus]:
        """Nobody has to ask."""
        raise AssertionError("asked for what is over")

    async def cancel(self, instance: str, handle: str) -> None:
        """There is nothing to cancel."""


async def test_data_that_jobs_tell_of_is_kept_with_their_tasks() -> None:
    """By task, where several are in flight; the numbers come with the end, and stay."""
    registry = Registry.built_in().with_classes(resources={"loader": Loader})
    settings = EngineSettings(registry=registry, resources={"l": ResourceSettings("loader")})
    tasks: list[JsonObject] = [{"name": r, "taskReferenceName": r, "type": "LOAD"} for r in "ab"]
    async with open_services(settings=settings) as services:
        await services.executions.register_workflow(workflow("w", tasks))
        execution = await services.executions.start(StartRequest(name="w"))
        await services.executions.ended(execution)
        found: list[Any] = [await services.volumes.history("w", ref) for ref in "ab"]

    for each in found:
        (run,) = each["runs"]
        assert (run["rowsIn"], run["rowsOut"], run["bytesOut"]) == (3, 2, 50)


async def test_data_told_of_in_another_process_is_kept_with_the_task() -> None:
    told = af.task(executor="process", name="told", retries=0)(task_functions.told)
    task: JsonObject = {"name": "told", "taskReferenceName": "t", "type": "SIMPLE"}
    async with open_services(functions={"told": told}) as services:
        await services.executions.register_workflow(workflow("w", [task]))
        execution = await services.executions.start(StartRequest(name="w"))
        state = await services.executions.ended(execution)
        found: Any = await services.volumes.history("w", "t")

    assert state.status == "COMPLETED"
    (run,) = found["runs"]
    assert (run["rowsIn"], run["bytesIn"]) == (2, 30)


async def test_an_undecided_job_is_shown_as_that_after_its_task_has_ended(tmp_path: Path) -> None:
    """An execution is terminated while nobody can tell about its job: `task list --state` has to find it."""
    bench = Bench(tmp_path / "f.db", "none")
    bench.service.fail("submit", "cut_after")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(120)
        await service.terminate(execution, "enough")
        await service.engine.views_caught_up()
        with closing(sqlite3.connect(bench.path)) as file:
            rows = file.execute("SELECT status, state FROM task").fetchall()

    assert rows == [("CANCELED", "NEEDS_DECISION")]
