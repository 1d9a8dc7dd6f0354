"""Data volumes: measured of every task, told by functions, kept over restarts, and told when unusual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar

import pytest
from pydantic import BaseModel

import asyncflow as af
from asyncflow.app.options import EngineSettings
from asyncflow.app.service import StartRequest
from asyncflow.app.services import Services, open_services
from asyncflow.app.workers import TaskResult
from asyncflow.errors import InvalidInput, NotFound
from asyncflow.model.io_rule import IoRule
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.values import JsonObject
from asyncflow.plugins.jobs import Ended, Job, JobStatus
from asyncflow.plugins.registry import Registry
from asyncflow.plugins.resources import JobInput, ResourceManager
from tests.integration.listener_support import Ear, settings_of
from tests.integration.schedule_support import workflow
from tests.integration.test_watchers import receiving
from tests.integration.waiting import until


@af.task(executor="loop")
async def grow(size: int, ctx: af.TaskContext) -> dict[str, object]:
    ctx.record_io(rows=size, bytes=10 * size, direction="out")
    ctx.record_io(rows=1, direction="out")
    return {"text": "x" * size}


@af.task(executor="thread")
def grow_in_thread(size: int, ctx: af.TaskContext) -> dict[str, object]:
    ctx.record_io(rows=size)
    return {"text": "x" * size}


FUNCTIONS: Mapping[str, Any] = {each.name: each for each in (grow, grow_in_thread)}


def grown(name: str = "grow") -> JsonObject:
    task: JsonObject = {"name": name, "taskReferenceName": "g", "type": "SIMPLE"}
    return workflow("w", {**task, "inputParameters": {"size": "${workflow.input.size}"}})


async def ran(services: Services, size: int, name: str = "grow") -> str:
    await services.executions.register_workflow(grown(name))
    execution = await services.executions.start(StartRequest(name="w", input={"size": size}))
    await services.executions.ended(execution)
    return execution


@pytest.mark.parametrize("name", ["grow", "grow_in_thread"])
async def test_volumes_of_runs_are_kept_over_restarts(tmp_path: Path, name: str) -> None:
    database = tmp_path / "a.db"
    async with open_services(database, functions=FUNCTIONS) as services:
        executions = [await ran(services, size, name) for size in (10, 20)]
    async with open_services(database, functions=FUNCTIONS) as services:
        executions.append(await ran(services, 30, name))
        found: Any = await services.volumes.history("w", "g")
        newest: Any = await services.volumes.history("w", "g", count=1)

    runs = found["runs"]
    extra = 1 if name == "grow" else 0
    assert [run["executionId"] for run in runs] == executions[::-1]
    assert [run["rowsOut"] for run in runs] == [size + extra for size in (30, 20, 10)]
    assert [run["outputBytes"] for run in runs] == [size + len('{"text":""}') for size in (30, 20, 10)]
    assert {run["inputBytes"] for run in runs} == {len('{"size":10}')}
    assert found["usual"]["rowsOut"] == 20 + extra
    assert len(newest["runs"]) == 1


async def test_bytes_are_recorded_of_every_executor() -> None:
    """An HTTP task, a worker elsewhere and a sub-workflow; none of them tells anything."""
    async with receiving() as receiver:
        tasks: list[JsonObject] = [
            {"type": "HTTP", "inputParameters": {"uri": receiver.url, "method": "POST", "body": {"a": 1}}},
            {"type": "SIMPLE", "inputParameters": {"day": "monday"}},
            {
                "type": "SUB_WORKFLOW",
                "inputParameters": {"size": 10},
                "subWorkflowParam": {"name": "w", "version": 1},
            },
        ]
        named: list[JsonObject] = [
            {"name": ref, "taskReferenceName": ref, **task} for ref, task in zip("abc", tasks, strict=True)
        ]
        settings = EngineSettings(http_allow=("127.0.0.1",))
        async with open_services(functions=FUNCTIONS, settings=settings) as services:
            await services.executions.register_workflow(grown())
            await services.executions.register_workflow(workflow("all", *named))
            execution = await services.executions.start(StartRequest(name="all"))
            taken = await services.workers.poll("b", worker_id="far", timeout_ms=5_000)
            result = TaskResult(execution, str(taken[0]["taskId"]), "COMPLETED", {"text": "y" * 70})
            await services.workers.update(result)
            await services.executions.ended(execution)
            told: list[Any] = [await services.volumes.history("all", ref) for ref in "abc"]
            runs = [each["runs"][0] for each in told]

    assert runs[0]["inputBytes"] > len(receiver.url)
    assert runs[0]["outputBytes"] > 0
    assert (runs[1]["inputBytes"], runs[1]["outputBytes"]) == (16, 70 + len('{"text":""}'))
    assert runs[2]["inputBytes"] >= len('{"size":10}')
    assert runs[2]["outputBytes"] > 0


async def test_volumes_go_with_their_execution() -> None:
    async with open_services(functions=FUNCTIONS) as services:
        execution = await ran(services, 5)
        await services.volumes.history("w", "g")
        await services.executions.remove(execution)
        with pytest.raises(NotFound):
            await services.volumes.history("w", "g")


async def test_a_worker_elsewhere_tells_by_the_id_of_its_task() -> None:
    async with open_services(functions=FUNCTIONS) as services:
        execution = await ran(services, 5)
        found: Any = await services.volumes.history("w", "g")
        task = found["runs"][0]["taskId"]
        await services.volumes.record(task, "in", rows=7)
        await services.volumes.record(task, "in", rows=1, bytes=2)
        for wrong in ({"rows": -1}, {"bytes": 1.5}, {"rows": True}):
            with pytest.raises(InvalidInput):
                await services.volumes.record(task, "in", **wrong)
        with pytest.raises(InvalidInput):
            await services.volumes.record(task, "sideways", rows=1)
        with pytest.raises(InvalidInput):
            await services.volumes.record(task, {}, rows=1)
        again: Any = await services.volumes.history("w", "g")

    assert execution == again["runs"][0]["executionId"]
    assert (again["runs"][0]["rowsIn"], again["runs"][0]["bytesIn"]) == (8, 2)


async def test_what_is_beyond_the_usual_is_told_once_and_also_after_a_restart(tmp_path: Path) -> None:
    ear = Ear()
    listeners = settings_of(ear, patterns=("task.io_unusual",)).listeners
    settings = EngineSettings(listeners=listeners, io=IoRule(factor=3.0, runs=10, least_runs=4))
    database = tmp_path / "a.db"
    async with open_services(database, functions=FUNCTIONS, settings=settings) as services:
        for size in (1000, 1100, 900, 1000, 1200):
            await ran(services, size)
    async with open_services(database, functions=FUNCTIONS, settings=settings) as services:
        await ran(services, 1_050)
        odd = await ran(services, 9_000)
        await until(lambda: len(ear.heard) == 3)
        assert services.meters.text().count('asyncflow_task_io_unusual_total{workflow="w"} 3') == 1

    told = {(each.data["direction"], each.data["measure"]): each.data for each in ear.heard}
    assert told.keys() == {("out", "bytes"), ("out", "rows"), ("out", "told_bytes")}
    rows = told["out", "rows"]
    assert (rows["executionId"], rows["ref"], rows["value"], rows["factor"]) == (odd, "g", 9_001, 3.0)
    assert 1_000 <= int(str(rows["usual"])) <= 1_100


async def test_nothing_is_unusual_unless_that_is_asked_for() -> None:
    ear = Ear()
    settings = settings_of(ear, patterns=("task.io_unusual", "execution.completed"))
    async with open_services(functions=FUNCTIONS, settings=settings) as services:
        for size in (1, 1, 1, 1, 1, 1, 5_000):
            await ran(services, size)
        await until(lambda: len(ear.heard) == 7)

    assert set(ear.names) == {"execution.completed"}


async def test_rounds_of_a_loop_count_and_no_other_task_whose_name_begins_alike() -> None:
    def note(ref: str) -> JsonObject:
        return {"name": ref, "taskReferenceName": ref, "type": "SET_VARIABLE", "inputParameters": {"x": 1}}

    loop: JsonObject = {"name": "l", "taskReferenceName": "l", "type": "DO_WHILE"}
    loop |= {"loopCondition": "$.l['iteration'] < 3 ? true : false", "loopOver": [note("a")]}
    async with open_services() as services:
        await services.executions.register_workflow(
            workflow("w", loop, note("a2"), note("a_b"), note("a__x"), note("b"))
        )
        execution = await services.executions.start(StartRequest(name="w"))
        await services.executions.ended(execution)
        found: Any = await services.volumes.history("w", "a")
        with pytest.raises(NotFound):
            await services.volumes.history("w", "a_")

    assert [run["iteration"] for run in found["runs"]] == [3, 2, 1]


async def test_runs_outside_the_usual_range_are_named_over_restarts(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    async with open_services(database, functions=FUNCTIONS) as services:
        for size in (100, 110, 900, 100, 90):
            await ran(services, size)
    async with open_services(database, functions=FUNCTIONS) as services:
        few: Any = await services.volumes.history("w", "g", count=5)
        await ran(services, 105)
        found: Any = await services.volumes.history("w", "g")

    assert {tuple(run["unusual"]) for run in few["runs"]} == {()}
    assert [run["outputBytes"] for run in found["runs"] if run["unusual"]] == [900 + len('{"text":""}')]
    odd = next(run["unusual"] for run in found["runs"] if run["unusual"])
    assert set(odd) == {"outputBytes", "rowsOut", "bytesOut"}
    assert found["factor"] == 3.0


async def test_numbers_beyond_all_bounds_lose_nobody_else_a_row(tmp_path: Path) -> None:
    @af.task(executor="loop", retries=0)
    async def huge(ctx: af.TaskContext) -> None:
        for _ in range(3):
            ctx.record_io(rows=10**30, bytes=2**62)

    settings = EngineSettings()
    async with open_services(tmp_path / "a.db", functions={"huge": huge}, settings=settings) as services:
        await services.executions.register_workflow(grown("huge"))
        execution = await services.executions.start(StartRequest(name="w", input={"size": 1}))
        state = await services.executions.ended(execution)
        found: Any = await services.volumes.history("w", "g")
        dropped = services.executions.engine.logs.dropped

    assert (state.status, dropped) == ("COMPLETED", 0)
    assert (found["runs"][0]["rowsOut"], found["runs"][0]["bytesOut"]) == (2**53, 2**53)


async def test_what_a_service_tells_of_a_job_that_leaves_memory_at_once_is_kept() -> None:
    class Counting(ResourceManager):
        tasks: ClassVar[Mapping[str, type[BaseModel]]] = {"FAKE": JobInput}

        async def submit(self, job: Job) -> Ended:
            return Ended("h", JobStatus("succeeded", rows_out=10**30, bytes_in=7))

        async def poll(self, instance: str, handles: Sequence[str]) -> Mapping[str, JobStatus]:
            return {}

    registry = Registry.built_in().with_classes(resources={"fake": Counting})
    settings = EngineSettings(resources={"r": ResourceSettings("fake")}, registry=registry, keep_ended=0)
    async with open_services(settings=settings) as services:
        job: JsonObject = {"name": "j", "taskReferenceName": "j", "type": "FAKE"}
        await services.executions.register_workflow(workflow("w", job))
        execution = await services.executions.start(StartRequest(name="w"))
        await services.executions.ended(execution)
        found: Any = await services.volumes.history("w", "j")

    assert (found["runs"][0]["rowsOut"], found["runs"][0]["bytesIn"]) == (2**53, 7)
