"""Virtual time by itself: it jumps, stands, sleeps, and tells when the engine stopped."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

import asyncflow as af
from asyncflow.errors import StoreError
from asyncflow.model.turn import Moment
from asyncflow.runtime.clock import Clock
from asyncflow.testing.clock import VirtualClock
from asyncflow.testing.kit import VirtualEngine
from tests.testing.making import task, workflow

WAIT = workflow(task("w", "WAIT", inputParameters={"duration": "1 hours"}))


def test_both_clocks_begin_at_the_moment_given() -> None:
    clock: Clock = VirtualClock(5_000)

    assert clock.now() == Moment(5_000, 5_000)


def test_elapsed_clock_is_never_before_what_the_journal_knows() -> None:
    clock = VirtualClock(5_000)
    clock.start_from(9_000)
    clock.start_from(1_000)

    assert clock.now().elapsed_ms == 9_000


def test_wall_clock_moves_apart_from_the_elapsed_one() -> None:
    clock = VirtualClock(0)
    clock.set_wall_forward(60)
    clock.set_wall_forward(-90.5)
    clock.suspend(10)

    assert clock.now() == Moment(10_000, -20_500)


async def test_automatic_time_needs_no_hand() -> None:
    clock = VirtualClock()
    async with af.Engine(clock=clock) as engine:
        await engine.run(WAIT)

    assert clock.seconds == 3600


async def test_time_stands_until_it_is_let_pass() -> None:
    async with VirtualEngine() as engine:
        execution = await engine.begin(WAIT)
        await engine.clock.rest()
        assert engine.clock.seconds == 0
        await engine.clock.advance(3599.999)
        assert await execution.status() == "RUNNING"
        await engine.clock.advance(0.001)

        assert await execution.status() == "COMPLETED"


async def test_run_stops_at_the_first_moment_of_rest_that_is_enough() -> None:
    async with VirtualEngine() as engine:
        await engine.begin(WAIT)
        seen: list[float] = []

        def is_enough() -> bool:
            seen.append(engine.clock.seconds)
            return engine.clock.seconds >= 3600

        await engine.clock.run(is_enough)

    assert list(dict.fromkeys(seen)) == [0, 3600]


async def test_run_ends_when_nothing_is_due() -> None:
    async with VirtualEngine() as engine:
        await engine.begin(WAIT)
        await engine.clock.run()

        assert engine.clock.seconds == 3600


async def test_what_a_test_asks_may_raise_without_harm_to_the_engine() -> None:
    async with VirtualEngine() as engine:
        execution = await engine.begin(WAIT)

        def broken() -> bool:
            raise LookupError("the test's own mistake")

        with pytest.raises(LookupError, match="own mistake"):
            await engine.clock.run(broken)
        run = await engine.finish(execution)

    assert run.status == "COMPLETED"


async def test_sleepers_wake_in_the_order_of_their_moments() -> None:
    order: list[tuple[str, float]] = []
    async with VirtualEngine() as engine:

        @af.task
        async def nap(seconds: int) -> None:
            await engine.clock.sleep(seconds)
            order.append((f"nap {seconds}", engine.clock.seconds))

        with af.Workflow("naps") as naps:
            naps >> [nap.node(seconds=seconds) for seconds in (30, 10, 20)]
        run = await engine.finish(await engine.begin(naps))

    assert order == [("nap 10", 10), ("nap 20", 20), ("nap 30", 30)]
    assert (run.status, run.duration) == ("COMPLETED", 30)


async def test_time_waits_for_functions_that_work() -> None:
    release = asyncio.Event()
    async with VirtualEngine() as engine:

        @af.task
        async def work() -> float:
            await release.wait()
            return engine.clock.seconds

        with af.Workflow("working") as working:
            working >> [work.node("work"), af.nodes.wait(seconds=5, ref="short")]
        execution = await engine.begin(working)
        passing = asyncio.ensure_future(engine.clock.advance(60))
        await asyncio.sleep(0)
        assert not passing.done()
        release.set()
        await passing
        run = await engine.picture(execution)

    assert run.task("work").output == {"result": 0}
    assert run.task("short").ended == 5


async def test_sleeper_that_is_broken_off_holds_nothing_up() -> None:
    async with VirtualEngine() as engine:

        @af.task
        async def endless() -> None:
            await engine.clock.sleep(1e9)

        with af.Workflow("endless") as built:
            built >> endless.node("e")
        execution = await engine.begin(built)
        await engine.clock.advance(5)
        await execution.cancel("enough")
        await engine.clock.run()

        assert engine.clock.seconds == 5
        assert await execution.status() == "TERMINATED"


async def test_time_cannot_be_moved_without_an_engine() -> None:
    with pytest.raises(RuntimeError, match="no engine"):
        await VirtualClock().advance(1)


async def test_time_cannot_be_moved_twice_at_once() -> None:
    async with VirtualEngine() as engine:
        await engine.begin(WAIT)
        async with asyncio.TaskGroup() as group:
            first = group.create_task(engine.clock.advance(1))
            await asyncio.sleep(0)
            with pytest.raises(RuntimeError, match="already"):
                await engine.clock.advance(1)
        assert first.done()


async def test_passing_time_that_is_given_up_leaves_the_clock_usable() -> None:
    async with VirtualEngine() as engine:
        execution = await engine.begin(WAIT)
        given_up = asyncio.ensure_future(engine.clock.advance(1))
        await asyncio.sleep(0)
        given_up.cancel()
        await asyncio.gather(given_up, return_exceptions=True)
        run = await engine.finish(execution)

    assert run.status == "COMPLETED"


async def test_engine_that_stops_is_told_of_instead_of_a_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(turn: object) -> None:
        raise StoreError("the disk is gone")

    engine = VirtualEngine()
    async with contextlib.AsyncExitStack() as opened:
        opened.enter_context(pytest.raises((StoreError, ExceptionGroup)))  # of the engine's own end
        await opened.enter_async_context(engine)
        await engine.begin(WAIT)
        monkeypatch.setattr(engine.service.engine._store, "append", fail)

        with pytest.raises(StoreError, match="the disk is gone"):
            await engine.clock.run()
