"""The listeners of one engine: made of what is configured, begun together, shown with how far they are.

A listener that cannot be made is told of and stops nobody. How one is told of events is in `listening`; what
the events are called in `event_rules`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from asyncflow.app.event_catalogue import catalogue
from asyncflow.app.event_names import names_heard
from asyncflow.app.event_telling import Telling
from asyncflow.app.exposition import Page
from asyncflow.app.listening import SKIPPED, Listening, Post, caller_of
from asyncflow.app.logbook import AuditFilter, Logbook
from asyncflow.app.turn_feed import FeedStore
from asyncflow.errors import AsyncflowError, ConfigurationError, NotFound
from asyncflow.model.values import JsonObject
from asyncflow.plugins.listeners import Listener
from asyncflow.plugins.listening import ListenerSettings
from asyncflow.plugins.settings import read_config
from asyncflow.runtime.engine import Engine

log = logging.getLogger("asyncflow.listeners")


class Listeners:
    """The listeners of one engine; told of nothing before `open`.

    Attributes:
        working: by name, those that were made.
        broken: by name, why the others were not.
    """

    def __init__(self, engine: Engine, store: FeedStore, logbook: Logbook) -> None:
        """Make all that the engine's settings ask for."""
        self.working: dict[str, Listening] = {}
        self.broken: dict[str, str] = {}
        self._engine, self._logbook = engine, logbook
        self._telling = Telling(engine)
        for name, settings in engine.settings.listeners.items():
            try:
                post = self._post(name, settings)
            except AsyncflowError as error:
                self.broken[name] = str(error)
                log.warning("listener cannot be used", extra={"listener": name, "reason": str(error)})
            else:
                self.working[name] = Listening(post, engine, store, telling=self._telling, logbook=logbook)
        self._telling.wanted = frozenset[str]().union(*(each.post.names for each in self.working.values()))

    def _post(self, name: str, settings: ListenerSettings) -> Post:
        listener = settings.made or self._made(name, settings)
        return Post(name, listener, settings, names_heard(listener.patterns, settings.patterns))

    def _made(self, name: str, settings: ListenerSettings) -> Listener:
        wanted, registry = settings.type or name, self._engine.registry
        kind = registry.listeners.get(wanted)
        if kind is None:
            raise ConfigurationError(f"listeners.{name}.type: {registry.why_not('listener', wanted)}")
        secrets = self._engine.settings.secrets
        config = read_config(kind.Config, settings.config, place=f"listeners.{name}", secrets=secrets)
        try:
            return kind(name, config)
        except Exception as error:
            log.exception("listener not made", extra={"listener": name})
            raise ConfigurationError(f"listeners.{name}: {type(error).__name__}") from error

    async def open(self) -> None:
        """Take up what each has not been told, and go on.

        Raises:
            StoreError: the journal cannot be read.
        """
        for name, each in self.working.items():
            await each.feed.begin()
            self._engine.supervisor.start(f"listener {name}", each.run)

    async def close(self) -> None:
        """Let each take the event it has, and store how far it is; the next start tells what is left."""
        await asyncio.gather(*(each.close() for each in self.working.values()))

    # --- shown ------------------------------------------------------------------------------------

    def all(self) -> list[JsonObject]:
        """Every listener that is configured, by name, with how far it is."""
        found = [self._shown(each) for each in self.working.values()]
        for name, why in self.broken.items():
            found.append({"name": name, "state": "broken", "reason": why})
        return sorted(found, key=lambda each: str(each["name"]))

    def _shown(self, each: Listening) -> JsonObject:
        settings, counts = each.post.settings, each.counts
        retrying = bool(each.trouble)
        return {
            "name": each.post.name,
            "type": settings.type
            or (each.post.name if settings.made is None else type(settings.made).__name__),
            "state": "retrying" if retrying else "working" if each.is_open else "opening",
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

    async def skipped(self, name: str, *, start: int = 0, size: int = 100) -> tuple[int, list[JsonObject]]:
        """How many events a listener did not take, and a page of them, newest first; of all lives.

        Raises:
            NotFound: no such listener is configured.
        """
        if name not in self.working and name not in self.broken:
            raise NotFound("listener", name)
        chosen = AuditFilter(caller=caller_of(name), object_kind=SKIPPED)
        found = await self._logbook.audit_entries(chosen, start=start, size=size)
        return found.total, [
            {"id": row.object_id, "name": row.action, "at": row.at_ms, "reason": row.reason}
            for row in found.rows
        ]

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
