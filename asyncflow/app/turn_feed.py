"""What committed turns hold for one reader, in the order of their commits, each until it was dealt with.

What is dealt with is a turn's number, stored now and then; a start goes on from there, so that something may
come twice and nothing is lost. It knows neither events nor who wants them: event handlers (`event_feed`) and
listeners (`listening`) say what they take out of a turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from asyncflow.model.turn import Turn
from asyncflow.runtime.engine import Engine
from asyncflow.runtime.open_turn import OpenTurn
from asyncflow.store.journal import Journal

log = logging.getLogger("asyncflow.feeds")

_AHEAD = 1_000  # items kept in memory, besides those of one turn; what is more is read from the journal
_SAVED_EVERY = 1_000  # turns without items


class FeedStore(Journal, Protocol):
    """A journal that stores how far its readers have come."""

    async def cursor(self, name: str) -> int:
        """The turn up to which a reader has dealt with everything; 0 if unknown, -1 before all turns."""

    async def move_cursor(self, name: str, turn: int) -> None:
        """Store that a reader has dealt with everything up to this turn."""


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

    def __init__(self, engine: Engine, store: FeedStore, reader: Reader[Item]) -> None:
        """Read nothing yet."""
        self.is_wanted: Callable[[], bool] = lambda: True
        self.arrived: Callable[[], None] = lambda: None
        self.missed: Callable[[int, int], Sequence[Item] | None] = lambda _first, _last: None
        self._engine, self._store, self._reader = engine, store, reader
        self._ahead: deque[Item] = deque()
        self._turns: deque[Turn] = deque()  # read from the journal, and not looked into yet
        self._unfinished: dict[int, int] = {}  # by turn, in order
        self._known = self._read = self._saved = self._before = 0
        self._is_behind = False
        self._wake = asyncio.Event()

    async def begin(self, now: int | None = None) -> None:
        """Go on where the cursor is; from now on the journal keeps what is not dealt with.

        A new reader that begins "from now" begins behind the turn `now`, or the last one there is.

        Raises:
            StoreError: the journal cannot be read.
        """
        self._engine.turns.listeners.append(self._committed)
        self._is_behind = self.is_wanted()
        self._engine.compaction.needed_by.append(self._oldest_needed)
        self._saved = await self._store.cursor(self._reader.cursor)
        found = await self._store.recover()
        self._before = found.last_turn
        self._known = max(self._known, found.last_turn)
        if self._reader.from_now and not self._saved:
            self._read = self._before = found.last_turn if now is None else now
            await self._store.move_cursor(self._reader.cursor, max(1, self._read))
            self._saved = self._read
        elif self._is_behind:
            self._read = self._saved
            self._pass_over(found.first_turn)
            self.arrived()
        else:
            self._read = max(self._read, found.last_turn)

    def end(self) -> None:
        """Be told of nothing any more, and have the journal keep nothing; the stored place stays."""
        if self._committed in self._engine.turns.listeners:
            self._engine.turns.listeners.remove(self._committed)
        if self._oldest_needed in self._engine.compaction.needed_by:
            self._engine.compaction.needed_by.remove(self._oldest_needed)

    def _oldest_needed(self) -> int:
        oldest = max(1, self.position + 1 - self._reader.keep)
        return max(oldest, self._known - self._reader.max_lag) if self._reader.max_lag else oldest

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
        return min(next(iter(self._unfinished)) - 1, self._read) if self._unfinished else self._read

    @property
    def lag(self) -> int:
        """How many turns it is behind."""
        return max(0, self._known - self.position)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to take."""
        return not self._ahead and not self._is_behind

    def nudge(self) -> None:
        """Have `take` return soon, with or without something."""
        self._wake.set()

    def _committed(self, _turn: OpenTurn, record: Turn) -> None:
        """A turn is durable, and what it is about still in memory."""
        self._known = record.number
        if self._is_behind:
            self._wake.set()
            return
        try:
            self._look_at(record)
        except Exception:
            # Nobody else is to suffer: it is read again where only this reader meets what is wrong.
            log.exception("turn not understood", extra={"reader": self._reader.cursor, "turn": record.number})
            self._is_behind = True
            self._wake.set()

    def _look_at(self, turn: Turn) -> None:
        if self.is_wanted():
            self._take_live(turn)
        else:
            self._read = turn.number
        if turn.number - self._saved >= _SAVED_EVERY:
            self._wake.set()

    def _take_live(self, turn: Turn) -> None:
        found = self._reader.take_from(turn, False)
        if found and len(self._ahead) + len(found) > _AHEAD:
            self._is_behind = True  # what is in memory already stays there
        else:
            self._take_note(found, turn.number)
            self._read = turn.number
        if found:
            self._wake.set()
            self.arrived()

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
            if self._read >= self._known:
                self._is_behind = False
                return
            await self._read_turns()
        while self._turns and len(self._ahead) < _AHEAD:
            turn = self._turns[0]
            if turn.number > self._known:
                self._turns.clear()  # it comes by itself
                return
            self._take_note(self._reader.take_from(turn, turn.number <= self._before), turn.number)
            self._read = turn.number
            self._turns.popleft()

    async def _read_turns(self) -> None:
        known = self._known
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
            await self._store.move_cursor(self._reader.cursor, position)
            self._saved = position
