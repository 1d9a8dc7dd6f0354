"""The views `execution` and `task`: written in bulk, read by conditions.

Columns and operators are looked up in what the row types declare; only values come from outside, and they
are bound. How many rows are put in at once is the business of `inserting`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Generic, NamedTuple, TypeVar

from asyncflow.errors import InvalidInput
from asyncflow.store import texts
from asyncflow.store.codec import encode_json
from asyncflow.store.connection import snapshot, transaction
from asyncflow.store.inserting import Insert
from asyncflow.store.records import (
    AllOf,
    AnyOf,
    Condition,
    ExecutionKey,
    ExecutionRow,
    Found,
    Page,
    TaskHit,
    TaskRow,
    ViewBatch,
    Where,
)
from asyncflow.store.texts import MATCHING
from asyncflow.store.writing import put_cursor

Row = TypeVar("Row", bound=NamedTuple)

_CLASS = (
    "coalesce(nullif(json_extract(body, '$.metadata.classifier'), ''), CASE WHEN coalesce("
    "json_type(body, '$.metadata.agent_sdk'), json_type(body, '$.metadata.agentDef')) IS NULL "
    "THEN 'workflow' ELSE 'agent' END)"
)
_COMPARE = frozenset({"=", "!=", "<", "<=", ">", ">="})
_MEMBER = {"in": "IN", "not in": "NOT IN"}
_TEXTUAL = {
    "contains": "instr({column}, ?) > 0",
    "starts": "substr({column}, 1, length(?)) = ?",
    "like": "{column} LIKE ? ESCAPE '\\'",
    "matches": f"{{column}} IN ({MATCHING})",
    "rounds": "({column} = ? OR (substr({column}, 1, length(?) + 2) = ? || '__' "
    "AND trim(substr({column}, length(?) + 3), '0123456789_') = ''))",
    "classified": f"{{column}} IN (SELECT hash FROM definition WHERE {_CLASS} = ?)",
}


_FILLED = frozenset(
    {"correlation_id", "parent_id", "idempotency_key", "execution_id"}
)  # indexed where not empty


_SHARED = frozenset({"name", "status"})  # indexed, and the same in very many rows


class Query(NamedTuple):
    """A statement, or a part of one, and the values it binds."""

    sql: str
    values: list[str | int]


class View(Generic[Row]):
    """One view: the statements that its columns, its key and its usual order give.

    `source` is what is selected from, and `expressions` say what stands for a column there, where that
    is not the column itself; those beyond the row's own columns may only be asked about.
    """

    def __init__(
        self,
        columns: Sequence[str],
        make: Callable[..., Row],
        *,
        source: str,
        order: str,
        expressions: Mapping[str, str] = MappingProxyType({}),
    ) -> None:
        self._make = make
        self._order: str = order
        self._source: str = source
        self._columns = {**{column: column for column in columns}, **expressions}
        self._select = f"SELECT {', '.join(self._columns[column] for column in columns)} FROM {source}"

    def select(self, db: sqlite3.Connection, conditions: Sequence[Where], page: Page) -> list[Row]:
        """The rows of a page; see `Views.list_executions`."""
        sql, values = self.query(conditions, page)
        return [self._make(*row) for row in db.execute(sql, values).fetchall()]

    def query(self, conditions: Sequence[Where], page: Page) -> Query:
        """The statement behind `select`."""
        where: Query = self._where(conditions)
        keys = [self._column(column) + (" DESC" if down else "") for column, down in page.order]
        order = ", ".join(keys) or self._order
        for name, number in (("limit", page.limit), ("offset", page.offset)):
            _check_bindable(name, number)
        sql = f"{self._select}{where.sql} ORDER BY {order} LIMIT ? OFFSET ?"
        return Query(sql, [*where.values, page.limit, page.offset])

    def count(self, db: sqlite3.Connection, conditions: Sequence[Where]) -> int:
        """How many rows meet the conditions."""
        where: Query = self._where(conditions)
        return int(db.execute(f"SELECT count(*) FROM {self._source}{where.sql}", where.values).fetchone()[0])

    def find(self, db: sqlite3.Connection, conditions: Sequence[Where], page: Page) -> Found[Row]:
        """The rows of a page, and the number of all, of one instant."""
        with snapshot(db):
            return Found(self.count(db, conditions), self.select(db, conditions, page))

    def find_among(self, db: sqlite3.Connection, keys: Query, page: Page) -> Found[Row]:
        """The rows of executions that a subquery of `execution_id` names."""
        where = f" WHERE execution_id IN ({keys.sql})"
        order = self.query((), page).sql.partition(" ORDER BY ")[2]
        with snapshot(db):
            total = db.execute(f"SELECT count(*) FROM {self._source}{where}", keys.values).fetchone()[0]
            rows = db.execute(
                f"{self._select}{where} ORDER BY {order}", [*keys.values, page.limit, page.offset]
            )
            return Found(total, [self._make(*row) for row in rows.fetchall()])

    def subquery(self, column: str, conditions: Sequence[Where]) -> Query:
        """The values of a column in the rows that meet the conditions."""
        where: Query = self._where(conditions)
        return Query(f"SELECT {self._column(column)} FROM {self._source}{where.sql}", where.values)

    def _where(self, conditions: Sequence[Where]) -> Query:
        if not conditions:
            return Query("", [])
        sql, values = self._joined(" AND ", _told_apart(conditions))
        return Query(f" WHERE {sql}", values)

    def _joined(self, word: str, members: Sequence[Where]) -> Query:
        terms: list[str] = []
        values: list[str | int] = []
        for member in members:
            term = self._term(member)
            terms.append(term.sql)
            values.extend(term.values)
        return Query(word.join(terms), values)

    def _term(self, condition: Where) -> Query:
        if not isinstance(condition, Condition):
            if not condition.members:
                return Query("1" if isinstance(condition, AllOf) else "0", [])
            sql, values = self._joined(" AND " if isinstance(condition, AllOf) else " OR ", condition.members)
            return Query(f"({sql})", values)
        column, operator = self._column(condition.column.removeprefix("+")), condition.operator
        if condition.column.startswith("+"):
            column = f"+{column}"  # it is not to choose the index
        if operator in _MEMBER:
            members = encode_json(condition.values).decode()
            return Query(f"{column} {_MEMBER[operator]} (SELECT value FROM json_each(?))", [members])
        if len(condition.values) != 1:
            raise InvalidInput(f"operator {operator!r} takes one value", field=condition.column)
        (value,) = condition.values
        _check_bindable(condition.column, value)
        if operator in _COMPARE:
            hint = _index_hint(condition.column, column, operator, value)
            return Query(f"{column} {operator} ?{hint}", [value])
        if operator not in _TEXTUAL:
            raise InvalidInput(f"unknown operator {operator!r}", field=condition.column)
        return Query(_TEXTUAL[operator].format(column=column), [value] * _TEXTUAL[operator].count("?"))

    def _column(self, name: str) -> str:
        if name not in self._columns:
            raise InvalidInput(f"the view has no column {name!r}", field="column")
        return self._columns[name]


def _told_apart(conditions: Sequence[Where]) -> list[Where]:
    """Beside a column that few rows share, one that very many share is not to choose the index.

    SQLite takes both for equally good, and then reads a million executions of a name for one.
    """
    if not any(_finds(each) for each in conditions):
        return [*conditions]
    return [
        each._replace(column=f"+{each.column}")
        if isinstance(each, Condition) and each.column in _SHARED
        else each
        for each in conditions
    ]


def _finds(condition: Where) -> bool:
    """Whether few rows can meet a condition."""
    if isinstance(condition, Condition):
        return condition.operator == "=" and condition.column in _FILLED and condition.values != ("",)
    members = condition.members
    return isinstance(condition, AnyOf) and bool(members) and all(_finds(each) for each in members)


def _check_bindable(column: str, value: str | int) -> None:
    """Refuse what SQLite has no form for; it comes from whoever asks."""
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            raise InvalidInput("an integer of 64 bits is expected", field=column)
        return
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(f"lone surrogate at position {error.start}", field=column) from error


def _index_hint(name: str, column: str, operator: str, value: str | int) -> str:
    """What has to be said besides, for SQLite to see that a partial index covers the condition."""
    if operator != "=":
        return ""
    if name in _FILLED and value != "":
        return f" AND {column} <> ''"
    return f" AND {column} = 1" if name == "open" and value == 1 else ""


_EXECUTION_COLUMNS, _TASK_COLUMNS = ExecutionRow._fields, TaskRow._fields
_NEWEST = "started_at_ms DESC, execution_id"
_BRIEF = 16_384  # characters of a text that a list shows; whole ones would make a page of gigabytes
_COMPUTED = {
    "text": "execution.execution_id",
    "execution_ms": "max(0, execution.ended_at_ms - execution.started_at_ms)",
}

EXECUTIONS = View(_EXECUTION_COLUMNS, ExecutionRow, source="execution", order=_NEWEST)
"""Executions as they stand in the view."""

TASKS = View(_TASK_COLUMNS, TaskRow, source="task", order="execution_id, number")
"""Tasks as they stand in the view."""

EXECUTION_HITS = View(
    _EXECUTION_COLUMNS,
    ExecutionRow,
    source="execution",
    order=_NEWEST,
    expressions={
        "input": f"substr(input, 1, {_BRIEF})",
        "output": f"substr(output, 1, {_BRIEF})",
        **_COMPUTED,
    },
)
"""Executions as a search shows them: long inputs and outputs are cut."""

EXECUTION_KEYS = View(
    ExecutionKey._fields,
    ExecutionKey,
    source="execution",
    order=_NEWEST,
    expressions={column: column for column in _EXECUTION_COLUMNS},
)
"""Executions by their ids alone, however many."""

TASK_HITS = View(
    (*_TASK_COLUMNS, "workflow_name", "workflow_version", "correlation_id", "priority"),
    lambda *values: TaskHit(TaskRow(*values[: len(_TASK_COLUMNS)]), *values[len(_TASK_COLUMNS) :]),
    source="task JOIN execution ON execution.execution_id = task.execution_id",
    order="task.scheduled_at_ms DESC, task.task_id",
    expressions={
        **{column: f"task.{column}" for column in _TASK_COLUMNS},
        "workflow_name": "execution.name",
        "workflow_version": "execution.version",
        "correlation_id": "execution.correlation_id",
        "priority": "execution.priority",
        "words": "task.reference || ' ' || task.name || ' ' || task.type || ' ' || task.reason || ' ' || "
        "task.worker_id || ' ' || task.domain",
        "began_at_ms": "execution.started_at_ms",
        "execution_ms": "max(0, task.ended_at_ms - task.started_at_ms)",
        "queue_wait_ms": "max(0, task.started_at_ms - task.scheduled_at_ms)",
    },
)
"""Tasks with what a search asks and shows of their executions."""

_PUT_EXECUTIONS = Insert("execution", _EXECUTION_COLUMNS, key=("execution_id",))
_PUT_TASKS = Insert("task", _TASK_COLUMNS, key=("task_id",))
_DELETE_EXECUTIONS = "DELETE FROM execution WHERE execution_id IN (SELECT value FROM json_each(?))"
_DELETE_TASKS = "DELETE FROM task WHERE task_id IN (SELECT value FROM json_each(?))"
_DELETE_TASKS_OF = "DELETE FROM task WHERE execution_id IN (SELECT value FROM json_each(?))"
_DELETE_LOGS_OF = """
DELETE FROM task_log WHERE execution_id IN
  (SELECT stream FROM removal WHERE stream IN (SELECT value FROM json_each(?)))"""
_DELETE_IO_OF = _DELETE_LOGS_OF.replace("task_log", "task_io")


def write(db: sqlite3.Connection, batch: ViewBatch) -> None:
    """Bring the views up to a turn; see `Views.write_views`."""
    statements = [
        *((sql, batch.removed_executions) for sql in (*texts.FORGET, _DELETE_LOGS_OF, _DELETE_IO_OF)),
        (_DELETE_EXECUTIONS, batch.removed_executions),
        (_DELETE_TASKS_OF, batch.removed_executions),
        (_DELETE_TASKS, batch.removed_tasks),
    ]
    bound = [(sql, encode_json(rows).decode()) for sql, rows in statements if rows]
    with transaction(db):
        for sql, text in bound:
            db.execute(sql, (text,))
        _PUT_EXECUTIONS.put(db, batch.executions)
        _PUT_TASKS.put(db, batch.tasks)
        put_cursor(db, "views", batch.turn_number)


def clear(db: sqlite3.Connection) -> None:
    """Empty both views and the full-text index; see `Views.clear_views`."""
    with transaction(db):
        for table in ("execution", "task", *texts.TABLES):
            db.execute(f"DELETE FROM {table}")
        put_cursor(db, "views", 0)


_NEWEST_FIRST = (("began_at_ms", True), ("execution_id", True), ("number", True))


def newest_tasks(db: sqlite3.Connection, conditions: Sequence[Where], count: int) -> list[TaskHit]:
    """Tasks of the executions that began last; see `Views.newest_tasks`.

    In this order, and without counting, the index of a workflow's executions is read from its end until
    there are enough.
    """
    return TASK_HITS.select(db, conditions, Page(count, 0, _NEWEST_FIRST))


def find_owners(db: sqlite3.Connection, conditions: Sequence[Where], page: Page) -> Found[ExecutionRow]:
    """Executions that have tasks which meet the conditions."""
    owners = TASK_HITS.subquery("execution_id", conditions)
    return EXECUTION_HITS.find_among(db, owners, page)
