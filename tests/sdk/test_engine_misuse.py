"""Wrong use of an engine and its handles is refused before anything is recorded, naming what was wrong."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

import asyncflow as af


@af.task
async def echo(x: object = None) -> dict[str, object]:
    return {"x": x}


def plain(x: object) -> object:
    return x


def workflow() -> af.Workflow:
    with af.Workflow("misused") as wf:
        _ = wf >> af.nodes.wait_for_signal(ref="sig") >> echo.node("e", x=wf.input.x)
    return wf


Engine: Any = af.Engine  # authors have no type checker: what it would tell them has to be told by us


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"tasks": [plain]}, "tasks: <function plain .* is no task: decorate it"),
        ({"tasks": 5}, "tasks: 5 is no list"),
        ({"durability": "ful"}, "durability: one of full, normal"),
        ({"resources": {"emr": 3}}, r"resources\.emr: must be a ResourceLimit"),
        ({"resources": {"emr": af.ResourceLimit("3")}}, r"resources\.emr: must be a ResourceLimit"),  # type: ignore[arg-type]
        ({"resources": ["emr"]}, "resources: must be a mapping"),
        ({"database": None}, "database: None is no file name"),
        ({"database": ""}, "database: '' is no file name"),
    ],
)
def test_engine_made_in_a_wrong_way_is_refused(arguments: dict[str, object], message: str) -> None:
    with pytest.raises(af.InvalidInput, match=message):
        Engine(**arguments)


async def test_engine_is_opened_once_at_a_time() -> None:
    async with af.Engine() as engine:
        with pytest.raises(RuntimeError, match="open already"):
            await engine.__aenter__()

    async with engine:
        assert (await engine.start(echo_only())).id


def echo_only() -> af.Workflow:
    with af.Workflow("echoing") as wf:
        _ = wf >> echo.node("e", x=wf.input.x)
    return wf


@pytest.mark.parametrize("name", ["folder", "folder/none/x.db", "noise.db"])
async def test_file_that_cannot_be_used_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "noise.db").write_bytes(b"no database" * 1000)

    with pytest.raises(af.StoreError, match=Path(name).parts[0]):
        async with af.Engine(name):
            pytest.fail("opened")


Command = Callable[[Any, Any], Awaitable[object]]


@pytest.mark.parametrize(
    ("command", "message"),
    [
        (lambda engine, _: engine.start(workflow(), []), "input: must be an object"),
        (lambda engine, _: engine.start(workflow(), "x"), "input: must be an object"),
        (lambda engine, _: engine.start(workflow(), version=7), "version: goes with the name"),
        (lambda engine, _: engine.start("misused", version="1"), "version: an integer"),
        (lambda engine, _: engine.start(workflow(), priority=""), "priority: an integer"),
        (lambda engine, _: engine.start(workflow(), correlation_id=5), "correlationId: must be text, not 5"),
        (lambda engine, _: engine.start(workflow(), correlation_id=[]), "correlationId: must be text"),
        (
            lambda engine, _: engine.start(workflow(), task_to_domain=["a"]),
            "task_to_domain: must be a mapping",
        ),
        (lambda _, run: run.pause(4), "reason: must be text, not 4"),
        (lambda _, run: run.cancel(4), "reason: must be text, not 4"),
        (lambda _, run: run.signal(4), "ref: must be text, not 4"),
        (lambda _, run: run.signal("sig", []), "output: must be an object"),
        (lambda _, run: run.signal("sig", reason=4), "reason: must be text"),
        (lambda _, run: run.skip("e", []), "taskOutput: must be an object"),
        (lambda _, run: run.rerun(from_task=5), "reRunFromTaskId: must be text"),
    ],
)
async def test_command_given_in_a_wrong_way_records_nothing(command: Command, message: str) -> None:
    async with af.Engine() as engine:
        await engine.register(workflow())
        run = await engine.start("misused")
        known = set(engine.service.engine.turns.states)

        with pytest.raises(af.InvalidInput, match=message):
            await command(engine, run)

        assert set(engine.service.engine.turns.states) == known
        assert await run.status() == "RUNNING"


@pytest.mark.parametrize("source", [plain, "misused", None])
async def test_engine_loads_only_tasks_and_workflows(source: Any) -> None:
    async with af.Engine() as engine:
        with pytest.raises(af.InvalidInput, match="is no task: decorate it"):
            engine.load(source)
