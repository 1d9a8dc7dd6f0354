"""The statements of the side tables: logs of tasks and resources, the audit, firings.

A batch is one transaction. Rows that need something looked up go in as one JSON text that SQLite takes
apart, the others by value. The promises are in `log_records`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from heapq import merge
from itertools import islice
from typing import cast

from asyncflow.store.codec import encode_json
from asyncflow.store.connection import snapshot, transaction
from asyncflow.store.inserting import Insert
from asyncflow.store.log_records import (
    MOST_TOLD,
    AuditEntry,
    Firing,
    LogBound,
    LogEntry,
    LogRow,
    ResourceLine,
    TaskIo,
    TaskLine,
)
from asyncflow.store.records import Found, Page, Where
from asyncflow.store.views import View

LINES = View(TaskLine._fields, TaskLine, source="task_log", order="task_id, number")
"""Lines of task logs."""

_ENTRIES = (
    View(
        LogEntry._fields,
        LogEntry,
        source="task_log",
        order="at_ms DESC, task_id DESC, number DESC",
        expressions={"source": "'task'", "resource": "''"},
    ),
    View(
        LogEntry._fields,
        LogEntry,
        source="resource_log",
        order="at_ms DESC, number DESC",
        expressions={"source": "'resource'"},
    ),
)
"""Lines of tasks, and of resources, each with its own indexes."""

AUDIT = View(
    AuditEntry._fields, AuditEntry, source="audit", order="number DESC", expressions={"number": "number"}
)
"""Entries of the audit."""

FIRINGS = View(Firing._fields, Firing, source="schedule_firing", order="due_ms DESC, schedule")
"""Firings of schedules."""

IO = View(TaskIo._fields, TaskIo, source="task_io", order="task_id, direction")
"""What tasks told of their data."""


def _total(place: int) -> str:
    """A sum that no overflow can break: a batch is of many callers, who are not to lose theirs by one."""
    return f"CAST(min(total(json_extract(value, '$[{place}]')), {MOST_TOLD}) AS INTEGER)"


_PUT_IO = f"""
WITH given AS (
  SELECT json_extract(value, '$[0]') AS task_id, json_extract(value, '$[1]') AS direction,
    {_total(2)} AS row_count, {_total(3)} AS byte_count,
    coalesce(nullif(max(json_extract(value, '$[4]')), ''),
      (SELECT execution_id FROM task WHERE task_id = json_extract(value, '$[0]')), '') AS execution_id
  FROM json_each(?) GROUP BY 1, 2)
INSERT INTO task_io (task_id, direction, row_count, byte_count, execution_id)
SELECT * FROM given WHERE execution_id NOT IN (SELECT stream FROM removal)
ON CONFLICT (task_id, direction) DO UPDATE SET
  row_count = min({MOST_TOLD}, row_count + excluded.row_count),
  byte_count = min({MOST_TOLD}, byte_count + excluded.byte_count)"""
_ENDS = """
SELECT value,
  (SELECT number FROM task_log WHERE task_id = value ORDER BY number DESC LIMIT 1),
  (SELECT total_bytes FROM task_log WHERE task_id = value ORDER BY number DESC LIMIT 1)
FROM json_each(?)"""
_PUT_LINES = """
WITH given AS (
  SELECT json_extract(value, '$[0]') AS task_id, json_extract(value, '$[1]') AS number,
    json_extract(value, '$[2]') AS at_ms, json_extract(value, '$[3]') AS line,
    json_extract(value, '$[4]') AS level, json_extract(value, '$[6]') AS total_bytes,
    coalesce(nullif(json_extract(value, '$[5]'), ''),
      (SELECT execution_id FROM task WHERE task_id = json_extract(value, '$[0]')), '') AS execution_id
  FROM json_each(?))
INSERT INTO task_log (task_id, number, at_ms, line, level, total_bytes, execution_id)
SELECT * FROM given WHERE execution_id NOT IN (SELECT stream FROM removal)"""


_LAST_FIRINGS = f"""
SELECT {", ".join(Firing._fields)} FROM json_each(?) AS asked JOIN schedule_firing ON schedule = asked.value
  AND due_ms = (SELECT max(due_ms) FROM schedule_firing WHERE schedule = asked.value)"""


def last_firings(db: sqlite3.Connection, schedules: Sequence[str]) -> list[Firing]:
    """The latest firing of each schedule; see `Logs.last_firings`."""
    asked = encode_json([*schedules]).decode()
    return [Firing(*row) for row in db.execute(_LAST_FIRINGS, (asked,)).fetchall()]


def find_entries(db: sqlite3.Connection, conditions: Sequence[Where], page: Page) -> Found[LogEntry]:
    """A page of lines of both, newest first; of one millisecond those of resources first.

    Each table is read by its index of time, or of what is asked for, as far as the page goes.
    """
    until = Page(page.offset + page.limit)
    with snapshot(db):
        total = sum(each.count(db, conditions) for each in _ENTRIES)
        found = [each.select(db, conditions, until) for each in reversed(_ENTRIES)]
    rows = merge(*found, key=lambda row: row.at_ms, reverse=True)
    return Found(total, [*islice(rows, page.offset, until.limit)])


_RESOURCE_LINES = Insert("resource_log", ResourceLine._fields)
_MOST_RESOURCE_LINES = 1_000_000
_TRIM_RESOURCE_LINES = f"""
DELETE FROM resource_log WHERE number <= (SELECT max(number) FROM resource_log) - {_MOST_RESOURCE_LINES}"""
_AUDIT_ENTRIES = Insert("audit", AuditEntry._fields)
_FIRINGS = Insert("schedule_firing", Firing._fields, key=Firing._fields[:2])


def write(db: sqlite3.Connection, rows: Sequence[LogRow], bound: LogBound) -> None:
    """Store rows; see `Logs.write_logs`."""
    of: dict[type, list[LogRow]] = {}
    for row in rows:
        of.setdefault(type(row), []).append(row)
    lines = list(_bounded(db, cast("list[TaskLine]", of.get(TaskLine, [])), bound))
    taken_apart = [
        (sql, encode_json(values).decode())
        for sql, values in ((_PUT_LINES, lines), (_PUT_IO, of.get(TaskIo)))
        if values
    ]
    with transaction(db):
        for sql, text in taken_apart:
            db.execute(sql, (text,))
        if ResourceLine in of:
            _RESOURCE_LINES.put(db, of[ResourceLine])
            db.execute(_TRIM_RESOURCE_LINES)
        _AUDIT_ENTRIES.put(db, of.get(AuditEntry, []))
        _FIRINGS.put(db, of.get(Firing, []))


def _bounded(
    db: sqlite3.Connection, lines: Sequence[TaskLine], bound: LogBound
) -> Iterator[tuple[str, int, int, str, str, str, int]]:
    """The lines with their numbers, as far as there is room; the first one beyond says that it is cut."""
    if not lines:
        return
    tasks = encode_json(sorted({line.task_id for line in lines})).decode()
    ends = {task: (number or 0, size or 0) for task, number, size in db.execute(_ENDS, (tasks,))}
    for task, at_ms, text, level, execution_id in lines:
        number, size = ends[task]
        if number > bound.lines or size > bound.bytes:
            continue  # cut already
        number, size = number + 1, size + len(text.encode())
        shown = (text, level)
        if number > bound.lines or size > bound.bytes:
            shown = (f"the log is cut here: at most {bound.lines} lines and {bound.bytes} bytes", "WARN")
            size = bound.bytes + 1
        ends[task] = (number, size)
        yield task, number, at_ms, *shown, execution_id, size
