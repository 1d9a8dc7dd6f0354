"""The views `execution` and `task`: written in bulk, read by conditions.

A batch is one JSON text per table that SQLite takes apart: one statement, so the interpreter's
lock is given away once and not per row. Columns and operators are looked up in what the row
types declare; only values come from outside, and they are bound.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from typing import Generic, NamedTuple, TypeVar

from asyncflow.errors import InvalidInput
from asyncflow.store.codec import encode_json
from asyncflow.store.connection import transaction
from asyncflow.store.records import Condition, ExecutionRow, Page, TaskRow, ViewBatch
from asyncflow.store.writing import put_cursor

Row = TypeVar("Row", bound=NamedTuple)

_COMPARE = frozenset({"=", "!=", "<", "<=", ">", ">="})
_MEMBER = {"in": "IN", "not in": "NOT IN"}


_FILLED = frozenset({"correlation_id", "parent_id"})  # indexed only where they are not empty


class Query(NamedTuple):
    """A statement, or a part of one, and the values it binds."""

    sql: str
    values: list[str | int]


class View(Generic[Row]):
    """One view: the statements that its row type, its key and its usual order give."""

    def __init__(self, table: str, row: type[Row], *, key: str, order: str) -> None:
        self._table: str = table
        self._row: type[Row] = row
        self._order: str = order
        self._columns = frozenset(row._fields)
        self._select = f"SELECT {', '.join(row._fields)} FROM {table}"
        self.upsert = _upsert(table, row._fields, key)
        self.delete = f"DELETE FROM {table} WHERE {key} IN (SELECT value FROM json_each(?))"

    def select(self, db: sqlite3.Connection, conditions: Sequence[Condition], page: Page) -> list[Row]:
        """The rows of a page; see `Views.list_executions`."""
        sql, values = self.query(conditions, page)
        return [self._row(*row) for row in db.execute(sql, values).fetchall()]

    def query(self, conditions: Sequence[Condition], page: Page) -> Query:
        """The statement behind `select`."""
        where: Query = self._where(conditions)
        for name, number in (("limit", page.limit), ("offset", page.offset)):
            _check_bindable(name, number)
        keys = [self._column(column) + (" DESC" if down else "") for column, down in page.order]
        order = ", ".join(keys) or self._order
        sql = f"{self._select}{where.sql} ORDER BY {order} LIMIT ? OFFSET ?"
        return Query(sql, [*where.values, page.limit, page.offset])

    def count(self, db: sqlite3.Connection, conditions: Sequence[Condition]) -> int:
        """How many rows meet the conditions."""
        where: Query = self._where(conditions)
        return int(db.execute(f"SELECT count(*) FROM {self._table}{where.sql}", where.values).fetchone()[0])

    def _where(self, conditions: Sequence[Condition]) -> Query:
        terms: list[str] = []
        values: list[str | int] = []
        for condition in conditions:
            term = self._term(condition)
            terms.append(term.sql)
            values.extend(term.values)
        return Query(" WHERE " + " AND ".join(terms) if terms else "", values)

    def _term(self, condition: Condition) -> Query:
        column, operator = self._column(condition.column), condition.operator
        if operator in _MEMBER:
            members = encode_json(condition.values).decode()
            return Query(f"{column} {_MEMBER[operator]} (SELECT value FROM json_each(?))", [members])
        if len(condition.values) != 1:
            raise InvalidInput(f"operator {operator!r} takes one value", field=condition.column)
        (value,) = condition.values
        _check_bindable(condition.column, value)
        if operator in _COMPARE:
            return Query(f"{column} {operator} ?{_index_hint(column, operator, value)}", [value])
        if operator == "contains":
            return Query(f"instr({column}, ?) > 0", [value])
        if operator == "starts":
            return Query(f"substr({column}, 1, length(?)) = ?", [value, value])
        raise InvalidInput(f"unknown operator {operator!r}", field=condition.column)

    def _column(self, name: str) -> str:
        if name not in self._columns:
            raise InvalidInput(f"the view {self._table} has no column {name!r}", field="column")
        return name


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


def _index_hint(column: str, operator: str, value: str | int) -> str:
    """What has to be said besides, for SQLite to see that a partial index covers the condition."""
    if operator != "=":
        return ""
    if column in _FILLED and value != "":
        return f" AND {column} <> ''"
    return " AND open = 1" if column == "open" and value == 1 else ""


def _upsert(table: str, columns: Sequence[str], key: str) -> str:
    values = ", ".join(f"json_extract(value, '$[{i}]')" for i in range(len(columns)))
    updates = ", ".join(f"{column} = excluded.{column}" for column in columns if column != key)
    # WHERE true: without it SQLite reads ON CONFLICT as the condition of a join.
    return (
        f"INSERT INTO {table} ({', '.join(columns)}) SELECT {values} FROM json_each(?) WHERE true "
        f"ON CONFLICT ({key}) DO UPDATE SET {updates}"
    )


EXECUTIONS = View("execution", ExecutionRow, key="execution_id", order="started_at_ms DESC, execution_id")
TASKS = View("task", TaskRow, key="task_id", order="execution_id, number")
_DELETE_TASKS_OF = "DELETE FROM task WHERE execution_id IN (SELECT value FROM json_each(?))"


def write(db: sqlite3.Connection, batch: ViewBatch) -> None:
    """Bring the views up to a turn; see `Views.write_views`."""
    statements = [
        (EXECUTIONS.delete, batch.removed_executions),
        (_DELETE_TASKS_OF, batch.removed_executions),
        (TASKS.delete, batch.removed_tasks),
        (EXECUTIONS.upsert, batch.executions),
        (TASKS.upsert, batch.tasks),
    ]
    bound = [(sql, encode_json(rows).decode()) for sql, rows in statements if rows]
    with transaction(db):
        for sql, text in bound:
            db.execute(sql, (text,))
        put_cursor(db, "views", batch.turn_number)


def clear(db: sqlite3.Connection) -> None:
    """Empty both views; see `Views.clear_views`."""
    with transaction(db):
        db.execute("DELETE FROM execution")
        db.execute("DELETE FROM task")
        put_cursor(db, "views", 0)
