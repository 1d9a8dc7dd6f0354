"""The bodies of attempts: a function on the loop, in a thread or a process, a request, a command.

What a body returned or raised becomes a report as data. Nothing here knows which attempts are under
way; that is `runtime/attempts`. Secrets are put in here, at the last moment, and taken out of
whatever comes back.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol, cast

from pydantic_core import from_json, to_json

from asyncflow.decide.evolve_recovery import earlier_output
from asyncflow.decide.wanted import attempt_start
from asyncflow.errors import ShuttingDown, TerminalTaskFailed
from asyncflow.ids import attempt_token
from asyncflow.model.effects import Timer
from asyncflow.model.inputs import AttemptEnded
from asyncflow.model.installation import NOT_DRAWN, Installation
from asyncflow.model.limits import DEFAULT_LIMITS, Limits
from asyncflow.model.payload_reference import STORED_MARK
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import COMPLETED, FAILED
from asyncflow.model.values import JsonObject
from asyncflow.runtime.attempt_records import AttemptSink
from asyncflow.runtime.attempt_results import check_large_output, failure_of, freeze_output
from asyncflow.runtime.binding import Binding
from asyncflow.runtime.command_task import CommandOutcome, CommandPolicy, run_command
from asyncflow.runtime.context import TaskContext
from asyncflow.runtime.http_task import HttpOutcome, run_http
from asyncflow.runtime.last_touched import NOWHERE, LastTouched
from asyncflow.runtime.needs import function_name
from asyncflow.runtime.outbound import OutboundClient
from asyncflow.runtime.payloads import Payloads
from asyncflow.runtime.process_executor import ProcessExecutor
from asyncflow.runtime.secrets_in_use import NO_SECRETS, Redactor, SecretsInUse
from asyncflow.runtime.thread_executor import ThreadExecutor

log = logging.getLogger("asyncflow.attempts")

INTERRUPTED = "INTERRUPTED"
_LEAST_BEAT_S, _MOST_BEAT_S = 0.5, 30.0
_BUILT_IN = frozenset({"http", "command"})


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


@dataclass(slots=True, eq=False)
class Begun:
    """An attempt as it was when it began: its record may be reset while it runs.

    `key` is its execution and the number of its record, `start` tells it from other attempts of the record,
    `attempt` counts them for people. `payload` is its input as JSON. `work` is the asyncio task that performs
    it, from its first step on. `is_off`: nobody wants it any more.
    """

    stream: str
    number: int
    key: tuple[str, int]
    start: int
    attempt: int
    ref: str
    name: str
    executor: str
    payload: bytes
    token: str
    beats: bool
    context: TaskContext | None
    work: asyncio.Task[None] | None = None
    is_off: bool = False

    def ended(self, status: str, output: JsonObject, reason: str | None, size: int = 0) -> AttemptEnded:
        """The report of its end."""
        return AttemptEnded(self.number, status, output, reason, size, self.start, len(self.payload))


@dataclass(frozen=True, slots=True)
class Bodies:
    """Where bodies run and what bounds them; the engine opens and closes them."""

    threads: ThreadExecutor
    processes: ProcessExecutor
    outbound: OutboundClient
    commands: CommandPolicy
    limits: Limits = DEFAULT_LIMITS
    installation: Installation = NOT_DRAWN
    payloads: Payloads = field(default_factory=lambda: Payloads(None, DEFAULT_LIMITS))
    touched: LastTouched = NOWHERE


class Performing:
    """Runs bodies; knows the functions of this process.

    Attributes:
        redactor: takes secrets out of what attempts log.
        touched: is told which execution the process is at.
        clients: gives an attempt what resources have for it, by name; see `TaskContext.resource`.
    """

    def __init__(
        self, functions: Mapping[str, LocalFunction], bodies: Bodies, *, secrets: Mapping[str, str]
    ) -> None:
        """Run nothing yet; `secrets` are the values of `${workflow.secrets.NAME}` by name."""
        self.functions = functions
        self._bodies, self._secrets = bodies, secrets
        self.redactor, self.touched = Redactor(secrets), bodies.touched
        self.clients: Callable[[ExecutionState, TaskState], Callable[[str], object] | None] = lambda *_: None

    def begin(self, state: ExecutionState, task: TaskState, payload: bytes, *, sink: AttemptSink) -> Begun:
        """What an attempt is from here on."""
        name = function_name(task)
        function = self.functions.get(name)
        context = None
        if function is not None and function.binding.context is not None:
            context = self._context(state, task, sink)
        token = ""
        if task.executor == "http":
            token = attempt_token(
                self._bodies.installation.of(state.created_ms),
                state.execution_id,
                task.ref,
                attempt=task.retry_count + 1,
                epoch=task.epoch,
            )
        policy = task.node.policy
        return Begun(
            state.execution_id,
            task.number,
            (state.execution_id, task.number),
            attempt_start(task),
            task.retry_count + 1,
            task.ref,
            name,
            task.executor,
            payload,
            token,
            bool(policy.heartbeat and policy.response_timeout),
            context,
        )

    def _context(self, state: ExecutionState, task: TaskState, sink: AttemptSink) -> TaskContext:
        dues = [
            effect.due_ms
            for effect in state.wanted.get(task.number, ())
            if isinstance(effect, Timer) and effect.kind in {"timeout", "total"}
        ]
        before = state.tasks.get(task.retry_of)
        earlier = earlier_output(state, task)
        beat_s = task.node.policy.response_timeout / 5
        return TaskContext(
            state,
            task,
            sink=sink,
            installation=self._bodies.installation.of(state.created_ms),
            deadline_ms=min(dues, default=None),
            recovered=task.number in state.recovering or (before is not None and before.state == INTERRUPTED),
            previous_outputs=None if earlier is None else from_json(to_json(earlier)),
            beat_every_s=min(_MOST_BEAT_S, max(_LEAST_BEAT_S, beat_s)),
            clients=self.clients(state, task),
        )

    async def outcome(self, begun: Begun) -> AttemptEnded:
        """Run the body to its end; whatever it raised is data, except what breaks the attempt off."""
        given: JsonObject = {} if begun.payload == b"{}" else from_json(begun.payload)
        secrets = NO_SECRETS
        if b"workflow.secrets" in begun.payload:
            secrets = SecretsInUse(self._secrets)
            given = secrets.fill(given)
        try:
            if STORED_MARK in begun.payload:
                given = cast("JsonObject", await self._bodies.payloads.hydrate(given))
            if begun.context is not None and begun.context.previous_outputs is not None:
                earlier = await self._bodies.payloads.hydrate(begun.context.previous_outputs)
                begun.context.previous_outputs = cast("JsonObject", earlier)
            if begun.executor in _BUILT_IN:
                outcome = await self._built_in(begun, given)
                report = self._frozen(begun, outcome.output, outcome.reason, ok=outcome.ok)
            else:
                report = self._frozen(begun, await self._call(begun, given), None)
            if secrets.used:
                report = secrets.mask(report)
            if report.output_bytes > self._bodies.limits.payload_bytes:
                report = await self._stored(report)
        except (asyncio.CancelledError, KeyboardInterrupt, ShuttingDown):
            raise
        except BaseException as error:  # noqa: BLE001 - the author's code: sys.exit() ends the task alone
            return secrets.mask(self._failure(begun, error, secrets))
        return report

    async def _stored(self, report: AttemptEnded) -> AttemptEnded:
        """The report with a reference in place of what is too large to be recorded, which is durable then.

        Raises:
            InvalidInput: an output so large that nobody looked into it yet is not JSON.
            LimitExceeded, PayloadUnavailable: as `Payloads.accept`.
        """
        await asyncio.to_thread(check_large_output, report.output)
        stored = await self._bodies.payloads.store_excess(report.output, report.output_bytes)
        return report._replace(output=stored)

    def _failure(self, begun: Begun, error: BaseException, secrets: SecretsInUse) -> AttemptEnded:
        status, reason, output = failure_of(error)
        facts = {"execution": begun.stream, "task": begun.ref}
        log.info("attempt failed", extra=facts, exc_info=None if secrets.used else error)
        return begun.ended(status, output, reason)

    def _built_in(self, begun: Begun, given: JsonObject) -> Awaitable[HttpOutcome | CommandOutcome]:
        bodies = self._bodies
        if begun.executor == "http":
            return run_http(given, client=bodies.outbound, idempotency_key=begun.token)
        return run_command(given, policy=bodies.commands)

    def _frozen(self, begun: Begun, value: object, reason: str | None, *, ok: bool = True) -> AttemptEnded:
        """The report of what a body gave, copied; raises as `freeze_output`."""
        bodies = self._bodies
        output, size = freeze_output(
            value, limit=bodies.payloads.most_bytes, checked=bodies.limits.payload_bytes
        )
        return begun.ended(COMPLETED if ok else FAILED, output, reason, size)

    def _call(self, begun: Begun, given: JsonObject) -> Awaitable[object]:
        function, context = self.functions.get(begun.name), begun.context
        if function is None:
            raise TerminalTaskFailed(f"no function of this name is loaded: {begun.name}")
        arguments = function.binding.bind(given, context)
        if function.executor == "process":
            return self._bodies.processes.run(function.function, arguments)
        if function.executor == "thread":
            return self._bodies.threads.run(
                self.touched.threaded(begun.stream, lambda: function.function(**arguments)),
                label=f"{begun.ref} of {begun.stream}",
                on_cancel=None if context is None else context.mark_cancelled,
            )
        return function.function(**arguments)  # type: ignore[return-value]  # its executor says it is async
