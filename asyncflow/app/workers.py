"""Outside workers: they poll for tasks, report how these stand, and are counted.

Conductor's rules for stale and unknown updates are kept here; who gets which task is
`runtime/hand_out`, what an update leads to is decided in `decide/commands`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from asyncflow.app.payloads import check_payload, check_texts
from asyncflow.decide.render import render_task
from asyncflow.errors import InvalidInput, NotFound
from asyncflow.ids import task_number
from asyncflow.model import inputs
from asyncflow.model.state import ExecutionState
from asyncflow.model.statuses import IN_PROGRESS
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine

MOST_TIMEOUT_MS = 5_000
MOST_COUNT = 10_000


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a worker says of a task.

    Attributes:
        status: IN_PROGRESS, COMPLETED, FAILED, FAILED_WITH_TERMINAL_ERROR or any other end of a task.
        output: replaces the present output.
        callback_after_s: with IN_PROGRESS: the task is given back and handed out again after it.
        logs: lines `{"log": text, "createdTime": ms}`.
        extend_lease: nothing but a sign of life; everything else in it is ignored.
    """

    workflow_id: str
    task_id: str
    status: str = IN_PROGRESS
    output: JsonObject = field(default_factory=dict)
    reason: str | None = None
    callback_after_s: float = 0
    worker_id: str = ""
    logs: Sequence[JsonObject] = ()
    extend_lease: bool = False


class HandsOut(Protocol):
    """Who gives tasks to pollers."""

    async def poll(
        self, name: str, domain: str | None, *, worker: str, count: int, timeout_ms: int, version: str
    ) -> list[JsonObject]:
        """Tasks for a worker, or none when the time is up."""


class Workers:
    """The calls of outside workers on one engine; every method returns what is durable."""

    def __init__(self, engine: Engine, hand_out: HandsOut) -> None:
        """Nobody polled yet."""
        self.engine, self._hand_out = engine, hand_out

    # --- polling ------------------------------------------------------------------------------------

    async def poll(
        self,
        task_type: str,
        *,
        worker_id: str = "",
        domain: str | None = None,
        count: int = 1,
        timeout_ms: int = 100,
        version: str = "",
    ) -> list[JsonObject]:
        """Up to `count` tasks of a type as Conductor's Task objects, IN_PROGRESS and leased to the worker.

        Args:
            domain: of tasks sent to a domain; None for those that were not.
            timeout_ms: how long to wait for the first of them, at most 5,000.
            version: of the worker's code, for tasks pinned to one.

        Raises:
            InvalidInput: a number is out of its range.
            ShuttingDown: the engine hands out nothing any more.

        Durability: IN_PROGRESS with its grants is on disk before anything is returned.
        Cancellation: what was meant for a caller who is gone is given back, without a retry used.
        """
        check_texts(taskType=task_type, workerid=worker_id, domain=domain, version=version)
        if not task_type:
            raise InvalidInput("a task type is expected", field="taskType")
        if not 0 <= timeout_ms <= MOST_TIMEOUT_MS:
            raise InvalidInput(f"0 to {MOST_TIMEOUT_MS} expected, got {timeout_ms}", field="timeout")
        if not 1 <= count <= MOST_COUNT:
            raise InvalidInput(f"1 to {MOST_COUNT} expected, got {count}", field="count")
        return await self._hand_out.poll(
            task_type, domain or None, worker=worker_id, count=count, timeout_ms=timeout_ms, version=version
        )

    # --- what a worker reports ------------------------------------------------------------------------

    async def update(self, result: TaskResult) -> None:
        """Record what a worker says; of a task or an execution that has ended, nothing.

        Raises:
            NotFound: no such execution, or no such task in it.
            InvalidInput: an unknown status, or an output that is no JSON.
            LimitExceeded: the output is too large.
        """
        number = await self._number(result.workflow_id, result.task_id)
        if result.extend_lease:
            await self.engine.submit(result.workflow_id, inputs.ExtendLease(number))
            return
        check_texts(status=result.status, reason=result.reason, workerId=result.worker_id)
        output, size = check_payload(result.output, "outputData", self.engine.settings.limits)
        command = inputs.UpdateTask(
            number,
            result.status,
            output,
            reason=result.reason,
            callback_after_s=result.callback_after_s,
            worker_id=result.worker_id or None,
            output_bytes=size,
        )
        await self.engine.submit(result.workflow_id, command, size=size)

    async def extend_lease(self, workflow_id: str, task_id: str) -> None:
        """A sign of life: the response timeout starts anew. Raises as `update`."""
        await self.update(TaskResult(workflow_id, task_id, extend_lease=True))

    async def task(self, task_id: str) -> JsonObject:
        """A task by its id, as Conductor's Task object.

        Raises:
            NotFound: there is none.
        """
        state, number = await self._find(task_id)
        shown = render_task(state, state.tasks[number])
        await self.engine.turns.settled(state.execution_id)
        return shown

    async def _number(self, workflow_id: str, task_id: str) -> int:
        state = await self.engine.state(workflow_id)
        number = task_number(workflow_id, task_id)
        if number is None or number not in state.tasks:
            raise NotFound("task", task_id)
        return number

    async def _find(self, task_id: str) -> tuple[ExecutionState, int]:
        for stream, state in self.engine.turns.states.items():
            number = task_number(stream, task_id)
            if number is not None and number in state.tasks:
                return state, number
        raise NotFound("task", task_id)
