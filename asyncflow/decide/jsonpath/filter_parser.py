"""Compiling the condition of a filter: comparisons joined by `&&`, `||`, `!` and parentheses.

Reads paths only through the function it is given, so that it needs nothing of `parser`. What a
condition means is in `filters`.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from asyncflow.decide.jsonpath.cursor import Cursor
from asyncflow.decide.jsonpath.filters import (
    COMPARISONS,
    AllOf,
    AnyOf,
    Comparison,
    Exists,
    Matches,
    Not,
    Operand,
)
from asyncflow.decide.jsonpath.patterns import Pattern, PatternError, compile_pattern
from asyncflow.decide.jsonpath.steps import Condition, JsonPath

ReadPath = Callable[[Cursor], JsonPath]

_OPERATOR = re.compile(r"===|!==|==|!=|<=|>=|=~|<|>|[A-Za-z]+")
_PATTERN = re.compile(r"/((?:[^/\\]|\\.)*)/([a-zA-Z]*)")


def read_condition(cursor: Cursor, *, read_path: ReadPath) -> Condition:
    """Read a whole condition, up to a closing parenthesis that is not its own.

    Raises:
        JsonPathError: it is no condition, or nested too deeply.
    """
    cursor.nest()
    alternatives = [_read_conjunction(cursor, read_path)]
    while _take_next(cursor, "||"):
        alternatives.append(_read_conjunction(cursor, read_path))
    cursor.depth -= 1
    return alternatives[0] if len(alternatives) == 1 else AnyOf(tuple(alternatives))


def _take_next(cursor: Cursor, token: str) -> bool:
    cursor.skip_blanks()
    return cursor.take(token)


def _read_conjunction(cursor: Cursor, read_path: ReadPath) -> Condition:
    members = [_read_member(cursor, read_path)]
    while _take_next(cursor, "&&"):
        members.append(_read_member(cursor, read_path))
    return members[0] if len(members) == 1 else AllOf(tuple(members))


def _read_member(cursor: Cursor, read_path: ReadPath) -> Condition:
    if _take_next(cursor, "!"):
        cursor.nest()
        denied = _read_member(cursor, read_path)
        cursor.depth -= 1
        return Not(denied)
    if cursor.take("("):
        inner = read_condition(cursor, read_path=read_path)
        cursor.skip_blanks()
        cursor.expect(")")
        return inner
    return _read_comparison(cursor, read_path)


def _read_comparison(cursor: Cursor, read_path: ReadPath) -> Condition:
    left = _read_operand(cursor, read_path)
    cursor.skip_blanks()
    start = cursor.position
    operator = cursor.match(_OPERATOR).lower()
    if not operator:
        if isinstance(left, JsonPath):
            return Exists(left)
        cursor.fail("expected a comparison")
    cursor.skip_blanks()
    if operator == "=~":
        return _read_match(cursor, left, read_path)
    if operator not in COMPARISONS:
        cursor.position = start
        cursor.fail(f"no such comparison: {operator}")
    right = _read_operand(cursor, read_path)
    if isinstance(left, Pattern) or isinstance(right, Pattern):
        cursor.fail("a regular expression goes with =~ only")
    return Comparison(operator, left, right)


def _read_match(cursor: Cursor, left: Operand | Pattern, read_path: ReadPath) -> Condition:
    right = _read_operand(cursor, read_path)
    if isinstance(right, Pattern) and not isinstance(left, Pattern):
        return Matches(left, right)
    if not isinstance(left, Pattern) or isinstance(right, Pattern):
        cursor.fail("=~ needs one /regular expression/")
    return Matches(right, left)


def _read_operand(cursor: Cursor, read_path: ReadPath) -> Operand | Pattern:
    character = cursor.peek()
    if character in ("@", "$"):
        return read_path(cursor)
    if character != "/":
        return cursor.literal()
    start = cursor.position
    found = _PATTERN.match(cursor.text, start)
    if found is None:
        cursor.fail("missing / at the end of a regular expression")
    try:
        pattern = compile_pattern(found.group(1), found.group(2))
    except PatternError as error:
        cursor.fail(f"regular expression: {error}")
    cursor.position = found.end()
    return pattern
