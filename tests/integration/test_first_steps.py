"""Attempts that begin in one asyncio task: nothing of one is seen by another, whatever it does to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.runtime.first_steps import FirstSteps
from asyncflow.runtime.last_touched import NOWHERE
from asyncflow.runtime.performing import Begun

WIDTH = 30
FORK: dict[str, object] = {
    "name": "first_steps",
    "tasks": [
        {
            "name": "fork",
            "taskReferenceName": "fork",
            "type": "FORK_JOIN_DYNAMIC",
            "inputParameters": {"forkTaskName": "branch", "forkTaskInputs": "${workflow.input.items}"},
        },
        {"name": "join", "taskReferenceName": "join", "type": "JOIN"},
    ],
}
mark: ContextVar[int] = ContextVar("mark", default=-1)


async def _given(folder: Path, body: Callable[[int], Awaitable[object]]) -> list[object]:
    """What each branch of a fork gives whose branches perform this, in order."""

    @af.task(retries=0)
    async def branch(index: int) -> object:
        return await body(index)

    async with af.Engine(folder / "first.db", tasks=[branch]) as engine:
        execution = await engine.start(FORK, {"items": [{"index": index} for index in range(WIDTH)]})
        state = await execution.ended()
    outputs = [task.output for task in state.tasks.values() if task.fork_index >= 0]
    return [(output or {}).get("result") for output in outputs]


async def test_each_has_a_context_of_its_own(tmp_path: Path) -> None:
    async def body(index: int) -> object:
        before = mark.get()
        mark.set(index)
        if index % 2:
            await asyncio.sleep(0)
        return [before, mark.get()]

    assert await _given(tmp_path, body) == [[-1, index] for index in range(WIDTH)]


async def test_timeout_begun_in_the_first_step_ends_only_its_own(tmp_path: Path) -> None:
    async def body(index: int) -> object:
        if index % 3 == 0:
            return "at once"
        if index % 3 == 1:
            await asyncio.sleep(0)
            return "later"
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            return "timed out"
        return "never"

    assert await _given(tmp_path, body) == ["at once", "later", "timed out"] * (WIDTH // 3)


async def test_one_that_leaves_its_task_cancelled_ends_no_other(tmp_path: Path) -> None:
    async def body(index: int) -> object:
        task = asyncio.current_task()
        assert task is not None
        if index % 3 == 0:
            task.cancel()
            return "cancelled its task and ended"
        if index % 3 == 1:
            await asyncio.sleep(0)
        return task.cancelling()

    assert await _given(tmp_path, body) == ["cancelled its task and ended", 0, 0] * (WIDTH // 3)


def _begun(number: int) -> Begun:
    key = ("one", number)
    return Begun("one", number, key, 1, 1, f"t{number}", "t", "loop", b"{}", "", beats=False, context=None)


@pytest.mark.parametrize("breaks", [False, True])
async def test_what_was_called_off_does_not_begin_and_who_breaks_stops_nobody(
    *,
    breaks: bool,
) -> None:
    performed: list[int] = []
    over = asyncio.Event()

    async def perform(begun: Begun) -> None:
        performed.append(begun.number)
        if begun.number == 0 and breaks:
            raise ValueError("broke")
        if begun.number == 3:
            over.set()

    first_steps = FirstSteps(perform, NOWHERE)
    attempts = [_begun(number) for number in range(4)]
    for begun in attempts:
        first_steps.add(begun)
    attempts[1].is_off = True
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)  # it tells of the one that broke
    await over.wait()

    assert performed == [0, 2, 3]
    assert attempts[1].work is None
    assert attempts[2].work is not None
