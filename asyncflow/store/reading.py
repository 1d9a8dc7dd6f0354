"""The reads of the journal, each one function on a reader's connection.

Every row's check sum is compared before anything is made of it: a damaged row is named, never
half read. `codec` turns the text into events; the views have reads of their own in `views`.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from typing import NamedTuple

from asyncflow.errors import StoreError
from asyncflow.model.events import Event
from asyncflow.model.turn import Moment, Recorded, StreamEvents, Turn, recorded
from asyncflow.store.codec import Codec, encode_json
from asyncflow.store.connection import snapshot
from asyncflow.store.records import Recovery
from asyncflow.store.writing import REMOVED, SEGMENT_ENDS, definition_crc, segment_crc, turn_crc

BATCH_BYTES = 4 << 20
"""Text of the turns decoded in one go: bounds memory, and how long the interpreter's lock is held."""

_SEGMENT_BYTES = 256 << 10  # of segments decoded in one go: a few MiB of text
_EVENT_BYTES = 1 << 20  # text of turns decoded for one page of a stream
_FEW = 4  # so many streams are searched for in SQL, more by decoding every turn
_AS_BYTES = "CAST(body AS BLOB)"  # bytes are compared with the check sum before they count as text
_LAST = "SELECT number, elapsed_ms, wall_ms FROM turn ORDER BY number DESC LIMIT 1"
_TURNS = f"SELECT number, elapsed_ms, wall_ms, crc, {_AS_BYTES} FROM turn WHERE number > ?"
_TURNS_OF = _TURNS + " AND EXISTS (SELECT 1 FROM json_each(?) AS name WHERE instr(body, name.value))"
_SEGMENTS = """
SELECT stream, from_seq, to_seq, crc, body FROM segment
WHERE stream IN (SELECT value FROM json_each(?)) ORDER BY stream, from_seq"""
_NEXT_SEGMENT = """
SELECT stream, from_seq, to_seq, crc, body FROM segment
WHERE stream = ? AND to_seq > ? ORDER BY from_seq LIMIT 1"""
_DEFINITIONS = f"""
SELECT hash, crc, {_AS_BYTES} FROM definition WHERE hash IN (SELECT value FROM json_each(?))"""
_LAST_SEGMENT = "SELECT max(to_seq) FROM segment WHERE stream = ?"
_OPEN = "SELECT stream FROM segment WHERE open = 1 ORDER BY stream"
_NAMES = "SELECT DISTINCT stream FROM segment WHERE stream > ? ORDER BY stream LIMIT ?"
_CURSOR = "SELECT turn FROM reader_cursor WHERE name = ?"


SegmentRow = tuple[str, int, int, int, bytes]
"""Stream, first and last number, check sum and body."""


class TurnBatch(NamedTuple):
    """Decoded turns, and the number after which the next batch begins; `ended` if there is none."""

    turns: list[Turn]
    last: int
    ended: bool


class EventBatch(NamedTuple):
    """Events of a stream, and behind which event and which turn the next ones are looked for."""

    events: list[Recorded]
    seq: int
    turn: int
    ended: bool


def recover(db: sqlite3.Connection) -> Recovery:
    """Where the journal stands; see `Journal.recover`."""
    with snapshot(db):
        last = db.execute(_LAST).fetchone() or (0, 0, 0)
        first, size = db.execute("SELECT min(number), coalesce(sum(bytes), 0) FROM turn").fetchone()
        open_streams = [stream for (stream,) in db.execute(_OPEN)]
        return Recovery(
            last_turn=last[0],
            first_turn=last[0] + 1 if first is None else first,
            elapsed_ms=last[1],
            wall_ms=last[2],
            projected_turn=read_cursor(db, "views"),
            open_streams=open_streams,
            turn_bytes=size,
        )


def read_cursor(db: sqlite3.Connection, name: str) -> int:
    """How far a reader has come; 0 for an unknown one."""
    row = db.execute(_CURSOR, (name,)).fetchone()
    return int(row[0]) if row else 0


def read_cursors(db: sqlite3.Connection) -> dict[str, int]:
    """How far all readers have come, by name."""
    return dict(db.execute("SELECT name, turn FROM reader_cursor"))


def read_turns(db: sqlite3.Connection, codec: Codec, after: int, *, unsegmented: bool) -> TurnBatch:
    """The next turns, about `BATCH_BYTES` of them; see `Journal.read_turns`."""
    with snapshot(db):
        turns, size, ended = [], 0, True
        for row in db.execute(_TURNS + " ORDER BY number", (after,)):
            turns.append(_turn(codec, row))
            size += len(row[4])
            if size >= BATCH_BYTES:
                ended = False
                break
        last = turns[-1].number if turns else after
        return TurnBatch(_without_segmented(db, turns) if unsegmented else turns, last, ended)


def read_turn(db: sqlite3.Connection, codec: Codec, number: int) -> Turn | None:
    """The turn of this number, or None if it is not held."""
    row = db.execute(_TURNS + " AND number = ?", (0, number)).fetchone()
    return _turn(codec, row) if row else None


def _turn(codec: Codec, row: tuple[int, int, int, int, bytes]) -> Turn:
    number, elapsed_ms, wall_ms, crc, body = row
    if turn_crc(number, elapsed_ms, wall_ms, body) != crc:
        raise StoreError(f"turn {number} is damaged: its check sum does not match; restore a backup")
    try:
        return Turn(number, Moment(elapsed_ms, wall_ms), codec.decode_entries(body), [])
    except StoreError as error:
        raise StoreError(f"turn {number}: {error}") from error


def _without_segmented(db: sqlite3.Connection, turns: list[Turn]) -> list[Turn]:
    streams = {entry.stream for turn in turns for entry in turn.entries}
    ends: dict[str, int] = dict(db.execute(SEGMENT_ENDS, (_json(sorted(streams)),)))
    return [
        turn._replace(entries=[rest for entry in turn.entries if (rest := _beyond(entry, ends)).events])
        for turn in turns
    ]


def _beyond(entry: StreamEvents, ends: dict[str, int]) -> StreamEvents:
    skip = max(0, ends.get(entry.stream, 0) + 1 - entry.first_seq)
    return StreamEvents(entry.stream, entry.first_seq + skip, entry.events[skip:]) if skip else entry


def read_streams(
    db: sqlite3.Connection, codec: Codec, streams: Sequence[str], *, segments_only: bool = False
) -> dict[str, list[Recorded]]:
    """All events of the streams; see `Journal.read_streams`."""
    found: dict[str, list[Recorded]] = {stream: [] for stream in streams}
    with snapshot(db):
        removed = {stream for (stream,) in db.execute(REMOVED, (_json(list(found)),))}
        there = {stream: events for stream, events in found.items() if stream not in removed}
        _add_segments(db, codec, there)
        if segments_only or not there:
            return found
        for row in db.execute(*_turns_of(list(there))):
            turn = _turn(codec, row)
            for entry in turn.entries:
                if entry.stream in there:
                    _extend(there[entry.stream], entry, turn)
    return found


def read_events(db: sqlite3.Connection, codec: Codec, stream: str, *, after: int, turn: int) -> EventBatch:
    """The next events of a stream: those of one segment, or of some turns; see `Journal.read_events`.

    Turns up to `turn` were looked through. Segments are asked for first each time, so that turns which
    become segments meanwhile are not missed.
    """
    with snapshot(db):
        if db.execute(REMOVED, (_json([stream]),)).fetchone():
            return EventBatch([], after, turn, ended=True)
        row = db.execute(_NEXT_SEGMENT, (stream, after)).fetchone()
        if row:
            if row[1] > after + 1:
                raise StoreError(f"stream {stream}: events before {row[1]} are missing; restore a backup")
            return EventBatch(_segment(codec, row)[after + 1 - row[1] :], row[2], turn, ended=False)
        events: list[Recorded] = []
        size, number = 0, turn
        for row in db.execute(_TURNS_OF + " ORDER BY number", (turn, _json([_json(stream)]))):
            found = _turn(codec, row)
            number, size = found.number, size + len(row[4])
            for entry in found.entries:
                if entry.stream == stream:
                    _extend(events, entry, found, after=after)
            if size >= _EVENT_BYTES:
                break
        return EventBatch(events, after + len(events), number, ended=size < _EVENT_BYTES)


def read_segments(db: sqlite3.Connection, codec: Codec, stream: str) -> list[Recorded]:
    """The events of one stream that segments hold, gap-free from its first."""
    found: dict[str, list[Recorded]] = {stream: []}
    _add_segments(db, codec, found)
    return found[stream]


def _add_segments(db: sqlite3.Connection, codec: Codec, found: dict[str, list[Recorded]]) -> None:
    """Add the events of every stream that segments hold to its list, gap-free from its first.

    One statement and few decodings serve them all: a start reads 100,000 streams of one short segment each.
    """
    rows: list[SegmentRow] = []
    size = 0
    for row in db.execute(_SEGMENTS, (_json(list(found)),)):
        rows.append(row)
        size += len(row[4])
        if size >= _SEGMENT_BYTES:
            _decode_segments(codec, rows, found)
            rows, size = [], 0
    _decode_segments(codec, rows, found)


def _decode_segments(codec: Codec, rows: list[SegmentRow], found: dict[str, list[Recorded]]) -> None:
    for row in rows:
        _check_segment(row)
    try:
        decoded = codec.decode_many([row[4] for row in rows])
    except StoreError:
        decoded = [_segment(codec, row) for row in rows]  # which names the one that is at fault
    for (stream, from_seq, to_seq, *_), events in zip(rows, decoded, strict=True):
        known = found[stream]
        known += events
        if len(known) != to_seq:
            raise StoreError(f"stream {stream}: events before {from_seq} are missing; restore a backup")


def read_legible(db: sqlite3.Connection, codec: Codec, streams: Sequence[str]) -> dict[str, list[Event]]:
    """The events of streams without what is damaged; see `Journal.read_legible`."""
    with snapshot(db):
        removed = {stream for (stream,) in db.execute(REMOVED, (_json(list(streams)),))}
        found: dict[str, dict[int, Event]] = {stream: {} for stream in streams if stream not in removed}
        for row in db.execute(_SEGMENTS, (_json(list(found)),)):
            with contextlib.suppress(StoreError):
                found[row[0]].update((each.seq, each.event) for each in _segment(codec, row))
        for row in db.execute(*_turns_of(list(found))) if found else ():
            for stream, first_seq, events in _turn(codec, row).entries:
                if stream in found:
                    found[stream].update(enumerate(events, start=first_seq))
    return {stream: [events[seq] for seq in sorted(events)] for stream, events in found.items()}


def last_seq(db: sqlite3.Connection, codec: Codec, stream: str) -> int:
    """The number of the newest event of a stream; no segment is looked into, as it may be damaged."""
    with snapshot(db):
        newest = db.execute(_LAST_SEGMENT, (stream,)).fetchone()[0] or 0
        for row in db.execute(*_turns_of([stream])):
            for entry in _turn(codec, row).entries:
                if entry.stream == stream:
                    newest = max(newest, entry.first_seq + len(entry.events) - 1)
        return int(newest)


def segmented_streams(db: sqlite3.Connection, after: str, limit: int) -> list[str]:
    """Names of streams that have segments, in order, those above `after`."""
    return [stream for (stream,) in db.execute(_NAMES, (after, limit))]


def _turns_of(streams: list[str]) -> tuple[str, tuple[int | str, ...]]:
    # A name is searched for as it stands in the text: 0.9 ms per MiB and name, without the
    # interpreter's lock. Decoding every turn costs 1.4 ms per MiB, however many the names.
    if len(streams) > _FEW:
        return _TURNS + " ORDER BY number", (0,)
    needles = _json([_json(stream) for stream in streams])
    return _TURNS_OF + " ORDER BY number", (0, needles)


def _segment(codec: Codec, row: SegmentRow) -> list[Recorded]:
    _check_segment(row)
    stream, from_seq, to_seq, _, body = row
    try:
        return codec.decode_recorded(body)
    except StoreError as error:
        raise StoreError(f"segment {stream} {from_seq}..{to_seq}: {error}") from error


def _check_segment(row: SegmentRow) -> None:
    stream, from_seq, to_seq, crc, body = row
    if segment_crc(stream, from_seq, to_seq, body) != crc:
        name = f"segment {stream} {from_seq}..{to_seq}"
        raise StoreError(f"{name} is damaged: its check sum does not match; restore a backup")


def _extend(events: list[Recorded], entry: StreamEvents, turn: Turn, *, after: int = 0) -> None:
    """Add what the entry holds beyond the events known, which begin behind `after`.

    Segments and turns may overlap, never gape.
    """
    known = after + len(events)
    if entry.first_seq > known + 1:
        raise StoreError(
            f"stream {entry.stream}: turn {turn.number} goes on at {entry.first_seq}, the events "
            f"after {known} are missing; restore a backup"
        )
    skip = known + 1 - entry.first_seq
    events.extend(recorded(known + 1, turn.moment.elapsed_ms, entry.events[skip:]))


def read_definitions(db: sqlite3.Connection, hashes: Sequence[str]) -> dict[str, str]:
    """Definitions by hash; see `Journal.read_definitions`."""
    found: dict[str, str] = {}
    for definition_hash, crc, body in db.execute(_DEFINITIONS, (_json(list(hashes)),)):
        if definition_crc(definition_hash, body) != crc:
            raise StoreError(
                f"definition {definition_hash} is damaged; register it again or restore a backup"
            )
        found[definition_hash] = body.decode()
    return found


def _json(value: object) -> str:
    return encode_json(value).decode()
