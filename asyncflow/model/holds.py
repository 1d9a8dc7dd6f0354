"""What an execution holds of a resource beyond one attempt: from a task to a task, or as long as it is open.

A hold is made of a grant: of the attempt of the task it begins with, or of the execution itself. Here are
its record and its key in admission; what changes it is in `decide/evolve_holds`, who takes it is decided
in `decide/holds`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from asyncflow.model.values import JsonValue

_BELOW: Final = 1_000_000_000
_SPAN = re.compile(r"\s*from\s+(\S+)\s+to\s+(\S+)\s*")


@dataclass(slots=True, eq=False)
class HoldState:
    """One grant that an execution holds.

    Attributes:
        serial: counts the holds of the execution from 1; never used again.
        taker: the number of the record whose attempt was granted it; 0 for the execution itself.
        grant: a `[resource, weight, mode, key]` row.
        until: the plain reference name of the task whose end ends it; "" for the end of the execution.
        suffix: what the loops around both tasks append to that name.
        users: attempts and children under it, by record number, and jobs, by minus their serial number. It is
            not given back before they are over.
        is_over: nobody begins under it any more.
    """

    serial: int
    taker: int
    grant: list[JsonValue]
    fence: int = 0
    until: str = ""
    suffix: str = ""
    since_ms: int = 0
    users: dict[int, None] = field(default_factory=dict)
    is_over: bool = False

    @property
    def key(self) -> int:
        """What stands for it beside record numbers, in `state.wanted` and in admission; jobs are above."""
        return -_BELOW - self.serial


def hold_of_key(number: int) -> int:
    """The serial number of the hold with this key; 0 where it is the key of a record, a job, or all of it."""
    return -number - _BELOW if number < -_BELOW else 0


def span_of(hold: str) -> tuple[str, str] | None:
    """The references of the first and the last task of `from A to C`, or None where it says no such thing."""
    found = _SPAN.fullmatch(hold)
    return None if found is None else (found[1], found[2])
