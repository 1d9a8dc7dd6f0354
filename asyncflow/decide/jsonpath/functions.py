"""Jayway's path functions: what `.length()`, `.sum()` and the like give for one value.

Pure functions of a value and evaluated arguments; none changes the value. MISSING means that the
function cannot be applied, which a path turns into null. `evaluator` decides what they are applied to.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final

from asyncflow.decide.java_text import java_text
from asyncflow.decide.jsonpath.steps import MISSING
from asyncflow.errors import LimitExceeded

MAX_CONCAT_CHARS: Final = 1_048_576

Arguments = Sequence[object]
Function = Callable[[object, Arguments], object]


def _numbers(value: object, arguments: Arguments) -> list[float]:
    """The numbers of a list and of the arguments, as Jayway's doubles; other elements do not count."""
    return [
        _double(member)
        for group in (value, *arguments)
        for member in _listed(group)
        if isinstance(member, int | float) and not isinstance(member, bool)
    ]


def _listed(value: object) -> list[object]:
    return value if isinstance(value, list) else [value]


def _double(number: float) -> float:
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def _numeric(reduce: Callable[[list[float]], float]) -> Function:
    def apply(value: object, arguments: Arguments) -> object:
        numbers = _numbers(value if isinstance(value, list) else [], arguments)
        if not numbers:
            return MISSING
        result = reduce(numbers)
        return result if math.isfinite(result) else MISSING

    return apply


def _mean(numbers: list[float]) -> float:
    return sum(numbers) / len(numbers)


def _deviation(numbers: list[float]) -> float:
    """Of the whole population, from the mean; scaled first so that squares stay in range."""
    mean = _mean(numbers)
    largest = max(abs(n - mean) for n in numbers)
    if not largest or not math.isfinite(largest):
        return largest
    return largest * math.sqrt(_mean([((n - mean) / largest) ** 2 for n in numbers]))


def _length(value: object, arguments: Arguments) -> object:
    counted = arguments[0] if arguments else value
    return len(counted) if isinstance(counted, list | dict) else None


def _keys(value: object, _arguments: Arguments) -> object:
    return list(value) if isinstance(value, dict) else None


def _concat(value: object, arguments: Arguments) -> object:
    parts = [m for m in value if isinstance(m, str)] if isinstance(value, list) else []
    parts += [
        java_text(member)
        for argument in arguments
        for member in _listed(argument)
        if isinstance(member, str | int | float)
    ]
    length = sum(map(len, parts))
    if length > MAX_CONCAT_CHARS:
        raise LimitExceeded("characters of concat()", allowed=MAX_CONCAT_CHARS, actual=length)
    return "".join(parts)


def _append(value: object, arguments: Arguments) -> object:
    return [*value, *arguments] if isinstance(value, list) else value


def _at(value: object, place: object) -> object:
    if not isinstance(value, list) or isinstance(place, bool) or not isinstance(place, int):
        return MISSING
    return value[place] if -len(value) <= place < len(value) else MISSING


FUNCTIONS: dict[str, Function] = {
    "length": _length,
    "size": _length,
    "keys": _keys,
    "concat": _concat,
    "append": _append,
    "min": _numeric(min),
    "max": _numeric(max),
    "sum": _numeric(sum),
    "avg": _numeric(_mean),
    "stddev": _numeric(_deviation),
    "first": lambda value, _arguments: _at(value, 0),
    "last": lambda value, _arguments: _at(value, -1),
    "index": lambda value, arguments: _at(value, arguments[0] if arguments else None),
}
"""Every function by name."""

GATHERING: frozenset[str] = frozenset({"min", "max", "sum", "avg", "stddev", "first", "last", "index"})
"""Functions of a list that, behind a path meaning many values, take these values as their list."""
