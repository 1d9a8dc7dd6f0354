"""Messages that were published, in the order of their commits, each until it has been dealt with.

What is dealt with is a turn's number, stored now and then; a start goes on from there, so that a message
may come twice and none is lost. It knows no handler; `event_delivery` does.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import NamedTuple, Protocol

from asyncflow.ids import task_id
from asyncflow.model.events import MessagePublished
from asyncflow.model.turn import Turn
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine
from asyncflow.store.journal import Journal

CURSOR = "events"
"""The name of the stored cursor."""

_AHEAD = 1_000  # messages kept in memory; what is more is read from the journal again
_SAVED_EVERY = 1_000  # turns without messages


class FeedStore(Journal, Protocol):
    """A journal that stores how far its readers have come."""

    async def cursor(self, name: str) -> int:
        """The turn up to which a reader has dealt with everything; 0 for an unknown one."""

    async def move_cursor(self, name: str, turn: int) -> None:
        """Store that a reader has dealt with everything up to this turn."""


class Message(NamedTuple):
    """A message; `is_repeat`: it may have been dealt with before, wholly or in part."""

    turn: int
    id: str
    queue: str
    payload: JsonObject
    is_repeat: bool


class EventFeed:
    """The messages of one engine for one reader.

    Attributes:
        is_wanted: asked whether anybody wants messages; while nobody does, they are passed over.
        arrived: called when there is something to take.
    """

    def __init__(self, engine: Engine, store: FeedStore) -> None:
        """Read nothing yet."""
        self.is_wanted: Callable[[], bool] = lambda: False
        self.arrived: Callable[[], None] = lambda: None
        self._engine, self._store = engine, store
        self._ahead: deque[Message] = deque()
        self._unfinished: dict[int, int] = {}  # by turn, in order
        self._known = self._read = self._saved = self._before = 0
        self._is_behind = False
        self._wake = asyncio.Event()

    async def begin(self) -> None:
        """Go on where the cursor is; from now on the journal keeps what is not dealt with.

        Raises:
            StoreError: the journal cannot be read.
        """
        turns = self._engine.turns
        before = turns.recorded

        def recorded(turn: Turn) -> None:
            before(turn)
            self._recorded(turn)

        turns.recorded = recorded
        self._is_behind = self.is_wanted()
        self._engine.compaction.needed_by.append(lambda: self.position + 1)
        self._saved = await self._store.cursor(CURSOR)
        found = await self._store.recover()
        self._before = found.last_turn
        self._known = max(self._known, found.last_turn)
        if self._is_behind:
            self._read = max(self._saved, found.first_turn - 1)
            self.arrived()
        else:
            self._read = max(self._read, found.last_turn)

    @property
    def position(self) -> int:
        """The turn up to which everything has been dealt with."""
        return min(next(iter(self._unfinished)) - 1, self._read) if self._unfinished else self._read

    @property
    def is_idle(self) -> bool:
        """Whether nothing is left to take."""
        return not self._ahead and not self._is_behind

    def _recorded(self, turn: Turn) -> None:
        """A turn is durable."""
        self._known = turn.number
        if self._is_behind:
            self._wake.set()
            return
        if self.is_wanted():
            found = _messages(turn, is_repeat=False)
            if found and len(self._ahead) + len(found) > _AHEAD:
                self._is_behind = True  # what is in memory already stays there
            else:
                self._take_note(found)
                self._read = turn.number
            if found:
                self._wake.set()
                self.arrived()
        else:
            self._read = turn.number
        if turn.number - self._saved >= _SAVED_EVERY:
            self._wake.set()

    def _take_note(self, found: list[Message]) -> None:
        self._ahead += found
        for message in found:
            self._unfinished[message.turn] = self._unfinished.get(message.turn, 0) + 1

    async def take(self) -> list[Message]:
        """The next messages, oldest first; none after a while in which only turns without any came.

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
        """Read on in the journal, until it has been caught up with."""
        if self._read >= self._known:
            self._is_behind = False
            return
        async for batch in self._store.read_turns(self._read):
            for turn in batch:
                if turn.number > self._known:
                    return  # it comes by itself
                self._take_note(_messages(turn, is_repeat=turn.number <= self._before))
                self._read = turn.number
            return

    def finished(self, message: Message) -> None:
        """A message has been dealt with."""
        left = self._unfinished[message.turn] - 1
        if left:
            self._unfinished[message.turn] = left
        else:
            del self._unfinished[message.turn]

    async def save(self, *, at_once: bool = False) -> None:
        """Store how far it has come, if that is worth it.

        Raises:
            StoreError: it was not stored.
        """
        position = self.position
        if position > self._saved and (
            at_once or not self._unfinished or position - self._saved >= _SAVED_EVERY
        ):
            await self._store.move_cursor(CURSOR, position)
            self._saved = position


def _messages(turn: Turn, *, is_repeat: bool) -> list[Message]:
    found: list[Message] = []
    for stream, _, events in turn.entries:
        for event in events:
            if type(event) is MessagePublished:
                identity = event.message_id or task_id(stream, event.number)
                repeated = is_repeat or event.is_given
                found.append(Message(turn.number, identity, event.queue, event.payload, repeated))
    return found
