"""The listeners of one engine: those of the configuration, and documents that are made while it runs.

A listener that cannot be made is told of and stops nobody. How one is told of events is in `listening`, how
what it did not take is told again in `listener_again`; what the events are called in `event_rules`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from asyncflow.app.documents import Documents
from asyncflow.app.event_catalogue import catalogue
from asyncflow.app.event_telling import Telling
from asyncflow.app.exposition import Page
from asyncflow.app.listener_again import Again
from asyncflow.app.listener_board import ListenerBoard
from asyncflow.app.listener_config import (
    DOCUMENT,
    check_listener,
    parse_listener,
    shown_listener,
)
from asyncflow.app.listener_making import post_of
from asyncflow.app.listening import CURSOR, Listening, Post
from asyncflow.app.logbook import Logbook
from asyncflow.app.plugin_settings import check_stored
from asyncflow.app.turn_feed import FeedStore
from asyncflow.errors import AsyncflowError, ConfigurationError, InvalidInput, NotFound, Refused
from asyncflow.model.resource_settings import check_resource_name
from asyncflow.model.values import JsonObject
from asyncflow.plugins.listening import ListenerSettings
from asyncflow.runtime.engine import Engine

log = logging.getLogger("asyncflow.listeners")

_TOGETHER = 500  # listeners that are opened at once


class Listeners:
    """The listeners of one engine; told of nothing before `open`.

    Attributes:
        working: by name, those that were made.
        broken: by name, why the others were not.
        again: what tells them again what they did not take.
    """

    def __init__(self, engine: Engine, store: FeedStore, logbook: Logbook) -> None:
        """Make all that the engine's settings and its documents ask for; the settings win."""
        self.working: dict[str, Listening] = {}
        self.broken: dict[str, str] = {}
        self._engine, self._store, self._logbook = engine, store, logbook
        self._telling = Telling(engine)
        self._board = ListenerBoard(engine, store, self._telling)
        self._documents = Documents(engine, DOCUMENT)
        self._changing = asyncio.Lock()
        self._is_open = False
        self.again = Again(engine, store, logbook=logbook, telling=self._telling)
        for name, body in self._documents.all().items():
            if name not in engine.settings.listeners:
                self._add_stored(name, body)
        for name, settings in engine.settings.listeners.items():
            self._add(name, settings)

    def _add_stored(self, name: str, body: JsonObject) -> None:
        try:
            self._add(name, parse_listener(body, name).settings())
        except ConfigurationError as error:
            self._break(name, error)

    def _add(self, name: str, settings: ListenerSettings) -> None:
        try:
            self.working[name] = self._listening(post_of(self._engine, name, settings))
        except AsyncflowError as error:
            self._break(name, error)

    def _break(self, name: str, error: AsyncflowError) -> None:
        self.broken[name] = str(error)
        log.warning("listener cannot be used", extra={"listener": name, "reason": str(error)})

    def _listening(self, post: Post) -> Listening:
        return Listening(
            post,
            self._engine,
            self._store,
            telling=self._telling,
            board=self._board,
            logbook=self._logbook,
        )

    async def open(self) -> None:
        """Take up what each has not been told, and go on.

        Raises:
            StoreError: the journal cannot be read.
        """
        await self._board.open()
        found = [*self.working.values()]
        for start in range(0, len(found), _TOGETHER):
            part = found[start : start + _TOGETHER]
            await asyncio.gather(*(each.feed.begin() for each in part))
            for each in part:
                each.start()
        self._board.opened()
        self._is_open = True

    async def close(self) -> None:
        """Let each take the event it has, and store how far it is; the next start tells what is left."""
        async with self._changing:
            self._is_open = False
            self._board.close()
            await asyncio.gather(*(each.close() for each in self.working.values()))

    # --- changes ----------------------------------------------------------------------------------

    async def save(self, name: str, body: JsonObject, *, by: str = "") -> JsonObject:
        """Make a listener, or change it; one that is changed goes on where it was. Durable at return.

        Raises:
            InvalidInput: a setting does not fit, or may not come with a request; it is named.
            Refused: it is one of the configuration's.
        """
        self._check_ours(name)
        engine = self._engine
        try:
            section = parse_listener(body, name)
            check_listener(section, name, engine.registry, engine.settings.secrets)
            if kind := engine.registry.listeners.get(section.type or name):
                check_stored(kind.Config, section.config, f"listeners.{name}")
            post = post_of(engine, name, section.settings())
        except ConfigurationError as error:
            raise InvalidInput(str(error), field="body") from error
        async with self._changing:
            await self._documents.save(name, body, created_by=by)
            await self._stop(name)
            await self._begin(post)
        return self.get(name)

    async def delete(self, name: str) -> None:
        """Delete a listener; one of its name that is made later knows nothing of it. Durable at return.

        Raises:
            NotFound: there is none.
            Refused: it is one of the configuration's.
        """
        self._check_ours(name)
        async with self._changing:
            await self._documents.delete(name)
            await self._stop(name)
            await self._board.places.keep({f"{CURSOR}{name}": 0})

    async def rewind(self, name: str, turn: int, event: str = "") -> JsonObject:
        """Tell it everything again from this turn on, or from the turn of this event. Durable at return.

        Raises:
            NotFound: there is no such listener, or no turn that is kept has the event.
            Refused: it cannot be told anything now, or the turn is not kept any more.
        """
        async with self._changing:
            each = self._working(name)
            first = await self.again.turn_of(event) if event else turn
            await self.again.check_kept(first)
            await self._stop(name)
            await self._board.places.keep({f"{CURSOR}{name}": (first - 1) or -1})  # 0 is a new one
            await self._begin(each.post)
        return self.get(name)

    async def _begin(self, post: Post) -> None:
        made = self._listening(post)
        self.working[post.name] = made
        await made.feed.begin()
        made.start()

    async def _stop(self, name: str) -> None:
        self.broken.pop(name, None)
        each = self.working.pop(name, None)
        if each is not None:
            await each.close()

    def _check_ours(self, name: str) -> None:
        check_resource_name(name)
        if name in self._engine.settings.listeners:
            raise Refused(f"listener {name} is in the configuration: change it there")

    def _working(self, name: str) -> Listening:
        self._check_known(name)
        if name in self.broken or not self._is_open:
            raise Refused(
                f"listener {name} is told of nothing: {self.broken.get(name, 'the engine is closing')}"
            )
        return self.working[name]

    def _check_known(self, name: str) -> None:
        if name not in self.working and name not in self.broken:
            raise NotFound("listener", name)

    # --- shown ------------------------------------------------------------------------------------

    def all(self) -> list[JsonObject]:
        """Every listener that there is, by name, with how far it is."""
        return [self._shown(name) for name in sorted({*self.working, *self.broken})]

    def get(self, name: str) -> JsonObject:
        """One listener, with its settings; values that may be secrets are hidden.

        Raises:
            NotFound: there is none.
        """
        self._check_known(name)
        return {**self._shown(name), "settings": self._settings(name)}

    def _settings(self, name: str) -> JsonObject:
        said = self._engine.settings.listeners.get(name)
        if said is None:
            body = self._documents.get(name)
        else:
            body = {
                "type": said.type,
                "patterns": [*said.patterns],
                "from": said.start,
                "timeout": said.timeout_s,
                "retries": said.retries,
                "retry_first": said.retry_first_s,
                "retry_max": said.retry_max_s,
                "max_lag": said.max_lag,
                "keep": said.keep,
                **said.config,
            }
        return shown_listener(parse_listener(body, name))

    def _shown(self, name: str) -> JsonObject:
        source = "configuration" if name in self._engine.settings.listeners else "document"
        each = self.working.get(name)
        if each is None:
            return {"name": name, "source": source, "state": "broken", "reason": self.broken[name]}
        settings, counts = each.post.settings, each.counts
        made = settings.made
        return {
            "name": name,
            "source": source,
            "type": settings.type or (name if made is None else type(made).__name__),
            "state": "retrying" if each.trouble else "working" if each.is_open else "opening",
            "reason": each.trouble,
            "tries": each.tries,
            "patterns": [*(settings.patterns or each.post.listener.patterns)],
            "turn": each.feed.position,
            "lagTurns": each.feed.lag,
            "told": counts["told"],
            "retried": counts["retried"],
            "skipped": counts["skipped"],
            "gaps": counts["gaps"],
            "missedTurns": counts["missed_turns"],
        }

    def troubles(self) -> Mapping[str, list[str]]:
        """What is wrong with which of them now, each by name; why is shown by `all`."""
        stuck = (name for name, each in self.working.items() if each.is_stuck)
        found = {"cannot be used": sorted(self.broken), "take nothing": sorted(stuck)}
        return {word: names for word, names in found.items() if names}

    async def skipped(self, name: str, *, start: int = 0, size: int = 100) -> tuple[int, list[JsonObject]]:
        """How many events a listener did not take, and a page of them, newest first; of all lives.

        Raises:
            NotFound: there is no such listener.
        """
        self._check_known(name)
        return await self.again.skipped(name, start=start, size=size)

    async def tell_skipped(
        self, name: str, ids: list[str] | None = None, *, most: int = 100, by: str = ""
    ) -> Mapping[str, object]:
        """Tell it once more what it did not take: these events, or the oldest of them; see `Again.tell`.

        Raises:
            NotFound: there is no such listener, or an id is of no event that it skipped.
            Refused: it cannot be told anything now.
        """
        return await self.again.tell(self._working(name), ids, most=most, by=by)

    def write(self, page: Page) -> None:
        """Write what is measured of each."""
        for name, each in self.working.items():
            page.write("asyncflow_listener_lag_turns", each.feed.lag, name)
            for outcome in ("told", "retried", "skipped", "gaps"):
                page.write("asyncflow_listener_events_total", each.counts[outcome], name, outcome)

    def catalogue(self) -> list[JsonObject]:
        """The published catalogue of events."""
        return catalogue()


@asynccontextmanager
async def listening(listeners: Listeners) -> AsyncIterator[Listeners]:
    """The listeners of an engine, at work within the context.

    Raises:
        StoreError: the journal cannot be read.
    """
    await listeners.open()
    try:
        yield listeners
    finally:
        await listeners.close()
