"""The time, and waiting for it: the only module that asks the operating system.

Everything else is given a `Clock`. `decide/` gets moments as arguments; tests use the virtual
clock of `asyncflow.testing`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Protocol

from asyncflow.model.turn import Moment

_boot_ns: Callable[[], int] = (  # asked several times a task
    partial(time.clock_gettime_ns, time.CLOCK_BOOTTIME) if sys.platform == "linux" else time.monotonic_ns
)


class Clock(Protocol):
    """Two clocks in one; see `model/turn.Moment`."""

    def now(self) -> Moment:
        """This moment. `elapsed_ms` never goes backwards."""

    def start_from(self, elapsed_ms: int) -> None:
        """Never be earlier than this on the elapsed clock: the last moment the journal knows."""

    def alarm(self, at_ms: int, wake: asyncio.Event) -> asyncio.TimerHandle | None:
        """Set the event once the elapsed clock has reached this; cancel the handle to take it back."""

    def idle(self, until_ms: int | None) -> bool:
        """Told that nothing is under way until then; a virtual clock moves and says True."""


class SystemClock:
    """The machine's clocks: boot time for durations, which a suspended machine does not stop."""

    def __init__(self) -> None:
        """Begin at the wall clock's time; `start_from` may move the elapsed clock forward."""
        self._origin_ms = time.time_ns() // 1_000_000 - _boot_ns() // 1_000_000

    def start_from(self, elapsed_ms: int) -> None:
        """Move forward to the last moment the journal knows, if the wall clock was set back."""
        behind = elapsed_ms - (self._origin_ms + _boot_ns() // 1_000_000)
        if behind > 0:
            self._origin_ms += behind

    def now(self) -> Moment:
        """This moment."""
        return Moment(self._origin_ms + _boot_ns() // 1_000_000, time.time_ns() // 1_000_000)

    def alarm(self, at_ms: int, wake: asyncio.Event) -> asyncio.TimerHandle | None:
        """Wake the loop no earlier than the moment asked for."""
        delay_s = max(0.0, (at_ms - self.now().elapsed_ms) / 1000)
        return asyncio.get_running_loop().call_later(delay_s + 0.0005, wake.set)

    def idle(self, until_ms: int | None) -> bool:  # noqa: ARG002 - the protocol's
        """Real time passes by itself."""
        return False


def stopwatch_s() -> float:
    """Seconds that only differences are read of: how long something of ours took, never what is decided."""
    return time.perf_counter()


async def breathe() -> None:
    """Let everybody else on the loop have a turn; no time passes."""
    await asyncio.sleep(0)


async def pause(seconds: float) -> None:
    """Wait in real time, for what concerns the process and no workflow: a disk, a part that broke."""
    await asyncio.sleep(seconds)


async def comes_within(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, in real time and no longer than this; whether it came."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
