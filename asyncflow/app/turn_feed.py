"""What committed turns hold for one reader, in the order of their commits, each until it was dealt with.

What is dealt with is a turn's number, stored now and then; a start goes on from there, so that something may
come twice and nothing is lost. It knows neither events nor who wants them: event handlers (`event_feed`) and
listeners (`listening`) say what they take out of a turn. How turns come to it is in `turn_taps`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from asyncflow.app.turn_taps import FeedStore, OwnTap, Tap
from asyncflow.model.turn import Turn
from asyncflow.runtime.engine import Engine

__all__ = ["FeedStore", "OfTurn", "Reader", "TurnFeed"]

log = logging.getLogger("asyncflow.feeds")

_AHEAD = 1_000  # items kept in memory, besides those of one turn; what is more is read from the journal
_SAVED_EVERY = 1_000  # turns without items


class OfTurn(Protocol):
    """Something that stands in a turn."""

    @property
    def turn(self) -> int:
        """The number of that turn."""


Item = TypeVar("Item", bound=OfTurn)


@dataclass(frozen=True, slots=True)
class Reader(Generic[Item]):
    """Who reads.

    Attributes:
        cursor: the name under which is stored how far it has come.
        take_from: what it wants of a turn; told whether it may have dealt with it before. Must not raise.
        max_lag: how many turns the journal keeps for it at most; 0 for any number.
        keep: how many turns that it has dealt with the journal keeps besides, to be read again.
        from_now: a reader that is new begins with the next turn, and its place is stored at once.
    """

    cursor: str
    take_from: Callable[[Turn, bool], Sequence[Item]]
    max_lag: int = 0
    keep: int = 0
    from_now: bool = False


class TurnFeed(Generic[Item]):
    """What the turns of one engine hold for one reader.

    Attributes:
        is_wanted: asked whether anybody wants it; while nobody does, turns are passed over.
        arrived: called when there is something to take.
        missed: told of the first and the last turn that are gone and were not read; what it gives in their
            place counts as standing in the first of them.
    """

    def __init__(
        self, engine: Engine, store: FeedStore, reader: Reader[Item], *, tap: Tap[Item] | None = None
    ) -> None:
        """Read nothing yet; without a tap it has one of its own, which tells it of every turn."""
        self.is_wanted: Callable[[], bool] = lambda: True
        self.arrived: Callable[[], None] = lambda: None
        self.missed: Callable[[int, int], Sequence[Item] | None] = lambda _first, _last: None
        self._store, self._reader = store, reader
        self._tap: Tap[Item] = tap or OwnTap(engine, store)
        self._ahead: deque[Item] = deque()
        self._turns: deque[Turn] = deque()  # read from the journal, and not looked into yet
        self._unfinished: dict[int, int] = {}  # by turn, in order
        self._read = self._saved = self._before = 0  # what is read goes for one that is behind
        self._is_behind = False
        self._wake = asyncio.Event()

    async def begin(self, now: int | None = None) -> None:
        """Go on where the cursor is; from now on the journal keeps what is not dealt with.

        A new reader that begins "from now" begins behind the turn `now`, or the last one there is.

        Raises:
            StoreError: the journal cannot be read.
        """
        self._is_behind = self.is_wanted()
        self._tap.attach(self)
        self._saved = await self._tap.place(self._reader.cursor)
        if not self._tap.known:
            self._tap.known = max(self._tap.known, (await self._store.recover()).last_turn)
        self._before = self._tap.known
        if self._reader.from_now and not self._saved:
            self._read = self._before = self._before if now is None else now
            await self._tap.keep_place(self._reader.cursor, max(1, self._read))
            self._saved = self._read
        elif self._is_behind:
            self._read = self._saved
            if self._read < self._before:
                self._pass_over((await self._store.recover()).first_turn)
            self.arrived()

    def end(self) -> None:
        """Be told of nothing any more, and have the journal keep nothing; the stored place stays."""
        self._tap.detach(self)

    def oldest_needed(self) -> int:
        """The oldest turn that the journal has to keep for it."""
        oldest = max(1, self.position + 1 - self._reader.keep)
        return max(oldest, self._tap.known - self._reader.max_lag) if self._reader.max_lag else oldest

    def _pass_over(self, first_turn: int) -> None:
        """The journal begins with this turn; what was before it and not read is missed."""
        if first_turn > self._read + 1:
            if self._read > 0:
                first = self._read + 1
                self._take_note(self.missed(first, first_turn - 1) or (), first)
            self._read = first_turn - 1

    @property
    def position(self) -> int:
        """The turn up to which everything has been dealt with."""
        read = self._read if self._is_behind else self._tap.known
        return min(next(iter(self._unfinished)) - 1, read) if self._unfinished else read

    @property
    def lag(self) -> int:
        """How many turns it is behind."""
        return max(0, self._tap.known - self.position)

    @property
    def saved(self) -> int:
        """The place that is stored."""
        return self._saved

    @saved.setter
    def saved(self, turn: int) -> None:
        self._saved = max(self._saved, turn)

    @property
    def cursor(self) -> str:
        """The name under which its place is stored."""
        return self._reader.cursor

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to take."""
        return not self._ahead and not self._is_behind

    def nudge(self) -> None:
        """Have `take` return soon, with or without something."""
        self._wake.set()

    def committed(self, turn: Turn) -> None:
        """A turn is durable, and what it is about still in memory."""
        if not self._is_behind and self.is_wanted():
            try:
                found = self._reader.take_from(turn, False)
            except Exception:
                # Nobody else is to suffer: it is read again where only this reader meets what is wrong.
                log.exception(
                    "turn not understood", extra={"reader": self._reader.cursor, "turn": turn.number}
                )
                self.fall_behind(turn.number)
                return
            self.hear(found, turn.number)
        if turn.number - self._saved >= _SAVED_EVERY:
            self._wake.set()

    def hear(self, found: Sequence[Item], turn: int) -> None:
        """Take what a turn holds for it, unless it is behind and comes to it by itself.

        Of the turns before it had everything that it wants; those that it hears nothing of count as read.
        """
        if self._is_behind or not found:
            return
        if len(self._ahead) + len(found) > _AHEAD:
            self.fall_behind(turn)  # what is in memory already stays there
        else:
            self._take_note(found, turn)
        self._wake.set()
        self.arrived()

    def fall_behind(self, turn: int) -> None:
        """Read on in the journal from this turn on."""
        if not self._is_behind:
            self._read, self._is_behind = turn - 1, True
            self._wake.set()

    def _take_note(self, found: Sequence[Item], turn: int) -> None:
        self._ahead += found
        if found:
            self._unfinished[turn] = len(found)

    async def take(self) -> list[Item]:
        """What comes next, oldest first; none after a while in which only turns without any came.

        Raises:
            StoreError: the journal cannot be read now.
        """
        if self._ahead:
            taken = [*self._ahead]
            self._ahead.clear()
            return taken
        if self._is_behind:
            await self._read_some()
            return []
        await self._wake.wait()
        self._wake.clear()
        return []

    async def _read_some(self) -> None:
        """Read on in the journal, until it has been caught up with, or enough is in memory."""
        if not self._turns:
            if self._read >= self._tap.known:
                self._is_behind = False
                return
            await self._read_turns()
        while self._turns and len(self._ahead) < _AHEAD:
            turn = self._turns[0]
            if turn.number > self._tap.known:
                self._turns.clear()  # it comes by itself
                return
            self._take_note(self._reader.take_from(turn, turn.number <= self._before), turn.number)
            self._read = turn.number
            self._turns.popleft()

    async def _read_turns(self) -> None:
        known = self._tap.known
        async for batch in self._store.read_turns(self._read):
            self._pass_over(batch[0].number)
            self._turns += batch
            return
        self._pass_over(known + 1)  # there are none: they went while it read

    def finished(self, item: Item) -> None:
        """It has been dealt with."""
        left = self._unfinished[item.turn] - 1
        if left:
            self._unfinished[item.turn] = left
        else:
            del self._unfinished[item.turn]

    async def save(self, *, at_once: bool = False) -> None:
        """Store how far it has come, if that is worth it.

        Raises:
            StoreError: it was not stored.
        """
        position = self.position
        if position > self._saved and (
            at_once or not self._unfinished or position - self._saved >= _SAVED_EVERY
        ):
            await self._tap.keep_place(self._reader.cursor, position)
            self._saved = position
