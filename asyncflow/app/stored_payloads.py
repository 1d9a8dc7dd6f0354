"""The payload folder of a database file that no engine has open: which of its files are still named.

Every event of the journal counts, so that what an execution once named is kept as long as it is.
What a file of the folder is, is in `runtime/payload_folder`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from asyncflow.errors import StoreError
from asyncflow.model.payload_reference import names_in
from asyncflow.model.turn import StreamEvents
from asyncflow.runtime.payload_folder import FolderFacts, PayloadFolder
from asyncflow.store.codec import Codec
from asyncflow.store.sqlite import SqliteReader, SqliteStore


async def survey(path: str | Path, folder: str | Path, *, prune: bool = False) -> FolderFacts:
    """What is in the folder, seen against the journal; with `prune` what is named by nothing is removed.

    Raises:
        StoreLocked: an engine holds the file.
        StoreError: there is no such file, it cannot be read, or a payload cannot be removed.

    Cost: linear in all events of the file; the memory of one execution at a time.
    """
    _check_there(path)
    async with SqliteStore.open(path) as store:
        stored = PayloadFolder(folder, installation=(await store.facts()).installation)
        named = await _named(store)
        try:
            facts = await asyncio.to_thread(stored.facts, named)
            if prune:
                await asyncio.to_thread(stored.prune, named)
        except OSError as error:
            raise StoreError(f"payload folder {folder}: {error}") from error
    return facts


def _check_there(path: str | Path) -> None:
    """Opening a file that is not there would make it."""
    if not Path(path).is_file():
        raise StoreError(f"there is no database {path}")


async def _named(reader: SqliteReader) -> set[str]:
    """The names of all payloads that any event names, of segments and of turns."""
    named: set[str] = set()
    after = ""
    while streams := await reader.segmented_streams(after):
        after = streams[-1]
        for stream in streams:
            events = [recorded.event for recorded in await reader.read_stream(stream)]
            named |= await asyncio.to_thread(_names_in, [StreamEvents(stream, 1, events)])
    async for turns in reader.read_turns(0):
        for turn in turns:
            named |= await asyncio.to_thread(_names_in, turn.entries)
    return named


def _names_in(entries: Iterable[StreamEvents]) -> set[str]:
    return names_in(Codec().encode_entries(entries))
