"""Executions that a start is not to touch: the statements behind `Quarantines`.

Only what must survive the process stands here; what cannot be read is found again by every start. The
promises are in `journal`.
"""

from __future__ import annotations

import sqlite3
from typing import cast

from asyncflow.model.quarantine import Quarantined, QuarantineKind
from asyncflow.store.connection import transaction

_ALL = "SELECT stream, kind, reason, since_ms FROM quarantine ORDER BY stream"
_PUT = """
INSERT INTO quarantine (stream, kind, reason, since_ms) VALUES (?, ?, ?, ?)
ON CONFLICT (stream) DO UPDATE SET kind = excluded.kind, reason = excluded.reason"""


def read_held(db: sqlite3.Connection) -> dict[str, Quarantined]:
    """Who is held, by stream; see `Quarantines.read_held`."""
    return {
        stream: Quarantined(cast("QuarantineKind", kind), reason, since_ms)
        for stream, kind, reason, since_ms in db.execute(_ALL)
    }


def hold(db: sqlite3.Connection, stream: str, why: Quarantined) -> None:
    """Hold one; see `Quarantines.hold`."""
    with transaction(db):
        db.execute(_PUT, (stream, why.kind, why.reason, why.since_ms))


def let_go(db: sqlite3.Connection, stream: str) -> None:
    """Hold one no more; see `Quarantines.let_go`."""
    with transaction(db):
        db.execute("DELETE FROM quarantine WHERE stream = ?", (stream,))
