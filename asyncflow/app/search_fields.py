"""The fields that a query and a sort may name, and what they ask of the views.

It knows Conductor's names and the columns behind them, and runs nothing: `search` does. How a query is read
is in `model/search_query`, free text in `model/free_text`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from pydantic_core import to_json

from asyncflow.errors import InvalidInput
from asyncflow.model import free_text as words
from asyncflow.model.search_query import Comparison, Every, Expression, Kind, parse_query, parse_sort
from asyncflow.store.records import AllOf, AnyOf, Condition, Page, Where

MOST_ROWS = 5_000
"""Of one page."""

_FARTHEST = 2**62


class Field(NamedTuple):
    """A field that a query and a sort may name: the column it is in, and what its values are."""

    column: str
    kind: Kind


EXECUTION_FIELDS: Mapping[str, Field] = {
    "workflowId": Field("execution_id", Kind.TEXT),
    "workflowType": Field("name", Kind.TEXT),
    "workflowName": Field("name", Kind.TEXT),
    "version": Field("version", Kind.NUMBER),
    "status": Field("status", Kind.STATUS),
    "correlationId": Field("correlation_id", Kind.TEXT),
    "startTime": Field("started_at_ms", Kind.TIME),
    "createTime": Field("started_at_ms", Kind.TIME),
    "updateTime": Field("updated_at_ms", Kind.TIME),
    "endTime": Field("ended_at_ms", Kind.TIME),
    "executionTime": Field("execution_ms", Kind.NUMBER),
    "createdBy": Field("created_by", Kind.TEXT),
    "event": Field("event", Kind.TEXT),
    "parentWorkflowId": Field("parent_id", Kind.TEXT),
    "priority": Field("priority", Kind.NUMBER),
    "reasonForIncompletion": Field("reason", Kind.TEXT),
    "failedReferenceTaskNames": Field("failed_references", Kind.NAMES),
    "failedTaskNames": Field("failed_names", Kind.NAMES),
    "taskToDomain": Field("task_to_domain", Kind.TEXT),
    "idempotencyKey": Field("idempotency_key", Kind.TEXT),
    "inputSize": Field("input_bytes", Kind.NUMBER),
    "outputSize": Field("output_bytes", Kind.NUMBER),
}
"""The fields of Conductor's WorkflowSummary that a query and a sort may name."""

TASK_FIELDS: Mapping[str, Field] = {
    "taskId": Field("task_id", Kind.TEXT),
    "workflowId": Field("execution_id", Kind.TEXT),
    "workflowType": Field("workflow_name", Kind.TEXT),
    "workflowName": Field("workflow_name", Kind.TEXT),
    "version": Field("workflow_version", Kind.NUMBER),
    "correlationId": Field("correlation_id", Kind.TEXT),
    "workflowPriority": Field("priority", Kind.NUMBER),
    "taskType": Field("type", Kind.TEXT),
    "taskDefName": Field("name", Kind.TEXT),
    "referenceTaskName": Field("reference", Kind.TEXT),
    "status": Field("status", Kind.STATUS),
    "state": Field("state", Kind.TEXT),
    "scheduledTime": Field("scheduled_at_ms", Kind.TIME),
    "startTime": Field("started_at_ms", Kind.TIME),
    "updateTime": Field("updated_at_ms", Kind.TIME),
    "endTime": Field("ended_at_ms", Kind.TIME),
    "executionTime": Field("execution_ms", Kind.NUMBER),
    "queueWaitTime": Field("queue_wait_ms", Kind.NUMBER),
    "reasonForIncompletion": Field("reason", Kind.TEXT),
    "retryCount": Field("retry_count", Kind.NUMBER),
    "iteration": Field("iteration", Kind.NUMBER),
    "workerId": Field("worker_id", Kind.TEXT),
    "domain": Field("domain", Kind.TEXT),
}
"""The fields of Conductor's TaskSummary that a query and a sort may name, and a few more."""


def page_of(start: int, size: int, sort: Sequence[str], fields: Mapping[str, Field]) -> Page:
    """The page of a list, with the order that is asked for; raises InvalidInput."""
    if not 0 <= size <= MOST_ROWS:
        raise InvalidInput(f"0 to {MOST_ROWS} is expected, got {size}", field="size")
    if not 0 <= start <= _FARTHEST:
        raise InvalidInput(f"0 to {_FARTHEST} is expected, got {start}", field="start")
    order = parse_sort(sort, {name: field.kind for name, field in fields.items()})
    return Page(size, start, tuple((fields[name].column, down) for name, down in order))


def conditions_of(query: str, fields: Mapping[str, Field]) -> list[Where]:
    """The conditions of a query; raises InvalidInput."""
    parsed = parse_query(query, {name: field.kind for name, field in fields.items()})
    return [_where(parsed, fields)] if parsed != Every(()) else []


def _where(expression: Expression, fields: Mapping[str, Field]) -> Where:
    if isinstance(expression, Comparison):
        return _compared(expression, fields[expression.field])
    members = tuple(_where(member, fields) for member in expression.members)
    return AllOf(members) if isinstance(expression, Every) else AnyOf(members)


def _compared(comparison: Comparison, field: Field) -> Where:
    _, operator, values = comparison
    if field.kind is not Kind.NAMES:
        return Condition(field.column, operator, values)
    if operator in {"is", "is not"}:
        return Condition(field.column, "=" if operator == "is" else "!=", ("[]",))
    if operator in {"like", "contains", "starts"}:
        return Condition(field.column, operator, values)
    names = (to_json(value).decode() for value in values)  # each stands so in the list
    return AnyOf(tuple(Condition(field.column, "contains", (name,)) for name in names))


def containing(free_text: str) -> list[Where]:
    """What tasks have to meet for a free text."""
    if words.is_everything(free_text):
        return []
    return [Condition("words", "like", (f"%{_escaped(word)}%",)) for word in words.words(free_text)]


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def bounded(at_ms: int) -> int:
    """A time as the database can compare it."""
    return max(-_FARTHEST, min(_FARTHEST, at_ms))
