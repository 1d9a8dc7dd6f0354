"""Reading a path's text character by character: blanks, quoted names, numbers, JSON literals.

Knows nothing of paths and conditions; every fault becomes a JsonPathError with its position.
`parser` and `filter_parser` build on it.
"""

from __future__ import annotations

import re
from typing import NoReturn

from asyncflow.decide.jsonpath.steps import MAX_SYNTAX_DEPTH, JsonPath, JsonPathError

_NUMBER = re.compile(r"-?(?:\d+(?:\.\d+)?|\.\d+)(?:[eE][+-]?\d+)?")
_DIGITS = re.compile(r"-?\d{1,9}(?!\d)")
_WORD = re.compile(r"[A-Za-z]+")
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f"}
_CONSTANTS: dict[str, object] = {"true": True, "false": False, "null": None}
_MAX_NUMBER_CHARS = 400


class Cursor:
    """A place in a text that moves forward; `depth` counts the nesting being read.

    `root_paths` gathers the embedded paths that start at the root, in order.
    """

    def __init__(self, text: str) -> None:
        """Start before the first character."""
        self.text, self.position, self.depth = text, 0, 0
        self.root_paths: list[JsonPath] = []

    def fail(self, reason: str) -> NoReturn:
        """Give up at this place."""
        raise JsonPathError(reason, text=self.text, position=self.position)

    def peek(self, ahead: int = 0) -> str:
        """The character here (or `ahead` of here), or an empty text at the end."""
        return self.text[self.position + ahead : self.position + ahead + 1]

    def take(self, token: str) -> bool:
        """Step over `token` if it is next."""
        found = self.text.startswith(token, self.position)
        if found:
            self.position += len(token)
        return found

    def expect(self, token: str) -> None:
        """Step over `token`, which has to be next."""
        if not self.take(token):
            self.fail(f"expected '{token}'")

    def skip_blanks(self) -> None:
        """Step over white space."""
        while self.peek().isspace():
            self.position += 1

    def take_listed(self, closing: str) -> bool:
        """Between elements of a list: step over a comma (False) or the closing token (True)."""
        self.skip_blanks()
        if self.take(closing):
            return True
        self.expect(",")
        self.skip_blanks()
        return False

    def match(self, pattern: re.Pattern[str]) -> str:
        """Step over what the pattern matches here, if anything, and return it."""
        found = pattern.match(self.text, self.position)
        if found is None:
            return ""
        self.position = found.end()
        return found.group()

    def nest(self) -> None:
        """Enter one more level; the caller leaves it by decreasing `depth`."""
        self.depth += 1
        if self.depth > MAX_SYNTAX_DEPTH:
            self.fail(f"nested deeper than {MAX_SYNTAX_DEPTH}")

    def quoted(self) -> str:
        """Read a text in single or double quotes, with JSON's escapes."""
        quote = self.peek()
        self.position += 1
        parts: list[str] = []
        while (character := self.peek()) != quote:
            if not character:
                self.fail(f"missing {quote}")
            self.position += 1
            parts.append(self._escaped() if character == "\\" else character)
        self.position += 1
        return "".join(parts)

    def _escaped(self) -> str:
        character = self.peek()
        if not character:
            self.fail("nothing after a backslash")
        self.position += 1
        if character != "u":
            return _ESCAPES.get(character, character)
        digits = self.text[self.position : self.position + 4]
        if re.fullmatch(r"[0-9A-Fa-f]{4}", digits) is None:
            self.fail("\\u needs four hexadecimal digits")
        self.position += 4
        return chr(int(digits, 16))

    def integer(self) -> int:
        """Read a whole number of at most nine digits, perhaps negative."""
        digits = self.match(_DIGITS)
        if not digits:
            self.fail("expected a whole number of at most nine digits")
        return int(digits)

    def literal(self) -> object:
        """Read a JSON value; texts may stand in single quotes."""
        character = self.peek()
        if character in ("'", '"'):
            return self.quoted()
        if character == "[":
            return self._nested("[", "]")
        if character == "{":
            return self._nested("{", "}")
        if number := self.match(_NUMBER):
            return self._number(number)
        start, word = self.position, self.match(_WORD)
        if word not in _CONSTANTS:
            self.position = start
            self.fail("expected a value")
        return _CONSTANTS[word]

    def _number(self, digits: str) -> int | float:
        if len(digits) > _MAX_NUMBER_CHARS:
            self.fail(f"a number of more than {_MAX_NUMBER_CHARS} characters")
        return int(digits) if digits.lstrip("-").isdigit() else float(digits)

    def _nested(self, opening: str, closing: str) -> object:
        self.nest()
        self.expect(opening)
        items: list[object] = []
        members: dict[str, object] = {}
        self.skip_blanks()
        done = self.take(closing)
        while not done:
            if opening == "[":
                items.append(self.literal())
            else:
                self._member(members)
            done = self.take_listed(closing)
        self.depth -= 1
        return items if opening == "[" else members

    def _member(self, members: dict[str, object]) -> None:
        if self.peek() not in ("'", '"'):
            self.fail("expected a quoted name")
        name = self.quoted()
        self.skip_blanks()
        self.expect(":")
        self.skip_blanks()
        members[name] = self.literal()
