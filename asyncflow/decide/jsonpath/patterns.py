"""Regular expressions whose cost cannot explode: matched as a set of states, never by backtracking.

Takes the part of Java's syntax that such matching can decide (no look-around, no back references,
no possessive quantifiers) and refuses the rest by name. Used by the filter comparison `=~` alone.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from asyncflow.decide.jsonpath.pattern_parser import (
    Alternatives,
    Anchor,
    CharSet,
    Node,
    PatternError,
    Repeat,
    Sequence,
    parse_pattern,
)

__all__ = ["MAX_STATES", "Pattern", "PatternError", "compile_pattern"]

MAX_STATES: Final = 2_000
_MAX_BUILDS: Final = 10_000
_MAX_MOVES: Final = 500
_FLAGS = frozenset("isudU")


@dataclass(slots=True)
class _State:
    """One state: consumes a character, or holds at a place, or (neither) forks to `follow`."""

    follow: list[int]
    chars: CharSet | None = None
    anchor: Anchor | None = None


class Pattern:
    """A compiled regular expression; `matches` asks whether a whole text fits, as Java's does."""

    __slots__ = ("_accept", "_builds", "_moves", "_start", "_states", "source")

    def __init__(self, source: str, root: Node) -> None:
        """Build the states from the last to the first, each knowing where it leads."""
        self.source = source
        self._states: list[_State] = [_State([])]
        self._accept = self._builds = 0
        self._start = self._build(root, self._accept)
        # Moves seen before, by set of states and character. Edges of words hang on the neighbours of
        # a place, so patterns with them remember nothing; ^ and $ hold at the ends of a text only.
        edges = any(state.anchor is not None and state.anchor.kind in "bB" for state in self._states)
        self._moves: dict[tuple[frozenset[int], str], frozenset[int]] | None = None if edges else {}

    def _add(self, state: _State) -> int:
        if len(self._states) >= MAX_STATES:
            raise PatternError(f"needs more than {MAX_STATES} states")
        self._states.append(state)
        return len(self._states) - 1

    def _build(self, node: Node, follow: int) -> int:
        self._builds += 1  # repeats of nothing make no states, but cost time
        if self._builds > _MAX_BUILDS:
            raise PatternError("too large")
        if isinstance(node, CharSet):
            return self._add(_State([follow], chars=node))
        if isinstance(node, Anchor):
            return self._add(_State([follow], anchor=node))
        if isinstance(node, Sequence):
            for member in reversed(node.members):
                follow = self._build(member, follow)
            return follow
        if isinstance(node, Alternatives):
            return self._add(_State([self._build(member, follow) for member in node.members]))
        return self._build_repeat(node, follow)

    def _build_repeat(self, node: Repeat, follow: int) -> int:
        if node.most is None:
            fork = self._add(_State([follow]))
            self._states[fork].follow.append(self._build(node.member, fork))
            follow = fork
        else:
            end = follow
            for _ in range(node.most - node.least):
                follow = self._add(_State([end, self._build(node.member, follow)]))
        for _ in range(node.least):
            follow = self._build(node.member, follow)
        return follow

    def matches(self, text: str, spend: Callable[[int], None]) -> bool:
        """Whether the whole text fits.

        Args:
            text: what to look at.
            spend: told the states visited for each character, so that the caller can stop it.

        Cost: characters times states at most, whatever the expression.
        """
        active = self._reach([self._start], text, 0)
        moves = self._moves
        last = len(text) - 1
        for position, character in enumerate(text):
            known = None if moves is None or position == last else moves.get((active, character))
            spend(1 if known is not None else 1 + len(active))
            if known is None:
                known = self._move(active, text, position)
                if moves is not None and position < last and len(moves) < _MAX_MOVES:
                    moves[active, character] = known
            active = known
            if not active:
                return False
        return self._accept in active

    def _move(self, active: frozenset[int], text: str, position: int) -> frozenset[int]:
        """The states after the character at this place."""
        character = text[position]
        steps: list[int] = []
        for index in active:
            state = self._states[index]
            if state.chars is not None and state.chars.holds(character):
                steps.extend(state.follow)
        return self._reach(steps, text, position + 1)

    def _reach(self, pending: list[int], text: str, position: int) -> frozenset[int]:
        """All states that can be reached from these without consuming a character."""
        reached: set[int] = set()
        while pending:
            index = pending.pop()
            if index in reached:
                continue
            reached.add(index)
            state = self._states[index]
            free = state.chars is None and (state.anchor is None or state.anchor.holds(text, position))
            if free:
                pending.extend(state.follow)
        return frozenset(reached)


def compile_pattern(source: str, flags: str = "") -> Pattern:
    """Compile the text between the slashes of `/…/flags`; flags are i, s and u.

    Raises:
        PatternError: it is malformed, too large, or uses what is not supported.
    """
    unknown = set(flags) - _FLAGS
    if unknown:
        raise PatternError(f"no such flag: {''.join(sorted(unknown))}")
    return Pattern(source, parse_pattern(source, ignore_case="i" in flags, dot_all="s" in flags))
