"""What a person says of a resource whose history cannot be read: the next number, and what is there.

It only reads the body; what it means is in `decide/lifecycle`, and who may say it in the surfaces.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from asyncflow.errors import InvalidInput

_KEYS = {"nextNumber", "instances", "reason"}
_MOST = 1_000_000_000


class Release(NamedTuple):
    """`handles` are the instances that are there, by number."""

    next_number: int
    handles: dict[int, str]
    reason: str


def read_release(body: Mapping[str, object]) -> Release:
    """A body of a request.

    Raises:
        InvalidInput: a key is unknown, or what it has is not what is expected; named by its key.
    """
    unknown = sorted(set(body) - _KEYS)
    if unknown:
        raise InvalidInput(f"{', '.join(sorted(_KEYS))} are known, got {unknown}", field="body")
    number, listed, reason = body.get("nextNumber"), body.get("instances", {}), body.get("reason", "")
    if type(number) is not int or not 1 <= number <= _MOST:
        raise InvalidInput("a whole number from 1 is expected", field="nextNumber")
    if not isinstance(reason, str):
        raise InvalidInput("a text is expected", field="reason")
    if not isinstance(listed, Mapping):
        raise InvalidInput("handles by number are expected", field="instances")
    return Release(number, dict(_instance(each, handle) for each, handle in listed.items()), reason)


def _instance(number: object, handle: object) -> tuple[int, str]:
    is_number = isinstance(number, str) and number.isascii() and number.isdecimal() and int(number) <= _MOST
    if not is_number or not isinstance(handle, str) or not handle.strip():
        raise InvalidInput(f"a handle by a number is expected, got {number!r}: {handle!r}", field="instances")
    return int(str(number)), handle
