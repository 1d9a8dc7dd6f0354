"""A line of a journal file: one JSON object, with its number and its own check sum.

Of a line of events all that a reader needs at first stands before the events, so that these are decoded
when somebody wants them. It knows no file: reading one is `journal_file`, writing is `journal_folder`.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple, cast

from asyncflow.errors import StoreError
from asyncflow.model.turn import Recorded
from asyncflow.model.values import JsonObject
from asyncflow.store.codec import decode_json, encode_json
from asyncflow.store.records import JsonArray

FORMAT = "asyncflow-journal"
VERSION = 1


class Over(NamedTuple):
    """Said with the last events of an execution of which nothing goes on, as an object of these members.

    Attributes:
        version: of the workflow, as it is in the end.
        started_ms: when it began, for the last time.
        failed: how many task records ended badly, but for those that were tried again.
        tasks: how many there are of each status.
    """

    version: int
    started_ms: int
    failed: int
    tasks: Mapping[str, int]


_CRC = b',"crc":"'
_TAIL = len(_CRC) + len(b'00000000"}')
_EVENTS = re.compile(
    rb'\{"v":%d,"line":(\d+),"stream":"([^"\\]*)","seq":(\d+),"last":(\d+),'
    rb'(?:"over":(\{[^{}]*\{[^{}]*\}\}),)?"events":' % VERSION
)


def encode_line(number: int, body: Mapping[str, object]) -> bytes:
    """A line with its number and the CRC32 of all that stands before it.

    Raises:
        InvalidInput: a value has no JSON form.
    """
    text = encode_json({"v": VERSION, "line": number, **body})[:-1]
    return text + b'%s%08x"}\n' % (_CRC, zlib.crc32(text))


def events_body(stream: str, events: Sequence[Recorded], over: Over | None) -> JsonObject:
    """What a line of events says; an event is `[at_ms, kind, field, …]`."""
    rows = [[at_ms, type(event).__name__, *event] for _, at_ms, event in events]
    body: JsonObject = {"stream": stream, "seq": events[0].seq, "last": events[-1].seq}
    return {**body, "events": rows} if over is None else {**body, "over": over._asdict(), "events": rows}


class Events(NamedTuple):
    """Events of a stream as a line has them; `last` is 0 where the line is of an age that did not say it."""

    stream: str
    seq: int
    last: int
    over: Over | None
    rows: bytes | list[JsonArray]

    def decoded(self) -> list[JsonArray]:
        """Them all, each `[at_ms, kind, field, …]`. Raises StoreError."""
        rows = self.rows
        if isinstance(rows, bytes):
            rows = cast("list[JsonArray]", decode_json(rows))
        if self.last and len(rows) != self.last - self.seq + 1:
            raise StoreError(f"stream {self.stream}: {len(rows)} events from {self.seq} to {self.last}")
        return rows


class Line(NamedTuple):
    """A whole line: its number, and its events or, where that is not all that it has, its members."""

    number: object
    events: Events | None = None
    members: JsonObject | None = None


def decode_line(raw: bytes) -> Line:
    """What a line says, without its line break.

    Raises:
        StoreError: it is not whole.
    """
    text, end = raw[:-_TAIL], raw[-_TAIL:]
    if end != b'%s%08x"}' % (_CRC, zlib.crc32(text)):
        raise StoreError("the check sum does not fit")
    head = _EVENTS.match(text)
    if head is not None:
        number, stream, seq, last, over = head.groups()
        said = None if over is None else decode_json(over)
        return Line(
            int(number), Events(stream.decode(), int(seq), int(last), _over(said), text[head.end() :])
        )
    found = decode_json(text + b"}")
    if not isinstance(found, dict):
        raise StoreError("it is no JSON object")
    return Line(found.get("line"), None, found)


def events_of(members: JsonObject) -> Events | None:
    """The events among the members of a line, if it has any. Raises KeyError or TypeError."""
    if "stream" not in members:
        return None
    rows = cast("list[JsonArray]", members["events"])
    seq, last = cast("int", members["seq"]), cast("int", members.get("last", 0))
    stream = cast("str", members["stream"])
    return Events(stream, seq, last or seq + len(rows) - 1, _over(members.get("over")), rows)


def _over(said: object) -> Over | None:
    """What a line says of the end; a later release may say more."""
    if not isinstance(said, dict) or not said.keys() >= set(Over._fields):
        return None
    return Over(**{name: said[name] for name in Over._fields})
