"""C69: a manager of a third party performs the tasks of its type, as the documents say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

import pytest
from pydantic import BaseModel

import asyncflow as af
from asyncflow.model.values import JsonObject
from asyncflow.plugins.jobs import Job, JobStatus
from asyncflow.plugins.resources import JobInput, PluginConfig, ResourceContext, ResourceManager


class Label(JobInput):
    text: str


class Printer(PluginConfig):
    tray: int = 1


class PrinterManager(ResourceManager):
    Config = Printer
    tasks: ClassVar[Mapping[str, type[BaseModel]]] = {"PRINT_LABEL": Label}
    tier = "token"

    def __init__(self, config: Printer, context: ResourceContext) -> None:
        super().__init__(config, context)
        self.tray, self.jobs = config.tray, dict[str, JsonObject]()

    async def submit(self, job: Job) -> str:
        self.jobs[job.token] = job.input
        return job.token

    async def poll(self, instance: str, handles: Sequence[str]) -> Mapping[str, JobStatus]:
        return {
            each: JobStatus("succeeded", {"printed": self.jobs[each]["text"], "tray": self.tray})
            for each in handles
        }

    async def cancel(self, instance: str, handle: str) -> None:
        """Too late, always."""


def workflow(kind: str, **given: object) -> JsonObject:
    task = {
        "name": "it",
        "taskReferenceName": "it",
        "type": kind,
        "inputParameters": given,
        "taskDefinition": {"name": "it", "retryCount": 0},
    }
    return {"name": "w", "version": 1, "schemaVersion": 2, "tasks": [task]}


async def test_tasks_of_a_type_become_jobs_of_the_resource_that_takes_them(tmp_path: Path) -> None:
    printer = af.Resource("printer", type="printer", max_concurrent=1, tray=3, poll={"first": 0.01, "max": 1})

    async with af.Engine(
        tmp_path / "a.db", plugins={"printer": PrinterManager}, resources=[printer]
    ) as engine:
        result = await engine.run(workflow("PRINT_LABEL", text="fragile"))

    assert result == {"printed": "fragile", "tray": 3}


async def test_a_type_of_a_resource_that_is_not_configured_fails_by_name() -> None:
    async with af.Engine(plugins={"printer": PrinterManager}) as engine:
        with pytest.raises(af.ExecutionFailed, match="PRINT_LABEL"):
            await engine.run(workflow("PRINT_LABEL", text="fragile"))
