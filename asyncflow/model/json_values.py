"""Whether a Python value is JSON that we can keep exactly, and if not, where its first fault is.

It walks without recursion, so neither depth nor a cycle can hurt it, and it knows nothing of definitions.
Read `model/documents.py` next for the same rules on text.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

MAX_NODES = 5_000_000
"""Values one document may expand to; 4 MiB of JSON text cannot hold more than 2,100,000."""

_TOO_LONG = 10**4_300  # the first integer of 4,301 digits, which Python would not turn into text
_CONSTANTS = frozenset({bool, type(None)})
Container = dict[object, object] | list[object]
_Place = tuple["_Place", "str | int"] | None


class Bounds(NamedTuple):
    """How large and how deep a text may be, and the names of the limits that say so."""

    size_limit: str
    size: int
    depth_limit: str
    depth: int
    digits: int


@dataclass(frozen=True, slots=True)
class Fault:
    """The first thing in a value that is not acceptable JSON."""

    parts: tuple[str | int, ...]
    message: str


def find_fault(value: object, *, depth: int, nul: bool = False) -> Fault | None:
    """The first fault in document order, or None when the value is JSON of at most that depth.

    Args:
        value: anything; only exact JSON types pass (dict with text keys, list, str, int, float, bool, None).
        depth: levels of objects and lists allowed.
        nul: whether text may hold the character U+0000.

    Cost: linear in the number of values, about 0.3 µs each where all are plain, three times that else.
    """
    if (type(value) is dict or type(value) is list) and _is_plain(value, depth, nul=nul):
        return None
    stack: list[tuple[object, _Place, int]] = [(value, None, 0)]
    nodes = 0
    while stack:
        item, place, level = stack.pop()
        nodes += 1
        message = _fault_of(item, level, depth, nul=nul) or (nodes > MAX_NODES and "too many values") or None
        if message is not None:
            return Fault(_parts(place), message)
        if type(item) is dict:
            stack.extend([(v, (place, k), level + 1) for k, v in item.items()][::-1])
        elif type(item) is list:
            stack.extend([(v, (place, i), level + 1) for i, v in enumerate(item)][::-1])
    return None


def _is_plain(value: Container, depth: int, *, nul: bool) -> bool:
    """Whether there is no fault, for values that are easily seen to have none: it keeps no places."""
    stack: list[tuple[Container, int]] = [(value, 0)]
    nodes = 1
    while stack:
        item, level = stack.pop()
        nodes += len(item)
        if level >= depth or nodes > MAX_NODES:
            return False
        if type(item) is dict:
            for key in item:
                if type(key) is not str or not key.isascii() or (not nul and "\0" in key):
                    return False
            values: Iterable[object] = item.values()
        else:
            values = item
        for each in values:
            kind = type(each)
            if kind is dict or kind is list:
                stack.append((each, level + 1))  # type: ignore[arg-type]  # just compared
            elif kind is str:
                if not each.isascii() or (not nul and "\0" in each):  # type: ignore[attr-defined, operator]
                    return False
            elif kind is int:
                if not -_TOO_LONG < each < _TOO_LONG:  # type: ignore[operator]  # just compared
                    return False
            elif kind not in _CONSTANTS and _fault_of(each, 0, 1, nul=nul) is not None:
                return False
    return True


def _fault_of(item: object, level: int, depth: int, *, nul: bool) -> str | None:
    kind = type(item)
    if kind is str:
        return text_fault(item, nul=nul)  # type: ignore[arg-type]  # its exact type was just compared
    if kind is bool or item is None:
        return None
    if isinstance(item, int):
        return None if -_TOO_LONG < item < _TOO_LONG else "an integer of more than 4300 digits"
    if isinstance(item, float):
        return None if math.isfinite(item) else "NaN and Infinity are not JSON"
    if kind is dict or kind is list:
        if level >= depth:
            return f"nested deeper than {depth} levels"
        return next(_key_faults(item, nul=nul), None) if isinstance(item, dict) else None
    return f"not a JSON value: {kind.__name__}"


def _key_faults(item: dict[object, object], *, nul: bool) -> Iterator[str]:
    for key in item:
        fault = text_fault(key, nul=nul) if isinstance(key, str) else f"not a text: {type(key).__name__}"
        if fault is not None:
            yield f"key is {fault}"


def text_fault(text: str, *, nul: bool) -> str | None:
    """Why the text cannot be kept exactly, or None."""
    if not nul and "\0" in text:
        return "text with the character NUL"
    if text.isascii():
        return None
    try:
        text.encode()
    except UnicodeEncodeError:
        return "text with a lone surrogate"
    return None


def _parts(place: _Place) -> tuple[str | int, ...]:
    parts: list[str | int] = []
    while place is not None:
        place, part = place
        parts.append(part)
    return tuple(reversed(parts))
