"""The API keys of a database file that no engine has open: how the first one is made, and the way back.

It takes the file's lock and appends to the journal what an engine would; no execution is touched or
started. `keys` does the same in an engine.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

from asyncflow.app.database import reading
from asyncflow.app.key_records import KIND, KeyRecord, NewKey, check_new, new_key
from asyncflow.errors import NotFound
from asyncflow.model.events import DocumentDeleted, DocumentSaved
from asyncflow.model.turn import Moment, StreamEvents, Turn
from asyncflow.model.values import JsonObject
from asyncflow.runtime.clock import SystemClock
from asyncflow.runtime.recovery import CATALOG_STREAM
from asyncflow.store.sqlite import SqliteReader, SqliteStore

_BY = "command line"


async def create_key(path: str | Path, name: str, role: str, *, days: float = 0) -> NewKey:
    """Make a key, durable at return; a file that does not exist is made.

    Args:
        days: how long it is good; 0 means for ever.

    Raises:
        InvalidInput, Conflict: as `Keys.create`.
        StoreLocked: an engine has the file; ask its server.
        StoreError: the file cannot be used as it is.
    """
    now_ms = SystemClock().now().wall_ms
    expires_ms = now_ms + round(days * 86_400_000) if days else 0
    made = new_key(name, role, now_ms=now_ms, expires_ms=expires_ms, created_by=_BY)
    async with _opened(path) as file:
        check_new(made.record, file.records.values())
        await file.save(made.record)
    return made


async def list_keys(path: str | Path) -> list[JsonObject]:
    """All keys as administrators see them, oldest first; also while an engine has the file.

    When they were used is not told.

    Raises:
        StoreError: there is no such file, or it cannot be read.
    """
    now_ms = SystemClock().now().wall_ms
    async with reading(path) as reader:
        _, records = await _read(reader)
    ordered = sorted(records.values(), key=lambda each: each.created_ms)
    return [each.shown(now_ms, 0) for each in ordered]


async def revoke_key(path: str | Path, key_id: str) -> KeyRecord:
    """End a key, the last admin's too; durable at return.

    Raises:
        NotFound: there is none.
        StoreLocked, StoreError: as `create_key`.
    """
    async with _opened(path) as file:
        record = file.records.get(key_id)
        if record is None:
            raise NotFound("key", key_id)
        if not record.revoked_ms:
            now_ms = SystemClock().now().wall_ms
            record = replace(record, revoked_ms=now_ms, revoked_by=_BY)
            await file.save(record)
    return record


class _KeyFile:
    """An open file, as far as keys go."""

    def __init__(self, store: SqliteStore, seq: int, records: dict[str, KeyRecord]) -> None:
        self._store, self._seq, self.records = store, seq, records

    async def save(self, record: KeyRecord) -> None:
        # On the elapsed clock no time passes: the next start counts the time from the last turn of an
        # engine as downtime, and this is none.
        position = await self._store.recover()
        wall_ms = SystemClock().now().wall_ms
        event = DocumentSaved(KIND, record.key_id, record.body(), _BY, wall_ms)
        entry = StreamEvents(CATALOG_STREAM, self._seq + 1, [event])
        moment = Moment(position.elapsed_ms, wall_ms)
        await self._store.append(Turn(position.last_turn + 1, moment, [entry], []))


@asynccontextmanager
async def _opened(path: str | Path) -> AsyncIterator[_KeyFile]:
    async with SqliteStore.open(path) as store:
        yield _KeyFile(store, *await _read(store))


async def _read(reader: SqliteReader) -> tuple[int, dict[str, KeyRecord]]:
    """The number of the catalogue's last event, and the keys by id."""
    seq, found = 0, dict[str, KeyRecord]()
    for recorded in (await reader.read_streams([CATALOG_STREAM]))[CATALOG_STREAM]:
        seq = recorded.seq
        match recorded.event:
            case DocumentSaved(kind, key_id, body) if kind == KIND:
                found[key_id] = KeyRecord.of(key_id, body)
            case DocumentDeleted(kind, key_id) if kind == KIND:
                found.pop(key_id, None)
            case _:
                pass  # definitions, and other documents
    return seq, found
