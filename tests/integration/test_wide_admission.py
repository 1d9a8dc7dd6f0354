"""Very many tasks that ask for a slot at once: asked for in slices, so that the loop is free in between."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.model.inputs import Message
from asyncflow.model.state import ExecutionState
from asyncflow.model.values import JsonObject
from tests.integration.waiting import until

WIDTH = 1_500
SLICE = 500
BRANCHES = {"forkTaskName": "work", "forkTaskInputs": "${workflow.input.items}"}
FORK: JsonObject = {
    "name": "wide",
    "version": 1,
    "tasks": [
        {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN_DYNAMIC", "inputParameters": BRANCHES},
        {"name": "j", "taskReferenceName": "j", "type": "JOIN"},
    ],
}


@pytest.mark.parametrize("most", [WIDTH, 100])
async def test_a_wide_fork_asks_for_slots_in_slices(tmp_path: Path, most: int) -> None:
    """Counted between two rounds of the loop; all of them run in the end."""

    @af.task(retries=0, resources=["slots"])
    async def work(**_given: object) -> None:
        return

    asked = {"all": 0, "most": 0, "before": 0}

    async def look() -> None:
        while True:
            asked["most"] = max(asked["most"], asked["all"] - asked["before"])
            asked["before"] = asked["all"]
            await asyncio.sleep(0)

    slots = [af.Resource("slots", max_concurrent=most)]
    async with af.Engine(tmp_path / "a.db", tasks=[work], resources=slots) as engine:
        await engine.service.register_task(work.definition())
        admitting = engine.service.engine.carry.admitting
        request = admitting.request

        def counted(state: ExecutionState, number: int) -> Iterable[Message]:
            asked["all"] += 1
            return request(state, number)

        admitting.request = counted  # type: ignore[method-assign]  # counted, and done as ever
        async with asyncio.TaskGroup() as group:
            looking = group.create_task(look())
            state = await (await engine.start(FORK, {"items": [{}] * WIDTH})).ended()
            looking.cancel()

    assert state.status == "COMPLETED"
    assert asked["all"] == WIDTH
    assert 0 < asked["most"] <= SLICE


async def test_a_wide_fork_that_is_given_up_halfway_leaves_nothing_behind(tmp_path: Path) -> None:
    @af.task(retries=0, resources=["slots"])
    async def work(**_given: object) -> None:
        await asyncio.Event().wait()

    slots = [af.Resource("slots", max_concurrent=10)]
    async with af.Engine(tmp_path / "a.db", tasks=[work], resources=slots) as engine:
        await engine.service.register_task(work.definition())
        execution = await engine.start(FORK, {"items": [{}] * WIDTH})
        await execution.cancel("enough")
        state = await execution.ended()
        inner = engine.service.engine
        await until(lambda: not inner.carry.is_busy and not inner.attempts.count)
        usage = inner.carry.admission.usage()["slots"]

    assert state.status == "TERMINATED"
    assert (usage["in_use"], usage["waiting"]) == (0, 0)


async def test_many_wide_forks_started_at_once_are_made_in_slices(tmp_path: Path) -> None:
    """Two thousand branches are one event; those of several executions are not made in one go."""
    starts, wide = 6, 2_000
    seen: list[int] = []
    async with af.Engine(tmp_path / "a.db") as engine:
        await engine.register({**FORK, "name": "jam"})
        turns = engine.service.engine.turns

        async def look() -> None:
            while True:
                seen.append(sum(state.next_number for state in turns.states.values()))
                await asyncio.sleep(0)

        async with asyncio.TaskGroup() as group:
            looking = group.create_task(look())
            await asyncio.gather(*(engine.start("jam", {"items": [{}] * wide}) for _ in range(starts)))
            looking.cancel()
        seen.append(sum(state.next_number for state in turns.states.values()))

    assert max(later - first for first, later in pairwise(seen)) <= wide + 100
    assert seen[-1] >= starts * wide / 2
