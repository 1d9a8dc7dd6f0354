from __future__ import annotations

import asyncio
import random
import subprocess
import sys
import textwrap
import threading
import weakref
from collections.abc import AsyncIterator
from contextvars import ContextVar
from functools import partial
from pathlib import Path

import pytest
import uvloop

from asyncflow.errors import ConfigurationError, ShuttingDown, TaskFailed
from asyncflow.runtime.executors import ThreadExecutor
from tests.integration.waiting import until

WHO: ContextVar[str] = ContextVar("WHO", default="nobody")
FATAL = [SystemExit(3), KeyboardInterrupt(), asyncio.CancelledError(), StopIteration()]


@pytest.fixture
async def threads() -> AsyncIterator[ThreadExecutor]:
    async with ThreadExecutor(4) as executor:
        yield executor


class Gate:
    """A call that tells when it has begun and ends when it is let."""

    def __init__(self) -> None:
        self.begun = threading.Event()
        self.open = threading.Event()

    def __call__(self) -> str:
        self.begun.set()
        self.open.wait()
        return "through"


def own_threads() -> int:
    return sum(thread.name == "asyncflow-task" for thread in threading.enumerate())


async def give_up(executor: ThreadExecutor, gate: Gate, label: str = "") -> None:
    """Let a thread enter the gate, then cancel the call."""
    call = asyncio.create_task(executor.run(gate, label=label))
    await until(gate.begun.is_set)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call


async def test_thread_gives_back_what_the_call_returns(threads: ThreadExecutor) -> None:
    name = await threads.run(lambda: threading.current_thread().name)

    assert name == "asyncflow-task"


async def test_thread_gives_back_the_very_exception(threads: ThreadExecutor) -> None:
    fault = KeyError("x")

    def raises() -> None:
        raise fault

    with pytest.raises(KeyError) as caught:
        await threads.run(raises)
    assert caught.value is fault


@pytest.mark.parametrize("fault", FATAL)
async def test_thread_contains_what_would_end_the_engine(
    threads: ThreadExecutor, fault: BaseException
) -> None:
    def raises() -> None:
        raise fault

    with pytest.raises(TaskFailed, match=type(fault).__name__) as caught:
        await threads.run(raises)
    assert caught.value.__cause__ is fault


async def test_thousand_calls_each_get_their_own_answer(threads: ThreadExecutor) -> None:
    answers = await asyncio.gather(*(threads.run(partial(pow, n, 2)) for n in range(1000)))

    assert answers == [n * n for n in range(1000)]
    assert threads.statistics().busy == 0


async def test_calls_use_no_more_threads_than_allowed(threads: ThreadExecutor) -> None:
    gates = [Gate() for _ in range(6)]
    calls = [asyncio.create_task(threads.run(gate)) for gate in gates]
    await until(lambda: sum(gate.begun.is_set() for gate in gates) == 4)
    statistics = threads.statistics()
    for gate in gates:
        gate.open.set()

    assert (statistics.size, statistics.busy, statistics.waiting, statistics.stuck) == (4, 4, 2, False)
    assert await asyncio.gather(*calls) == ["through"] * 6


async def test_context_variables_travel_in_and_not_out(threads: ThreadExecutor) -> None:
    def look() -> str:
        seen = WHO.get()
        WHO.set("thread")
        return seen

    token = WHO.set("caller")
    try:
        assert await threads.run(look) == "caller"
        assert WHO.get() == "caller"
    finally:
        WHO.reset(token)


async def test_loop_goes_on_while_threads_block(threads: ThreadExecutor) -> None:
    gates = [Gate() for _ in range(4)]
    calls = [asyncio.create_task(threads.run(gate)) for gate in gates]
    ticks = 0

    def tick() -> bool:
        nonlocal ticks
        ticks += 1
        return ticks > 50

    await until(tick)
    assert not any(call.done() for call in calls)
    for gate in gates:
        gate.open.set()
    await asyncio.gather(*calls)


async def test_loop_goes_on_while_a_thread_computes(threads: ThreadExecutor) -> None:
    enough = threading.Event()

    def compute() -> int:
        rounds = 0
        while not enough.is_set():
            rounds += 1
        return rounds

    call = asyncio.create_task(threads.run(compute))
    ticks = iter(range(50))
    await until(lambda: next(ticks, None) is None)
    enough.set()

    assert await call


async def test_hung_thread_is_replaced_counted_and_named() -> None:
    gate = Gate()
    async with ThreadExecutor(1, replacements=1) as executor:
        await give_up(executor, gate, "fetch")
        answer = await executor.run(lambda: "served")
        statistics, (hung,) = executor.statistics(), executor.hung_calls()
        gate.open.set()
        await until(lambda: not executor.statistics().abandoned)

        assert answer == "served"
        assert (statistics.abandoned, statistics.abandoned_total, statistics.stuck) == (1, 1, False)
        assert hung.label == "fetch"
        assert " wait" in hung.line
        assert await executor.run(lambda: "still serving") == "still serving"
        await until(lambda: own_threads() == 1)  # the replacement or the replaced has left


async def test_calls_beyond_the_cap_wait_and_say_that_they_are_stuck() -> None:
    gates = [Gate(), Gate()]
    async with ThreadExecutor(1, replacements=1) as executor:
        for gate in gates:
            await give_up(executor, gate)
        call = asyncio.create_task(executor.run(lambda: "served"))
        await until(lambda: executor.statistics().waiting)
        statistics = executor.statistics()
        gates[0].open.set()

        assert (statistics.abandoned, statistics.busy, statistics.waiting, statistics.stuck) == (
            2,
            0,
            1,
            True,
        )
        assert await call == "served"
        gates[1].open.set()


async def test_call_cancelled_before_it_began_never_begins() -> None:
    gate, late = Gate(), Gate()
    async with ThreadExecutor(1) as executor:
        first = asyncio.create_task(executor.run(gate))
        second = asyncio.create_task(executor.run(late))
        await until(gate.begun.is_set)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
        gate.open.set()

        assert await first == "through"
        assert await executor.run(lambda: "next") == "next"
        assert not late.begun.is_set()
        assert executor.statistics().abandoned_total == 0


async def test_given_up_call_is_told_and_its_thread_serves_again() -> None:
    told = threading.Event()
    begun = threading.Event()

    def patient() -> None:
        begun.set()
        told.wait()

    async with ThreadExecutor(1, replacements=0) as executor:
        call = asyncio.create_task(executor.run(patient, on_cancel=told.set))
        await until(begun.is_set)
        call.cancel()

        assert await executor.run(lambda: "served") == "served"
        assert executor.statistics().abandoned == 0


@pytest.mark.parametrize("seed", range(5))
async def test_storm_of_cancellations_leaves_the_count_right(seed: int) -> None:
    """Whatever is broken off when: every call left is answered, and in the end no thread is missing."""
    chance = random.Random(seed)
    gates = [Gate() for _ in range(300)]
    async with ThreadExecutor(4, replacements=8) as executor:
        calls = [asyncio.create_task(executor.run(gate)) for gate in gates]
        order = list(range(len(gates)))
        chance.shuffle(order)
        for index in order:
            if chance.random() < 0.5:
                calls[index].cancel()
            gates[index].open.set()
            if chance.random() < 0.2:
                await until(iter((False, True)).__next__)  # let threads and loop go on a while
        answers = await asyncio.gather(*calls, return_exceptions=True)
        await until(lambda: executor.statistics().abandoned == 0)
        await until(lambda: own_threads() <= 4)

        assert {str(answer) for answer in answers} == {"through", ""}
        assert executor.statistics()._replace(abandoned_total=0) == (4, 0, 0, 0, 0, False)
        assert await asyncio.gather(*(executor.run(int) for _ in range(20))) == [0] * 20


async def test_thread_keeps_nothing_of_a_call_alive(threads: ThreadExecutor) -> None:
    class Thing:
        pass

    thing = Thing()
    gone = weakref.ref(thing)
    await threads.run(partial(id, thing))
    del thing

    await until(lambda: gone() is None)


async def test_close_leaves_no_idle_thread_and_answers_who_waits() -> None:
    gate = Gate()
    async with ThreadExecutor(2) as executor:
        await asyncio.gather(*(executor.run(int) for _ in range(20)))
        running = asyncio.create_task(executor.run(gate))
        others = [asyncio.create_task(executor.run(gate)) for _ in range(2)]
        await until(gate.begun.is_set)

    for call in (running, *others):
        with pytest.raises(ShuttingDown):
            await call
    with pytest.raises(ShuttingDown):
        await executor.run(int)
    gate.open.set()
    await until(lambda: own_threads() == 0)


async def test_close_waits_for_idle_threads() -> None:
    async with ThreadExecutor(8) as executor:
        await asyncio.gather(*(executor.run(int) for _ in range(100)))

    assert own_threads() == 0


def test_uvloop_serves_gives_up_and_closes_alike() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(test_hung_thread_is_replaced_counted_and_named())
        runner.run(test_close_leaves_no_idle_thread_and_answers_who_waits())


@pytest.mark.parametrize(("size", "replacements"), [(0, None), (1, -1)])
def test_senseless_sizes_are_refused(size: int, replacements: int | None) -> None:
    with pytest.raises(ConfigurationError):
        ThreadExecutor(size, replacements=replacements)


HANGING = """
    import asyncio, threading
    from asyncflow.runtime.executors import ThreadExecutor

    async def main():
        begun = threading.Event()
        def hang():
            begun.set()
            threading.Event().wait()
        async with ThreadExecutor() as threads:
            call = asyncio.create_task(threads.run(hang))
            await asyncio.get_running_loop().run_in_executor(None, begun.wait)
            call.cancel()
        print("left")

    asyncio.run(main())
"""


def test_hung_thread_keeps_no_process(tmp_path: Path) -> None:
    script = tmp_path / "hanging.py"
    script.write_text(textwrap.dedent(HANGING), encoding="utf-8")

    done = subprocess.run(
        [sys.executable, script],
        env={"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )

    assert (done.stdout, done.returncode) == ("left\n", 0), done.stderr
