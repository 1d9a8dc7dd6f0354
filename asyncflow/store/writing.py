"""The writes, each one function that runs whole in the writer's thread.

Few statements per transaction, each doing much: the interpreter's lock is handed over at every
statement, and beside a busy loop that is what costs (`executemany` fell from 270,000 to 15,000
rows a second). Only str and int are bound where it counts. `sqlite` calls these.
"""

from __future__ import annotations

import sqlite3
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from asyncflow.errors import Conflict
from asyncflow.model.turn import StoredDefinition
from asyncflow.store.codec import Codec, encode_json
from asyncflow.store.connection import statement, transaction
from asyncflow.store.records import Restored, Segment

_INSERT_TURN = """
INSERT INTO turn (number, elapsed_ms, wall_ms, bytes, crc, body)
SELECT ?, ?, ?, ?, ?, ? WHERE ? = (SELECT coalesce(max(number), 0) + 1 FROM turn)"""
_IS_LAST = "SELECT number, number = ? AND crc = ? AND body = ? FROM turn ORDER BY number DESC LIMIT 1"
_INSERT_DEFINITION = "INSERT INTO definition (hash, crc, body) VALUES (?, ?, ?) ON CONFLICT (hash) DO NOTHING"
SEGMENT_ENDS = """
SELECT stream, max(to_seq) FROM segment
WHERE stream IN (SELECT value FROM json_each(?)) GROUP BY stream"""
_CLOSE_SEGMENTS = "UPDATE segment SET open = 0 WHERE open = 1 AND stream IN (SELECT value FROM json_each(?))"
_SEGMENT_COLUMNS = "INSERT INTO segment (stream, from_seq, to_seq, open, crc, body) VALUES "
_SEGMENT_CHUNKS = (100, 10, 1)  # fixed, so that the statements stay prepared
_TRIM = """
DELETE FROM turn WHERE number <= (
  SELECT max(number) FROM (
    SELECT number, sum(bytes) OVER (ORDER BY number ROWS UNBOUNDED PRECEDING) - bytes AS before
    FROM turn WHERE number < min(?, (SELECT max(number) FROM turn)) ORDER BY number LIMIT 5000
  ) WHERE before < ?
)"""
_TRIM_BYTES = 8 << 20  # 3 ms per MiB: nobody waits for more than about 25 ms
_PUT_REMOVAL = """
INSERT INTO removal (stream, turn) SELECT value, ? FROM json_each(?) WHERE true
ON CONFLICT (stream) DO UPDATE SET turn = excluded.turn"""
_RELEASE = "DELETE FROM quarantine WHERE stream IN (SELECT value FROM json_each(?))"
_DELETE_SEGMENTS = "DELETE FROM segment WHERE stream IN (SELECT value FROM json_each(?))"
REMOVED = "SELECT stream FROM removal WHERE stream IN (SELECT value FROM json_each(?))"
_FORGET_REMOVALS = "DELETE FROM removal WHERE turn < (SELECT min(number) FROM turn)"
_MOVE_CURSOR = """
INSERT INTO reader_cursor (name, turn) VALUES (?, ?)
ON CONFLICT (name) DO UPDATE SET turn = excluded.turn"""
_MOVE_CURSORS = """
INSERT INTO reader_cursor (name, turn) SELECT key, value FROM json_each(?) WHERE true
ON CONFLICT (name) DO UPDATE SET turn = excluded.turn"""


class TurnRow(NamedTuple):
    """A turn encoded, as its row is bound."""

    number: int
    elapsed_ms: int
    wall_ms: int
    bytes: int
    crc: int
    body: str
    definitions: list[StoredDefinition]
    removed: tuple[str, ...] = ()


def turn_crc(number: int, elapsed_ms: int, wall_ms: int, body: bytes) -> int:
    """The check sum of a turn's row: a bit flipped in any column is found."""
    return zlib.crc32(body, zlib.crc32(b"%d:%d:%d:" % (number, elapsed_ms, wall_ms)))


def segment_crc(stream: str, from_seq: int, to_seq: int, body: bytes) -> int:
    """The check sum of a segment's row, `open` left out, which changes."""
    return zlib.crc32(body, zlib.crc32(f"{stream}:{from_seq}:{to_seq}:".encode()))


def definition_crc(definition_hash: str, body: bytes) -> int:
    """The check sum of a definition's row."""
    return zlib.crc32(body, zlib.crc32(definition_hash.encode() + b":"))


def append_turn(db: sqlite3.Connection, row: TurnRow) -> None:
    """Commit one turn; see `Journal.append`.

    Raises:
        Conflict: the number is not the last plus 1, and it is not the last turn once more.
    """
    if row.definitions or row.removed:
        with transaction(db):
            for definition_hash, text in row.definitions:
                crc = definition_crc(definition_hash, text.encode())
                db.execute(_INSERT_DEFINITION, (definition_hash, crc, text))
            if row.removed:
                _remove(db, row.number, row.removed)
            _insert_turn(db, row)
    else:
        # A statement alone is a transaction of its own. BEGIN and COMMIT would each hand the
        # interpreter's lock over once more: 1.25 ms instead of 0.87 beside a busy loop.
        with statement(db):
            _insert_turn(db, row)


def _insert_turn(db: sqlite3.Connection, row: TurnRow) -> None:
    number, elapsed_ms, wall_ms, size, crc, body, *_ = row
    if db.execute(_INSERT_TURN, (number, elapsed_ms, wall_ms, size, crc, body, number)).rowcount:
        return
    last, is_same = db.execute(_IS_LAST, (number, crc, body)).fetchone() or (0, 0)
    if not is_same:
        raise Conflict(f"turn {number} cannot follow turn {last}")


def _remove(db: sqlite3.Connection, number: int, streams: Sequence[str]) -> None:
    """Delete what is stored of streams; turns may go on naming them, and are to be passed over."""
    names = encode_json(streams).decode()
    db.execute(_PUT_REMOVAL, (number, names))
    db.execute(_DELETE_SEGMENTS, (names,))
    db.execute(_RELEASE, (names,))


class _SegmentRow(NamedTuple):
    stream: str
    from_seq: int
    to_seq: int
    open: int
    crc: int
    body: bytes


def write_segments(db: sqlite3.Connection, codec: Codec, segments: Sequence[Segment]) -> None:
    """Encode, compress and store segments; see `Journal.write_segments`.

    Encoding is done before the transaction begins, in this thread: a compressor lets the
    interpreter's lock go.
    """
    rows = [_segment_row(codec, segment) for segment in segments]
    with transaction(db):
        streams = encode_json(sorted({row.stream for row in rows})).decode()
        removed = {stream for (stream,) in db.execute(REMOVED, (streams,))}
        if removed:
            rows = [row for row in rows if row.stream not in removed]
        ends: dict[str, int] = dict(db.execute(SEGMENT_ENDS, (streams,)))
        if ends:
            db.execute(_CLOSE_SEGMENTS, (streams,))
        for row in rows:
            end = ends.get(row.stream, 0)
            if row.from_seq != end + 1:
                raise Conflict(f"stream {row.stream}: a segment from {row.from_seq} cannot follow {end}")
            ends[row.stream] = row.to_seq
        for chunk in _chunks(_only_newest_open(rows)):
            marks = ", ".join(["(?, ?, ?, ?, ?, ?)"] * len(chunk))
            db.execute(_SEGMENT_COLUMNS + marks, [value for row in chunk for value in row])


def _segment_row(codec: Codec, segment: Segment) -> _SegmentRow:
    stream, from_seq, to_seq, events, is_open = segment
    if [event.seq for event in events] != list(range(from_seq, to_seq + 1)):
        raise Conflict(f"stream {stream}: the events are not those from {from_seq} to {to_seq}")
    body = codec.encode_recorded(events)
    crc = segment_crc(stream, from_seq, to_seq, body)
    return _SegmentRow(stream, from_seq, to_seq, int(is_open), crc, body)


def _only_newest_open(rows: list[_SegmentRow]) -> list[_SegmentRow]:
    newest = {row.stream: row.to_seq for row in rows}
    return [row if row.to_seq == newest[row.stream] else row._replace(open=0) for row in rows]


def _chunks(rows: list[_SegmentRow]) -> Iterator[list[_SegmentRow]]:
    start = 0
    for size in _SEGMENT_CHUNKS:
        while len(rows) - start >= size:
            yield rows[start : start + size]
            start += size


def trim_turns(db: sqlite3.Connection, below: int) -> int:
    """Delete turns; see `Journal.trim_turns`."""
    with transaction(db):
        deleted = db.execute(_TRIM, (below, _TRIM_BYTES)).rowcount
        db.execute(_FORGET_REMOVALS)
        return deleted


def restored(db: sqlite3.Connection, now_ms: int) -> Restored:
    """Whether the file was a backup; see `Backups.restored`."""
    with transaction(db):
        found = Restored(*db.execute("SELECT restored_from_ms, restored_ms FROM installation").fetchone())
        if found.until_ms < 0:
            db.execute("UPDATE installation SET restored_ms = ?", (now_ms,))
            return found._replace(until_ms=now_ms)
        return found


def move_cursors(db: sqlite3.Connection, turns: Mapping[str, int]) -> None:
    """Store how far readers have come, in a transaction of its own."""
    with transaction(db):
        db.execute(_MOVE_CURSORS, (encode_json(turns).decode(),))


def put_cursor(db: sqlite3.Connection, name: str, turn: int) -> None:
    """Store how far a reader has come, in the transaction under way."""
    db.execute(_MOVE_CURSOR, (name, turn))
