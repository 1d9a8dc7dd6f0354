"""Outside workers: they poll for tasks, report how these stand, and are counted.

Conductor's rules for stale and unknown updates are kept here; who gets which task is
`runtime/hand_out`, what an update leads to is decided in `decide/commands`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

from asyncflow.app.handed_out import HandedOut
from asyncflow.app.logbook import Logbook
from asyncflow.app.next_poll import NextPoll
from asyncflow.app.payloads import check_payload, check_texts
from asyncflow.app.volumes import Told
from asyncflow.app.worker_queues import WorkerQueues
from asyncflow.decide.render import render_task
from asyncflow.errors import InvalidInput, NotFound
from asyncflow.ids import task_id as id_of
from asyncflow.ids import task_number
from asyncflow.model import inputs
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import IN_PROGRESS
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine
from asyncflow.runtime.inbox import Then
from asyncflow.store.journal import Views
from asyncflow.store.log_records import TaskIo
from asyncflow.store.records import Condition, Page

MOST_TIMEOUT_MS = 5_000
MOST_COUNT = 10_000
_MOST_LINES = 10
_SECONDS_BELOW = 100_000_000_000  # a time below it is of a client that counts in seconds
_LATEST_MS = 253_402_300_800_000  # the year 10000: a time that is later is none


@dataclass(frozen=True, slots=True)
class TaskResult:
    """What a worker says of a task.

    Attributes:
        status: IN_PROGRESS, COMPLETED, FAILED, FAILED_WITH_TERMINAL_ERROR or any other end of a task.
        output: replaces the present output.
        callback_after_s: with IN_PROGRESS: the task is given back and handed out again after it.
        logs: lines `{"log": text, "createdTime": ms}`, of which the first ten are kept.
        extend_lease: nothing but a sign of life; everything else in it is ignored.
        io: what went through the task since it last told; of an update that changes nothing, it is ignored.
        is_plain: of the output, as `check_payload` has it.
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
    io: Sequence[Told] = ()
    is_plain: bool = False


class Workers(WorkerQueues):
    """The calls of outside workers on one engine; what they are told is durable."""

    def __init__(self, engine: Engine, views: Views, logbook: Logbook | None = None) -> None:
        """Nobody polled yet; without a logbook the lines of workers are dropped."""
        super().__init__(engine)
        self._views, self._logbook = views, logbook
        self._handed_out = HandedOut(engine)

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
        return await self._handed_out.poll(
            task_type, domain or "", worker=worker_id, count=count, timeout_ms=timeout_ms, version=version
        )

    # --- what a worker reports ------------------------------------------------------------------------

    async def update(self, result: TaskResult) -> None:
        """Record what a worker says; of a task or an execution that has ended, nothing.

        Raises:
            NotFound: no such execution, or no such task in it.
            InvalidInput: an unknown status, or an output that is no JSON.
            LimitExceeded: the output is too large.
        """
        _, task = await self._open(result)
        await self._update(result, task)

    async def update_and_poll(self, result: TaskResult) -> JsonObject | None:
        """Record what a worker says, and give it the next task of the same type and domain.

        None where the task goes on, where nothing waits, and where what waits is owed to another poller.
        Raises as `update`.

        Durability: the next task begins in the commit that ends this one.
        Cancellation: the next task is given back, without using a retry.
        """
        _, task = await self._open(result)
        if result.extend_lease or result.status == IN_PROGRESS:
            await self._update(result, task)
            return None
        next_poll = NextPoll(self._hand_out, task, result.worker_id)
        with next_poll:
            await self._update(result, task, then=next_poll.open)
            found = await self._handed_out.completed(await next_poll.answered())
        return found[0] if found else None

    async def _open(self, result: TaskResult) -> tuple[ExecutionState, TaskState]:
        state = await self.engine.state(result.workflow_id)
        number = task_number(result.workflow_id, result.task_id)
        task = None if number is None else state.tasks.get(number)
        if task is None:
            raise NotFound("task", result.task_id)
        return state, task

    async def _update(self, result: TaskResult, task: TaskState, *, then: Then | None = None) -> None:
        check_texts(status=result.status, reason=result.reason, workerId=result.worker_id)
        self._hand_out.watch.heard(result.worker_id or task.worker_id)
        if result.extend_lease:
            await self.engine.submit(result.workflow_id, inputs.ExtendLease(task.number))
            return
        lines = _lines(result)
        output, size = await self._accepted(result.output, task, is_plain=result.is_plain)
        command = inputs.UpdateTask(
            task.number,
            result.status,
            output,
            reason=self._handed_out.masked_text(result.reason, task),
            callback_after_s=max(0, result.callback_after_s),
            worker_id=result.worker_id or None,
            output_bytes=size,
        )
        told = [] if task.is_ended else [TaskIo(result.task_id, *each) for each in result.io]
        then = partial(self._tell, told, then) if told else then
        await self.engine.turns.submit(result.workflow_id, command, size=size, then=then)
        if result.io:
            self._tell(told)
            await self.engine.logs.flushed()
        await self._keep(result, lines)

    def _tell(self, told: list[TaskIo], then: Then | None = None) -> None:
        """Keep what went through a task, with the turn of its update: who hears of its end finds it."""
        self.engine.logs.put(*told)
        told.clear()
        if then is not None:
            then()

    async def _accepted(
        self, output: JsonObject, task: TaskState, *, merged: bool = False, is_plain: bool = False
    ) -> tuple[JsonObject, int]:
        """An output fit to be recorded: without the secrets that its task was given, and not too large."""
        limits, payloads = self.engine.settings.limits, self.engine.payloads
        checked, size = check_payload(
            output, "outputData", limits, most_bytes=payloads.most_bytes, is_plain=is_plain
        )
        checked = self._handed_out.masked(checked, task)
        if size > limits.payload_bytes:
            checked = await payloads.store_excess(checked, size, what="outputData", merged=merged)
        return checked, size

    async def _keep(self, result: TaskResult, lines: Sequence[tuple[str, int]]) -> None:
        """Add to the log of a task; its lines share a commit."""
        logbook = self._logbook
        if logbook is not None and lines:
            task, execution = result.task_id, result.workflow_id
            await asyncio.gather(
                *(logbook.add_log_lines(task, [text], execution_id=execution, at_ms=at) for text, at in lines)
            )

    async def update_by_reference(
        self,
        workflow_id: str,
        ref: str,
        status: str,
        output: JsonObject,
        *,
        worker_id: str = "",
        reason: str | None = None,
    ) -> str | None:
        """Update the open task of a reference name, its output laid over the present one; its id.

        None where no task of the name is open, or there is no such execution: nothing changed.
        Raises as `update` else.
        """
        check_texts(ref=ref, status=status, reason=reason, workerId=worker_id)
        try:
            state = await self.engine.state(workflow_id)
        except NotFound:
            return None
        task = state.by_ref.get(ref) or state.latest.get(ref)
        if task is None or task.is_ended or state.is_ended:
            return None
        checked, size = await self._accepted(output, task, merged=True)
        command = inputs.UpdateTask(
            task.number,
            status,
            checked,
            reason=self._handed_out.masked_text(reason, task),
            worker_id=worker_id or None,
            merge=True,
            output_bytes=size,
        )
        await self.engine.submit(workflow_id, command, size=size)
        return id_of(workflow_id, task.number)

    async def extend_lease(self, workflow_id: str, task_id: str) -> list[str]:
        """A sign of life: the response timeout starts anew. Raises as `update`.

        Returns:
            The resources of which the task has an instance reserved that is gone: what its worker does there
            is lost, and it should fail the task.
        """
        await self.update(TaskResult(workflow_id, task_id, extend_lease=True))
        number = task_number(workflow_id, task_id) or 0
        return self.engine.carry.admitting.placing.lost_of((workflow_id, number))

    async def release(self, task_id: str, reason: str = "") -> None:
        """Give a task back that a worker has, for another to take: no retry is used.

        A task that no worker has is left as it is.

        Raises:
            NotFound: there is no such task.
        """
        check_texts(reason=reason)
        state, task = await self._find(task_id)
        given = inputs.ReleaseAttempt(task.number, reason or "released by its worker")
        await self.engine.submit(state.execution_id, given)

    # --- single tasks -------------------------------------------------------------------------------

    async def task(self, task_id: str) -> JsonObject:
        """A task by its id, as Conductor's Task object.

        Raises:
            NotFound: there is none.
        """
        state, task = await self._find(task_id)
        shown = render_task(state, task)
        await self.engine.turns.settled(state.execution_id)
        return shown

    async def locate(self, task_id: str) -> tuple[str, int]:
        """The execution that a task is of, and its number there; raises NotFound."""
        state, task = await self._find(task_id)
        return state.execution_id, task.number

    async def _find(self, task_id: str) -> tuple[ExecutionState, TaskState]:
        check_texts(taskId=task_id)
        await self.engine.views_caught_up()
        for row in await self._views.list_tasks([Condition("task_id", "=", (task_id,))], Page(1)):
            state = await self.engine.state(row.execution_id)
            task = state.tasks.get(row.number)
            if task is not None:
                return state, task
        raise NotFound("task", task_id)


def _lines(result: TaskResult) -> list[tuple[str, int]]:
    """The lines that are kept of a result, with their times, 0 for now; none keeps it from counting."""
    found: list[tuple[str, int]] = []
    for line in result.logs[:_MOST_LINES]:
        text, at = line.get("log"), line.get("createdTime")
        if isinstance(text, str) and text:
            at_ms = int(at) if isinstance(at, int | float) and 0 < at < _LATEST_MS else 0
            found.append((text, at_ms * 1000 if at_ms < _SECONDS_BELOW else at_ms))
    return found
