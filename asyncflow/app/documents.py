"""Named documents of one kind: what users store with an engine and change now and then.

Schedules, event handlers, version rules and API keys are such. They lie in the journal as events of
the catalogue, so they survive like definitions do. What happens often belongs to the logbook.
"""

from __future__ import annotations

from collections.abc import Mapping

from asyncflow.errors import NotFound
from asyncflow.model.events import DocumentDeleted, DocumentSaved
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine


class Documents:
    """The documents of one kind, by name."""

    def __init__(self, engine: Engine, kind: str) -> None:
        """Serve the documents of this kind; `kind` is a word with underscores, as in "event_handler"."""
        self._engine, self.kind = engine, kind

    def all(self) -> Mapping[str, JsonObject]:
        """Every document, by name; not to be changed."""
        return self._engine.catalog.documents.get(self.kind, {})

    def get(self, name: str) -> JsonObject:
        """The document of this name.

        Raises:
            NotFound: there is none.
        """
        found = self.all().get(name)
        if found is None:
            raise NotFound(self.kind.replace("_", " "), name)
        return found

    def times_ms(self, name: str) -> tuple[int, int]:
        """When the document was made and last changed, wall clock; zeros if it is not there."""
        return self._engine.catalog.times_ms.get((f"{self.kind} document", name), (0, 0))

    async def save(self, name: str, body: JsonObject, *, created_by: str = "") -> None:
        """Store a document, or replace it; durable at return.

        Raises:
            StoreError, ShuttingDown: nothing new is taken now; nothing changed.
        """
        at_ms = self._engine.clock.now().wall_ms
        await self._engine.change_catalog(DocumentSaved(self.kind, name, body, created_by, at_ms))

    async def delete(self, name: str) -> None:
        """Delete a document; durable at return.

        Raises:
            NotFound: there is none.
            StoreError, ShuttingDown: nothing new is taken now; nothing changed.
        """
        self.get(name)
        await self._engine.change_catalog(DocumentDeleted(self.kind, name))
