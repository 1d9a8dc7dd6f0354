"""Event handlers: documents that say what is done with messages; and messages published from outside.

What is stored or published is durable at return. A message from outside is an event of a stream that no
execution has, one for each life of an engine. Bringing messages to handlers is `event_delivery`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from asyncflow.app.documents import Documents
from asyncflow.app.event_actions import EventActions
from asyncflow.app.event_definitions import Handler, parse_handler
from asyncflow.app.event_delivery import ACTION, DONE, EventDelivery, caller_of
from asyncflow.app.event_feed import EventFeed, FeedStore
from asyncflow.app.identities import draw_execution_id
from asyncflow.app.logbook import AuditEntry, AuditFilter, Logbook
from asyncflow.app.payloads import check_payload, check_texts
from asyncflow.app.service import Service
from asyncflow.app.workers import Workers
from asyncflow.errors import Conflict, InvalidInput
from asyncflow.model.events import MessagePublished
from asyncflow.model.values import JsonObject
from asyncflow.runtime.recovery import MESSAGES

KIND = "event_handler"
PROVIDER = "asyncflow"
"""The provider of a sink that names none."""

_LONGEST = 255  # characters of a sink or a message id


class EventHandlers:
    """The event handlers of one engine.

    Attributes:
        delivery: who brings messages to them.
    """

    def __init__(self, executions: Service, logbook: Logbook, workers: Workers, store: FeedStore) -> None:
        """Serve the handlers that are stored; none is given a message before `open`."""
        self._engine, self._logbook = executions.engine, logbook
        self._documents = Documents(executions.engine, KIND)
        self._feed = EventFeed(executions.engine, store)
        self.delivery = EventDelivery(
            executions.engine, logbook, self._feed, EventActions(executions, workers)
        )
        self._stream, self._seq = "", 0

    async def open(self) -> None:
        """Take up what is stored and what was not dealt with."""
        self._stream = MESSAGES + draw_execution_id(self._engine.clock.now().wall_ms)
        limits = self._engine.settings.limits
        for body in self._documents.all().values():
            self.delivery.handlers.put(parse_handler(body, limits=limits))
        await self.delivery.begin()

    # --- documents --------------------------------------------------------------------------------

    async def create(self, body: JsonObject, *, by: str = "") -> None:
        """Store a new handler.

        Raises:
            Conflict: there is one of its name.
            DefinitionError, InvalidInput, LimitExceeded: as `parse_handler`; nothing changed.
        """
        handler = self._parsed(body)
        if handler.name in self._documents.all():
            raise Conflict(f"EventHandler with name {handler.name} already exists!")
        await self._store(handler, by)

    async def update(self, body: JsonObject, *, by: str = "") -> None:
        """Replace a handler; a message that is being tried again is from now on for the new one.

        Raises:
            NotFound: there is none of its name.
            DefinitionError, InvalidInput, LimitExceeded: as `parse_handler`; nothing changed.
        """
        handler = self._parsed(body)
        self._documents.get(handler.name)
        await self._store(handler, by)

    def _parsed(self, body: JsonObject) -> Handler:
        return parse_handler(body, limits=self._engine.settings.limits)

    async def _store(self, handler: Handler, by: str) -> None:
        if handler.is_active and not self._feed.is_wanted():
            await self._feed.save(at_once=True)  # what was published before the first handler is for none
        await self._documents.save(handler.name, handler.body, created_by=by)
        self.delivery.handlers.put(handler)

    async def delete(self, name: str) -> None:
        """Delete a handler; messages that it has not dealt with are dropped.

        Raises:
            NotFound: there is none.
        """
        await self._documents.delete(name)
        self.delivery.handlers.drop(name)

    def all(self, event: str | None = None, *, active_only: bool = False) -> list[JsonObject]:
        """All handlers, or those of an event, by name."""
        book = self.delivery.handlers
        found = sorted(book if event is None else book.of_event(event), key=lambda each: each.name)
        return [
            {**_DEFAULTS, **{key: value for key, value in each.body.items() if value is not None}}
            for each in found
            if each.is_active or not active_only
        ]

    # --- messages ---------------------------------------------------------------------------------

    async def publish(self, sink: str, payload: JsonObject, *, message_id: str = "") -> str:
        """Publish a message, and give its id; a handler acts once on all of one id.

        A sink without a provider is one of ours: `orders` is `asyncflow:orders`.

        Raises:
            InvalidInput: sink or payload cannot be.
            LimitExceeded: they are too large.
            StoreError, ShuttingDown: nothing is taken now; nothing was published.
        """
        queue = sink if ":" in sink else f"{PROVIDER}:{sink}"
        identity = message_id or draw_execution_id(self._engine.clock.now().wall_ms)
        if not sink or max(len(queue), len(identity)) > _LONGEST:
            raise InvalidInput(f"texts of 1 to {_LONGEST} characters are expected", field="sink, messageId")
        check_texts(sink=queue, messageId=identity)
        checked, _ = check_payload(payload, "payload", self._engine.settings.limits)
        turns = self._engine.turns
        turns.check_open()
        self._seq += 1
        event = MessagePublished(0, queue, checked, identity, bool(message_id))
        await asyncio.shield(turns.record_catalog([event], self._stream, self._seq))
        return identity

    async def history(
        self, handler: str = "", *, state: str = "", start: int = 0, size: int = 100
    ) -> tuple[int, list[JsonObject]]:
        """How many actions were done or failed, and a page of them, newest first."""
        outcomes = {"": "", "COMPLETED": DONE, "FAILED": "failed"}
        if state.upper() not in outcomes:
            raise InvalidInput(f"COMPLETED or FAILED is expected, not {state[:80]!r}", field="state")
        chosen = AuditFilter(
            caller=caller_of(handler) if handler else "",
            object_kind=ACTION,
            outcome=outcomes[state.upper()],
        )
        await self._engine.logs.flushed()
        found = await self._logbook.audit_entries(chosen, start=start, size=size)
        return found.total, _shown(found.rows)


_DEFAULTS: JsonObject = {"active": False}


def _shown(rows: Sequence[AuditEntry]) -> list[JsonObject]:
    """In the words of Conductor's event executions."""
    return [
        {
            "id": row.object_id,
            "messageId": row.object_id.rpartition("_")[0],
            "name": row.caller.partition(":")[2],
            "action": row.action,
            "status": "COMPLETED" if row.outcome == DONE else "FAILED",
            "created": row.at_ms,
            "reason": row.reason,
        }
        for row in rows
    ]
