"""Definitions and documents of a database file that no engine has open, for `asyncflow apply --db`.

Like `app/key_files` it takes the file's lock and appends to the journal what an engine would, all of it
in one turn: nothing is started, no schedule fires. What is compared is in `app/applying`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from anyio.to_thread import run_sync as to_thread
from pydantic_core import from_json

from asyncflow.app.applying import Key, Kind, listener_settings_of
from asyncflow.app.database import reading
from asyncflow.app.listener_config import DOCUMENT as LISTENER
from asyncflow.app.routing import KIND as ROUTING
from asyncflow.decide.catalog import DefinitionCatalog, evolve_catalog
from asyncflow.ids import content_hash
from asyncflow.model import events as ev
from asyncflow.model.definition import canonical_json, parse_task_definition, parse_workflow, to_json
from asyncflow.model.turn import Moment, StoredDefinition, StreamEvents, Turn
from asyncflow.model.values import JsonObject
from asyncflow.runtime.clock import SystemClock
from asyncflow.runtime.recovery import CATALOG_STREAM
from asyncflow.store.sqlite import SqliteReader, SqliteStore

_BY = "apply"
_DOCUMENTS: dict[Kind, str] = {
    "schedule": "schedule",
    "event handler": "event_handler",
    "routing": ROUTING,
    "listener": LISTENER,
}


class FilePlace:
    """What a database file holds, as a place that can be applied to; all is stored at once, by `store`."""

    def __init__(self, catalog: DefinitionCatalog | None = None) -> None:
        """Nothing is to be stored; without a catalog the file has nothing."""
        self._catalog = catalog or DefinitionCatalog()
        self._events: list[ev.Event] = []
        self._definitions: list[StoredDefinition] = []
        self._at_ms = SystemClock().now().wall_ms

    async def read(self) -> dict[Key, JsonObject]:
        """Everything there is."""
        catalog = self._catalog
        found: dict[Key, JsonObject] = {
            Key("task", name): to_json(each) for name, each in catalog.tasks.items()
        }
        for name, versions in catalog.workflows.items():
            found |= {Key("workflow", name, version): to_json(each) for version, each in versions.items()}
        for kind, documents in _DOCUMENTS.items():
            stored = catalog.documents.get(documents, {})
            found |= {Key(kind, name): _entry(kind, name, body) for name, body in stored.items()}
        return found

    async def put(self, key: Key, body: JsonObject) -> None:
        """Have an object stored, or replaced."""
        if key.kind == "workflow":
            definition = parse_workflow(body)
            text = canonical_json(definition)
            name = content_hash(text)
            self._definitions.append(StoredDefinition(name, text.decode()))
            self._events.append(ev.WorkflowRegistered(key.name, key.version, name, _BY, self._at_ms))
        elif key.kind == "task":
            task = to_json(parse_task_definition(body))
            self._events.append(ev.TaskRegistered(key.name, task, _BY, self._at_ms))
        else:
            kept = listener_settings_of(body) if key.kind == "listener" else body
            self._events.append(ev.DocumentSaved(_DOCUMENTS[key.kind], key.name, kept, _BY, self._at_ms))

    async def delete(self, key: Key) -> None:
        """Have an object deleted."""
        if key.kind == "workflow":
            self._events.append(ev.WorkflowUnregistered(key.name, key.version))
        elif key.kind == "task":
            self._events.append(ev.TaskUnregistered(key.name))
        else:
            self._events.append(ev.DocumentDeleted(_DOCUMENTS[key.kind], key.name))

    async def store(self, journal: SqliteStore) -> None:
        """Commit what was asked for, all or nothing.

        On the elapsed clock no time passes, as in `app/key_files`: the next start counts the time from the
        last turn of an engine as downtime.
        """
        if not self._events:
            return
        position = await journal.recover()
        entry = StreamEvents(CATALOG_STREAM, self._catalog.seq + 1, self._events)
        moment = Moment(position.elapsed_ms, self._at_ms)
        await journal.append(Turn(position.last_turn + 1, moment, [entry], self._definitions))


def _entry(kind: Kind, name: str, body: JsonObject) -> JsonObject:
    """A document as a file has it; that of a listener is its settings alone."""
    return {"name": name, "listener": body} if kind == "listener" else body


@asynccontextmanager
async def open_place(path: Path, *, read_only: bool) -> AsyncIterator[FilePlace]:
    """The place that a file is; what it was asked for is durable when this ends well.

    With `read_only` nothing is stored, an engine may have the file, and one that is not there has nothing;
    otherwise it is made.

    Raises:
        StoreLocked: an engine has the file; ask its server.
        StoreError: the file cannot be used as it is.
    """
    if read_only:
        if not await to_thread(path.exists):
            yield FilePlace()
            return
        async with reading(path) as reader:
            place = FilePlace(await _catalog_of(reader))
        yield place
        return
    async with SqliteStore.open(path) as store:
        place = FilePlace(await _catalog_of(store))
        yield place
        await place.store(store)


async def _catalog_of(reader: SqliteReader) -> DefinitionCatalog:
    """What the events of the catalogue's stream make."""
    catalog = DefinitionCatalog()
    history = (await reader.read_streams([CATALOG_STREAM]))[CATALOG_STREAM]
    named = [each.event.definition for each in history if isinstance(each.event, ev.WorkflowRegistered)]
    bodies = await reader.read_definitions(list(dict.fromkeys(named)))
    definitions = {name: parse_workflow(from_json(body)) for name, body in bodies.items()}
    for recorded in history:
        evolve_catalog(catalog, recorded.event, definitions)
    return catalog
