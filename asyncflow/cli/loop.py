"""The event loop of a command: uvloop where there is one, and what signals do while it runs.

The first SIGINT or SIGTERM asks for an orderly end, a second one for an end without waiting, a third one
ends the process at once. What ends one that does not end is `last_resort`.
"""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from types import FrameType
from typing import TypeVar

import anyio
import click

from asyncflow.cli.exits import FORCED
from asyncflow.cli.last_resort import LastResort

T = TypeVar("T")

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_BREAK_OFF_S = 2.0  # for attempts of a command to notice that they are cancelled


def in_loop(function: Callable[[], Awaitable[T]]) -> T:
    """What the coroutine function gives, run in a loop of its own, in a process that is ours.

    The loop itself is given nothing: at its end CPython writes out what its first asyncio task gave, for the
    text of an error that it then drops. For an execution of 10,000 tasks that took 0.4 s.
    """
    from asyncflow.app.process import tune_process  # noqa: PLC0415  # app is not for a help text

    tune_process()
    given: list[T] = []

    async def run() -> None:
        given.append(await function())

    anyio.run(run, backend_options={"use_uvloop": find_spec("uvloop") is not None})
    return given[0]


class Stop:
    """What signals asked for.

    Attributes:
        asked: set by the first signal.
        hurried: set by the second one: nothing is to be waited for any more.
        last_resort: ends the process when a stop takes too long; it begins with the first signal.
    """

    def __init__(self, last_resort: LastResort) -> None:
        """Nothing was asked for."""
        self.asked, self.hurried = anyio.Event(), anyio.Event()
        self.last_resort = last_resort
        self._loop = asyncio.get_running_loop()
        self._count = 0

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        """The handler: it runs between two instructions of whatever is under way, so it only tells."""
        self._count += 1
        if self._count > 2:
            os._exit(FORCED)
        if self._count == 1:
            self.last_resort.begin()
            self._loop.call_soon_threadsafe(self._ask)
        else:
            self.last_resort.hurry()
            self._loop.call_soon_threadsafe(self._hurry)

    def _ask(self) -> None:
        click.echo("asyncflow: stopping; once more to stop without waiting", err=True)
        self.asked.set()

    def _hurry(self) -> None:
        click.echo("asyncflow: stopping without waiting; once more to end at once", err=True)
        self.hurried.set()


async def with_signals(function: Callable[[Stop], Awaitable[T]]) -> T:
    """What the function gives, which is told of signals.

    After a first signal it has a time to return in, that of `Stop.last_resort` and some seconds more, and
    after a second one a second: then the process ends with exit code 130, as it does at a third signal.
    """
    with LastResort(_BREAK_OFF_S) as last_resort:
        stop = Stop(last_resort)
        with _listening(stop):
            return await function(stop)


@contextmanager
def _listening(stop: Stop) -> Iterator[None]:
    """Plain handlers, not the loop's: a loop that is held would never call those."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = [signal.signal(each, stop.on_signal) for each in _SIGNALS]
    try:
        yield
    finally:
        for each, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(each, handler)
