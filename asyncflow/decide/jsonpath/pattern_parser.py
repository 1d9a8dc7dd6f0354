"""Parsing regular expressions into a tree of character sets, sequences, alternatives and repeats.

Says what a pattern means but matches nothing itself; unsupported syntax is refused, never guessed.
`patterns` turns the tree into states.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

_MAX_DEPTH = 24
_MAX_REPEAT = 1_000
_COUNT = re.compile(r"\{(\d{1,4})(?:(,)(\d{1,4})?)?\}")
_GROUP = re.compile(r"\?(?::|<[A-Za-z][A-Za-z0-9]*>)")
_ESCAPED_CHARS = {"n": "\n", "t": "\t", "r": "\r", "f": "\f", "a": "\a", "e": "\x1b"}
_QUANTIFIERS = {"*": (0, None), "+": (1, None), "?": (0, 1)}


class PatternError(ValueError):
    """Write the regular expression without what the message names."""


@dataclass(frozen=True, slots=True)
class CharSet:
    """One character out of ranges, perhaps negated; `groups` are nested sets that also count."""

    ranges: tuple[tuple[str, str], ...]
    groups: tuple[CharSet, ...] = ()
    negated: bool = False
    ignore_case: bool = False

    def holds(self, character: str) -> bool:
        """Whether the character is in the set."""
        found = self._contains(character)
        if not found and self.ignore_case:
            found = any(self._contains(c) for c in {character.lower(), character.upper()})
        return found != self.negated

    def _contains(self, character: str) -> bool:
        listed = any(low <= character <= high for low, high in self.ranges)
        return listed or any(group.holds(character) for group in self.groups)


@dataclass(frozen=True, slots=True)
class Anchor:
    """A place that consumes nothing: `^`, `$`, `b` (edge of a word) or `B` (no edge)."""

    kind: str

    def holds(self, text: str, position: int) -> bool:
        """Whether the place between two characters is of this kind."""
        if self.kind == "^":
            return position == 0
        if self.kind == "$":
            return position == len(text)
        before = position > 0 and WORD.holds(text[position - 1])
        after = position < len(text) and WORD.holds(text[position])
        return (before != after) == (self.kind == "b")


@dataclass(frozen=True, slots=True)
class Sequence:
    """One after the other."""

    members: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Alternatives:
    """Any one of these."""

    members: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class Repeat:
    """`least` to `most` times, without end if `most` is None."""

    member: Node
    least: int
    most: int | None


Node = CharSet | Anchor | Sequence | Alternatives | Repeat

DIGIT = CharSet((("0", "9"),))
WORD = CharSet((("a", "z"), ("A", "Z"), ("0", "9"), ("_", "_")))
SPACE = CharSet((("\t", "\r"), (" ", " ")))
_LINE_END = CharSet((("\n", "\n"), ("\r", "\r"), ("\x85", "\x85"), ("\u2028", "\u2029")), negated=True)
_ANYTHING = CharSet((), negated=True)
_CLASSES = {"d": DIGIT, "w": WORD, "s": SPACE}


class _PatternParser:
    def __init__(self, source: str, *, ignore_case: bool, dot_all: bool) -> None:
        self.source, self.position, self.depth = source, 0, 0
        self.ignore_case = ignore_case
        self.dot = _ANYTHING if dot_all else _LINE_END

    def peek(self) -> str:
        return self.source[self.position : self.position + 1]

    def next(self) -> str:
        character = self.peek()
        if not character:
            raise PatternError("ends too early")
        self.position += 1
        return character

    def alternatives(self) -> Node:
        self.depth += 1
        if self.depth > _MAX_DEPTH:
            raise PatternError(f"nested deeper than {_MAX_DEPTH}")
        members = [self.sequence()]
        while self.peek() == "|":
            self.position += 1
            members.append(self.sequence())
        self.depth -= 1
        return members[0] if len(members) == 1 else Alternatives(tuple(members))

    def sequence(self) -> Node:
        members: list[Node] = []
        while self.peek() not in ("", "|", ")"):
            members.append(self.quantified(self.atom()))
        return Sequence(tuple(members))

    def quantified(self, member: Node) -> Node:
        character = self.peek()
        bounds: tuple[int, int | None]
        if character in _QUANTIFIERS:
            self.position += 1
            bounds = _QUANTIFIERS[character]
        elif character == "{":
            bounds = self.count()
        else:
            return member
        if isinstance(member, Anchor):
            raise PatternError("a quantifier after a place that consumes nothing")
        if self.peek() == "?":  # reluctant: which match is found first does not matter here
            self.position += 1
        elif self.peek() == "+":
            raise PatternError("possessive quantifiers are not supported")
        if self.peek() in ("*", "+", "?", "{") and self.peek():
            raise PatternError("two quantifiers in a row")
        return Repeat(member, *bounds)

    def count(self) -> tuple[int, int | None]:
        found = _COUNT.match(self.source, self.position)
        if found is None:
            raise PatternError("'{' without a count; a literal one is written \\{")
        self.position = found.end()
        least = int(found.group(1))
        most = int(found.group(3)) if found.group(3) else (None if found.group(2) else least)
        if max(least, most or 0) > _MAX_REPEAT or (most is not None and most < least):
            raise PatternError(f"a count must rise and be at most {_MAX_REPEAT}")
        return least, most

    def atom(self) -> Node:
        character = self.next()
        if character == "(":
            return self.group()
        if character == "[":
            return self.charset()
        if character == ".":
            return self.dot
        if character in "^$":
            return Anchor(character)
        if character in "*+?{":
            raise PatternError(f"nothing to repeat before {character}")
        if character == "\\":
            return self.escape()
        return self.one(character)

    def one(self, character: str) -> CharSet:
        return CharSet(((character, character),), ignore_case=self.ignore_case)

    def group(self) -> Node:
        found = _GROUP.match(self.source, self.position)
        if found is not None:
            self.position = found.end()
        elif self.peek() == "?":
            raise PatternError("look-around and flags inside groups are not supported")
        inner = self.alternatives()
        if self.next() != ")":
            raise PatternError("missing )")
        return inner

    def escape(self) -> Node:
        character = self.next()
        if character in "bB":
            return Anchor(character)
        if character in "AzZ":
            return Anchor("^" if character == "A" else "$")
        return self.escaped_set(character)

    def escaped_set(self, character: str) -> CharSet:
        if character.lower() in _CLASSES:
            return replace(_CLASSES[character.lower()], negated=character.isupper())
        if character == "u":
            return self.one(self.unicode())
        if character in _ESCAPED_CHARS:
            return self.one(_ESCAPED_CHARS[character])
        if character.isalnum():
            raise PatternError(f"\\{character} is not supported")
        return self.one(character)

    def unicode(self) -> str:
        digits = self.source[self.position : self.position + 4]
        if re.fullmatch(r"[0-9A-Fa-f]{4}", digits) is None:
            raise PatternError("\\u needs four hexadecimal digits")
        self.position += 4
        return chr(int(digits, 16))

    def charset(self) -> CharSet:
        negated = self.peek() == "^"
        self.position += negated
        ranges: list[tuple[str, str]] = []
        groups: list[CharSet] = []
        while (character := self.next()) != "]":
            item = self.listed(character)
            if not self.is_single(item) or self.peek() != "-" or self.source[self.position + 1 :][:1] == "]":
                groups.append(item)
                continue
            self.position += 1
            ranges.append(self.range_from(item))
        if not ranges and not groups:
            raise PatternError("an empty character class")
        return CharSet(tuple(ranges), tuple(groups), negated, ignore_case=self.ignore_case)

    def listed(self, character: str) -> CharSet:
        if character == "[" or (character == "&" and self.peek() == "&"):
            raise PatternError("classes within classes are not supported")
        return self.escaped_set(self.next()) if character == "\\" else self.one(character)

    def range_from(self, first: CharSet) -> tuple[str, str]:
        last = self.listed(self.next())
        low, high = first.ranges[0][0], last.ranges[0][1]
        if not self.is_single(last) or low > high:
            raise PatternError("a range of characters must rise")
        return low, high

    @staticmethod
    def is_single(item: CharSet) -> bool:
        return not item.negated and len(item.ranges) == 1 and item.ranges[0][0] == item.ranges[0][1]


def parse_pattern(source: str, *, ignore_case: bool, dot_all: bool) -> Node:
    """The tree of a regular expression.

    Raises:
        PatternError: malformed, or more than this subset.
    """
    parser = _PatternParser(source, ignore_case=ignore_case, dot_all=dot_all)
    if source.startswith("(?i)"):
        parser.ignore_case, parser.position = True, 4
    root = parser.alternatives()
    if parser.peek():
        raise PatternError("a ) too many")
    return root
