"""Compiling JSONPath text in Jayway's dialect, with its implicit root.

Compiles only: no document is looked at, and nothing is evaluated while compiling. The records it
makes are in `steps`, the conditions of filters in `filter_parser`.
"""

from __future__ import annotations

import re

from asyncflow.decide.jsonpath import filter_parser
from asyncflow.decide.jsonpath.cursor import Cursor
from asyncflow.decide.jsonpath.functions import FUNCTIONS
from asyncflow.decide.jsonpath.steps import (
    MAX_PATH_CHARS,
    MAX_STEPS,
    Call,
    Condition,
    Descent,
    Filter,
    Indexes,
    JsonPath,
    JsonPathError,
    Names,
    Slice,
    Step,
    Wildcard,
)

_NAME = re.compile(r"[^.\[(\s]+")
_NAME_IN_CONDITION = re.compile(r"[^.\[(\s)<>=~!&|,]+")
_END_IN_CONDITION = frozenset(" \t\r\n)<>=~!&|,")
_PLACES = re.compile(r"[\d:, -]*")


def compile_path(text: str) -> JsonPath:
    """Compile a path such as `ref.output.items[0].name`; `$.` in front may be left out.

    Raises:
        JsonPathError: it is not a path, or is longer or deeper than the limits in `steps`.
    """
    if len(text) > MAX_PATH_CHARS:
        raise JsonPathError(f"longer than {MAX_PATH_CHARS} characters", text=text)
    # Jayway trims a path that has its `$`, but puts `$.` before the untrimmed text of one that has
    # not: blanks behind are harmless, blanks in front of an implicit root make the path invalid.
    stripped = text.strip()
    rooted = stripped[:1] in ("$", "@")
    cursor = Cursor(stripped if rooted else text.rstrip())
    if rooted:
        cursor.position = 1
    steps = _read_steps(cursor, in_condition=False, rooted=rooted)
    return _finish(text, steps, from_candidate=False, root_paths=tuple(cursor.root_paths))


def _finish(
    text: str, steps: list[Step], *, from_candidate: bool, root_paths: tuple[JsonPath, ...] = ()
) -> JsonPath:
    last = len(steps) - 1
    return JsonPath(
        text=text,
        steps=tuple(steps),
        is_plain=all(isinstance(step, str | int) for step in steps),
        is_definite=all(_is_definite(step, is_last=i == last) for i, step in enumerate(steps)),
        from_candidate=from_candidate,
        root_paths=root_paths,
    )


def _is_definite(step: Step, *, is_last: bool) -> bool:
    return isinstance(step, str | int | Call) or (isinstance(step, Names) and is_last)


def _read_embedded(cursor: Cursor) -> JsonPath:
    """Read a path that starts with `@` or `$` inside a condition or an argument list."""
    start = cursor.position
    from_candidate = cursor.peek() == "@"
    cursor.position += 1
    cursor.nest()
    steps = _read_steps(cursor, in_condition=True, rooted=True)
    cursor.depth -= 1
    path = _finish(cursor.text[start : cursor.position], steps, from_candidate=from_candidate)
    if not from_candidate:
        cursor.root_paths.append(path)
    return path


# A name in dots runs up to the next '.', '[' or '(' and may hold anything else but blanks, so `a-b`,
# `0` and `it's` are names; inside a condition it also ends at an operator. `(` makes it a function.


def _read_steps(cursor: Cursor, *, in_condition: bool, rooted: bool) -> list[Step]:
    steps: list[Step] = []
    if rooted and _has_more(cursor, in_condition=in_condition) and cursor.peek() not in (".", "["):
        cursor.fail("expected '.' or '['")
    while _has_more(cursor, in_condition=in_condition):
        if steps or rooted:
            if cursor.take(".."):
                steps.append(Descent())
            else:
                cursor.take(".")
        is_bracket = cursor.peek() == "["
        steps.append(_read_bracket(cursor) if is_bracket else _read_name(cursor, in_condition=in_condition))
        if len(steps) > MAX_STEPS:
            cursor.fail(f"more than {MAX_STEPS} steps")
    if not steps and not rooted:
        cursor.fail("expected a name")
    return steps


def _has_more(cursor: Cursor, *, in_condition: bool) -> bool:
    character = cursor.peek()
    return bool(character) and not (in_condition and character in _END_IN_CONDITION)


def _read_name(cursor: Cursor, *, in_condition: bool) -> Step:
    if cursor.peek() == "*":
        cursor.position += 1
        return Wildcard()
    name = cursor.match(_NAME_IN_CONDITION if in_condition else _NAME)
    if not name:
        cursor.fail("expected a name (one with blanks is written ['my name'])")
    if cursor.peek() == "(":
        return _read_call(cursor, name)
    if not in_condition and cursor.peek().isspace():
        cursor.fail("a name with blanks is written ['my name']")
    return name


def _read_call(cursor: Cursor, name: str) -> Call:
    if name not in FUNCTIONS:
        cursor.fail(f"no such function: {name}; known are {', '.join(sorted(FUNCTIONS))}")
    cursor.expect("(")
    cursor.skip_blanks()
    arguments: list[object] = []
    done = cursor.take(")")
    while not done:
        is_path = cursor.peek() in ("$", "@")
        arguments.append(_read_embedded(cursor) if is_path else cursor.literal())
        done = cursor.take_listed(")")
    return Call(name, tuple(arguments))


def _read_bracket(cursor: Cursor) -> Step:
    cursor.expect("[")
    cursor.skip_blanks()
    character = cursor.peek()
    if character in ("'", '"'):
        return _read_quoted_names(cursor)
    if character == "?":
        step: Step = Filter(_read_filter(cursor))
    elif character == "*":
        cursor.position += 1
        step = Wildcard()
    else:
        step = _read_places(cursor)
    cursor.skip_blanks()
    cursor.expect("]")
    return step


def _read_quoted_names(cursor: Cursor) -> Step:
    names: list[str] = []
    done = False
    while not done:
        if cursor.peek() not in ("'", '"'):
            cursor.fail("expected a quoted name")
        names.append(cursor.quoted())
        done = cursor.take_listed("]")
    return names[0] if len(names) == 1 else Names(tuple(names))


def _read_filter(cursor: Cursor) -> Condition:
    cursor.expect("?")
    cursor.skip_blanks()
    cursor.expect("(")
    condition = filter_parser.read_condition(cursor, read_path=_read_embedded)
    cursor.skip_blanks()
    cursor.expect(")")
    return condition


def _read_places(cursor: Cursor) -> Step:
    start = cursor.position
    if ":" in cursor.match(_PLACES):
        cursor.position = start
        return _read_slice(cursor)
    cursor.position = start
    places = [cursor.integer()]
    cursor.skip_blanks()
    while cursor.take(","):
        cursor.skip_blanks()
        places.append(cursor.integer())
        cursor.skip_blanks()
    return places[0] if len(places) == 1 else Indexes(tuple(places))


def _read_slice(cursor: Cursor) -> Slice:
    start = None if cursor.peek() == ":" else cursor.integer()
    cursor.expect(":")
    end = None if cursor.peek() in ("]", ":") else cursor.integer()
    if cursor.take(":") and cursor.peek() != "]":
        cursor.integer()  # Jayway takes a step width and ignores it
    if start is None and end is None:
        cursor.fail("a slice needs a start or an end")
    return Slice(start, end)
