"""What the audit, the firings of schedules and logs hold beyond what is kept: found, then deleted bit by bit.

The oldest of each kind, or of each schedule, go first, and the newest one always stays. Lines that came
before their task was in the views get its execution; those of no task go after a day. Finding is done on a
reader's connection; a part is one short transaction, so that no turn waits long behind it.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator

from asyncflow.store.connection import snapshot, transaction
from asyncflow.store.log_records import Retention, Surplus

_PART = 500  # rows: some 2 ms in which no turn is committed
_DAY_MS = 86_400_000
_STRAYS = 2_000  # tasks of one sweep
_LATE = f"""
SELECT DISTINCT task_id FROM (
  SELECT task_id FROM task_log WHERE execution_id = '' UNION ALL
  SELECT task_id FROM task_io WHERE execution_id = '') AS early
WHERE EXISTS (SELECT 1 FROM task WHERE task.task_id = early.task_id) LIMIT {_STRAYS}"""
_LOST = f"""
SELECT DISTINCT task_id FROM task_log AS line WHERE execution_id = '' AND at_ms < ?
AND NOT EXISTS (SELECT 1 FROM task WHERE task.task_id = line.task_id) LIMIT {_STRAYS}"""
_ADOPT = """
UPDATE {table} SET execution_id = (SELECT execution_id FROM task WHERE task_id = ?1)
WHERE task_id = ?1 AND execution_id = '' AND EXISTS (SELECT 1 FROM task WHERE task_id = ?1)"""
_DROP = "DELETE FROM task_log WHERE task_id = ?1 AND execution_id = ''"


def _keys(table: str, key: str) -> str:
    """Each value of an indexed column, found one after the other: no row is read besides."""
    return f"""
WITH RECURSIVE named(name) AS (
  SELECT min({key}) FROM {table} UNION ALL
  SELECT (SELECT min({key}) FROM {table} WHERE {key} > named.name) FROM named WHERE named.name IS NOT NULL)
SELECT name FROM named WHERE name IS NOT NULL"""


def _last_beyond(table: str, key: str, order: str) -> str:
    return f"SELECT {order} FROM {table} WHERE {key} = ? ORDER BY {order} DESC LIMIT 1 OFFSET ?"


def _oldest(table: str, key: str, order: str, at: str) -> str:
    return f"SELECT {order}, {at} FROM {table} WHERE {key} = ? ORDER BY {order} LIMIT 1"


def _delete(table: str, key: str, order: str, at: str) -> str:
    first = f"SELECT {order} FROM {table} WHERE {key} = ?1 ORDER BY {order} LIMIT {_PART}"
    newest = f"SELECT max({order}) FROM {table} WHERE {key} = ?1"
    return f"""
DELETE FROM {table} WHERE {key} = ?1 AND {order} IN ({first})
  AND ({order} <= ?2 OR {at} < ?3) AND {order} < ({newest})"""


_COLUMNS = {
    "audit": ("audit", "object_kind", "number", "at_ms"),
    "firing": ("schedule_firing", "schedule", "due_ms", "due_ms"),
}


def find_surplus(db: sqlite3.Connection, kept: Retention, now_ms: int) -> list[Surplus]:
    """What is to be deleted; see `Logs.find_surplus`."""
    bounds = {
        "audit": (kept.audit_entries, kept.audit_days),
        "firing": (kept.firings, kept.firing_days),
    }
    with snapshot(db):
        return [
            surplus
            for of, (most, days) in bounds.items()
            if most or days
            for surplus in _surplus(db, of, most, now_ms - days * _DAY_MS if days else 0)
        ] + [
            *(Surplus("late", task, 0, 0) for (task,) in db.execute(_LATE).fetchall()),
            *(Surplus("lost", task, 0, 0) for (task,) in db.execute(_LOST, (now_ms - _DAY_MS,)).fetchall()),
        ]


def _surplus(db: sqlite3.Connection, of: str, most: int, before_ms: int) -> Iterator[Surplus]:
    table, key, order, at = _COLUMNS[of]
    for (name,) in db.execute(_keys(table, key)).fetchall():
        beyond = db.execute(_last_beyond(table, key, order), (name, most)).fetchone() if most else None
        last = -(1 << 62) if beyond is None else beyond[0]
        first, at_ms = db.execute(_oldest(table, key, order, at), (name,)).fetchone()
        if first <= last or at_ms < before_ms:
            yield Surplus(of, name, last, before_ms)


def trim(db: sqlite3.Connection, surplus: Surplus) -> int:
    """Delete a part of a surplus; see `Logs.trim`."""
    with transaction(db):
        if surplus.of == "late":
            return sum(
                db.execute(_ADOPT.format(table=table), (surplus.key,)).rowcount
                for table in ("task_log", "task_io")
            )
        if surplus.of == "lost":
            return db.execute(_DROP, (surplus.key,)).rowcount
        return db.execute(
            _delete(*_COLUMNS[surplus.of]), (surplus.key, surplus.last, surplus.before_ms)
        ).rowcount
