"""What stands in place of a value that lies in the payload folder: its name, its size, its rows.

A reference is plain JSON under one reserved key, so it travels wherever a value does; nothing here reads
a file. Who writes and reads what it names is `runtime/payload_folder`.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from asyncflow.errors import PayloadUnavailable, StoredByReference
from asyncflow.model.values import JsonMapping, JsonObject

STORED_KEY: Final = "asyncflow:stored"
"""The reserved key. Members beside it are laid over those of the stored object."""

STORED_MARK: Final = b'"asyncflow:stored":'
"""The key in JSON text without blanks: where this is absent there is no reference; no text can hold it."""

REFERENCE_BYTES: Final = 256
"""More than the JSON of any reference takes."""

_FACTS = frozenset({"sha256", "bytes", "rows", "limit"})
_NAME = re.compile(r"[0-9a-f]{64}")
_NAMED = re.compile(rb'"asyncflow:stored":\{[^{}]*?"sha256":"([0-9a-f]{64})"')


class PayloadReference(NamedTuple):
    """One stored value.

    Attributes:
        sha256: of its JSON text, in 64 hexadecimal digits; it is also its name.
        bytes: of its JSON text.
        rows: how many elements it has, if it is a list.
        limit: the bytes it was over, or went over together with others.
    """

    sha256: str
    bytes: int
    rows: int | None = None
    limit: int = 0

    def to_json(self) -> JsonObject:
        """The object that stands in place of the value."""
        facts: JsonObject = {"sha256": self.sha256, "bytes": self.bytes}
        if self.rows is not None:
            facts["rows"] = self.rows
        if self.limit:
            facts["limit"] = self.limit
        return {STORED_KEY: facts}


def is_stored(value: object) -> bool:
    """Whether it is a reference, or an object part of which is one; its facts may still be wrong."""
    return isinstance(value, dict) and STORED_KEY in value


def refuse_stored(value: object, what: str = "an expression") -> None:
    """Refuse to look into a value that is not there.

    Raises:
        StoredByReference: it is a reference; the message has its size.
    """
    if isinstance(value, dict) and STORED_KEY in value:
        facts = value[STORED_KEY]
        size = facts.get("bytes") if isinstance(facts, dict) else None
        raise StoredByReference(
            f"{what} asks for a part of a value that is stored by reference ({size} bytes)"
        )


def parse_reference(value: JsonMapping) -> PayloadReference:
    """The reference that an object is.

    Raises:
        PayloadUnavailable: `payload_reference_invalid`; its name, in particular, must be 64 hex digits.
    """
    facts = value.get(STORED_KEY)
    if isinstance(facts, dict) and facts.keys() <= _FACTS:
        name, numbers = facts.get("sha256"), {key: each for key, each in facts.items() if key != "sha256"}
        sound = all(type(each) is int and each >= 0 for each in numbers.values()) and "bytes" in numbers
        if sound and isinstance(name, str) and _NAME.fullmatch(name):
            return PayloadReference(name, **numbers)
    raise PayloadUnavailable(
        "payload_reference_invalid", f"what stands under {STORED_KEY!r} is no reference made by asyncflow"
    )


def names_in(text: bytes) -> set[str]:
    """The names of all references in JSON text without blanks, as journals hold it."""
    return {name.decode() for name in _NAMED.findall(text)}
