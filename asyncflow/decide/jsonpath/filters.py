"""What the conditions of a filter mean, with Jayway's rules for unequal kinds of values.

Conditions are built by `filter_parser` and asked by `evaluator`; they reach values only through
the Finder they are handed. Nothing here raises for odd values: an impossible comparison is false.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from asyncflow.decide.jsonpath.patterns import Pattern
from asyncflow.decide.jsonpath.steps import MISSING, Condition, Finder, JsonPath
from asyncflow.errors import LimitExceeded

Operand = object
"""A JSON value as written, or a JsonPath to look up."""

_DECIMAL = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,6})?")
_MAX_NUMERAL = 400
_PAIRWISE = frozenset({"all", "subsetof", "anyof", "noneof"})
MAX_COMPARED_DEPTH: Final = 900


@dataclass(frozen=True, slots=True)
class AllOf:
    """Every member holds; later ones are not asked once one does not."""

    members: tuple[Condition, ...]

    def accepts(self, candidate: object, finder: Finder) -> bool:
        """Whether all accept the candidate."""
        return all(member.accepts(candidate, finder) for member in self.members)


@dataclass(frozen=True, slots=True)
class AnyOf:
    """At least one member holds."""

    members: tuple[Condition, ...]

    def accepts(self, candidate: object, finder: Finder) -> bool:
        """Whether one accepts the candidate."""
        return any(member.accepts(candidate, finder) for member in self.members)


@dataclass(frozen=True, slots=True)
class Not:
    """The member does not hold."""

    member: Condition

    def accepts(self, candidate: object, finder: Finder) -> bool:
        """Whether the member refuses the candidate."""
        return not self.member.accepts(candidate, finder)


@dataclass(frozen=True, slots=True)
class Exists:
    """Something is at the path, be it null; a path that may mean many must find one."""

    path: JsonPath

    def accepts(self, candidate: object, finder: Finder) -> bool:
        """Whether the path leads to something."""
        # Jayway takes the empty list of an indefinite path for something; that would make
        # `[?(@.tags[*])]` true for everything, which nobody means.
        found = finder.find(self.path, candidate)
        return found is not MISSING and (self.path.is_definite or found != [])


@dataclass(frozen=True, slots=True)
class Matches:
    """The whole text of the operand fits a regular expression; numbers and booleans count as text."""

    operand: Operand
    pattern: Pattern

    def accepts(self, candidate: object, finder: Finder) -> bool:
        """Whether the operand, or any element of it if it is a list, fits."""
        value = _look_up(self.operand, candidate, finder)
        texts = value if isinstance(value, list) else [value]
        return any(self._fits(text, finder) for text in texts)

    def _fits(self, value: object, finder: Finder) -> bool:
        text = str(value).lower() if isinstance(value, bool) else _numeral(value)
        return text is not None and self.pattern.matches(text, finder.spend)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two operands and the name of a comparison of `COMPARISONS`."""

    operator: str
    left: Operand
    right: Operand

    def accepts(self, candidate: object, finder: Finder) -> bool:
        """Whether the comparison holds for the candidate."""
        left = _look_up(self.left, candidate, finder)
        right = _look_up(self.right, candidate, finder)
        if isinstance(left, list) or isinstance(right, list):
            pairs = self.operator in _PAIRWISE
            finder.spend(_size(left) * _size(right) if pairs else _size(left) + _size(right))
        return COMPARISONS[self.operator](left, right)


def _size(value: object) -> int:
    return len(value) if isinstance(value, list) else 1


def _look_up(operand: Operand, candidate: object, finder: Finder) -> object:
    return finder.find(operand, candidate) if isinstance(operand, JsonPath) else operand


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _numeral(value: object) -> str | None:
    """A text as it is, a number in digits; None for everything else."""
    if isinstance(value, str):
        return value
    if isinstance(value, int) and value.bit_length() > 4 * _MAX_NUMERAL:
        return None
    return repr(value) if _is_number(value) else None


def _decimal(value: object) -> Decimal | None:
    text = _numeral(value)
    usable = text is not None and len(text) <= _MAX_NUMERAL and _DECIMAL.fullmatch(text)
    return Decimal(text) if text is not None and usable else None


# Jayway compares a text with a number from the left one's point of view: '8.0' == @.price compares
# the texts, @.price == '8.0' the numbers. All other kinds are never equal to each other, and only two
# numbers or two texts have an order; a comparison without sense is false, and so is its opposite,
# except for the plain negations != and nin.


def _equal(left: object, right: object) -> bool:
    """Equality across kinds: a number equals the text of it, nothing else crosses."""
    if isinstance(left, str) and _is_number(right):
        return left == _numeral(right)
    if _is_number(left) and isinstance(right, str):
        number = _decimal(right)
        return number is not None and number == _decimal(left)
    return _same(left, right)


def _same(left: object, right: object) -> bool:
    """Equality within one kind; True is not 1, and MISSING equals nothing."""
    if left is MISSING or isinstance(left, bool) != isinstance(right, bool):
        return False
    try:
        return left == right
    except RecursionError as error:
        raise LimitExceeded("depth of compared values", allowed=MAX_COMPARED_DEPTH) from error


def _ordered(holds: Callable[[int], bool]) -> Callable[[object, object], bool]:
    def compare(left: object, right: object) -> bool:
        if isinstance(left, str) and isinstance(right, str):
            return holds((left > right) - (left < right))
        if isinstance(left, bool) or isinstance(right, bool):
            return False
        if isinstance(left, int | float) and isinstance(right, int | float):
            return (left == right or left < right or left > right) and holds((left > right) - (left < right))
        return False

    return compare


def _contains(members: object, value: object) -> bool:
    if isinstance(members, str):
        return isinstance(value, str) and value in members
    return _is_in(value, members)


def _is_in(value: object, members: object) -> bool:
    return isinstance(members, list) and any(_equal(value, member) for member in members)


def _all_in(values: object, members: object) -> bool:
    return isinstance(values, list) and isinstance(members, list) and all(_is_in(v, members) for v in values)


def _some_in(values: object, members: object) -> bool:
    return isinstance(values, list) and any(_is_in(v, members) for v in values)


def _has_size(value: object, size: object) -> bool:
    return isinstance(value, str | list | dict) and not isinstance(size, bool) and len(value) == size


def _is_empty(value: object, expected: object) -> bool:
    return isinstance(value, str | list | dict) and (not value) is expected


COMPARISONS: dict[str, Callable[[object, object], bool]] = {
    "==": _equal,
    "!=": lambda left, right: not _equal(left, right),
    "===": _same,
    "!==": lambda left, right: not _same(left, right),
    "<": _ordered(lambda sign: sign < 0),
    "<=": _ordered(lambda sign: sign <= 0),
    ">": _ordered(lambda sign: sign > 0),
    ">=": _ordered(lambda sign: sign >= 0),
    "in": _is_in,
    "nin": lambda left, right: not _is_in(left, right),
    "contains": _contains,
    "all": lambda left, right: _all_in(right, left),
    "subsetof": _all_in,
    "anyof": _some_in,
    "noneof": lambda left, right: isinstance(left, list) and not _some_in(left, right),
    "size": _has_size,
    "empty": _is_empty,
}
"""Every comparison by the word it is written with (in lower case)."""
