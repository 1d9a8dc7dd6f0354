"""Lists of executions and tasks by query and free text, exact as of the moment of asking.

It reads the views through the reader's connection, after they have caught up; it changes nothing. The
query is read by `model/search_query`, free text by `model/free_text`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import NamedTuple

from pydantic_core import from_json, to_json

from asyncflow.decide.gather import input_of, output_of
from asyncflow.errors import AsyncflowError, InvalidInput
from asyncflow.ids import task_number
from asyncflow.model import free_text as words
from asyncflow.model.search_query import Comparison, Every, Expression, Kind, parse_query, parse_sort
from asyncflow.model.state import ExecutionState
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine
from asyncflow.store.journal import Views
from asyncflow.store.records import (
    AllOf,
    AnyOf,
    Condition,
    ExecutionRow,
    Found,
    Page,
    TaskHit,
    TaskRow,
    Where,
)

MOST_ROWS = 5_000
"""Of one page."""

_FARTHEST = 2**62
_BRIEF = 16_384  # characters of an input or output in a summary
_ANYTHING = "*"


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


class TaskFound(NamedTuple):
    """A task that a search found; `input` and `output` as JSON, cut, '' where they cannot be read."""

    task: TaskRow
    workflow_name: str
    correlation_id: str
    priority: int
    input: str
    output: str


class Search:
    """Queries over many executions of one engine; every one sees all that was durable when it was asked."""

    def __init__(self, engine: Engine, views: Views) -> None:
        """Search the views that this engine keeps up."""
        self._engine, self._views = engine, views

    async def executions(
        self,
        query: str = "",
        free_text: str = _ANYTHING,
        *,
        start: int = 0,
        size: int = 100,
        sort: Sequence[str] = (),
        top_level_only: bool = False,
    ) -> Found[ExecutionRow]:
        """How many executions there are, and a page of them, newest start first unless sorted.

        Raises:
            InvalidInput: query, sort or free text cannot be read, or the page is too large.
        """
        page = page_of(start, size, sort, EXECUTION_FIELDS)
        conditions = conditions_of(query, EXECUTION_FIELDS)
        if top_level_only:
            conditions.append(Condition("parent_id", "=", ("",)))
        await self._engine.views_caught_up()
        if not words.is_everything(free_text):
            expression = words.matching(free_text)
            await self._engine.texts.caught_up()
            conditions.append(Condition("text", "matches", (expression,)))
        return await self._views.find_executions(conditions, page)

    async def tasks(
        self,
        query: str = "",
        free_text: str = _ANYTHING,
        *,
        start: int = 0,
        size: int = 100,
        sort: Sequence[str] = (),
    ) -> Found[TaskFound]:
        """How many tasks there are, and a page of them, scheduled last first unless sorted.

        Free text is looked for, letter case aside, in reference, name, type, reason, worker and domain.
        Raises as `executions`. Cost: loads the executions of the page that are not in memory.
        """
        page = page_of(start, size, sort, TASK_FIELDS)
        conditions = [*conditions_of(query, TASK_FIELDS), *_containing(free_text)]
        await self._engine.views_caught_up()
        total, hits = await self._views.find_tasks(conditions, page)
        states = await self._states({hit.task.execution_id for hit in hits})
        return Found(total, [_with_payloads(hit, states.get(hit.task.execution_id)) for hit in hits])

    async def by_tasks(
        self,
        query: str = "",
        free_text: str = _ANYTHING,
        *,
        start: int = 0,
        size: int = 100,
        sort: Sequence[str] = (),
    ) -> Found[ExecutionRow]:
        """How many executions own tasks that meet a query of tasks, and a page of them; as `tasks`.

        `sort` names fields of executions.
        """
        page = page_of(start, size, sort, EXECUTION_FIELDS)
        conditions = [*conditions_of(query, TASK_FIELDS), *_containing(free_text)]
        await self._engine.views_caught_up()
        return await self._views.find_owners(conditions, page)

    async def running(
        self, name: str, version: int = 1, start_ms: int | None = None, end_ms: int | None = None
    ) -> list[str]:
        """Ids of executions of a version that go on; with both times all that began between them."""
        conditions: list[Where] = [Condition("name", "=", (name,)), Condition("version", "=", (version,))]
        if start_ms is not None and end_ms is not None:
            conditions.append(Condition("started_at_ms", ">=", (_bounded(start_ms),)))
            conditions.append(Condition("started_at_ms", "<=", (_bounded(end_ms),)))
        else:
            conditions.append(Condition("status", "in", ("RUNNING", "PAUSED")))
        return [row.execution_id for row in await self._all(conditions)]

    async def correlated(
        self, name: str, ids: Sequence[str], *, include_closed: bool = False
    ) -> dict[str, list[str]]:
        """Ids of executions of a workflow by correlation id, newest first; every id asked for is a key."""
        conditions: list[Where] = [
            Condition("name", "=", (name,)),
            AnyOf(tuple(Condition("correlation_id", "=", (each,)) for each in dict.fromkeys(ids) if each)),
        ]
        if not include_closed:
            conditions.append(Condition("status", "in", ("RUNNING", "PAUSED")))
        found: dict[str, list[str]] = {each: [] for each in ids}
        for row in await self._all(conditions):
            found[row.correlation_id].append(row.execution_id)
        return found

    async def _all(self, conditions: list[Where]) -> list[ExecutionRow]:
        await self._engine.views_caught_up()
        return (await self._views.find_executions(conditions, Page(limit=-1))).rows

    async def _states(self, ids: set[str]) -> dict[str, ExecutionState]:
        """The states of executions, without those that are gone or cannot be read."""
        names = sorted(ids)
        found = await asyncio.gather(*map(self._engine.state, names), return_exceptions=True)
        for state in found:
            if isinstance(state, BaseException) and not isinstance(state, AsyncflowError):
                raise state
        return {
            name: state for name, state in zip(names, found, strict=True) if isinstance(state, ExecutionState)
        }

    @staticmethod
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


# --- what is asked, in the words of the views ----------------------------------------------------


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


def _containing(free_text: str) -> list[Where]:
    """What tasks have to meet for a free text."""
    if words.is_everything(free_text):
        return []
    return [Condition("words", "like", (f"%{_escaped(word)}%",)) for word in words.words(free_text)]


def _escaped(word: str) -> str:
    return word.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")


def _bounded(at_ms: int) -> int:
    return max(-_FARTHEST, min(_FARTHEST, at_ms))


def _with_payloads(hit: TaskHit, state: ExecutionState | None) -> TaskFound:
    number = task_number(hit.task.execution_id, hit.task.task_id)
    record = None if state is None or number is None else state.tasks.get(number)
    given = output = ""
    if state is not None and record is not None:
        given, output = _brief(input_of(record)), _brief(output_of(state, record))
    return TaskFound(hit.task, hit.workflow_name, hit.correlation_id, hit.priority, given, output)


def _brief(value: object) -> str:
    return to_json(value).decode()[:_BRIEF]
