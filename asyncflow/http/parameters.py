"""Parameters in the query of a request: declared by routes, read before their handlers run.

Values are what clients really send: `True` and `true`, lists repeated and with commas, a literal
`None` for nothing. What is not declared is ignored, as Conductor does; `routing` puts this to use.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal
from urllib.parse import unquote_to_bytes

from asyncflow.errors import InvalidInput, LimitExceeded

Value = bool | int | str | tuple[str, ...] | None

_TRUE = frozenset({"true", "on", "yes", "1"})
_FALSE = frozenset({"false", "off", "no", "0"})
_NUMBER = re.compile(r"[+-]?[0-9]{1,19}")
_BROKEN_ESCAPE = re.compile("%(?![0-9A-Fa-f]{2})")
_MOST_FIELDS = 2_000
_FARTHEST = 2**63


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter of a query; `default` is what a handler gets when it is absent or empty."""

    name: str
    kind: Literal["flag", "number", "word", "words"]
    default: Value
    about: str = ""
    minimum: int | None = None
    maximum: int | None = None
    choices: tuple[str, ...] = ()
    required: bool = False


def flag(name: str, *, default: bool = False, about: str = "") -> Parameter:
    """A parameter that is true or false, in any case; also on, yes, 1 and their opposites."""
    return Parameter(name, "flag", default, about)


def number(
    name: str,
    *,
    default: int | None = None,
    minimum: int | None = None,
    maximum: int | None = None,
    about: str = "",
    required: bool = False,
) -> Parameter:
    """A whole number; outside its bounds it is refused, both bounds are inside."""
    return Parameter(name, "number", default, about, minimum, maximum, required=required)


def word(
    name: str, *, default: str = "", about: str = "", choices: tuple[str, ...] = (), required: bool = False
) -> Parameter:
    """A text; empty and the literal `None` count as absent. With `choices`, one of them in any case."""
    return Parameter(name, "word", default, about, choices=choices, required=required)


def words(name: str, *, about: str = "", required: bool = False) -> Parameter:
    """A list of texts: the parameter repeated, or a list with commas, or both."""
    return Parameter(name, "words", (), about, required=required)


def read_parameters(declared: Sequence[Parameter], query: str) -> dict[str, Value]:
    """The value of every declared parameter.

    Raises:
        InvalidInput: a value is malformed or missing; names the parameter.
        LimitExceeded: the query has too many fields.
    """
    given = parse_query(query) if query else {}
    return {each.name: _read(each, given.get(each.name, ())) for each in declared}


def parse_query(query: str) -> Mapping[str, list[str]]:
    """The fields of a query, decoded, each with all its values in order.

    Raises:
        InvalidInput: a percent escape is broken or does not give UTF-8.
        LimitExceeded: there are too many fields.
    """
    parts = query.split("&")
    if len(parts) > _MOST_FIELDS:
        raise LimitExceeded("query_fields", allowed=_MOST_FIELDS, actual=len(parts))
    found: dict[str, list[str]] = {}
    for part in parts:
        if part:
            raw_name, _, value = part.partition("=")
            name = decoded(raw_name.replace("+", " "))
            found.setdefault(name, []).append(decoded(value.replace("+", " "), field=name))
    return found


def decoded(text: str, *, field: str = "address") -> str:
    """A piece of an address without its percent escapes; `field` is what it belongs to.

    Raises:
        InvalidInput: an escape is broken, or the bytes are not UTF-8.
    """
    if "%" not in text and text.isascii():
        return text
    if _BROKEN_ESCAPE.search(text):
        raise InvalidInput("a percent sign without two hexadecimal digits", field=field)
    try:
        return unquote_to_bytes(text.encode("utf-8", "surrogateescape")).decode()
    except UnicodeError:
        raise InvalidInput("percent escapes do not give UTF-8", field=field) from None


def _read(declared: Parameter, values: Sequence[str]) -> Value:
    if declared.kind == "words":
        listed = tuple(piece for value in values for each in value.split(",") if (piece := each.strip()))
        return _present(declared, listed)
    text = values[-1].strip() if values else ""
    if text in {"", "None"}:
        return _present(declared, declared.default)
    if declared.kind == "flag":
        return _flag(declared, text)
    if declared.kind == "number":
        return _number(declared, text)
    return _choice(declared, text) if declared.choices else values[-1]


def _present(declared: Parameter, value: Value) -> Value:
    if declared.required and not value:
        raise InvalidInput("the parameter is missing", field=declared.name)
    return value


def _flag(declared: Parameter, text: str) -> bool:
    lowered = text.lower()
    if lowered in _TRUE:
        return True
    if lowered in _FALSE:
        return False
    raise InvalidInput(f"true or false is expected, not {text[:80]!r}", field=declared.name)


def _number(declared: Parameter, text: str) -> int:
    if not _NUMBER.fullmatch(text):
        raise InvalidInput(f"a whole number is expected, not {text[:80]!r}", field=declared.name)
    value = int(text)
    if not -_FARTHEST <= value < _FARTHEST:
        raise InvalidInput(f"a whole number of 64 bits is expected, not {text}", field=declared.name)
    if declared.minimum is not None and value < declared.minimum:
        raise InvalidInput(f"{value} is less than {declared.minimum}", field=declared.name)
    if declared.maximum is not None and value > declared.maximum:
        raise InvalidInput(f"{value} is more than {declared.maximum}", field=declared.name)
    return value


def _choice(declared: Parameter, text: str) -> str:
    found = next((each for each in declared.choices if each.lower() == text.lower()), None)
    if found is None:
        listed = ", ".join(declared.choices)
        raise InvalidInput(f"one of {listed} is expected, not {text[:80]!r}", field=declared.name)
    return found
