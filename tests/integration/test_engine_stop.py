"""Laws: a stop fails nothing, loses nothing, and leaves no thread, task or open resource behind."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.errors import ShuttingDown
from tests.integration.engine_support import simple, waiting, workflow


@pytest.mark.scenario("R8")
@pytest.mark.parametrize("kind", ["loop", "thread"])
async def test_attempt_broken_off_by_a_stop_is_interrupted_once_and_uses_no_retry(
    tmp_path: Path, kind: str
) -> None:
    calls: list[tuple[int, int, bool]] = []
    began, release = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    @af.task(retries=0, name="long")
    async def on_loop(ctx: af.TaskContext) -> None:
        calls.append((ctx.number, ctx.retry_count, ctx.recovered))
        began.set()
        if len(calls) == 1:
            await asyncio.Event().wait()

    @af.task(retries=0, name="long")
    def in_thread(ctx: af.TaskContext) -> None:
        calls.append((ctx.number, ctx.retry_count, ctx.recovered))
        loop.call_soon_threadsafe(began.set)
        if len(calls) == 1:
            release.wait(20)

    task = on_loop if kind == "loop" else in_thread
    async with af.Engine(tmp_path / "a.db", tasks=[task]) as engine:
        execution = await engine.start(workflow("w", [simple("long")]))
        await began.wait()
    release.set()
    async with af.Engine(tmp_path / "a.db", tasks=[task]) as engine:
        state = await engine.execution(execution.id).ended()

    assert state.status == "COMPLETED"
    assert calls == [(1, 0, False), (2, 0, True)]
    assert [(t.status, t.state) for t in state.tasks.values()] == [
        ("CANCELED", "INTERRUPTED"),
        ("COMPLETED", None),
    ]


async def test_those_who_wait_are_told_that_the_engine_stops(tmp_path: Path) -> None:
    async with af.Engine(tmp_path / "a.db") as engine:
        execution = await engine.start(workflow("w", [waiting()]))
        result = asyncio.ensure_future(execution.result())
        events = asyncio.ensure_future(anext(iter_tail(execution)))
        await asyncio.wait([result, events], timeout=0.05)

    with pytest.raises(ShuttingDown):
        await result
    with pytest.raises(ShuttingDown):
        await events


async def iter_tail(execution: af.Execution):  # type: ignore[no-untyped-def]
    """Events beyond those that are there now."""
    async for recorded in execution.events():
        if type(recorded.event).__name__ == "ExecutionEnded":
            yield recorded


@pytest.mark.scenario("R15")
async def test_start_at_the_moment_of_the_stop_is_durable_or_refused(tmp_path: Path) -> None:
    async with af.Engine(tmp_path / "a.db", durability="normal") as engine:
        starts = [asyncio.ensure_future(engine.start(workflow("w", [waiting()]))) for _ in range(300)]
        await asyncio.wait(starts, return_when=asyncio.FIRST_COMPLETED)
    outcomes = await asyncio.gather(*starts, return_exceptions=True)
    accepted = [each for each in outcomes if isinstance(each, af.Execution)]

    assert all(isinstance(each, af.Execution | ShuttingDown | RuntimeError) for each in outcomes)
    async with af.Engine(tmp_path / "a.db") as engine:
        for each in accepted:
            assert await engine.execution(each.id).status() == "RUNNING"


async def test_stop_leaves_nothing_behind_and_the_file_can_be_opened_again(tmp_path: Path) -> None:
    @af.task(retries=0)
    def thread_task() -> None:
        pass

    threads, tasks = set(threading.enumerate()), asyncio.all_tasks()
    for _ in range(3):
        async with af.Engine(tmp_path / "a.db", tasks=[thread_task]) as engine:
            await engine.run(workflow("w", [simple("thread_task")]))
    left = [thread for thread in threading.enumerate() if thread not in threads]
    for thread in left:  # told to end, and perhaps at its last line
        thread.join(timeout=30)

    assert [thread for thread in left if thread.is_alive()] == []
    assert asyncio.all_tasks() - tasks == set()


async def test_function_that_swallows_its_cancellation_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    let_go = asyncio.Event()
    told = 0

    @af.task(retries=0)
    async def stubborn() -> None:
        nonlocal told
        while not let_go.is_set():
            try:
                await let_go.wait()
            except asyncio.CancelledError:
                told += 1

    async with af.Engine(tmp_path / "a.db", tasks=[stubborn]) as engine:
        engine.service.engine.attempts._grace_s = 0.1
        await engine.start(workflow("w", [simple("stubborn")]))
        while not engine.service.engine.attempts.count:
            await engine.service.engine.views_caught_up()
            await asyncio.wait([asyncio.ensure_future(let_go.wait())], timeout=0.01)
    let_go.set()

    assert told >= 1


@pytest.mark.scenario("R8")
async def test_drain_lets_what_runs_end_and_begins_nothing(tmp_path: Path) -> None:
    began, go = asyncio.Event(), asyncio.Event()
    second: list[str] = []

    @af.task(retries=0)
    async def first_one() -> None:
        began.set()
        await go.wait()

    @af.task(retries=0)
    async def second_one() -> None:
        second.append("called")

    definition = workflow("w", [simple("first_one"), simple("second_one")])
    async with af.Engine(tmp_path / "a.db", tasks=[first_one, second_one]) as engine:
        execution = await engine.start(definition)
        await began.wait()
        draining = asyncio.ensure_future(engine.service.engine.drain(10))
        go.set()

        assert await draining
        assert second == []
    async with af.Engine(tmp_path / "a.db", tasks=[first_one, second_one]) as engine:
        state = await engine.execution(execution.id).ended()

    assert state.status == "COMPLETED"
    assert [task.ref for task in state.tasks.values()] == ["first_one", "second_one"]
