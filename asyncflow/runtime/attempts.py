"""Attempts performed: a function on the loop, in a thread or a process, an HTTP request, a command.

An attempt is one asyncio task from its start to its report. Cancelling it is always safe: the
record has ended already, or the engine stops and the attempt will be interrupted, not failed.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Mapping
from typing import Protocol

from pydantic_core import from_json

from asyncflow.decide.scripts import script_request
from asyncflow.decide.step import Context
from asyncflow.errors import AsyncflowError, InvalidInput, LimitExceeded, ScriptError
from asyncflow.ids import attempt_token
from asyncflow.model.inputs import AttemptEnded, ExtendLease, ScriptEnded
from asyncflow.model.limits import Limits
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import COMPLETED, FAILED, FAILED_TERMINALLY
from asyncflow.model.values import JsonObject
from asyncflow.runtime.binding import Binding
from asyncflow.runtime.command_task import CommandPolicy, run_command
from asyncflow.runtime.attempt_records import AttemptRecord, LogLine
from asyncflow.runtime.attempt_results import failure_of, freeze_output
from asyncflow.runtime.context import TaskContext
from asyncflow.runtime.http_task import run_http
from asyncflow.runtime.outbound import OutboundClient
from asyncflow.runtime.process_executor import ProcessExecutor
from asyncflow.runtime.scripts.evaluator import ScriptRequest, ScriptRunner
from asyncflow.runtime.thread_executor import ThreadExecutor

log = logging.getLogger("asyncflow.attempts")
task_log = logging.getLogger("asyncflow.tasks")

Key = tuple[str, int]


class LocalFunction(Protocol):
    """A function of this process that performs tasks of its name."""

    @property
    def name(self) -> str:
        """The task name."""

    @property
    def function(self) -> Callable[..., object]:
        """The author's function."""

    @property
    def executor(self) -> str:
        """loop, thread or process."""

    @property
    def binding(self) -> Binding:
        """How inputs become parameters."""


class Attempts:
    """Everything that is being performed in this process, by execution and record number.

    Owned by the engine, which gives it the executors and closes them.
    """

    def __init__(
        self,
        functions: Mapping[str, LocalFunction],
        report: Callable[[str, AttemptEnded | ScriptEnded | ExtendLease], None],
        *,
        threads: ThreadExecutor,
        processes: ProcessExecutor,
        scripts: ScriptRunner,
        outbound: OutboundClient,
        commands: CommandPolicy,
        limits: Limits,
        installation: str,
        context: Callable[[], Context],
    ) -> None:
        """Perform nothing yet."""
        self.functions = functions
        self._report = report
        self._threads, self._processes = threads, processes
        self._scripts, self._outbound, self._commands = scripts, outbound, commands
        self._limits = limits
        self._installation = installation
        self._context = context
        self._running: dict[Key, asyncio.Task[None]] = {}
        self._scripting: set[asyncio.Task[None]] = set()

    @property
    def count(self) -> int:
        """How many attempts and scripts are under way."""
        return len(self._running) + len(self._scripting)

    def start(self, state: ExecutionState, task: TaskState, payload: bytes) -> None:
        """Begin an attempt. `payload` is its input as JSON, so it gets a copy of its own."""
        key = (state.execution_id, task.number)
        work = asyncio.create_task(self._perform(key, state, task, payload))
        self._running[key] = work

    def cancel(self, key: Key) -> None:
        """Break an attempt off; one that ended already is gone."""
        work = self._running.pop(key, None)
        if work is not None:
            work.cancel()

    def start_script(self, state: ExecutionState, number: int, iteration: int) -> None:
        """Evaluate a script, whose request is read from the state now."""
        try:
            language, source, given = script_request(state, number, self._context())
        except AsyncflowError as error:
            self._report(state.execution_id, ScriptEnded(number, None, str(error), iteration))
            return
        request = ScriptRequest(language, source, given)  # type: ignore[arg-type]
        work = asyncio.create_task(self._evaluate(state.execution_id, number, iteration, request))
        self._scripting.add(work)
        work.add_done_callback(self._scripting.discard)

    async def close(self) -> None:
        """Break everything off, without reports."""
        works = [*self._running.values(), *self._scripting]
        self._running.clear()
        for work in works:
            work.cancel()
        await asyncio.gather(*works, return_exceptions=True)

    async def _evaluate(self, stream: str, number: int, iteration: int, request: ScriptRequest) -> None:
        try:
            value, error = await self._scripts.run(request), None
        except (ScriptError, LimitExceeded) as fault:
            value, error = None, str(fault)
        except Exception as bug:  # the task must not wait for ever for an answer that cannot come
            log.exception("script broke", extra={"execution": stream, "task": number})
            value, error = None, f"{type(bug).__name__}: {bug}"
        self._report(stream, ScriptEnded(number, value, error, iteration))

    async def _perform(self, key: Key, state: ExecutionState, task: TaskState, payload: bytes) -> None:
        """One attempt, to its report. Nothing that an author raises goes further: it would end the loop."""
        stream, number = key
        work = asyncio.current_task()
        try:
            report = await self._outcome(state, task, payload)
        except BaseException as error:  # SystemExit and CancelledError of the author's own too
            if self._running.get(key) is not work:
                raise  # broken off, and nobody waits for a report
            status, reason, output = failure_of(error)
            log.info("attempt failed", extra={"execution": stream, "task": task.ref}, exc_info=error)
            report = AttemptEnded(number, status, output, reason)
        if self._running.get(key) is work:
            del self._running[key]
            self._report(stream, report)

    async def _outcome(self, state: ExecutionState, task: TaskState, payload: bytes) -> AttemptEnded:
        given: JsonObject = {} if payload == b"{}" else from_json(payload)
        executor = task.executor
        if executor == "http":
            return await self._http(state, task, given)
        if executor == "command":
            outcome = await run_command(given, policy=self._commands)
            return self._built_in(task, ok=outcome.ok, output=outcome.output, reason=outcome.reason)
        function = self.functions.get(task.name or task.node.name)
        if function is None:
            raise InvalidInput(f"no function of this name is loaded: {task.name or task.node.name}")
        value = await self._call(function, state, task, given)
        try:
            output, size = freeze_output(value, limit=self._limits.payload_bytes)
        except LimitExceeded as limit:
            return AttemptEnded(task.number, FAILED_TERMINALLY, {}, str(limit))
        return AttemptEnded(task.number, COMPLETED, output, None, size)

    def _call(
        self, function: LocalFunction, state: ExecutionState, task: TaskState, given: JsonObject
    ) -> Coroutine[object, object, object]:
        binding = function.binding
        context = self._context_of(state, task) if binding.context is not None else None
        if function.executor == "process":
            return self._processes.run(function.function, binding.bind(given, context))
        arguments = binding.bind(given, context)
        if function.executor == "thread":
            return self._threads.run(lambda: function.function(**arguments))
        return function.function(**arguments)  # type: ignore[return-value]

    def _context_of(self, state: ExecutionState, task: TaskState) -> TaskContext:
        return TaskContext(state, task, sink=self, installation=self._installation)

    async def _http(self, state: ExecutionState, task: TaskState, given: JsonObject) -> AttemptEnded:
        token = attempt_token(
            self._installation, state.execution_id, task.ref, attempt=task.retry_count + 1, epoch=task.epoch
        )
        outcome = await run_http(given, client=self._outbound, idempotency_key=token)
        return self._built_in(task, ok=outcome.ok, output=outcome.output, reason=outcome.reason)

    def _built_in(self, task: TaskState, *, ok: bool, output: JsonObject, reason: str | None) -> AttemptEnded:
        try:
            frozen, size = freeze_output(output, limit=self._limits.payload_bytes)
        except LimitExceeded as limit:
            return AttemptEnded(task.number, FAILED_TERMINALLY, {}, str(limit))
        return AttemptEnded(task.number, COMPLETED if ok else FAILED, frozen, reason, size)

    # --- what a task context tells us -------------------------------------------------------------

    def report_heartbeat(self, execution_id: str, number: int) -> None:
        """An attempt is alive."""
        self._report(execution_id, ExtendLease(number))

    def write_log(self, execution_id: str, number: int, line: LogLine) -> None:
        """A line of an author's log."""
        task_log.info(line.message, extra={"execution": execution_id, "task": number, "fields": line.fields})

    def record(self, execution_id: str, number: int, record: AttemptRecord) -> None:
        """Progress, sizes or a metric of an attempt."""
        task_log.info("%r", record, extra={"execution": execution_id, "task": number})
