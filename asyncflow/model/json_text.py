"""JSON text to values, stricter than the standard library: bounded, without duplicates or infinities.

Depth is counted before anything is built, so no nest can exhaust the stack. Only `model/documents.py`
calls it; read there which bounds hold.
"""

from __future__ import annotations

import json
import math
import re
import sys

from asyncflow.errors import InvalidInput, LimitExceeded
from asyncflow.model.json_values import Bounds, find_fault
from asyncflow.model.shape import path_of, shown

# An unterminated string runs to the end of the text: otherwise every escaped quote in it would be tried
# as a new start, which takes quadratic time.
_BRACKETS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{]|[\]}]', re.DOTALL)
_TOKENS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{\]}:,]|[^\s"\[\]{}:,]++', re.DOTALL)


class _RefusedError(Exception):
    """A hook met what JSON does not allow; where it is is searched for afterwards."""


def parse_json(text: str, bounds: Bounds) -> object:
    """The value of the JSON text; the errors are those of `parse_document`."""
    _check_depth(text, bounds)
    try:
        value = _decoded(text, bounds)
    except json.JSONDecodeError as error:
        raise InvalidInput(f"not JSON: {error.msg} at line {error.lineno} column {error.colno}") from None
    except _RefusedError:
        offset, message = _locate(text)
        line = text.count("\n", 0, offset) + 1
        column = offset - text.rfind("\n", 0, offset)
        raise InvalidInput(f"{message} at line {line} column {column}") from None
    if "\\ud" in text or "\\uD" in text:
        fault = find_fault(value, depth=bounds.depth, nul=True)
        if fault is not None:
            raise InvalidInput(fault.message, field=path_of(fault.parts))
    return value


def is_plain(text: bytes) -> bool:
    """Whether a value read from this text has no fault that `find_fault` could find, but its depth.

    Without an escape no text in it has a lone surrogate or U+0000, and the rest was refused when it was read.
    """
    return b"\\u" not in text


def _decoded(text: str, bounds: Bounds) -> object:
    """The value; integers are looked at one by one only where one may be too long that Python takes."""
    if len(text) <= bounds.digits or bounds.digits >= sys.get_int_max_str_digits() > 0:
        try:
            return _QUICK.decode(text)
        except json.JSONDecodeError:
            raise
        except ValueError:
            pass  # an integer that is too long for Python as well
    decoder = json.JSONDecoder(
        object_pairs_hook=_object,
        parse_constant=_constant,
        parse_float=_float,
        parse_int=lambda digits: _int(digits, bounds),
    )
    return decoder.decode(text)


def _check_depth(text: str, bounds: Bounds) -> None:
    if text.count("[") + text.count("{") <= bounds.depth:
        return
    depth = 0
    for found in _BRACKETS.finditer(text):
        first = text[found.start()]
        if first in "[{":
            depth += 1
            if depth > bounds.depth:
                raise LimitExceeded(bounds.depth_limit, allowed=bounds.depth)
        elif first != '"':
            depth -= 1


def _object(pairs: list[tuple[str, object]]) -> dict[str, object]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise _RefusedError
    return result


def _constant(_: str) -> object:
    raise _RefusedError


def _float(text: str) -> float:
    number = float(text)
    if math.isinf(number):
        raise _RefusedError
    return number


_QUICK = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_float=_float)


def _int(text: str, bounds: Bounds) -> int:
    if len(text) - text.startswith("-") > bounds.digits:
        raise LimitExceeded("integer_digits", allowed=bounds.digits, actual=len(text.lstrip("-")))
    return int(text)


def _locate(text: str) -> tuple[int, str]:
    """Offset and description of the first thing that a hook refuses; the text before it is JSON."""
    keys: list[set[str] | None] = []
    is_key = False
    for found in _TOKENS.finditer(text):
        word = found[0]
        if word in "{[":
            keys.append(set() if word == "{" else None)
            is_key = word == "{"
        elif word in "}]":
            keys.pop()
        elif word == ",":
            is_key = keys[-1] is not None
        elif is_key and keys[-1] is not None:
            key, is_key = str(json.loads(word)), False
            if key in keys[-1]:
                return found.start(), f"duplicate key {shown(key)}"
            keys[-1].add(key)
        elif _is_no_number(word):
            return found.start(), f"not a finite number: {word[:80]}"
    raise InvalidInput("not JSON")


def _is_no_number(word: str) -> bool:
    return word in {"NaN", "Infinity", "-Infinity"} or (
        word[0] in "-0123456789" and not word.lstrip("-").isdigit() and math.isinf(float(word))
    )
