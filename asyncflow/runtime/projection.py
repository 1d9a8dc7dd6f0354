"""Views kept up with the journal: what changed, as rows, a fifth of a second behind at most.

Rows are made at the end of a turn, where the state is exactly what the turn makes true, and
written after its commit. Nothing waits for a view except those who ask SQL; see `caught_up`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from pydantic_core import to_json

from asyncflow.decide.scope import task_type
from asyncflow.errors import StoreError
from asyncflow.ids import task_id
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.store.journal import Views
from asyncflow.store.records import ExecutionRow, TaskRow, ViewBatch

log = logging.getLogger("asyncflow.projection")

_EVERY_S = 0.1
_ROWS = 5_000  # rows made at the end of one turn; more wait for the next


class Projection:
    """Changed executions on their way into the views.

    `touched` is called as executions change, `close_turn` at the end of each turn, `committed`
    after its commit. `run` writes.
    """

    def __init__(
        self, views: Views, states: dict[str, ExecutionState], *, is_idle: Callable[[], bool]
    ) -> None:
        """Nothing has changed yet; `is_idle` says that all that is decided is durable."""
        self._views = views
        self._states = states
        self._is_idle = is_idle
        self._alarm: asyncio.TimerHandle | None = None
        self._changed: dict[str, ExecutionState] = {}
        self._closed: ViewBatch | None = None
        self._ready: list[ViewBatch] = []
        self._next_s = 0.0
        self._force = False
        self._wake = asyncio.Event()
        self._rested = asyncio.Event()
        self._rested.set()
        self.turn = 0
        self._turn_open = 0

    def touched(self, state: ExecutionState) -> None:
        """The execution changed in the turn that is open."""
        self._changed[state.execution_id] = state
        if self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(_EVERY_S, self._look)

    def _look(self) -> None:
        """No turn may come by itself to take along what changed: do it now if all is durable."""
        self._alarm = None
        if not self._changed:
            return
        if self._is_idle():
            self.flush(self._turn_open)
        else:
            self._alarm = asyncio.get_running_loop().call_later(_EVERY_S, self._look)

    def close_turn(self, number: int) -> None:
        """Make rows of what changed, if it is time to."""
        self._turn_open = number
        now_s = asyncio.get_running_loop().time()
        if not self._changed or (now_s < self._next_s and not self._force):
            return
        self._next_s = now_s + _EVERY_S
        self._closed = self._batch(number)

    def _batch(self, number: int) -> ViewBatch:
        batch = ViewBatch(number, [], [], [], [])
        done: list[str] = []
        for stream, state in self._changed.items():
            if len(batch.tasks) >= _ROWS:
                break
            batch.executions.append(execution_row(state))
            if self._tasks(state, batch):
                done.append(stream)
        for stream in done:
            del self._changed[stream]
        return batch

    @staticmethod
    def _tasks(state: ExecutionState, batch: ViewBatch) -> bool:
        """Rows of the changed records of an execution, up to the bound; whether that was all."""
        changed = state.changed
        while changed:
            if len(batch.tasks) >= _ROWS:
                return False
            number = next(iter(changed))
            del changed[number]
            task = state.tasks.get(number)
            if task is None:
                batch.removed_tasks.append(task_id(state.execution_id, number))
            else:
                batch.tasks.append(task_row(state, task))
        return True

    def committed(self) -> None:
        """What the closed turn made true may be written now."""
        if self._closed is not None:
            self._ready.append(self._closed)
            self._closed = None
            self._rested.clear()
            self._wake.set()

    @property
    def is_behind(self) -> bool:
        """Whether something is changed, closed or being written."""
        return bool(self._changed or self._closed or self._ready or not self._rested.is_set())

    def flush(self, number: int) -> None:
        """Make rows of everything now: the caller knows that all of it is durable up to this turn."""
        while self._changed:
            self._ready.append(self._batch(number))
        if self._ready:
            self._rested.clear()
            self._wake.set()

    async def caught_up(self, number: int) -> None:
        """Wait until the views show everything up to this turn."""
        while self.is_behind and self.turn < number:
            if self._is_idle():
                self.flush(number)
            self._force = True
            if self._rested.is_set():
                await asyncio.sleep(_EVERY_S / 10)
            else:
                await self._rested.wait()
        self._force = False

    async def rested(self) -> None:
        """Wait until everything that was handed over is written."""
        await self._rested.wait()

    async def run(self) -> None:
        """Write batches as they come, for ever; cancelled by the engine's end."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._ready:
                batch = self._ready.pop(0)
                try:
                    await self._views.write_views(batch)
                except StoreError as error:
                    log.warning("views not written", extra={"turn": batch.turn_number, "reason": str(error)})
                    self._ready.insert(0, batch)
                    break
                self.turn = batch.turn_number
            if not self._ready:
                self._rested.set()


def execution_row(state: ExecutionState) -> ExecutionRow:
    """The row of the view `execution` for a state."""
    given, output = to_json(state.input).decode(), to_json(state.output).decode()
    parent = task_id(state.parent_id, state.parent_number) if state.parent_id else ""
    return ExecutionRow(
        state.execution_id,
        state.name,
        state.version,
        state.status,
        0 if state.is_ended else 1,
        state.graph.hash,
        state.correlation_id or "",
        state.parent_id or "",
        parent,
        state.priority,
        state.created_ms,
        state.updated_ms,
        state.ended_ms,
        state.reason or "",
        len(given),
        len(output),
        to_json(list(state.failed_refs)).decode() if state.failed_refs else "[]",
        state.epoch,
        state.seq,
        given,
        output,
    )


def task_row(state: ExecutionState, task: TaskState) -> TaskRow:
    """The row of the view `task` for a record."""
    size = task.output_bytes
    if not size and task.output:
        size = len(to_json(task.output))
    return TaskRow(
        task_id(state.execution_id, task.number),
        state.execution_id,
        task.number,
        task.seq,
        task.ref,
        task.name or task.node.name,
        task_type(task),
        task.status,
        task.state or task.status,
        task.retry_count,
        task.iteration,
        task.scheduled_ms,
        task.started_ms,
        task.updated_ms,
        task.ended_ms,
        task.worker_id,
        task.reason or "",
        task.input_bytes,
        size,
        1 if task.superseded else 0,
    )
