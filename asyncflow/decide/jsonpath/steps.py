"""The parts of a compiled JSONPath: what a parser makes and an evaluator walks.

Data only: nothing here reads a document. Go on with `parser`, which makes these records from
text, and `evaluator`, which applies them.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final, Protocol

from asyncflow.errors import InvalidInput


class Missing(Enum):
    """The type of `MISSING`, so that a type checker can tell it from a JSON null."""

    MISSING = "missing"

    def __repr__(self) -> str:
        """The name it is imported by."""
        return "MISSING"


MISSING: Final = Missing.MISSING
"""Nothing is there: unlike None, which is a JSON null that is there."""

MAX_PATH_CHARS: Final = 10_000
MAX_STEPS: Final = 256
MAX_SYNTAX_DEPTH: Final = 24


class JsonPathError(InvalidInput):
    """Correct the expression: the message quotes it and says at which character it goes wrong."""

    code = "invalid_expression"

    def __init__(self, reason: str, *, text: str, position: int = 0) -> None:
        """Quote the expression, shortened if it is long, with the place of the fault."""
        shown = text if len(text) <= 120 else f"{text[:120]}…"
        super().__init__(f"{reason} at character {position} of expression '{shown}'")
        self.expression, self.position = text, position


@dataclass(frozen=True, slots=True)
class Names:
    """Several names, `['a','b']`: one merged map at the end of a path, else each in turn."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Indexes:
    """Several places of a list, `[0,2]`; negative ones count from the end."""

    places: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Slice:
    """A range of a list, `[start:end]`, with at least one of both ends."""

    start: int | None
    end: int | None


@dataclass(frozen=True, slots=True)
class Wildcard:
    """All values of a map or list, in their order."""


@dataclass(frozen=True, slots=True)
class Descent:
    """`..`: the following step is applied to a value and to everything below it."""


class Finder(Protocol):
    """What a condition may ask for while it looks at one candidate."""

    def find(self, path: JsonPath, candidate: object) -> object:
        """The value at `path`, seen from the candidate or the root; MISSING if nothing is there."""

    def spend(self, work: int) -> None:
        """Count work against the evaluation's budget; raises LimitExceeded when it is used up."""


class Condition(Protocol):
    """A compiled filter condition."""

    def accepts(self, candidate: object, finder: Finder) -> bool:
        """Whether the candidate passes."""


@dataclass(frozen=True, slots=True)
class Filter:
    """`[?(…)]`: the elements of a list, or the map itself, that pass a condition."""

    condition: Condition


@dataclass(frozen=True, slots=True)
class Call:
    """`.name(arguments)`: an argument is a JSON value or a path."""

    function: str
    arguments: tuple[object, ...]


Step = str | int | Names | Indexes | Slice | Wildcard | Descent | Filter | Call
"""One step of a path; a plain name is a str and a plain index an int, for speed."""


@dataclass(frozen=True, slots=True)
class JsonPath:
    """A compiled path.

    Attributes:
        text: the path as it was written.
        steps: what to do, in order, starting at the root or at a filter's candidate.
        is_plain: every step is a single name or index.
        is_definite: at most one value can be meant; otherwise the result is a list.
        from_candidate: inside a filter it starts at `@`.
        root_paths: the paths inside its filters and arguments that start at the root again.
    """

    text: str
    steps: tuple[Step, ...]
    is_plain: bool
    is_definite: bool
    from_candidate: bool
    root_paths: tuple[JsonPath, ...] = ()
