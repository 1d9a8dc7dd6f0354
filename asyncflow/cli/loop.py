"""The event loop of a command: uvloop where there is one, and what signals do while it runs.

The first SIGINT or SIGTERM asks for an orderly end, a second one ends the process at once.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Awaitable, Callable
from importlib.util import find_spec
from typing import TypeVar

import anyio
import click

from asyncflow.cli.exits import FORCED

T = TypeVar("T")


def in_loop(function: Callable[[], Awaitable[T]]) -> T:
    """What the coroutine function gives, run in a loop of its own, in a process that is ours."""
    from asyncflow.app.process import tune_process  # noqa: PLC0415  # app is not for a help text

    tune_process()
    return anyio.run(function, backend_options={"use_uvloop": find_spec("uvloop") is not None})


async def with_signals(function: Callable[[anyio.Event], Awaitable[T]]) -> T:
    """What the function gives; the event it gets is set by the first signal.

    Cancellation: a second signal ends the process without any clean-up, with exit code 130.
    """
    stop = anyio.Event()
    async with anyio.create_task_group() as group:
        await group.start(_listen, stop)
        result = await function(stop)
        group.cancel_scope.cancel()
    return result


async def _listen(stop: anyio.Event, *, task_status: anyio.abc.TaskStatus[None]) -> None:
    with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as signals:
        task_status.started()
        async for _ in signals:
            if stop.is_set():
                click.echo("asyncflow: ended at once", err=True)
                os._exit(FORCED)
            click.echo("asyncflow: stopping; once more to end at once", err=True)
            stop.set()
