"""What health, metrics and `why` say of calls that hang in threads, and of journal files that lag behind."""

from __future__ import annotations

import threading
from pathlib import Path

import asyncflow as af
from asyncflow.app.engine_metrics import EngineMetrics
from asyncflow.app.exposition import Page
from asyncflow.app.metric_families import FAMILIES
from asyncflow.app.service import StartRequest
from asyncflow.app.services import Services, open_services
from asyncflow.cli.waits import wait_of
from asyncflow.ids import task_id
from asyncflow.model.values import JsonObject
from asyncflow.store.records import StoreSettings
from asyncflow.testing.clock import VirtualClock
from tests.integration.engine_support import simple
from tests.integration.waiting import until

WORKFLOW: JsonObject = {"name": "w", "version": 1, "schemaVersion": 2, "tasks": [simple("hang")]}


def _found(services: Services, name: str) -> list[str]:
    return [each.message for each in services.health.findings() if each.name == name]


def _metrics(services: Services) -> dict[str, float]:
    page = Page(FAMILIES)
    EngineMetrics(services.executions.engine).write(page)
    lines = [line.split() for line in page.text().splitlines() if line.startswith("asyncflow_thread_calls")]
    return {line[0]: float(line[1]) for line in lines}


async def test_call_that_was_given_up_is_named_until_it_ends() -> None:
    begun, end = threading.Event(), threading.Event()

    @af.task
    def hang() -> None:
        begun.set()
        end.wait()

    clock = VirtualClock(auto=False)
    async with open_services(functions={"hang": hang}, clock=clock) as services:
        service = services.executions
        await service.register_workflow(WORKFLOW)
        execution = await service.start(StartRequest(name="w"))
        await until(begun.is_set)
        assert (_found(services, "threads"), _metrics(services)['asyncflow_thread_calls{state="busy"}']) == (
            [],
            1,
        )

        await service.terminate(execution, "enough")
        await until(service.engine.threads.hung_calls)
        waits = (await services.overview.why(execution))["waitsFor"]
        of_task = (await services.overview.why_task(execution, 1))["waitsFor"]
        soon = _found(services, "threads")
        clock.suspend(10)
        late, metrics = _found(services, "threads"), _metrics(services)
        end.set()
        await until(lambda: not service.engine.threads.hung_calls())
        after = (await services.overview.why(execution))["waitsFor"], _found(services, "threads")

    assert isinstance(waits, list)
    assert waits == of_task
    assert (waits[0]["kind"], waits[0]["attempt"]) == ("hung_call", 1)
    assert waits[0]["taskId"] == task_id(execution, 1)
    assert " wait" in waits[0]["line"], "the line of code that it is at"
    assert "its call holds a thread, at " in wait_of(waits[0])
    assert (soon, late) == ([], [f"1 calls were given up and do not end: hang of {execution}"])
    assert metrics['asyncflow_thread_calls{state="hung"}'] == 1
    assert metrics["asyncflow_thread_calls_given_up_total"] == 1
    assert after == ([], [])


async def test_attempt_that_waits_for_a_thread_says_so() -> None:
    end = threading.Event()

    @af.task
    def hang() -> None:
        end.wait()

    async with open_services(functions={"hang": hang}) as services:
        service = services.executions
        await service.register_workflow(WORKFLOW)
        pool = service.engine.threads
        size = pool.statistics().size
        for _ in range(size + 1):
            execution = await service.start(StartRequest(name="w"))
        await until(lambda: pool.statistics().waiting)
        (wait,) = await service.why(execution)
        end.set()

    assert (wait["kind"], wait["threads"]) == ("attempt", {"size": size, "waiting": 1, "hung": 0})
    assert wait_of(wait).endswith(f"; 1 wait for one of {size} threads")


async def test_journal_files_that_cannot_be_written_are_named_by_health(tmp_path: Path) -> None:
    folder, aside = tmp_path / "journal", tmp_path / "aside"
    async with open_services(tmp_path / "a.db", store=StoreSettings(journal=folder)) as services:
        await services.executions.register_workflow({**WORKFLOW, "tasks": [simple("elsewhere")]})
        execution = await services.executions.start(StartRequest(name="w"))
        await until(lambda: list(folder.glob("w.*.log")))
        (file,) = folder.glob("w.*.log")
        before = _found(services, "journal")
        file.rename(aside)
        file.mkdir()
        await services.executions.terminate(execution, "enough")
        await until(lambda: _found(services, "journal"))
        (said,) = _found(services, "journal")
        file.rmdir()
        aside.rename(file)
        await until(lambda: not _found(services, "journal"))

    assert before == []
    assert said.startswith(f"files are behind: journal file in {folder}: ")
