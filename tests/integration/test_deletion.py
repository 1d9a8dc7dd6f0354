"""Deleting an execution: only what has ended, nothing that a parent may need, and then whole."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.app.service import StartRequest
from asyncflow.errors import NotFound, Refused
from asyncflow.model.inputs import RestartExecution
from asyncflow.runtime.engine import EngineSettings
from tests.integration.engine_support import child, held_engine, noop, simple, waiting, workflow
from tests.integration.waiting import until
from tests.store.making import sql

ONE = workflow("one", [simple("noop")])
OPEN = workflow("open", [waiting("w")])
PARENT = workflow("parent", [child("one"), waiting("w")])


@af.task(retries=0)
async def failing() -> None:
    raise af.TaskFailed("no")


async def test_deleted_execution_is_unknown_to_everything(tmp_path: Path) -> None:
    async with af.Engine(tmp_path / "a.db", tasks=[noop]) as engine:
        inner = engine.service.engine
        await engine.register(ONE)
        execution = await engine.service.start(StartRequest(name="one"))
        await engine.service.ended(execution)
        await inner.delete_execution(execution, "asked for")

        assert execution not in inner.turns.states
        for asked in (
            engine.service.get(execution),
            engine.service.restart(execution),
            inner.delete_execution(execution),
            anext(engine.service.events(execution)),
        ):
            with pytest.raises(NotFound):
                await asked
        assert sql(tmp_path / "a.db", "SELECT count(*) FROM execution") == [(0,)]


async def test_what_goes_on_is_not_deleted(tmp_path: Path) -> None:
    async with af.Engine(tmp_path / "a.db", tasks=[noop]) as engine:
        await engine.register(OPEN)
        execution = await engine.service.start(StartRequest(name="open"))
        with pytest.raises(Refused, match="RUNNING"):
            await engine.service.engine.delete_execution(execution)
        with pytest.raises(NotFound):
            await engine.service.engine.delete_execution("2f0c3b9e-0000-7000-8000-000000000000")

        assert (await engine.service.get(execution))["status"] == "RUNNING"


async def test_child_stays_as_long_as_its_parent_goes_on(tmp_path: Path) -> None:
    async with af.Engine(tmp_path / "a.db", tasks=[noop]) as engine:
        inner = engine.service.engine
        for definition in (ONE, PARENT):
            await engine.register(definition)
        parent = await engine.service.start(StartRequest(name="parent"))
        async for _ in engine.service.events(parent):
            records = (await inner.state(parent)).by_ref
            if "w" in records:
                break
        more = records["child"].more
        assert more is not None
        identity = str(more.child_id)
        with pytest.raises(Refused, match=parent):
            await inner.delete_execution(identity)
        await engine.service.terminate(parent)
        await inner.delete_execution(identity)
        await inner.delete_execution(parent)

    assert sql(tmp_path / "a.db", "SELECT count(*) FROM execution") == [(0,)]


async def test_commands_behind_a_deletion_find_nothing(tmp_path: Path) -> None:
    async with held_engine(tmp_path / "a.db", noop) as (service, store):
        await service.register_workflow(ONE)
        execution = await service.start(StartRequest(name="one"))
        await service.ended(execution)
        store.gate.clear()
        deletion = asyncio.create_task(service.engine.delete_execution(execution))
        restarts = [
            asyncio.create_task(service.engine.submit(execution, RestartExecution())) for _ in range(3)
        ]
        second = asyncio.create_task(service.engine.delete_execution(execution))
        store.gate.set()
        await deletion
        outcomes = await asyncio.gather(*restarts, second, return_exceptions=True)

        assert {type(outcome) for outcome in outcomes} == {NotFound}


async def test_parent_whose_child_was_deleted_is_retried_with_a_new_one(tmp_path: Path) -> None:
    broken = workflow("one", [simple("failing")])
    async with af.Engine(tmp_path / "a.db", tasks=[failing]) as engine:
        inner = engine.service.engine
        for definition in (broken, workflow("parent", [child("one")])):
            await engine.register(definition)
        parent = await engine.service.start(StartRequest(name="parent"))
        state = await engine.service.ended(parent)
        more = state.by_ref["child"].more
        assert more is not None
        await inner.delete_execution(str(more.child_id))
        await engine.service.retry(parent, resume_children=True)
        after_resuming = (await engine.service.ended(parent)).by_ref["child"].more
        await engine.service.retry(parent)
        again = (await engine.service.ended(parent)).by_ref["child"].more

        assert after_resuming is more
        assert again is not None
        assert again.child_id != more.child_id
        assert (await engine.service.get(str(again.child_id)))["status"] == "FAILED"


async def test_one_whose_turns_were_trimmed_is_deleted_from_its_segments(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    settings = EngineSettings(keep_ended=0, turn_log_bytes=1_000)
    async with af.Engine(path, tasks=[noop], settings=settings) as engine:
        await engine.register(ONE)
        identities = [await engine.service.start(StartRequest(name="one")) for _ in range(6)]
        for identity in identities:
            await engine.service.ended(identity)
        inner = engine.service.engine
        await inner.views_caught_up()
        first = identities[0]

        def is_trimmed() -> bool:
            inner.compaction._wake.set()  # its own coroutine compacts: two would meet
            return sql(path, "SELECT count(*) FROM turn WHERE instr(body, ?)", first) == [(0,)]

        await until(is_trimmed)
        assert sql(path, "SELECT count(*) FROM segment WHERE stream = ?", first) == [(1,)]
        await inner.delete_execution(first)

        assert sql(path, "SELECT count(*) FROM segment WHERE stream = ?", first) == [(0,)]
    async with af.Engine(path, tasks=[noop], settings=settings) as engine:
        with pytest.raises(NotFound):
            await engine.service.get(first)
        shown = [await engine.service.get(identity) for identity in identities[1:]]
        assert [each["status"] for each in shown] == ["COMPLETED"] * 5
