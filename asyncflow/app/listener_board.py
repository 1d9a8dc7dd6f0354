"""Which listeners hear of what a turn holds, found by the names of its events, however many there are.

One that hears of nothing in a turn is not touched by it; where such listeners stand is stored now and then,
all together. It tells nobody itself: that is done by `listening`, each listener in its own time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from asyncflow.app.event_telling import Telling, Told, told_names
from asyncflow.app.turn_taps import Fed, FeedStore, Places
from asyncflow.errors import ShuttingDown, StoreError
from asyncflow.model.turn import Turn
from asyncflow.runtime.clock import breathe, pause
from asyncflow.runtime.engine import Engine
from asyncflow.runtime.open_turn import OpenTurn

log = logging.getLogger("asyncflow.listeners")

_SAVED_EVERY_S = 0.25  # places of listeners that were told something
_SAVED_EVERY = 1_000  # turns, or more with very many listeners: a turn is to pay for few of them
_TURNS_EACH = 0.1  # turns that pass for each listener before all places are stored
_PART = 2_000  # feeds looked at in one go
_AGAIN_S = 1.0  # after the store took nothing

Feed = Fed[Told]


class ListenerBoard:
    """Tells the feeds of listeners.

    Attributes:
        known: the newest turn that is durable, as far as this was told.
        places: where the listeners' places are stored.
    """

    def __init__(self, engine: Engine, store: FeedStore, telling: Telling) -> None:
        """Tell nobody yet."""
        self.known = 0
        self.places = Places(store)
        self._engine, self._store, self._telling = engine, store, telling
        self._feeds: dict[Feed, frozenset[str]] = {}
        self._by_name: dict[str, dict[Feed, None]] = {}
        self._stored: (
            dict[str, int] | None
        ) = {}  # until all know where they stand that there are at the start
        self._moved: dict[Feed, None] = {}
        self._looked_at = 0
        self._wake = asyncio.Event()

    async def open(self) -> None:
        """Be told of turns from now on.

        Raises:
            StoreError: the journal cannot be read.
        """
        self._engine.turns.listeners.append(self._committed)
        self._engine.compaction.needed_by.append(self._oldest_needed)
        self._stored = await self._store.cursors()
        self.known = max(self.known, (await self._store.recover()).last_turn)
        self._looked_at = self.known
        self._engine.supervisor.start("places of listeners", self._run)

    def opened(self) -> None:
        """All listeners that there were at the start know where they stand."""
        self._stored = None

    def close(self) -> None:
        """No listener is told anything more; what they have still to read is kept until the engine's end."""
        needed = self._oldest_needed()
        self._engine.compaction.needed_by.append(lambda: needed)

    # --- feeds ------------------------------------------------------------------------------------

    def put(self, feed: Feed, names: frozenset[str]) -> None:
        """From now on this feed hears of events of these names."""
        self._feeds[feed] = names
        for name in names:
            self._by_name.setdefault(name, {})[feed] = None
        self._telling.want(self._by_name.keys())

    def drop(self, feed: Feed) -> None:
        """It hears of nothing more."""
        self._moved.pop(feed, None)
        for name in self._feeds.pop(feed, ()):
            hearing = self._by_name[name]
            del hearing[feed]
            if not hearing:
                del self._by_name[name]
        self._telling.want(self._by_name.keys())

    async def place(self, name: str) -> int:
        """How far a reader has come, by its cursor; at a start all were read at once."""
        return await self._store.cursor(name) if self._stored is None else self._stored.get(name, 0)

    def _oldest_needed(self) -> int:
        if self._stored is not None:
            return 1  # nobody knows yet
        return min((feed.oldest_needed() for feed in self._feeds), default=self.known + 1)

    # --- turns ------------------------------------------------------------------------------------

    def _committed(self, _turn: OpenTurn, record: Turn) -> None:
        self.known = record.number
        if self._by_name:
            try:
                self._tell(record)
            except Exception:
                # Nobody else is to suffer: each reads it again, and those who want it meet what is wrong.
                log.exception("turn not understood", extra={"turn": record.number})
                for feed in self._feeds:
                    feed.fall_behind(record.number)
        if record.number - self._looked_at >= max(_SAVED_EVERY, len(self._feeds) * _TURNS_EACH):
            self._looked_at = record.number
            self._moved |= dict.fromkeys(self._feeds)
            self._wake.set()

    def _tell(self, record: Turn) -> None:
        heard: dict[Feed, list[Told]] = {}
        for told in self._telling.of_turn(record):
            for feed in self._hearing(told):
                heard.setdefault(feed, []).append(told)
        for feed, found in heard.items():
            feed.hear(found, record.number)

    def _hearing(self, told: Told) -> Iterable[Feed]:
        names = told_names(told)
        if len(names) == 1:
            (name,) = names
            return self._by_name.get(name, ())
        return {feed: None for name in names for feed in self._by_name.get(name, ())}

    # --- places -----------------------------------------------------------------------------------

    def moved(self, feed: Feed) -> None:
        """It may have come further: its place is stored soon."""
        self._moved[feed] = None
        self._wake.set()

    async def _run(self) -> None:
        """Store now and then where those stand that have come further."""
        while True:
            await self._wake.wait()
            self._wake.clear()
            try:
                await self._save()
            except ShuttingDown:
                await asyncio.Event().wait()  # until the engine's end cancels this
            except StoreError as error:
                log.warning("places of listeners not stored", extra={"reason": str(error)})
                await pause(_AGAIN_S)
                self._wake.set()
            await pause(_SAVED_EVERY_S)

    async def _save(self) -> None:
        taken, self._moved = [*self._moved], {}
        for start in range(0, len(taken), _PART):
            part = [feed for feed in taken[start : start + _PART] if feed in self._feeds]
            moved = {feed: place for feed in part if (place := feed.position) > feed.saved}
            try:
                if moved:
                    await self.places.keep({feed.cursor: place for feed, place in moved.items()})
            except BaseException:
                self._moved |= dict.fromkeys(taken[start:])
                raise
            for feed, place in moved.items():
                feed.saved = place
            await breathe()


class Line:
    """The tap of one listener's feed: the board, and the names that it hears of."""

    def __init__(self, board: ListenerBoard, names: frozenset[str]) -> None:
        """Tell nobody yet."""
        self._board, self._names = board, names

    @property
    def known(self) -> int:
        """The newest turn that is durable, as far as the board was told."""
        return self._board.known

    @known.setter
    def known(self, turn: int) -> None:
        self._board.known = turn

    def attach(self, feed: Feed) -> None:
        """Tell it from now on."""
        self._board.put(feed, self._names)

    def detach(self, feed: Feed) -> None:
        """Tell it no more."""
        self._board.drop(feed)

    async def place(self, name: str) -> int:
        """How far a reader has come."""
        return await self._board.place(name)

    async def keep_place(self, name: str, turn: int) -> None:
        """Store that it has come so far, together with others that do at this moment."""
        await self._board.places.keep({name: turn})
