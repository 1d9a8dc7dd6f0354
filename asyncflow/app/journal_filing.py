"""Entries of turns put into the journal files that they belong to.

An execution and all below it share a file. What a file lacks is read from the store, what it holds is left
out. When something is written is up to `app/journaling`, and how to `store/journal_folder`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import NamedTuple

from asyncflow.app.journal_ends import over
from asyncflow.app.turn_feed import FeedStore
from asyncflow.errors import AsyncflowError
from asyncflow.model import events as ev
from asyncflow.model.turn import Recorded
from asyncflow.runtime.engine import Engine
from asyncflow.runtime.stored_definitions import named_definitions
from asyncflow.store.journal_folder import Heading, JournalFolder, Part, WrittenFile
from asyncflow.store.journal_lines import Over

_FEW = 100  # events, some 20 KB
_MOST_KNOWN = 20_000  # files and streams known at once


class Entry(NamedTuple):
    """Events of an execution, as a turn has them."""

    turn: int
    stream: str
    events: list[Recorded]


class JournalFiling:
    """The files of one engine; its calls come one after the other."""

    def __init__(self, engine: Engine, store: FeedStore, folder: JournalFolder, *, at_once: bool) -> None:
        """Write nothing yet; `at_once` where everybody waits for what is written."""
        self._engine, self._store, self._folder, self._at_once = engine, store, folder, at_once
        self._files: dict[str, WrittenFile] = {}
        self._roots: dict[str, str] = {}
        self._dirty: set[str] = set()

    async def by_file(self, entries: Sequence[Entry]) -> dict[str, list[Entry]]:
        """Entries by the execution in whose file they stand; those of none under "". Raises StoreError."""
        found: dict[str, list[Entry]] = {}
        for entry in entries:
            root = await self._root_of(entry.stream, entry.events[0].event)
            found.setdefault(root, []).append(entry)
        return found

    async def write(self, root: str, entries: Sequence[Entry]) -> None:
        """Write entries of one file, all or none; what it holds already is left out.

        Raises:
            OSError, StoreError: they cannot be written.
        """
        if not root:
            return
        try:
            if root in self._files:
                await self._append(entries, self._files[root])
                return
        except (OSError, AsyncflowError):
            self._files.pop(root, None)  # it was removed, or somebody else wrote into it: look anew
        file = await self._open(root)
        if file is not None:
            await self._append(entries, file)
            self._files[root] = file

    async def _append(self, entries: Sequence[Entry], file: WrittenFile) -> None:
        parts: list[Part] = []
        ends = dict(file.ends)
        for _, stream, events in entries:
            whole = [*await self._lacking(stream, ends.get(stream, 0), events[0].seq), *events]
            if whole[0].seq > ends.get(stream, 0) + 1:
                continue  # deleted meanwhile
            ends[stream] = max(ends.get(stream, 0), whole[-1].seq)
            named = [name for name in named_definitions(whole) if name not in file.definitions]
            bodies = await self._store.read_definitions(named) if named else {}
            parts.append(Part(stream, whole, bodies, self._over(stream, whole[-1].seq)))
        if self._at_once and sum(len(part.events) for part in parts) <= _FEW:
            self._folder.append(file, parts)  # quicker than a thread is reached, and all wait for it
        else:
            await asyncio.to_thread(self._folder.append, file, parts)
        self._dirty.add(file.name)

    def _over(self, stream: str, seq: int) -> Over | None:
        """What there is to say if an execution is over with this event; nothing if more happened since."""
        state = self._engine.turns.states.get(stream)
        return over(state) if state is not None and state.is_ended and state.seq == seq else None

    async def sync(self) -> None:
        """Make durable what has been written by now; more may be written meanwhile. Raises OSError."""
        names, self._dirty = self._dirty, set()
        try:
            for name in sorted(names):
                with suppress(FileNotFoundError):  # somebody removed it: it is written anew when more comes
                    await asyncio.to_thread(self._folder.sync, name)
        except BaseException:
            self._dirty |= names
            raise
        if len(self._files) > _MOST_KNOWN:
            self._files.clear()
        if len(self._roots) > _MOST_KNOWN:
            self._roots.clear()

    async def _lacking(self, stream: str, last: int, first_seq: int) -> list[Recorded]:
        """The events between what a file has and what is to be written."""
        if first_seq <= last + 1:
            return []
        found: list[Recorded] = []
        async for page in self._store.read_events(stream, last):
            found += [each for each in page if each.seq < first_seq]
            if page[-1].seq >= first_seq - 1:
                break
        return found

    async def _open(self, root: str) -> WrittenFile | None:
        """The file of an execution; None for one of which nothing is stored any more."""
        first = await self._first(root)
        if first is None:
            return None
        heading = Heading.of(root, first, self._engine.settings.identity.of(first.at_ms))
        definitions = await self._store.read_definitions([*named_definitions([first])])
        file = await asyncio.to_thread(self._folder.open_file, heading, definitions)
        self._dirty.add(file.name)
        return file

    async def _root_of(self, stream: str, event: ev.Event) -> str:
        """The execution at the top; empty for one that is not known any more."""
        chain = [stream]
        while chain[-1] not in self._roots:
            if len(chain) > 1 or not isinstance(event, ev.ExecutionStarted):
                first = await self._first(chain[-1])
                if first is None:
                    return ""
                event = first.event
            if not isinstance(event, ev.ExecutionStarted):
                return ""
            if not event.parent_id:
                self._roots[chain[-1]] = chain[-1]
                break
            chain.append(event.parent_id)
        root = self._roots[chain[-1]]
        self._roots.update(dict.fromkeys(chain, root))
        return root

    async def _first(self, stream: str) -> Recorded | None:
        async for page in self._store.read_events(stream):
            return page[0]
        return None
