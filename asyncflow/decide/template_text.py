"""Finding `${…}` in text: what is expression, what is text, and how they nest.

One pass, linear in the text, whatever it holds; nothing is looked up here. `expressions` compiles
what this finds.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Final

from asyncflow.errors import LimitExceeded

MAX_EXPRESSION_NESTING: Final = 64

_MARK = re.compile(r"\$\$\{|\$\{|[{}]")


@dataclass(slots=True)
class Hole:
    """One `${…}`: `raw` is what stands between the braces, `parts` the same, split further."""

    start: int
    raw: str = ""
    parts: list[str | Hole] = field(default_factory=list)
    depth: int = 1
    braces: int = 0


def split_text(text: str) -> list[str | Hole]:
    """Split into literal texts, escapes already undone, and holes; empty texts are left out.

    A `${` without its closing brace is text, as is everything else that is no expression.

    Raises:
        LimitExceeded: expressions nested deeper than MAX_EXPRESSION_NESTING.
    """
    # One stack frame per `${` that is still open, the text itself at the bottom. Braces inside an
    # expression are counted, so that a JSON literal in a filter does not close it; quotes mean
    # nothing here. `$${` is an escape wherever it stands, and expressions behind it still count.
    open_holes = [Hole(start=0)]
    done = 0
    for mark in _MARK.finditer(text):
        sign, start = mark.group(), mark.start()
        innermost = open_holes[-1]
        _add_text(innermost.parts, text[done:start])
        done = mark.end()
        if sign == "${":
            open_holes.append(Hole(start=start))
        elif sign == "}" and len(open_holes) > 1 and not innermost.braces:
            innermost.raw = text[innermost.start + 2 : start]
            open_holes.pop()
            _close(open_holes[-1], innermost)
        else:
            innermost.braces += (sign != "}") - (sign == "}" and innermost.braces > 0)
            _add_text(innermost.parts, "${" if sign == "$${" else sign)
    _add_text(open_holes[-1].parts, text[done:])
    return _flatten(open_holes)


def _close(parent: Hole, hole: Hole) -> None:
    parent.depth = max(parent.depth, hole.depth + 1)
    if hole.depth > MAX_EXPRESSION_NESTING:
        raise LimitExceeded("nesting of ${…}", allowed=MAX_EXPRESSION_NESTING)
    parent.parts.append(hole)


def _add_text(parts: list[str | Hole], text: str) -> None:
    if text:
        parts.append(text)


def _flatten(open_holes: list[Hole]) -> list[str | Hole]:
    """Turn holes that were never closed back into text, and join neighbouring texts."""
    pieces = open_holes[0].parts
    for unclosed in open_holes[1:]:
        pieces.append("${")
        pieces.extend(unclosed.parts)
    return join_neighbours(pieces)


def join_neighbours(pieces: list[str | Hole]) -> list[str | Hole]:
    """The same pieces with no two texts in a row."""
    joined: list[str | Hole] = []
    pending: list[str] = []
    for piece in pieces:
        if isinstance(piece, str):
            pending.append(piece)
            continue
        if pending:
            joined.append("".join(pending))
            pending = []
        joined.append(piece)
    if pending:
        joined.append("".join(pending))
    return joined
