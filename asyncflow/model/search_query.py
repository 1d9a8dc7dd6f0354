"""Conductor's SQL-like search query, read into comparisons that know nothing of a database.

It reads and refuses, and never guesses: fields come from a list, values stay values. What a field
stands for in the views is `app/search`'s business; words of free text are read in `free_text`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import Enum
from typing import NamedTuple

from asyncflow.errors import InvalidInput

MOST_CHARACTERS = 10_000
"""Of one query."""

_DEPTH = 32
_COMPARISONS = 200
_WILDCARDS = 8  # of one pattern: each may cost another pass over the text
_LARGEST = 2**63 - 1
_TOKEN = re.compile(
    r"""\s*(?:(?P<sign><=|>=|!=|<>|=|<|>)|(?P<mark>[(),])
    |(?P<quoted>'(?:[^'\\]|\\.|'')*'|"(?:[^"\\]|\\.|"")*")
    |(?P<word>[^\s(),'"=<>!]+)|(?P<end>\Z)|(?P<bad>.))""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPED = re.compile(r"\\(.)|(''|\"\")", re.DOTALL)
_DIGITS = re.compile(r"-?[0-9]{1,19}\Z", re.ASCII)


class Kind(Enum):
    """What may be compared with a field, and how."""

    TEXT = "text"
    STATUS = "status, in capitals"
    NUMBER = "whole number"
    TIME = "milliseconds since 1970, or ISO 8601"
    NAMES = "list of names, of which one is asked for"


class Comparison(NamedTuple):
    """A field compared with values.

    Operators: `=` `!=` `<` `<=` `>` `>=` `contains` `starts` `like` with one value, `in` and `not in`
    with any number.
    """

    field: str
    operator: str
    values: tuple[str | int, ...]


class Every(NamedTuple):
    """All members hold."""

    members: tuple[Expression, ...]


class Some(NamedTuple):
    """At least one member holds."""

    members: tuple[Expression, ...]


Expression = Comparison | Every | Some


class _Token(NamedTuple):
    kind: str
    text: str
    position: int


def parse_query(text: str, fields: Mapping[str, Kind]) -> Expression:
    """The expression that a query says; an empty one, or `*`, is met by everything.

    Raises:
        InvalidInput: it cannot be read; the message names the position, from 1.
    """
    if len(text) > MOST_CHARACTERS:
        raise InvalidInput(f"at most {MOST_CHARACTERS} characters, got {len(text)}", field="query")
    if text.strip() in {"", "*"}:
        return Every(())
    return _Parser(text, fields).parse()


def parse_sort(texts: Sequence[str], fields: Mapping[str, Kind]) -> list[tuple[str, bool]]:
    """(field, descending) pairs of `field:ASC` and `field:DESC` texts, separated by `|` or commas.

    Raises:
        InvalidInput: an unknown field or direction.
    """
    known = {name.lower(): name for name in fields}
    found: list[tuple[str, bool]] = []
    for part in re.split(r"[|,]", "|".join(texts)):
        name, _, direction = (piece.strip() for piece in part.partition(":"))
        if not name and not direction:
            continue
        if name.lower() not in known:
            raise InvalidInput(f"unknown field {name[:80]!r}", field="sort")
        if direction.upper() not in {"", "ASC", "DESC"}:
            raise InvalidInput(f"{name}: ASC or DESC is expected, got {direction[:80]!r}", field="sort")
        found.append((known[name.lower()], direction.upper() == "DESC"))
    if len(found) > _DEPTH:
        raise InvalidInput(f"at most {_DEPTH} fields, got {len(found)}", field="sort")
    return found


class _Parser:
    """Recursive descent over the tokens of one query."""

    def __init__(self, text: str, fields: Mapping[str, Kind]) -> None:
        self._fields = fields
        self._known = {name.lower(): name for name in fields}
        self._tokens = _tokens(text)
        self._at = 0
        self._count = 0

    def parse(self) -> Expression:
        found = self._any(0)
        if self._next.kind != "end":
            raise self._fault("AND, OR or the end is expected")
        return found

    @property
    def _next(self) -> _Token:
        return self._tokens[self._at]

    def _take(self) -> _Token:
        token = self._next
        self._at = min(self._at + 1, len(self._tokens) - 1)
        return token

    def _is(self, word: str) -> bool:
        return self._next.kind in {"word", "mark"} and self._next.text.upper() == word

    def _took(self, word: str) -> bool:
        if not self._is(word):
            return False
        self._take()
        return True

    def _fault(self, expected: str, token: _Token | None = None) -> InvalidInput:
        token = token or self._next
        got = "the end" if token.kind == "end" else repr(token.text[:40])
        return InvalidInput(f"position {token.position}: {expected}, got {got}", field="query")

    # --- AND, OR, parentheses ---------------------------------------------------------------------

    def _any(self, depth: int) -> Expression:
        members = [self._all(depth)]
        while self._took("OR"):
            members.append(self._all(depth))
        return members[0] if len(members) == 1 else Some(tuple(members))

    def _all(self, depth: int) -> Expression:
        members = [self._one(depth)]
        while self._took("AND"):
            members.append(self._one(depth))
        return members[0] if len(members) == 1 else Every(tuple(members))

    def _one(self, depth: int) -> Expression:
        if not self._is("("):
            return self._comparison()
        if depth >= _DEPTH:
            raise self._fault(f"at most {_DEPTH} parentheses in each other are read")
        self._take()
        found = self._any(depth + 1)
        if not self._took(")"):
            raise self._fault("AND, OR or ) is expected")
        return found

    # --- one comparison ---------------------------------------------------------------------------

    def _comparison(self) -> Expression:
        token = self._take()
        field = self._known.get(token.text.lower()) if token.kind == "word" else None
        if field is None:
            raise self._fault("the name of a field is expected", token)
        self._count += 1
        if self._count > _COMPARISONS:
            raise self._fault(f"at most {_COMPARISONS} comparisons are read", token)
        token = self._take()
        word = token.text.upper() if token.kind in {"word", "sign"} else ""
        if word == "BETWEEN":
            return self._between(field)
        if word == "IS":
            return self._is_null(field)
        if word == "NOT" and self._took("IN"):
            return self._member(field, "not in", token)
        if word == "IN":
            return self._member(field, "in", token)
        operator = _OPERATORS.get(word)
        if operator is None:
            raise self._fault("an operator is expected", token)
        return self._single(field, operator, token)

    def _single(self, field: str, operator: str, at: _Token) -> Comparison:
        kind = self._fields[field]
        if operator in {"like", "contains", "starts"} and kind not in {Kind.TEXT, Kind.NAMES}:
            raise self._fault(f"{field} is no text", at)
        if kind is Kind.NAMES and operator not in {"=", "contains", "like"}:
            raise self._fault(f"{field} is a list: only =, IN and CONTAINS are read", at)
        token = self._next
        value = self._value(field)
        if operator == "=" and kind is Kind.TEXT and "*" in str(value):
            operator, value = "like", _pattern(str(value))
        if operator == "like" and str(value).count("%") + str(value).count("_") > _WILDCARDS:
            raise self._fault(f"at most {_WILDCARDS} wildcards are read", token)
        return Comparison(field, operator, (value,))

    def _member(self, field: str, operator: str, at: _Token) -> Comparison:
        if self._fields[field] is Kind.NAMES and operator != "in":
            raise self._fault(f"{field} is a list: only =, IN and CONTAINS are read", at)
        if not self._took("("):
            return Comparison(field, operator, (self._value(field),))
        values = [self._value(field)]
        while self._took(","):
            values.append(self._value(field))
        if not self._took(")"):
            raise self._fault("a comma or ) is expected")
        return Comparison(field, operator, tuple(values))

    def _between(self, field: str) -> Expression:
        low = self._single(field, ">=", self._next)
        if not self._took("AND"):
            raise self._fault("AND is expected")
        return Every((low, self._single(field, "<=", self._next)))

    def _is_null(self, field: str) -> Comparison:
        operator = "!=" if self._took("NOT") else "="
        if not self._took("NULL"):
            raise self._fault("NULL is expected")
        if self._fields[field] is Kind.NAMES:
            return Comparison(field, "is" if operator == "=" else "is not", ())
        is_text = self._fields[field] in {Kind.TEXT, Kind.STATUS}
        return Comparison(field, operator, ("" if is_text else 0,))

    def _value(self, field: str) -> str | int:
        token = self._take()
        if token.kind not in {"word", "quoted"}:
            raise self._fault("a value is expected", token)
        kind = self._fields[field]
        text = token.text
        if kind is Kind.STATUS:
            return text.strip().upper()
        if kind in {Kind.TEXT, Kind.NAMES}:
            return text
        number = _number(text.strip())
        if number is None and kind is Kind.TIME:
            number = _instant(text.strip())
        if number is None:
            raise self._fault(f"{field}: {kind.value} is expected", token)
        return number


_OPERATORS = {
    "=": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">=",
    "LIKE": "like", "CONTAINS": "contains", "STARTS_WITH": "starts",
}  # fmt: skip


def _tokens(text: str) -> list[_Token]:
    found: list[_Token] = []
    at = 0
    while True:
        match = _TOKEN.match(text, at)
        assert match is not None  # one alternative takes any character, another the end
        kind = str(match.lastgroup)
        token = _Token(kind, match[kind], match.start(kind) + 1)
        if kind == "bad":
            what = "a quote is not closed" if token.text in "'\"" else f"unexpected {token.text!r}"
            raise InvalidInput(f"position {token.position}: {what}", field="query")
        if kind == "quoted":
            token = token._replace(text=_ESCAPED.sub(_unescaped, token.text[1:-1]))
        _check_text(token)
        found.append(token)
        if kind == "end":
            return found
        at = match.end()


def _pattern(text: str) -> str:
    """A text in which `*` stands for anything, as the pattern of `like`."""
    for char in "\\%_":
        text = text.replace(char, f"\\{char}")
    return text.replace("*", "%")


def _unescaped(match: re.Match[str]) -> str:
    return match[1] if match[1] is not None else match[2][0]


def _check_text(token: _Token) -> None:
    try:
        token.text.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(
            f"position {token.position}: a lone surrogate has no UTF-8 form", field="query"
        ) from error


def _number(text: str) -> int | None:
    if not _DIGITS.match(text):
        return None
    number = int(text)
    return number if abs(number) <= _LARGEST else None


def _instant(text: str) -> int | None:
    """Milliseconds of an ISO 8601 text; UTC where it names no zone."""
    try:
        instant = datetime.fromisoformat(text)
        if instant.tzinfo is None:
            instant = instant.replace(tzinfo=UTC)
        return round(instant.timestamp() * 1000)
    except (ValueError, OverflowError):
        return None
