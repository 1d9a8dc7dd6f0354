"""JSON values as Java's `toString` writes them, which is what Conductor shows inside text.

Bounded in depth and length; not JSON, and not meant to be read back. `expressions` uses it for
concatenation and nested paths, the SWITCH operator for case values.
"""

from __future__ import annotations

import math
from typing import Final

from asyncflow.errors import LimitExceeded
from asyncflow.model.payload_reference import refuse_stored

MAX_TEXT_CHARS: Final = 8 * 1024 * 1024
MAX_TEXT_DEPTH: Final = 200


def java_text(value: object) -> str:
    """The value as Java text: null, true, 1, 1.5, 1.0E10, `[1, 2]`, `{a=1, b=two}`.

    Raises:
        LimitExceeded: nested deeper than MAX_TEXT_DEPTH or longer than MAX_TEXT_CHARS.
        StoredByReference: it, or a value in it, lies in the payload folder.
    """
    if isinstance(value, str):
        return value
    if isinstance(value, list | dict):
        writer = _Writer()
        writer.write(value, 0)
        return "".join(writer.parts)
    return _scalar(value)


def join_texts(parts: list[str]) -> str:
    """The parts as one text.

    Raises:
        LimitExceeded: longer than MAX_TEXT_CHARS.
    """
    length = sum(map(len, parts))
    if length > MAX_TEXT_CHARS:
        raise LimitExceeded("characters of a resolved text", allowed=MAX_TEXT_CHARS, actual=length)
    return "".join(parts)


def _scalar(value: object) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return _double(value)
    try:
        return str(value)
    except ValueError as error:  # Python refuses to write integers of more than 4,300 digits
        raise LimitExceeded("digits of an integer", allowed=4_300) from error


def _double(value: float) -> str:
    """Java's Double.toString: plain from 0.001 up to 10,000,000, else with one digit and an exponent."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    sign = "-" if math.copysign(1.0, value) < 0 else ""
    size = abs(value)
    if size == 0 or 1e-3 <= size < 1e7:
        return f"{sign}{size!r}"
    mantissa, _, exponent = repr(size).partition("e")
    whole, _, fraction = mantissa.partition(".")
    power = int(exponent or 0) + len(whole) - 1
    digits = whole + fraction
    if whole == "0":
        power -= len(fraction) - len(fraction.lstrip("0")) + 1
        digits = fraction.lstrip("0")
    kept = digits.rstrip("0")
    return f"{sign}{kept[0]}.{kept[1:] or '0'}E{power}"


class _Writer:
    def __init__(self) -> None:
        self.parts: list[str] = []
        self.length = 0

    def add(self, part: str) -> None:
        self.length += len(part)
        if self.length > MAX_TEXT_CHARS:
            raise LimitExceeded("characters of a resolved text", allowed=MAX_TEXT_CHARS)
        self.parts.append(part)

    def write(self, value: object, depth: int) -> None:
        if depth > MAX_TEXT_DEPTH:
            raise LimitExceeded("depth of a value written as text", allowed=MAX_TEXT_DEPTH)
        if isinstance(value, dict):
            refuse_stored(value, "a text")
            self.write_members([(f"{key}=", member) for key, member in value.items()], "{}", depth)
        elif isinstance(value, list):
            self.write_members([("", member) for member in value], "[]", depth)
        else:
            self.add(value if isinstance(value, str) else _scalar(value))

    def write_members(self, members: list[tuple[str, object]], brackets: str, depth: int) -> None:
        separator = brackets[0]
        for prefix, member in members:
            self.add(f"{separator}{prefix}")
            self.write(member, depth + 1)
            separator = ", "
        self.add(brackets[1] if members else brackets)
