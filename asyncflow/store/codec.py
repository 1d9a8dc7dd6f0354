"""Events to text and back: the one codec of journal, listeners and journal files.

An event is `[kind, field, field, …]`, positional, so a record of an older release decodes with
the defaults of what it lacks, and one of a newer release is refused, never half understood.
It knows no table; `journal` says where the texts live.
"""

from __future__ import annotations

import json
import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import cast

from pydantic_core import PydanticSerializationError, from_json, to_json

from asyncflow.errors import InvalidInput, StoreError
from asyncflow.model.events import EVENTS, Event
from asyncflow.model.turn import Recorded, StreamEvents
from asyncflow.store.records import JsonArray

EventKinds = Mapping[str, type]
"""Kind name to the NamedTuple class of the event."""

UPCASTERS: dict[str, Callable[[JsonArray], JsonArray]] = {}
"""Kind name to a function from the recorded array, kind included, to that of today.

Needed only where a field changed its meaning: fields that were added need none.
"""

_DIGITS = 4000  # Python converts at most 4,300 digits at once


class Codec:
    """Encodes and decodes events of the given kinds; stateless, shared by all threads."""

    def __init__(
        self,
        kinds: EventKinds = EVENTS,
        upcasters: Mapping[str, Callable[[JsonArray], JsonArray]] = UPCASTERS,
    ) -> None:
        self._kinds = kinds
        self._upcasters = upcasters
        # What is missing of a record is put behind it: to build the tuple itself takes half as long as to
        # have its class find arguments, and a start decodes events by the hundred thousand.
        self._defaults = {kind: tuple(_defaults(maker)) for kind, maker in kinds.items()}
        self._lengths = {kind: len(_fields(maker)) for kind, maker in kinds.items()}

    def encode_entries(self, entries: Iterable[StreamEvents]) -> bytes:
        """`[[stream, first_seq, [event, …]], …]` as UTF-8 JSON.

        Raises:
            InvalidInput: a value has no JSON form (NaN, infinity, a lone surrogate, a foreign
                type); the message names event and field.
        """
        return encode_json(
            [
                [stream, first_seq, [[type(event).__name__, *event] for event in events]]
                for stream, first_seq, events in entries
            ]
        )

    def decode_entries(self, body: bytes) -> list[StreamEvents]:
        """The entries of one turn, in their order.

        Raises:
            StoreError: the text is not ours, or of a newer release.
        """
        entries = cast("list[tuple[str, int, list[JsonArray]]]", decode_json(body))
        return [
            StreamEvents(stream, first_seq, [self.event(record) for record in records])
            for stream, first_seq, records in entries
        ]

    def encode_recorded(self, events: Iterable[Recorded]) -> bytes:
        """`[[seq, at_ms, kind, field, …], …]` as zlib-compressed JSON; raises as `encode_entries`."""
        return zlib.compress(
            encode_json([[seq, at_ms, type(event).__name__, *event] for seq, at_ms, event in events]), 1
        )

    def decode_recorded(self, body: bytes) -> list[Recorded]:
        """The events of one segment, in their order; raises as `decode_entries`."""
        return self.decode_many([body])[0]

    def decode_many(self, bodies: Sequence[bytes]) -> list[list[Recorded]]:
        """The events of each of these segments; raises as `decode_entries`, and does not say for which."""
        try:
            text = b",".join(map(zlib.decompress, bodies))
        except zlib.error as error:
            raise StoreError(f"a compressed record is damaged: {error}") from error
        segments = cast("list[list[JsonArray]]", decode_json(b"[%b]" % text))
        return [
            [Recorded(cast("int", row[0]), cast("int", row[1]), self.event(row[2:])) for row in rows]
            for rows in segments
        ]

    def timed(self, rows: Sequence[JsonArray], first_seq: int) -> list[Recorded]:
        """Events from `[at_ms, kind, field, …]` each, numbered from the first; raises as `event`."""
        plain = {kind: maker for kind, maker in self._kinds.items() if kind not in self._upcasters}
        found: list[Recorded] = []
        for seq, row in enumerate(rows, start=first_seq):
            maker = plain.get(cast("str", row[1]))
            try:
                event = self.event(row[1:]) if maker is None else maker(*row[2:])
            except TypeError as error:
                raise self._misfit(cast("type", maker), row[1:]) from error
            found.append(Recorded(seq, cast("int", row[0]), cast("Event", event)))
        return found

    def event(self, record: JsonArray) -> Event:
        """One event from its array.

        Raises:
            StoreError: an unknown kind, or more fields than this release knows.
        """
        kind = cast("str", record[0])
        upcast = self._upcasters.get(kind)
        if upcast is not None:
            record = upcast(record)
            kind = cast("str", record[0])
        maker = self._kinds.get(kind)
        if maker is None:
            raise StoreError(f"event kind {kind!r} is unknown: the file is of a newer version")
        missing = self._lengths[kind] + 1 - len(record)
        defaults = self._defaults[kind]
        if not 0 <= missing <= len(defaults):
            raise self._misfit(maker, record)
        values = record[1:]
        if missing:
            values += defaults[-missing:]
        return cast("Event", tuple.__new__(maker, values))

    @staticmethod
    def _misfit(maker: type, record: JsonArray) -> StoreError:
        fields = _fields(maker)
        if len(record) - 1 > len(fields):
            return StoreError(
                f"event {record[0]!r} has {len(record) - 1} fields, this version knows "
                f"{len(fields)}: the file is of a newer version"
            )
        return StoreError(f"event {record[0]!r} has only {len(record) - 1} fields: the record is damaged")


def _fields(maker: type) -> tuple[str, ...]:
    return cast("tuple[str, ...]", getattr(maker, "_fields", ()))


def _defaults(maker: type) -> Iterable[object]:
    """Those of the last fields, in order: the others have to be there."""
    return cast("Mapping[str, object]", getattr(maker, "_field_defaults", {})).values()


def encode_json(value: object) -> bytes:
    """Any JSON value as UTF-8 text, big integers with all their digits.

    Raises:
        InvalidInput: a value in it has no JSON form; the message names its path.
    """
    try:
        text = to_json(value)
    except (PydanticSerializationError, ValueError, RecursionError) as error:
        raise InvalidInput(_fault(value) or f"no JSON form: {error}") from error
    # The encoder writes NaN and Infinity as bare words. Two searches of the text cost a tenth of
    # what a look at every value would; only a hit, mostly a word in a string, is looked into.
    if b"NaN" in text or b"Infinity" in text:
        fault = _fault(value)
        if fault:
            raise InvalidInput(fault)
    return text


def decode_json(text: bytes) -> object:
    """The value of JSON text that `encode_json` wrote; raises StoreError for any other text."""
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError:
        pass  # an integer of more than 4,300 digits is refused there, though it was written
    try:
        return json.loads(text, parse_int=_integer, parse_constant=_refuse_constant)
    except ValueError as error:
        raise StoreError(f"a record is not JSON: {error}") from error


def _integer(digits: str) -> int:
    if len(digits) <= _DIGITS:
        return int(digits)
    sign, digits = (-1, digits[1:]) if digits.startswith("-") else (1, digits)
    value = 0
    for start in range(0, len(digits), _DIGITS):
        part = digits[start : start + _DIGITS]
        value = value * 10 ** len(part) + int(part)
    return sign * value


def _refuse_constant(word: str) -> object:
    raise ValueError(f"{word} is no JSON number")


def _fault(value: object, path: str = "") -> str:
    """The first value that has no JSON form, as "path: reason"; empty if there is none."""
    if isinstance(value, float) and not math.isfinite(value):
        return f"{path}: {value} has no JSON form"
    if isinstance(value, str):
        return _surrogate(value, path)
    if isinstance(value, Mapping):
        pairs: Iterable[tuple[object, object]] = value.items()
        return next((fault for key, item in pairs for fault in _member_faults(key, item, path)), "")
    if isinstance(value, list | tuple):
        return next((f for i, item in enumerate(value) if (f := _fault(item, f"{path}[{i}]"))), "")
    if value is None or isinstance(value, bool | int | float):
        return ""
    return f"{path}: {type(value).__name__} has no JSON form"


def _member_faults(key: object, item: object, path: str) -> list[str]:
    return [f for f in (_fault(key, f"{path} (a key)"), _fault(item, f"{path}.{key!a}")) if f]


def _surrogate(text: str, path: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        return f"{path}: lone surrogate at position {error.start} has no UTF-8 form"
    return ""
