"""Laws: messages between executions arrive once and in order, whoever has left memory meanwhile."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.app.service import Service
from asyncflow.model.events import MessageDelivered, MessageQueued
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import EngineSettings
from tests.integration.engine_support import child, simple, waiting, workflow

FORGETFUL = EngineSettings(keep_ended=0)


async def children_of(service: Service, execution: str) -> list[str]:
    state = await service.engine.state(execution)
    found = [task.more.child_id for task in state.tasks.values() if task.more is not None]
    return [each for each in found if each is not None]


async def filler(engine: af.Engine, count: int = 3) -> None:
    """Let some executions end, so that those before leave memory."""
    for _ in range(count):
        await engine.run(workflow("filler", [{"name": "x", "taskReferenceName": "x", "type": "NOOP"}]))


@af.task(retries=0)
async def fails_once(ctx: af.TaskContext) -> None:
    if ctx.epoch == 0:
        raise af.TaskFailed("the first time")


@pytest.mark.parametrize("keep_ended", [0, 256])
async def test_rerun_of_a_child_revives_a_parent_that_left_memory(tmp_path: Path, keep_ended: int) -> None:
    settings = EngineSettings(keep_ended=keep_ended)
    async with af.Engine(tmp_path / "a.db", tasks=[fails_once], settings=settings) as engine:
        await engine.register(workflow("inner", [simple("fails_once")]))
        await engine.register(workflow("middle", [child("inner")]))
        await engine.register(workflow("outer", [child("middle")]))
        outer = await engine.start("outer")
        assert (await outer.ended()).status == "FAILED"
        (middle,) = await children_of(engine.service, outer.id)
        (inner,) = await children_of(engine.service, middle)
        await filler(engine)
        resident = {outer.id, middle, inner} & set(engine.service.engine.turns.states)

        await engine.execution(inner).rerun()
        shown = await outer.status()
        state = await outer.ended()

        assert bool(resident) == bool(keep_ended)
        assert shown in {"RUNNING", "COMPLETED"}
        assert state.status == "COMPLETED"
        assert (await engine.execution(middle).ended()).status == "COMPLETED"


async def test_parent_is_revived_when_its_child_answers(tmp_path: Path) -> None:
    async with af.Engine(tmp_path / "a.db", settings=FORGETFUL) as engine:
        await engine.register(workflow("inner", [waiting("w")]))
        await engine.register(workflow("outer", [child("inner")]))
        outer = await engine.start("outer")
        (inner,) = await children_of(engine.service, outer.id)
        await engine.execution(inner).signal("w", status="FAILED", reason="no")
        assert (await outer.ended()).status == "FAILED"
        await filler(engine)

        await engine.execution(inner).retry()

        assert await outer.status() == "RUNNING"
        await engine.execution(inner).signal("w")
        assert (await outer.ended()).status == "COMPLETED"


def wide(count: int) -> JsonObject:
    fork: JsonObject = {
        "name": "fork",
        "taskReferenceName": "fork",
        "type": "FORK_JOIN_DYNAMIC",
        "inputParameters": {
            "forkTaskWorkflow": "leaf",
            "forkTaskInputs": [{"n": number} for number in range(count)],
        },
    }
    return workflow("wide", [fork, {"name": "join", "taskReferenceName": "join", "type": "JOIN"}])


async def test_cascade_wider_than_a_turn_reaches_every_child(tmp_path: Path) -> None:
    async with af.Engine(tmp_path / "a.db", durability="normal") as engine:
        await engine.register(workflow("leaf", [waiting("w")]))
        await engine.register(wide(3_000))
        execution = await engine.start("wide")
        turns = engine.service.engine.turns
        async with asyncio.timeout(30):
            await engine.service.engine.views_caught_up()
            while not turns.is_idle:
                await engine.service.engine.views_caught_up()
                await asyncio.wait([asyncio.ensure_future(turns.settled(execution.id))])
        children = await children_of(engine.service, execution.id)
        await execution.cancel("enough")
        statuses = {turns.states[each].status for each in children if each in turns.states}
        history = [recorded.event async for recorded in execution.events()]

        assert len(children) == 3_000
        assert statuses <= {"TERMINATED"}
        assert any(isinstance(event, MessageQueued) for event in history)
        for each in children[:: len(children) // 20]:
            assert await engine.execution(each).status() == "TERMINATED"


async def test_queued_messages_are_delivered_once_after_a_restart(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    async with af.Engine(database, durability="normal") as engine:
        await engine.register(workflow("leaf", [waiting("w")]))
        await engine.register(wide(2_500))
        execution = await engine.start("wide")
        cancelled = asyncio.ensure_future(execution.cancel("enough"))
        turns = engine.service.engine.turns
        async with asyncio.timeout(30):
            while not turns.states[execution.id].is_ended:
                await turns.settled(execution.id)
                await asyncio.wait([cancelled], timeout=0.001)
    await asyncio.wait([cancelled])

    async with af.Engine(database, durability="normal") as engine:
        reopened = engine.execution(execution.id)
        turns = engine.service.engine.turns
        async with asyncio.timeout(30):
            while not turns.is_idle:
                await asyncio.wait([asyncio.ensure_future(engine.service.engine.views_caught_up())])
        history = [recorded.event async for recorded in reopened.events()]
        children = await children_of(engine.service, execution.id)
        statuses = [(await engine.service.engine.state(each)).status for each in children[::100]]

    queued = sum(isinstance(event, MessageQueued) for event in history)
    delivered = sum(isinstance(event, MessageDelivered) for event in history)
    assert queued == delivered
    assert set(statuses) == {"TERMINATED"}


async def test_loaded_executions_leave_memory_again(tmp_path: Path) -> None:
    async with af.Engine(tmp_path / "a.db", settings=EngineSettings(keep_ended=2)) as engine:
        ended = [
            (await engine.start(workflow("w", [{"name": "x", "taskReferenceName": "x", "type": "NOOP"}]))).id
            for _ in range(10)
        ]
        for each in ended:
            with pytest.raises(af.Refused):
                await engine.execution(each).pause()
        await filler(engine, 3)

        assert len(engine.service.engine.turns.states) <= 4
