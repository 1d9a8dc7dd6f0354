"""Authors' functions that return, raise and do what nobody should: their task fails, the engine goes on."""

from __future__ import annotations

import asyncio
import decimal
import sys
import threading
from collections.abc import Callable

import pytest

import asyncflow as af
from asyncflow.model.statuses import COMPLETED, FAILED, TERMINATED
from asyncflow.sdk.tasks import TaskFunction
from tests.integration.hostile import end_of, hostile_engine, is_well, task, workflow
from tests.integration.waiting import until

AnyTask = TaskFunction[..., object]


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no words")


class EndingError(Exception):
    def __str__(self) -> str:
        raise SystemExit(9)


class InterruptedByHand(KeyboardInterrupt):
    pass


def cyclic() -> object:
    cycle: dict[str, object] = {}
    cycle["again"] = cycle
    return cycle


def nested(levels: int) -> object:
    value: object = 1
    for _ in range(levels):
        value = [value]
    return {"v": value}


REFUSED: dict[str, Callable[[], object]] = {
    "nan": lambda: {"v": float("nan")},
    "infinity": lambda: float("inf"),
    "bytes that are no text": lambda: b"\xff\xfe",
    "cycle": cyclic,
    "integer of 5000 digits": lambda: {"v": [10**5_000]},
    "object": object,
    "class": lambda: int,
    "function": lambda: print,
    "module": lambda: sys,
    "exception": lambda: ValueError("returned, not raised"),
    "surrogate": lambda: {"v": "\ud800"},
    "surrogate as key": lambda: {"\ud800": 1},
    "65 levels": lambda: nested(64),
    "250 levels": lambda: nested(250),
    "100000 levels": lambda: nested(100_000),
    "lock": threading.Lock,
}

KEPT: dict[str, tuple[Callable[[], object], object]] = {
    "nothing": (lambda: None, {}),
    "set": (lambda: {1}, {"result": [1]}),
    "tuple": (lambda: (1, "a"), {"result": [1, "a"]}),
    "generator": (lambda: (i for i in range(3)), {"result": [0, 1, 2]}),
    "keys that are no text": (lambda: {1: 2, None: 3}, {"1": 2, "None": 3}),
    "decimal": (lambda: decimal.Decimal("0.1"), {"result": "0.1"}),
    "NUL": (lambda: {"v": "\0"}, {"v": "\0"}),
    "word NaN": (lambda: {"NaN": "Infinity"}, {"NaN": "Infinity"}),
    "64 levels": (lambda: nested(63), nested(63)),
    "4300 digits": (lambda: {"v": 10**4_299}, {"v": 10**4_299}),
    "brackets in text": (lambda: {"v": "[{" * 500 + '"\\'}, {"v": "[{" * 500 + '"\\'}),
}

RAISED: dict[str, Callable[[], BaseException]] = {
    "SystemExit": lambda: SystemExit(3),
    "InterruptedByHand": InterruptedByHand,
    "MuteError: its message cannot be shown": MuteError,
    "EndingError: its message cannot be shown": EndingError,
    "CancelledError": lambda: asyncio.CancelledError("mine"),
    "GeneratorExit": GeneratorExit,
    "StopIteration": StopIteration,
    "StopAsyncIteration": StopAsyncIteration,
    "BaseException: b": lambda: BaseException("b"),
    "MemoryError": MemoryError,
    "RecursionError": RecursionError,
    "BaseExceptionGroup: g (2 sub-exceptions)": lambda: BaseExceptionGroup(
        "g", [ValueError(1), SystemExit(2)]
    ),
    "KeyError: 'k'": lambda: ExceptionGroup("one", [KeyError("k")]),
    "ValueError: a?b": lambda: ValueError("a\ud800b"),
}


@pytest.mark.parametrize("what", REFUSED)
@pytest.mark.parametrize("where", ["loop", "thread"])
async def test_return_without_json_form_fails_the_task(what: str, where: str) -> None:
    async with hostile_engine(*giving(REFUSED[what])) as engine:
        state = await end_of(engine, workflow(task(ref=where)))

        assert state.status == FAILED
        assert "what the task returned is not JSON" in str(state.latest[where].reason)


@pytest.mark.parametrize("what", KEPT)
async def test_return_with_json_form_is_kept_exactly(what: str) -> None:
    make, expected = KEPT[what]
    async with hostile_engine(*giving(make)) as engine:
        state = await end_of(engine, workflow(task(ref="loop")))

        assert (state.status, state.output) == (COMPLETED, expected)


# On the loop a KeyboardInterrupt is Ctrl-C, which is not the task's: it ends the program, as it should.
ON_LOOP = [("loop", reason) for reason in RAISED if reason != "InterruptedByHand"]


@pytest.mark.parametrize(("where", "reason"), [*ON_LOOP, *[("thread", reason) for reason in RAISED]])
async def test_whatever_is_raised_fails_the_task_and_goes_no_further(reason: str, where: str) -> None:
    error = RAISED[reason]

    def throw() -> object:
        raise error()

    async with hostile_engine(*giving(throw)) as engine:
        state = await end_of(engine, workflow(task(ref=where)))

        assert state.status == FAILED
        assert reason in str(state.latest[where].reason)


def giving(make: Callable[[], object]) -> tuple[AnyTask, AnyTask]:
    """The same function on the loop and in a thread."""

    @af.task(name="loop", retries=0)
    async def on_loop() -> object:
        return make()

    @af.task(name="thread", retries=0)
    def in_thread() -> object:
        return make()

    return on_loop, in_thread


async def test_return_of_an_endless_iterator_is_not_asked_of_here() -> None:
    """A generator is consumed: one that gives a thousand values is kept, whole."""
    async with hostile_engine(*giving(lambda: iter(range(1_000)))) as engine:
        assert (await end_of(engine, workflow(task(ref="loop")))).output == {"result": list(range(1_000))}


async def test_function_that_never_ends_is_broken_off_by_its_timeout() -> None:
    cleaned = asyncio.Event()

    @af.task(retries=0)
    async def hang() -> None:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            cleaned.set()

    limited = {"name": "hang", "retryCount": 0, "timeoutSeconds": 1, "responseTimeoutSeconds": 1}
    async with hostile_engine(hang) as engine:
        state = await end_of(engine, workflow(task(ref="hang", taskDefinition=limited)))

        assert state.status in {FAILED, "TIMED_OUT"}
        await cleaned.wait()


async def test_function_that_swallows_its_cancellation_changes_nothing_more() -> None:
    begun, told, over = asyncio.Event(), asyncio.Event(), asyncio.Event()

    @af.task(retries=0)
    async def stubborn() -> str:
        begun.set()
        try:
            await asyncio.get_running_loop().create_future()
        except asyncio.CancelledError:
            told.set()
        over.set()
        return "too late"

    async with hostile_engine(stubborn) as engine:
        execution = await engine.start(workflow(task(ref="stubborn")))
        await begun.wait()
        await execution.cancel("enough")
        await over.wait()
        await is_well(engine)

        assert told.is_set()
        assert (await execution.ended()).status == TERMINATED
        assert (await execution.ended()).latest["stubborn"].output == {}


async def test_task_of_an_author_that_outlives_its_function_keeps_nobody() -> None:
    loose: list[asyncio.Task[None]] = []

    async def linger() -> None:
        await asyncio.get_running_loop().create_future()

    @af.task(retries=0)
    async def spawns() -> str:
        loose.append(asyncio.create_task(linger()))
        return "done"

    async with hostile_engine(spawns) as engine:
        assert await engine.run(workflow(task(ref="spawns"))) == {"result": "done"}

    assert not loose[0].done()
    loose[0].cancel()


async def test_function_that_blocks_the_loop_delays_and_breaks_nothing() -> None:
    @af.task(retries=0)
    async def blocks() -> str:
        threading.Event().wait(0.3)
        return "done"

    async with hostile_engine(blocks) as engine:
        one = await engine.start(workflow(task(ref="blocks")))
        await is_well(engine)

        assert await one.result() == {"result": "done"}


async def test_thread_that_never_ends_keeps_neither_others_nor_the_end_of_the_engine() -> None:
    begun, release = threading.Event(), threading.Event()

    @af.task(retries=0)
    def hangs() -> None:
        begun.set()
        release.wait()

    async with hostile_engine(hangs) as engine:
        execution = await engine.start(workflow(task(ref="hangs")))
        await until(begun.is_set)
        await execution.cancel("enough")
        await is_well(engine)
    release.set()


async def test_function_that_asks_its_own_engine_is_answered() -> None:
    engines: list[af.Engine] = []

    @af.task(retries=0)
    async def asks() -> object:
        return await engines[0].run(workflow(task("NOOP", "n")))

    async with hostile_engine(asks) as engine:
        engines.append(engine)
        assert await engine.run(workflow(task(ref="asks"))) == {}


async def test_function_that_changes_its_input_changes_nobody_elses() -> None:
    @af.task(retries=0)
    async def vandal(v: list[int]) -> int:
        v.clear()
        return len(v)

    async with hostile_engine(vandal) as engine:
        body = workflow(
            task(ref="vandal", inputParameters={"v": "${workflow.input.v}"}),
            outputParameters={"v": "${workflow.input.v}"},
        )
        assert await engine.run(body, {"v": [1, 2]}) == {"v": [1, 2]}
