"""What a stretch of work costs: CPU of all threads, lines of Python, steps of SQLite.

CPU time is measured in one process and the counts in another, since counting makes everything slower. Nothing
is judged here; how costs grow is told by `bench/growth.py`.
"""

from __future__ import annotations

import resource
import sqlite3
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Protocol, cast

_STEPS = 100  # of SQLite's machine between two calls of the counter


@dataclass(slots=True)
class Cost:
    """What a phase cost.

    Attributes:
        units: by how many things it is divided.
        cpu_s: of all threads of the process.
        peak_mb: most memory that the process had by its end.
        lines: lines of asyncflow's own Python that were carried out, loops included; 0 where not counted.
        steps: instructions of SQLite's virtual machine, to the hundred; 0 where not counted.
    """

    units: int
    cpu_s: float = 0.0
    peak_mb: float = 0.0
    lines: int = 0
    steps: int = 0


class _Tracer(Protocol):
    def __call__(self, frame: FrameType, event: str, argument: object) -> _Tracer | None: ...


class Meter:
    """Measures phases of one process.

    Attributes:
        phases: what was measured, by name, in order; a name that comes again is added to.
    """

    def __init__(self, *, counts: bool) -> None:
        """With `counts`, count lines and steps; the engine is to be opened after this."""
        self.phases: dict[str, Cost] = {}
        self._counts, self._is_on = counts, False
        self._lines = self._steps = 0
        self._is_ours: dict[str, bool] = {}
        if counts:
            threading.settrace(cast("object", self._called))  # type: ignore[arg-type]  # of threads yet to begin
            self._connect = sqlite3.connect
            sqlite3.connect = self._connected  # type: ignore[assignment]  # each connection counts its steps

    @contextmanager
    def phase(self, name: str, units: int = 1) -> Iterator[None]:
        """Measure what is done within."""
        cost = self.phases.setdefault(name, Cost(0))
        lines, steps, cpu_s = self._lines, self._steps, time.process_time()
        self._switch(is_on=True)
        try:
            yield
        finally:
            self._switch(is_on=False)
            cost.units += units
            cost.cpu_s += time.process_time() - cpu_s
            cost.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            cost.lines += self._lines - lines
            cost.steps += self._steps - steps

    def _switch(self, *, is_on: bool) -> None:
        self._is_on = is_on
        if self._counts:
            sys.settrace(cast("object", self._called if is_on else None))  # type: ignore[arg-type]

    def _called(self, frame: FrameType, event: str, argument: object) -> _Tracer | None:
        del event, argument
        file = frame.f_code.co_filename
        is_ours = self._is_ours.get(file)
        if is_ours is None:
            is_ours = self._is_ours[file] = "/asyncflow/" in file
        return self._line if is_ours and self._is_on else None

    def _line(self, frame: FrameType, event: str, argument: object) -> _Tracer:
        del frame, argument
        if event == "line":
            self._lines += 1
        return self._line

    def _connected(self, *arguments: object, **options: object) -> sqlite3.Connection:
        connection = cast("sqlite3.Connection", self._connect(*arguments, **options))  # type: ignore[call-overload]
        watch = connection.set_progress_handler

        def watched(handler: Callable[[], object] | None, every: int) -> None:
            """The engine's own handler, which breaks off what takes too long, is asked besides."""
            del every
            watch(lambda: self._stepped() or (handler is not None and bool(handler())), _STEPS)

        watched(None, 0)
        if type(connection) is not sqlite3.Connection:  # that of the engine is a class of its own
            connection.set_progress_handler = watched  # type: ignore[method-assign,assignment]
        return connection

    def _stepped(self) -> bool:
        if self._is_on:
            self._steps += _STEPS
        return False
