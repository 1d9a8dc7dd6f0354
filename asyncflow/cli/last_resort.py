"""A thread that ends the process when a stop takes too long, also while the event loop is held.

It waits on a pipe, so that it costs nothing before the first signal, and so that whoever tells it may be
a signal handler. It decides nothing about a stop that goes on; what a signal asks for is in `loop`.
"""

from __future__ import annotations

import asyncio
import contextlib
import faulthandler
import os
import select
import sys
import threading
import time
from io import UnsupportedOperation
from typing import Self

from asyncflow.cli.exits import FORCED

HELD_S = 2.0
"""How long beyond its own limit a stop may take while the event loop does not answer."""
SLOW_S = 10.0
"""How long beyond its own limit a stop may take although the event loop answers."""
HURRIED_S = 1.0
"""How long a stop may take once it was told to hurry."""

_ANSWER_S = 1.0
_STARVED_S = 3.0  # for which a thread that is due may not run, before foreign code is blamed
_END, _BEGIN, _HURRY = b".", b"b", b"h"


class LastResort:
    """Watches the end of a process; a context manager, whose exit says that all went well."""

    def __init__(self, limit_s: float = 0.0) -> None:
        """Watch nothing yet; what is to be expected of a stop is as `expect` has it."""
        self._limit_s, self._slow_s = limit_s, SLOW_S
        self._reads, self._writes = -1, -1
        self._loop: asyncio.AbstractEventLoop
        self._thread: threading.Thread

    def __enter__(self) -> Self:
        """Be ready to watch the loop that runs now."""
        self._loop = asyncio.get_running_loop()
        self._reads, self._writes = os.pipe()
        self._thread = threading.Thread(target=self._wait, name="asyncflow-last-resort", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        """Watch no more."""
        os.write(self._writes, _END)
        self._thread.join()
        faulthandler.cancel_dump_traceback_later()
        for descriptor in (self._reads, self._writes):
            os.close(descriptor)

    def expect(self, limit_s: float, slow_s: float = SLOW_S) -> None:
        """Say how long a stop may take that has not begun, and how much longer if the loop answers."""
        self._limit_s, self._slow_s = limit_s, slow_s

    def begin(self) -> None:
        """Count from now, if nobody has begun; may be called by a signal handler."""
        self._guard(self._limit_s + _STARVED_S)  # here, as foreign code may let no thread run any more
        os.write(self._writes, _BEGIN)

    def hurry(self) -> None:
        """There is little time left; may be called by a signal handler."""
        os.write(self._writes, _HURRY)

    # --- the thread -------------------------------------------------------------------------------

    def _wait(self) -> None:
        told = os.read(self._reads, 1)
        if told != _END:
            self._watch(hurried=told == _HURRY)

    def _watch(self, *, hurried: bool) -> None:
        """Return when all ended well; do not return at all if it did not in time."""
        now_s = time.monotonic()
        look_s = now_s + self._limit_s + HELD_S - _ANSWER_S
        end_s = now_s + (HURRIED_S if hurried else self._limit_s + self._slow_s)
        while True:
            wait_s = max(0.0, min(look_s, end_s) - time.monotonic())
            self._guard(wait_s + _STARVED_S)
            if select.select([self._reads], [], [], wait_s)[0]:
                told = os.read(self._reads, 1)
                if told == _END:
                    return
                if told == _HURRY:
                    hurried, end_s = True, min(end_s, time.monotonic() + HURRIED_S)
            elif time.monotonic() >= end_s:
                self._end("it was told not to wait" if hurried else "it takes too long")
            elif not self._is_answered():
                self._end("the event loop is held")
            else:
                look_s = time.monotonic() + _ANSWER_S

    def _is_answered(self) -> bool:
        answered = threading.Event()
        try:
            self._loop.call_soon_threadsafe(answered.set)
        except RuntimeError:
            return True  # the loop is closed already: the end is near
        return answered.wait(_ANSWER_S)

    @staticmethod
    def _guard(seconds: float) -> None:
        """Have the interpreter's own thread end us where foreign code keeps this one from running."""
        with contextlib.suppress(AttributeError, UnsupportedOperation, ValueError):  # stderr is no file
            faulthandler.dump_traceback_later(seconds, exit=True, file=sys.stderr)

    @staticmethod
    def _end(why: str) -> None:
        with contextlib.suppress(Exception):
            sys.stderr.write(f"asyncflow: ended at once, as the stop is not over: {why}. Where it stands:\n")
            sys.stderr.flush()
            faulthandler.dump_traceback(file=sys.stderr, all_threads=True)
        os._exit(FORCED)
