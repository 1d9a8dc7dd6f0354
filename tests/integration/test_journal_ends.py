"""What a file says of the end of its execution is what folding it gives, and nothing is said too early."""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.app import recovery_shown
from asyncflow.app.journal_ends import outcome
from asyncflow.app.recovering import folded, look_at
from asyncflow.app.service import Service, StartRequest
from asyncflow.app.services import open_services
from asyncflow.model.values import JsonObject
from asyncflow.store.journal_file import JournalFile
from asyncflow.store.records import StoreSettings
from tests.integration.engine_support import child, simple, waiting, workflow

TOLD = ("workflowId", "workflowName", "workflowVersion", "status", "startTime", "endTime", "output")
"""What is told of an execution whether or not its file is folded for it."""

Doing = Callable[[Service, str], Awaitable[object]]

OUTPUT: JsonObject = {"outputParameters": {"of": "${done.output.n}"}}
ONE = workflow("one", [simple("done")], **OUTPUT)
TWO = {**workflow("one", [simple("done"), simple("done", ref="more")], **OUTPUT), "version": 2}
AGAIN = workflow(
    "again",
    [
        {
            **simple("flaky"),
            "taskDefinition": {"name": "flaky", "retryCount": 1, "retryDelaySeconds": 0},
        }
    ],
)
PARENT = workflow("parent", [child("one")])
OPEN = workflow("open", [simple("done"), waiting("wait")])
TOLERANT = workflow("tolerant", [{**simple("flaky"), "optional": True}, simple("done")])
HOPELESS = workflow("hopeless", [simple("flaky")])


async def file_after(folder: Path, body: JsonObject, doing: Doing, *more: JsonObject) -> JournalFile:
    """The file of an execution with which something was done, looked at as `recover` does."""
    tried: list[int] = []

    @af.task
    async def done() -> dict[str, int]:
        return {"n": 7}

    @af.task
    async def flaky() -> dict[str, int]:
        tried.append(1)
        if len(tried) == 1:
            raise RuntimeError("not yet")
        return {"n": len(tried)}

    settings = StoreSettings(journal=folder / "journal", journal_must=True)
    functions = {each.name: each for each in (done, flaky)}
    async with open_services(folder / "a.db", store=settings, functions=functions) as services:
        service = services.executions
        for each in (body, *more):
            await service.register_workflow(each)
        execution = await service.start(StartRequest(name=str(body["name"]), version=1))
        await doing(service, execution)
    (file,) = (folder / "journal").glob(f"*.{execution}.log")
    return await look_at(file)


async def ended(service: Service, execution: str) -> None:
    await service.ended(execution)


async def restarted(service: Service, execution: str) -> None:
    """Under the second version of its workflow."""
    await service.ended(execution)
    await service.restart(execution, latest_definition=True)
    await service.ended(execution)


async def retried(service: Service, execution: str) -> None:
    await service.ended(execution)
    await service.retry(execution)
    await service.ended(execution)


async def restarted_and_left(service: Service, execution: str) -> None:
    """It was over, and is not any more."""
    await service.signal(execution, "wait", {})
    await service.ended(execution)
    await service.restart(execution)


@pytest.mark.parametrize(
    ("body", "doing", "more"),
    [
        (ONE, ended, ()),
        (ONE, restarted, (TWO,)),
        (PARENT, ended, (ONE,)),
        (HOPELESS, retried, ()),
        (TOLERANT, ended, ()),
    ],
    ids=["plain", "another version", "with a child", "retried", "with a failure that is tolerated"],
)
async def test_what_is_told_of_an_end_is_what_folding_gives(
    tmp_path: Path, body: JsonObject, doing: Doing, more: tuple[JsonObject, ...]
) -> None:
    found = await file_after(tmp_path, body, doing, *more)

    told = outcome(found)

    assert told is not None
    whole = await folded(found)
    shown = recovery_shown.shown(whole)
    assert {key: told.shown[key] for key in TOLD} == {key: shown[key] for key in TOLD}
    assert told.tasks == Counter(task.status for task in whole.state.tasks.values())
    assert recovery_shown.is_over(whole)


@pytest.mark.parametrize(
    ("body", "doing"),
    [(OPEN, restarted_and_left), (HOPELESS, ended)],
    ids=["goes on again", "failed"],
)
async def test_what_is_not_a_plain_success_is_folded(tmp_path: Path, body: JsonObject, doing: Doing) -> None:
    assert outcome(await file_after(tmp_path, body, doing)) is None


async def test_a_task_that_was_tried_again_is_no_failure(tmp_path: Path) -> None:
    told = outcome(await file_after(tmp_path, AGAIN, ended))

    assert told is not None
    assert told.tasks == {"FAILED": 1, "COMPLETED": 1}


async def test_a_child_that_goes_on_keeps_its_parent_from_being_over(tmp_path: Path) -> None:
    """Its last line says that the parent is over, and the child has another line after its own."""
    found = await file_after(tmp_path, PARENT, ended, ONE)
    below = next(stream for stream in found.ends if stream != found.execution_id)
    del found.over[below]

    assert outcome(found) is None
