"""A thread that sees when the loop is held, and says by what.

It measures and names, and changes nothing: a function that blocks belongs in a thread, and its
author learns which it is. The engine starts and stops it.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import threading
import traceback
from types import TracebackType
from typing import Self

log = logging.getLogger("asyncflow.watchdog")

LAG_S = 1.0
"""How long the loop may be held before that is said."""

_LINES = 30


class Watchdog:
    """Watches the running loop while its context lasts; an async context manager.

    Attributes:
        stalls: how often the loop was held for longer than allowed.
    """

    def __init__(self, *, lag_s: float = LAG_S) -> None:
        """Watch nothing yet."""
        self.stalls = 0
        self._lag_s = lag_s
        self._answered = threading.Event()
        self._stop = threading.Event()
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread
        self._watched = 0

    async def __aenter__(self) -> Self:
        """Watch the loop this runs on."""
        self._loop = asyncio.get_running_loop()
        self._watched = threading.get_ident()
        self._thread = threading.Thread(target=self._watch, name="asyncflow-watchdog", daemon=True)
        self._thread.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End the thread, which waits for nothing longer than an answer of the loop."""
        self._stop.set()
        self._answered.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(self._lag_s):
            self._answered.clear()
            try:
                self._loop.call_soon_threadsafe(self._answered.set)
            except RuntimeError:
                return  # the loop is closed
            if self._answered.wait(self._lag_s) or self._stop.is_set():
                continue
            self.stalls += 1
            frame = sys._current_frames().get(self._watched)  # noqa: SLF001 - documented, in spite of its name
            stack = "".join(traceback.format_stack(frame)[-_LINES:]) if frame is not None else "unknown"
            log.warning(
                "the event loop is held for more than %.1f s; work that blocks belongs in a `def` task, "
                "which runs in a thread. It is at:\n%s",
                self._lag_s,
                stack,
                extra={"stalls": self.stalls},
            )
            self._answered.wait()
