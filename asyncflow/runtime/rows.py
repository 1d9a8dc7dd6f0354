"""The rows of the views, made of states: the one place that says which field shows what.

A row shows a state as it stands; when one is made is `runtime/projection`'s affair. The columns are
explained in the store's `schema.sql`.
"""

from __future__ import annotations

from pydantic_core import to_json

from asyncflow.decide.job_view import state_of
from asyncflow.decide.scope import task_type
from asyncflow.ids import task_id
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.store.records import ExecutionRow, TaskRow


def execution_row(state: ExecutionState) -> ExecutionRow:
    """The row of the view `execution` for a state."""
    given = to_json(state.input).decode() if state.input else "{}"
    output = to_json(state.output).decode() if state.output else "{}"
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
        state.created_by,
        state.trigger,
        to_json(list(state.failed_names)).decode() if state.failed_names else "[]",
        to_json(state.task_to_domain).decode() if state.task_to_domain else "{}",
        state.idempotency_key or "",
        state.request_hash,
    )


def io_bytes(task: TaskState) -> tuple[int, int]:
    """The sizes of a record's input and output as JSON, measured now where no event told them."""
    given, made = task.input_bytes, task.output_bytes
    if not given and task.input:
        given = len(to_json(task.input))
    if not made and task.output:
        made = len(to_json(task.output))
    return given, made


def task_row(state: ExecutionState, task: TaskState) -> TaskRow:
    """The row of the view `task` for a record."""
    input_bytes, size = io_bytes(task)
    return TaskRow(
        task_id(state.execution_id, task.number),
        state.execution_id,
        task.number,
        task.seq,
        task.ref,
        task.name or task.node.name,
        task_type(task),
        task.status,
        _true_state(state, task),
        task.retry_count,
        task.iteration,
        task.scheduled_ms,
        task.started_ms,
        task.updated_ms,
        task.ended_ms,
        task.worker_id,
        task.reason or "",
        input_bytes,
        size,
        1 if task.superseded else 0,
        task.domain or "",
    )


def _true_state(state: ExecutionState, task: TaskState) -> str:
    """Its own word, that of the job it waits for, or Conductor's.

    A job that outlived its task and waits for a person counts, too: it has to be found by this.
    """
    if state.jobs:
        job = state.jobs.get(state.job_of.get(task.number, 0))
        if job is not None:
            return state_of(job)
        job = state.jobs.get(state.given_up.get(task.number, 0))
        if job is not None and job.phase == "undecided":
            return state_of(job)
    return task.state or task.status
