"""New execution ids: drawn here, at the border, and nowhere below it."""

from __future__ import annotations

import os

from asyncflow.ids import ExecutionId

_AT_ONCE = 256  # ids for which randomness is fetched together: each call of the system gives the lock away
_BYTES = 10

_tails: list[str] = []  # of ids to come: all that is random in them


def draw_execution_id(wall_ms: int) -> ExecutionId:
    """A UUID of version 7: in order of time, with 74 random bits, so that no restore hands one out twice."""
    try:
        tail = _tails.pop()
    except IndexError:
        drawn = _drawn()
        tail = drawn.pop()
        _tails.extend(drawn)
    time = f"{wall_ms & ((1 << 48) - 1):012x}"
    return ExecutionId(f"{time[:8]}-{time[8:]}{tail}")


def _drawn() -> list[str]:
    digits = os.urandom(_BYTES * _AT_ONCE).hex()
    return [_tail(digits[first : first + 2 * _BYTES]) for first in range(0, len(digits), 2 * _BYTES)]


def _tail(digits: str) -> str:
    variant = "89ab"[int(digits[3], 16) & 3]
    return f"-7{digits[:3]}-{variant}{digits[4:7]}-{digits[7:19]}"


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_tails.clear)  # a child must not draw the same
