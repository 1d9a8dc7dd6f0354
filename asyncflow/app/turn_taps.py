"""Where feeds hear of turns that are durable, and where their places are stored, one by one or together.

What a feed makes of a turn is in `turn_feed`; which listeners hear of what is in `listener_board`. Nothing
here looks into a turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from typing import Never, Protocol, TypeVar

from asyncflow.model.turn import Turn
from asyncflow.runtime.engine import Engine
from asyncflow.runtime.open_turn import OpenTurn
from asyncflow.store.journal import Journal

T_contra = TypeVar("T_contra", contravariant=True)
T_co = TypeVar("T_co", covariant=True)


class FeedStore(Journal, Protocol):
    """A journal that stores how far its readers have come."""

    async def cursor(self, name: str) -> int:
        """The turn up to which a reader has dealt with everything; 0 if unknown, -1 before all turns."""

    async def move_cursors(self, turns: Mapping[str, int]) -> None:
        """Store up to which turn readers have dealt with everything, of all or none."""


class Fed(Protocol[T_contra]):
    """A feed as its tap knows it.

    Attributes:
        saved: the place that is stored.
    """

    saved: int

    @property
    def cursor(self) -> str:
        """The name under which its place is stored."""

    @property
    def position(self) -> int:
        """The turn up to which everything has been dealt with."""

    def committed(self, turn: Turn) -> None:
        """A turn is durable, and what it is about still in memory: look what is wanted of it."""

    def hear(self, found: Sequence[T_contra], turn: int) -> None:
        """This is wanted of a turn that is durable."""

    def fall_behind(self, turn: int) -> None:
        """Read on in the journal from this turn on."""

    def oldest_needed(self) -> int:
        """The oldest turn that the journal has to keep for it."""


class Tap(Protocol[T_co]):
    """Tells feeds of turns, and stores how far they have come.

    Attributes:
        known: the newest turn that is durable, as far as this was told.
    """

    known: int

    def attach(self, feed: Fed[T_co]) -> None:
        """Tell it from now on, and have the journal keep what it needs."""

    def detach(self, feed: Fed[T_co]) -> None:
        """Tell it no more."""

    async def place(self, name: str) -> int:
        """How far a reader has come; see `FeedStore.cursor`."""

    async def keep_place(self, name: str, turn: int) -> None:
        """Store that it has come so far; durable at return.

        Raises:
            StoreError: it was not stored.
        """


class OwnTap:
    """Tells one feed of every turn."""

    def __init__(self, engine: Engine, store: FeedStore) -> None:
        """Tell nobody yet."""
        self.known = 0
        self._engine, self._store = engine, store
        self._feed: Fed[Never] | None = None

    def attach(self, feed: Fed[Never]) -> None:
        """Tell this feed."""
        self._feed = feed
        self._engine.turns.listeners.append(self._committed)
        self._engine.compaction.needed_by.append(feed.oldest_needed)

    def detach(self, feed: Fed[Never]) -> None:
        """Tell it no more."""
        if self._committed in self._engine.turns.listeners:
            self._engine.turns.listeners.remove(self._committed)
        if feed.oldest_needed in self._engine.compaction.needed_by:
            self._engine.compaction.needed_by.remove(feed.oldest_needed)

    def _committed(self, _turn: OpenTurn, record: Turn) -> None:
        self.known = record.number
        if self._feed is not None:
            self._feed.committed(record)

    async def place(self, name: str) -> int:
        """How far it has come."""
        return await self._store.cursor(name)

    async def keep_place(self, name: str, turn: int) -> None:
        """Store how far it has come."""
        await self._store.move_cursors({name: turn})


class Places:
    """The stored places of many readers: what comes while one write is under way is written by the next.

    Durability: as each caller is promised, its place or a later one is stored at return.
    """

    def __init__(self, store: FeedStore) -> None:
        """Store nothing yet."""
        self._store = store
        self._waiting: dict[str, int] = {}
        self._one_at_a_time = asyncio.Lock()

    async def keep(self, turns: Mapping[str, int]) -> None:
        """Store these.

        Raises:
            StoreError: they were not stored.
        """
        self._waiting.update(turns)
        async with self._one_at_a_time:
            taken, self._waiting = self._waiting, {}
            try:
                if taken:
                    await self._store.move_cursors(taken)
            except BaseException:
                self._waiting = {**taken, **self._waiting}  # for the next, whose callers wait behind this one
                raise
