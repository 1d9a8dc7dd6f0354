"""Executions that are kept no longer: found in the views, few at a time, on a reader's connection.

Only such are found as have ended with all that they started, and whose parent is gone or was none; so a
family goes from the top. Nothing is deleted here, see `app/execution_sweep`.
"""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from asyncflow.store.connection import snapshot

_NAMES = """
WITH RECURSIVE named(name) AS (
  SELECT min(name) FROM execution UNION ALL
  SELECT (SELECT min(name) FROM execution WHERE name > named.name) FROM named WHERE named.name IS NOT NULL)
SELECT name FROM named WHERE name IS NOT NULL"""
_OVER = """
name = :name AND open = 0 AND ended_at_ms > 0
AND NOT EXISTS (SELECT 1 FROM execution AS above WHERE above.execution_id = execution.parent_id)"""
_FREE = "(idempotency_key = '' OR started_at_ms < :keys_ms)"
_BY_AGE = f"""
SELECT execution_id FROM execution WHERE {_OVER} AND {_FREE}
  AND started_at_ms < :ended_ms AND ended_at_ms < :ended_ms
ORDER BY started_at_ms, execution_id LIMIT :most OFFSET :passed"""
_LAST_KEPT = f"""
SELECT started_at_ms, execution_id FROM execution WHERE {_OVER}
ORDER BY started_at_ms DESC, execution_id DESC LIMIT 1 OFFSET :executions - 1"""
_OLDER = f"""
SELECT execution_id FROM execution WHERE {_OVER} AND {_FREE}
  AND (started_at_ms < :at_ms OR (started_at_ms = :at_ms AND execution_id < :last))
ORDER BY started_at_ms, execution_id LIMIT :most OFFSET :passed"""


class Expired(NamedTuple):
    """What is looked for: executions of a workflow that ended before `ended_ms`, or beyond the newest ones.

    `ended_ms` or `executions` is 0 where it is not asked about. Those with an idempotency key that began
    since `keys_ms` are kept. `passed` of those found first are left out. Times are of the wall clock.
    """

    name: str
    ended_ms: int = 0
    executions: int = 0
    keys_ms: int = 0
    passed: int = 0
    most: int = 50


def workflow_names(db: sqlite3.Connection) -> list[str]:
    """The names of all workflows that have executions; one look into an index each."""
    return [name for (name,) in db.execute(_NAMES)]


def find_expired(db: sqlite3.Connection, wanted: Expired) -> list[str]:
    """The executions that are kept no longer, those that began first before others.

    Cost: in the executions kept of this workflow, where a number is kept; else in those found and in what is
    older and still open.
    """
    values = wanted._asdict()
    with snapshot(db):
        found: dict[str, None] = {}
        if wanted.ended_ms:
            found.update(dict.fromkeys(stream for (stream,) in db.execute(_BY_AGE, values)))
        if wanted.executions and len(found) < wanted.most:
            for at_ms, last in db.execute(_LAST_KEPT, values).fetchall():
                older = db.execute(_OLDER, {**values, "at_ms": at_ms, "last": last})
                found.update(dict.fromkeys(stream for (stream,) in older))
    return [*found][: wanted.most]
