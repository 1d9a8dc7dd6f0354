"""Executions and tasks as searches show them: Conductor's WorkflowSummary and TaskSummary.

Inputs and outputs are JSON text and cut where they are long; whole ones are shown by `showing`. What is found
is the business of `search`.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import NamedTuple

from pydantic_core import from_json, to_json

from asyncflow.decide.gather import input_of, output_of
from asyncflow.ids import task_number
from asyncflow.model.state import ExecutionState
from asyncflow.model.values import JsonObject
from asyncflow.store.records import ExecutionRow, TaskHit, TaskRow

_BRIEF = 16_384  # characters of an input or output in a summary


class TaskFound(NamedTuple):
    """A task that a search found; `input` and `output` as JSON, cut, '' where they cannot be read."""

    task: TaskRow
    workflow_name: str
    correlation_id: str
    priority: int
    input: str
    output: str


def summary(row: ExecutionRow | TaskFound) -> JsonObject:
    """Conductor's WorkflowSummary or TaskSummary; inputs and outputs as JSON text, cut where long."""
    return _execution_summary(row) if isinstance(row, ExecutionRow) else _task_summary(row)


def _execution_summary(row: ExecutionRow) -> JsonObject:
    body: JsonObject = {
        "workflowType": row.name,
        "version": row.version,
        "workflowId": row.execution_id,
        "correlationId": row.correlation_id or None,
        "startTime": _iso(row.started_at_ms),
        "updateTime": _iso(row.updated_at_ms),
        "endTime": _iso(row.ended_at_ms),
        "status": row.status,
        "input": row.input[:_BRIEF],
        "output": row.output[:_BRIEF],
        "reasonForIncompletion": row.reason or None,
        "executionTime": max(0, row.ended_at_ms - row.started_at_ms),
        "event": row.event or None,
        "failedReferenceTaskNames": ",".join(from_json(row.failed_references)),
        "failedTaskNames": from_json(row.failed_names),
        "priority": row.priority,
        "createdBy": row.created_by or None,
        "taskToDomain": from_json(row.task_to_domain),
        "idempotencyKey": row.idempotency_key or None,
        "parentWorkflowId": row.parent_id or None,
        "inputSize": row.input_bytes,
        "outputSize": row.output_bytes,
    }
    return {key: value for key, value in body.items() if value is not None}


def _task_summary(found: TaskFound) -> JsonObject:
    row = found.task
    body: JsonObject = {
        "workflowId": row.execution_id,
        "workflowType": found.workflow_name,
        "correlationId": found.correlation_id or None,
        "scheduledTime": _iso(row.scheduled_at_ms),
        "startTime": _iso(row.started_at_ms),
        "updateTime": _iso(row.updated_at_ms),
        "endTime": _iso(row.ended_at_ms),
        "status": row.status,
        "reasonForIncompletion": row.reason or None,
        "executionTime": max(0, row.ended_at_ms - row.started_at_ms),
        "queueWaitTime": max(0, row.started_at_ms - row.scheduled_at_ms),
        "taskDefName": row.name,
        "taskType": row.type,
        "input": found.input,
        "output": found.output,
        "taskId": row.task_id,
        "workflowPriority": found.priority,
        "domain": row.domain or None,
        "asyncflow": {"state": row.state} if row.state != row.status else None,
    }
    return {key: value for key, value in body.items() if value is not None}


def _iso(at_ms: int) -> str | None:
    """A point in time as summaries have it; None where there is none."""
    if not at_ms:
        return None
    seconds, milliseconds = divmod(at_ms, 1000)
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S}.{milliseconds:03}Z"


def with_payloads(hit: TaskHit, state: ExecutionState | None) -> TaskFound:
    """A task with its input and output, cut; empty ones where its execution cannot be read."""
    number = task_number(hit.task.execution_id, hit.task.task_id)
    record = None if state is None or number is None else state.tasks.get(number)
    given = output = ""
    if state is not None and record is not None:
        given, output = _brief(input_of(record)), _brief(output_of(state, record))
    return TaskFound(hit.task, hit.workflow_name, hit.correlation_id, hit.priority, given, output)


def _brief(value: object) -> str:
    return to_json(value).decode()[:_BRIEF]
