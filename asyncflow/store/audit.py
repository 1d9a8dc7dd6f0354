"""The full check of a file: SQLite's own, then every check sum and record of the journal.

It reads all there is and repairs nothing; one fault does not end the search. `maintenance`
calls it, `checks` holds the quick look that a start takes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from itertools import islice

from asyncflow.errors import StoreError
from asyncflow.store import reading
from asyncflow.store.codec import Codec
from asyncflow.store.connection import snapshot

_ENOUGH = 100


def find_faults(db: sqlite3.Connection, codec: Codec) -> list[str]:
    """What is wrong with the file, at most 100 findings; empty if it is sound."""
    try:
        with snapshot(db):
            return list(islice(_faults(db, codec), _ENOUGH))
    except sqlite3.Error as error:
        return [f"the file cannot be read to its end: {error}"]


def _faults(db: sqlite3.Connection, codec: Codec) -> Iterator[str]:
    for (finding,) in db.execute("PRAGMA integrity_check").fetchall():
        if finding != "ok":
            yield str(finding)
    expected = None
    for (number,) in db.execute("SELECT number FROM turn ORDER BY number").fetchall():
        if expected is not None and number != expected:
            yield f"turns {expected}..{number - 1} are missing"
        expected = number + 1
        yield from _try_turn(db, codec, number)
    for (stream,) in db.execute("SELECT DISTINCT stream FROM segment").fetchall():
        yield from _try_stream(db, codec, stream)
    for (definition_hash,) in db.execute("SELECT hash FROM definition").fetchall():
        try:
            reading.read_definitions(db, [definition_hash])
        except StoreError as error:
            yield str(error)


def _try_turn(db: sqlite3.Connection, codec: Codec, number: int) -> Iterator[str]:
    try:
        reading.read_turn(db, codec, number)
    except StoreError as error:
        yield str(error)


def _try_stream(db: sqlite3.Connection, codec: Codec, stream: str) -> Iterator[str]:
    try:
        reading.read_segments(db, codec, stream)
    except StoreError as error:
        yield str(error)
