"""What one run of a script came to, in a form that crosses threads and processes.

No exception crosses those borders: a traceback would keep an interpreter alive, and an
exception class would have to be imported in the child. Read `evaluator` next, which turns an
outcome into a value or an error.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

Kind = Literal["value", "error", "wall", "memory", "output"]

VALUE: Kind = "value"
ERROR: Kind = "error"
WALL: Kind = "wall"
MEMORY: Kind = "memory"
OUTPUT: Kind = "output"

KINDS: tuple[Kind, ...] = (VALUE, ERROR, WALL, MEMORY, OUTPUT)
"""Every kind, in the order that stands for it on the wire between engine and child."""


class Outcome(NamedTuple):
    """The end of one script: a JSON text (a list of results), a message, or the limit it met.

    Attributes:
        kind: which of the three; `wall`, `memory` and `output` are the limits.
        text: the JSON list of results for `value`, the interpreter's message for `error`,
            else empty or the size that was asked for.
    """

    kind: Kind
    text: str = ""


class Limits(NamedTuple):
    """The bounds of one script.

    Attributes:
        wall_seconds: real time from its start.
        memory_bytes: what the interpreter may allocate.
        output_bytes: length of the result as JSON.
    """

    wall_seconds: float
    memory_bytes: int
    output_bytes: int
