"""Attempts under way, from their start to their report; one that has to wait is an asyncio task.

Cancelling one is always safe: its record has ended already, or the engine stops and the attempt
will be interrupted, not failed. What a body does and how its end is told is `runtime/performing`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from asyncflow.decide.scripts import script_request
from asyncflow.decide.step import Context
from asyncflow.errors import AsyncflowError, LimitExceeded, PayloadUnavailable, ScriptError, ShuttingDown
from asyncflow.model.inputs import AttemptEnded, AttemptInterrupted, ExtendLease, ScriptEnded
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import FAILED
from asyncflow.runtime.attempt_records import AttemptRecord, LogLine
from asyncflow.runtime.clock import comes_within, stopwatch_s
from asyncflow.runtime.distribution import Distribution
from asyncflow.runtime.first_steps import FirstSteps
from asyncflow.runtime.log_context import Subject, subject
from asyncflow.runtime.performing import Begun, LocalFunction, Performing
from asyncflow.runtime.scripts.evaluator import ScriptRequest, ScriptRunner

__all__ = ["Attempts", "LocalFunction"]

log = logging.getLogger("asyncflow.attempts")
task_log = logging.getLogger("asyncflow.tasks")

GRACE_S = 2.0
"""How long a coroutine that was told to stop may take, several times told, before it is left alone."""

Key = tuple[str, int]
Report = AttemptEnded | AttemptInterrupted | ScriptEnded | ExtendLease


class Attempts:
    """Everything that is being performed in this process, by execution and record number.

    Attributes:
        keep_line: told of every line that an attempt logs.
        keep_record: told of every record of progress, sizes and metrics.
        script_seconds: how long scripts took, waits for a free evaluator included.
    """

    def __init__(
        self,
        report: Callable[[str, Report], None],
        *,
        performing: Performing,
        scripts: ScriptRunner,
        context: Callable[[], Context],
        over: Callable[[], None],
        grace_s: float = GRACE_S,
    ) -> None:
        """Perform nothing yet.

        Args:
            context: what expressions of scripts see.
            over: called when something ended without a report.
            grace_s: see `GRACE_S`.
        """
        self.keep_line: Callable[[str, int, LogLine], None] = lambda *_: None
        self.keep_record: Callable[[str, int, AttemptRecord], None] = lambda *_: None
        self.script_seconds = Distribution()
        self._report, self._performing = report, performing
        self._scripts, self._context = scripts, context
        self._told_over, self._grace_s = over, grace_s
        self._running: dict[Key, Begun] = {}
        self._first_steps = FirstSteps(self._perform, performing.touched)
        self._ending: set[asyncio.Task[None]] = set()
        self._scripting: set[asyncio.Task[None]] = set()
        self._rested = asyncio.Event()
        self._closing = False

    @property
    def count(self) -> int:
        """How many attempts and scripts are under way, those told to stop included."""
        return len(self._running) + len(self._scripting) + len(self._ending)

    # --- attempts ---------------------------------------------------------------------------------

    def start(self, state: ExecutionState, task: TaskState, payload: bytes) -> None:
        """Begin an attempt. `payload` is its input as JSON, so it gets a copy of its own."""
        if self._closing:
            return
        begun = self._performing.begin(state, task, payload, sink=self)
        if begun.key in self._running:
            self.cancel(begun.key)
        self._running[begun.key] = begun
        self._first_steps.add(begun)

    def cancel(self, key: Key) -> None:
        """Break an attempt off; one that ended already is gone."""
        begun = self._running.pop(key, None)
        if begun is None:
            return
        begun.is_off = True
        if begun.context is not None:
            begun.context.mark_cancelled()
        if begun.work is None:  # it did not begin
            self._told_over()
            self._rest_if_nothing_is_left()
        else:
            begun.work.cancel()
            self._ending.add(begun.work)
            begun.work.add_done_callback(self._over)

    def _over(self, work: asyncio.Task[None]) -> None:
        self._ending.discard(work)
        self._scripting.discard(work)
        if not work.cancelled() and work.exception() is not None:
            log.error("an attempt broke", exc_info=work.exception())
        self._told_over()
        self._rest_if_nothing_is_left()

    def _rest_if_nothing_is_left(self) -> None:
        if not self._running and not self.count:
            self._rested.set()

    async def _perform(self, begun: Begun) -> None:
        subject.set(Subject(begun.stream, begun.ref, begun.attempt, begun.executor))
        report: Report
        try:
            report = await self._performing.outcome(begun)
        except asyncio.CancelledError:
            report = self._cancelled(begun)
        except ShuttingDown:
            return  # an executor closed: nothing is known of the attempt, and nothing is reported
        except Exception as bug:  # a fault around the body; its record must not wait for ever for a report
            log.exception("attempt broke", extra={"execution": begun.stream, "task": begun.ref})
            report = begun.ended(FAILED, {}, f"the attempt broke: {type(bug).__name__}")
        if self._running.get(begun.key) is begun:
            del self._running[begun.key]
            self._report(begun.stream, report)
            if not self._running:
                self._rest_if_nothing_is_left()

    @staticmethod
    def _cancelled(begun: Begun) -> Report:
        """Who raised it: the author's own code, or somebody who cancelled the asyncio task."""
        task = asyncio.current_task()
        if task is None or not task.cancelling():
            return begun.ended(FAILED, {}, "CancelledError: the task function cancelled itself")
        return AttemptInterrupted(begun.number, "cancelled from outside of the engine", begun.start)

    # --- scripts ----------------------------------------------------------------------------------

    def start_script(self, state: ExecutionState, number: int, iteration: int) -> None:
        """Evaluate a script, whose request is read from the state now."""
        if self._closing:
            return
        stream = state.execution_id
        try:
            language, source, given = script_request(state, number, self._context())
        except AsyncflowError as error:
            self._report(stream, ScriptEnded(number, None, str(error), iteration))
            return
        request = ScriptRequest(language, source, given)  # type: ignore[arg-type]  # the texts the type names
        work = asyncio.create_task(self._evaluate(stream, number, iteration, request))
        self._scripting.add(work)
        work.add_done_callback(self._over)

    async def _evaluate(self, stream: str, number: int, iteration: int, request: ScriptRequest) -> None:
        began_s = stopwatch_s()
        try:
            value, error = await self._scripts.run(request), None
        except (ScriptError, LimitExceeded, PayloadUnavailable) as fault:
            value, error = None, str(fault)
        except ShuttingDown:
            return
        except Exception as bug:  # the task must not wait for ever for an answer that cannot come
            log.exception("script broke", extra={"execution": stream, "task": number})
            value, error = None, f"{type(bug).__name__}: {bug}"
        self.script_seconds.observe(stopwatch_s() - began_s)
        if not self._closing:
            self._report(stream, ScriptEnded(number, value, error, iteration))

    # --- the end ----------------------------------------------------------------------------------

    async def rested(self, timeout_s: float) -> bool:
        """Wait until nothing is under way, at most so long; whether it is so."""
        self._rested.clear()
        if not self.count:
            return True
        return await comes_within(self._rested, timeout_s)

    async def close(self) -> None:
        """Break everything off, without reports.

        A coroutine that swallows its cancellation is told again, and after the grace left behind.
        """
        self._closing = True
        for key in [*self._running]:
            self.cancel(key)
        left = self._ending | self._scripting
        for _ in range(3):
            for work in left:
                work.cancel()
            if left:
                _, left = await asyncio.wait(left, timeout=self._grace_s / 3)
        for work in left:
            log.error("a task function does not end though it is cancelled", extra={"work": repr(work)})

    # --- what a task context tells us -------------------------------------------------------------

    def report_heartbeat(self, execution_id: str, number: int) -> None:
        """An attempt is alive; told on only where it puts off a timeout."""
        begun = self._running.get((execution_id, number))
        if begun is not None and begun.beats:
            self._report(execution_id, ExtendLease(number))

    def write_log(self, execution_id: str, number: int, line: LogLine) -> None:
        """A line of an author's log."""
        redactor = self._performing.redactor
        shown = LogLine(redactor.text(line.message), redactor.value(line.fields))
        facts = {"execution": execution_id, "task": number, "fields": shown.fields}
        task_log.info("%s", shown.message, extra=facts)
        self.keep_line(execution_id, number, shown)

    def record(self, execution_id: str, number: int, record: AttemptRecord) -> None:
        """Progress, sizes or a metric of an attempt."""
        shown = self._performing.redactor.text(repr(record))
        task_log.info("%s", shown, extra={"execution": execution_id, "task": number})
        self.keep_record(execution_id, number, record)
