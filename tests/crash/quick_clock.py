"""Real time at twenty times its speed: what engines wait seconds for, tests of whole processes need not."""

from __future__ import annotations

import asyncio
import time

from asyncflow.model.turn import Moment
from asyncflow.runtime.clock import SystemClock

SPEED = 20


class QuickClock(SystemClock):
    """One time line for all processes that are told the same beginning."""

    def __init__(self, began_ms: int) -> None:
        """Stand at the beginning where real time stood there."""
        super().__init__()
        self._began_ms, self._shift_ms = began_ms, 0

    def _quick_ms(self) -> int:
        return self._began_ms + (time.time_ns() // 1_000_000 - self._began_ms) * SPEED + self._shift_ms

    def start_from(self, elapsed_ms: int) -> None:
        """As the parent."""
        self._shift_ms += max(0, elapsed_ms - self._quick_ms())

    def now(self) -> Moment:
        """This moment."""
        quick_ms = self._quick_ms()
        return Moment(quick_ms, quick_ms)

    def alarm(self, at_ms: int, wake: asyncio.Event) -> asyncio.TimerHandle | None:
        """As the parent, sooner."""
        delay_s = max(0.0, (at_ms - self._quick_ms()) / 1000 / SPEED)
        return asyncio.get_running_loop().call_later(delay_s + 0.0005, wake.set)


def real_ms() -> int:
    """Where real time stands: what a quick clock begins at."""
    return time.time_ns() // 1_000_000
