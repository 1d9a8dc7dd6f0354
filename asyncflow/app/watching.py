"""One who watches events: what is wanted, what waits, and the records that are handed over.

Nothing here knows an engine; who is told what is `streams`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import NamedTuple

from asyncflow.errors import InvalidInput
from asyncflow.model.events import Event, ExecutionEnded
from asyncflow.runtime.clock import comes_within

BACKLOG_BYTES = 1 << 20


class Position(NamedTuple):
    """A place in the order of all events: behind so many of a turn. The beginning is 0, 0."""

    turn: int
    place: int = 0

    def __str__(self) -> str:
        """As clients give it back."""
        return f"{self.turn}-{self.place}"

    @classmethod
    def parse(cls, text: str) -> Position:
        """The position that a text names; a turn alone stands for its beginning.

        Raises:
            InvalidInput: it is none.
        """
        turn, _, place = text.partition("-")
        place = place or "0"
        if not all(part.isascii() and part.isdecimal() and len(part) <= 18 for part in (turn, place)):
            raise InvalidInput(f"a position such as 12-3 is expected, not {text[:80]!r}", field="from")
        return cls(int(turn), int(place))


class Shown(NamedTuple):
    """An event as it is shown: `data` is JSON, `id` where to go on behind it."""

    id: str
    kind: str
    data: bytes


class Gap(NamedTuple):
    """Something is missing: `reason` is `trimmed` (the journal has it no more), `backlog` or `ahead`.

    `ahead`: the journal never was where the watcher says it left it, as after a backup was restored.
    """

    reason: str
    resume: str


class Ended(NamedTuple):
    """There is nothing more to come: `ended` (the execution) or `closing` (the server)."""

    reason: str


News = Shown | Gap | Ended | None
"""What a watcher is given; None when nothing came for a while."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to see; empty fields mean everything."""

    execution: str = ""
    workflows: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset()

    def accepts_name(self, name: str) -> bool:
        """Whether executions of a workflow are wanted."""
        return not self.workflows or name in self.workflows

    def accepts_kind(self, kind: str) -> bool:
        """Whether events of a kind are wanted."""
        return not self.kinds or kind in self.kinds

    def accepts(self, event: Event) -> bool:
        """Whether an event is wanted, by its kind."""
        return not self.kinds or type(event).__name__ in self.kinds

    def takes(self, event: Event) -> bool:
        """Whether it is wanted, or has to be known of: the end of the one execution."""
        return self.accepts(event) or (bool(self.execution) and type(event) is ExecutionEnded)


class Live(NamedTuple):
    """An event as it became durable: where it stands among all, and in its own stream."""

    at: Position
    seq: int
    is_end: bool
    shown: Shown


class Watcher:
    """One who watches; what waits for it is bounded.

    Attributes:
        is_behind: it did not keep up, and gets nothing any more.
        is_closing: the server stops, and nothing more comes.
    """

    def __init__(self, wish: Wish) -> None:
        """Nothing waits."""
        self.wish = wish
        self.is_behind = self.is_closing = False
        self._waiting: deque[Live] = deque()
        self._wake = asyncio.Event()
        self._bytes = 0

    def put(self, live: Live) -> None:
        """Have an event wait for it."""
        self._bytes += len(live.shown.data)
        if self._bytes > BACKLOG_BYTES:
            self.is_behind = True
            self._waiting.clear()
        if not self.is_behind:
            self._waiting.append(live)
        self._wake.set()

    def close(self) -> None:
        """Nothing more comes."""
        self.is_closing = True
        self._wake.set()

    async def news(self, beat_s: float) -> AsyncIterator[Live | None]:
        """What comes, until it is behind or closing; None after each `beat_s` of silence."""
        while True:
            while self._waiting:
                live = self._waiting.popleft()
                self._bytes -= len(live.shown.data)
                yield live
            if self.is_behind or self.is_closing:
                return
            self._wake.clear()
            if not await comes_within(self._wake, beat_s):
                yield None
