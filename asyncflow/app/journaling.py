"""Journal files kept up with the committed turns: a reader with a cursor, never a second way to be durable.

An execution and all below it share a file, in the order of their commits, so that every beginning of a file
is a state that was once true. What a file lacks is read from the store, what it holds is left out. How files
are written is in `store/journal_folder`, how one is taken up again in `app/recovering`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import NamedTuple

from asyncflow.app.code_prints import fingerprints
from asyncflow.app.turn_feed import FeedStore, Reader, TurnFeed
from asyncflow.errors import AsyncflowError, ShuttingDown, StoreError
from asyncflow.model import events as ev
from asyncflow.model.resource_events import RESOURCE_STREAMS
from asyncflow.model.turn import Recorded, Turn
from asyncflow.runtime.clock import comes_within, pause, stopwatch_s
from asyncflow.runtime.engine import Engine
from asyncflow.runtime.recovery import CATALOG_STREAM, MESSAGES
from asyncflow.runtime.stored_definitions import named_definitions
from asyncflow.store.journal_folder import Heading, JournalFolder, Part, WrittenFile
from asyncflow.store.records import StoreSettings

log = logging.getLogger("asyncflow.journal")

CURSOR = "journal files"

_SYNC_S = 1.0
_SYNC_ITEMS = 1_000
_AGAIN_S = 1.0
_GRACE_S = 30.0
_FEW = 100  # events, some 20 KB
_MOST_KNOWN = 20_000  # files and streams known at once
_MOST_BEHIND = 100_000  # turns that the database keeps for files that cannot be written
_NO_STATE = (RESOURCE_STREAMS, MESSAGES)


class Entry(NamedTuple):
    """Events of an execution, as a turn has them."""

    turn: int
    stream: str
    events: list[Recorded]


def _entries(turn: Turn, is_repeat: bool) -> Sequence[Entry]:  # noqa: ARG001, FBT001 - as a reader is called
    at_ms = turn.moment.elapsed_ms
    return [
        Entry(turn.number, stream, [Recorded(first + i, at_ms, event) for i, event in enumerate(events)])
        for stream, first, events in turn.entries
        if stream != CATALOG_STREAM and not stream.startswith(_NO_STATE)
    ]


class Journaling:
    """Writes the journal files of one engine.

    Attributes:
        trouble: why nothing is written now; empty while all is well.
    """

    def __init__(self, engine: Engine, store: FeedStore, folder: JournalFolder, *, must: bool) -> None:
        """Write nothing yet.

        With `must` what a turn holds is in the files before anybody learns of it, or anything follows from
        it, and the engine stops when a file cannot be written.
        """
        self.trouble = ""
        self._engine, self._store, self._folder, self._must = engine, store, folder, must
        self._feed: TurnFeed[Entry] = TurnFeed(
            engine, store, Reader(CURSOR, _entries, from_now=True, max_lag=_MOST_BEHIND)
        )
        self._feed.missed = self._missed
        self._files: dict[str, WrittenFile] = {}
        self._roots: dict[str, str] = {}
        self._taken: list[Entry] = []
        self._unsynced: list[Entry] = []
        self._dirty: set[str] = set()
        self._synced_s = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._closing, self._ended = asyncio.Event(), asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._written_from = 0  # the first turn that was written before its release

    @staticmethod
    def _missed(first: int, last: int) -> None:
        log.warning(
            "journal files lack turns; those of executions that go on are completed, for others there is "
            "`asyncflow journal export`",
            extra={"from_turn": first, "to_turn": last},
        )

    async def begin(self) -> None:
        """Go on where the cursor is.

        Raises:
            StoreError: the journal cannot be read.
        """
        await self._feed.begin(self._engine.turns.commits.opened_at)
        if self._must:
            self._engine.turns.commits.also = self._before_release
        self._engine.supervisor.start("journal files", self._run)

    async def close(self) -> None:
        """Write what has been committed until now, and make it durable.

        Raises:
            StoreError: it could not be written.
        """
        self.trouble = ""  # once more, whatever it was
        self._closing.set()
        self._feed.nudge()
        has_ended = await comes_within(self._ended, _GRACE_S)
        if self._alarm is not None:
            self._alarm.cancel()
        if self._engine.turns.failure is None and (self.trouble or not has_ended):
            raise StoreError(f"journal files are behind: {self.trouble or 'the disk takes too long'}")

    # --- while it goes on ---------------------------------------------------------------------------

    async def _run(self) -> None:
        """Write, for ever; after `close` until all is written or something is wrong."""
        try:
            while not (self._closing.is_set() and self._is_done):
                await self._some()
            if not self.trouble:
                await self._sync()
        except ShuttingDown:
            pass
        finally:
            self._ended.set()
        await asyncio.Event().wait()  # supervised: it would be begun again

    @property
    def _is_done(self) -> bool:
        """Whether nothing is left to write, or nothing can be written."""
        return bool(self.trouble) or (self._feed.is_idle and not self._taken)

    async def _some(self) -> None:
        try:
            self._taken += await self._feed.take()
            async with self._one_at_a_time:
                await self._write_all()
            if self._unsynced and self._is_time():
                await self._sync()
            self.trouble = ""
        except ShuttingDown:
            raise
        except (OSError, AsyncflowError) as error:
            await self._failed(error)

    async def _failed(self, error: OSError | AsyncflowError) -> None:
        failure = self._told(error)
        if self._must:
            self._engine.turns.fail(failure)
            raise ShuttingDown("a journal file cannot be written") from error
        log.error("journal file not written", extra={"reason": str(failure)})
        if not self._closing.is_set():
            await pause(_AGAIN_S)
        self._feed.nudge()

    def _told(self, error: OSError | AsyncflowError) -> StoreError:
        said = error.strerror or str(error) if isinstance(error, OSError) else str(error)
        self.trouble = f"journal file in {self._folder.path}: {said}"
        return StoreError(self.trouble)

    async def _before_release(self, turn: Turn) -> None:
        """Write what a turn holds; by the feed it comes once more. Raises StoreError."""
        try:
            async with self._one_at_a_time:
                for root, entries in (await self._by_file(_entries(turn, is_repeat=False))).items():
                    await self._write(root, entries)
            self._written_from = self._written_from or turn.number
        except (OSError, AsyncflowError) as error:
            raise self._told(error) from error

    def _is_time(self) -> bool:
        """Whether to sync now; if not, it will be looked at again."""
        if len(self._unsynced) >= _SYNC_ITEMS or stopwatch_s() - self._synced_s >= _SYNC_S:
            return True
        if self._alarm is None:
            self._alarm = asyncio.get_running_loop().call_later(_SYNC_S, self._sync_soon)
        return False

    def _sync_soon(self) -> None:
        self._alarm = None
        self._feed.nudge()

    async def _sync(self) -> None:
        """Make durable what was written, then store how far it has come."""
        for name in sorted(self._dirty):
            with suppress(FileNotFoundError):  # somebody removed it: it is written anew when more comes
                await asyncio.to_thread(self._folder.sync, name)
        self._dirty.clear()
        for entry in self._unsynced:
            self._feed.finished(entry)
        self._unsynced.clear()
        self._synced_s = stopwatch_s()
        await self._feed.save(at_once=True)
        if len(self._files) > _MOST_KNOWN:
            self._files.clear()
        if len(self._roots) > _MOST_KNOWN:
            self._roots.clear()

    # --- into files -----------------------------------------------------------------------------------

    async def _write_all(self) -> None:
        """Write what was taken, file by file; raises for the first that could not be, the rest is written."""
        written = self._written_from or math.inf
        self._unsynced += [entry for entry in self._taken if entry.turn >= written]
        by_file = await self._by_file([entry for entry in self._taken if entry.turn < written])
        self._taken, first = [], None
        for root, entries in by_file.items():
            try:
                await self._write(root, entries)
            except (OSError, AsyncflowError) as error:
                first = first or error
                self._taken += entries
            else:
                self._unsynced += entries
        if first is not None:
            raise first

    async def _by_file(self, entries: Sequence[Entry]) -> dict[str, list[Entry]]:
        found: dict[str, list[Entry]] = {}
        for entry in entries:
            root = await self._root_of(entry.stream, entry.events[0].event)
            found.setdefault(root, []).append(entry)
        return found

    async def _write(self, root: str, entries: Sequence[Entry]) -> None:
        if not root:
            return
        try:
            if root in self._files:
                await self._append(entries, self._files[root])
                return
        except (OSError, AsyncflowError):
            del self._files[root]  # it was removed, or somebody else wrote into it: look anew
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
            parts.append(Part(stream, whole, await self._store.read_definitions(named) if named else {}))
        if self._must and sum(len(part.events) for part in parts) <= _FEW:
            self._folder.append(file, parts)  # quicker than a thread is reached, and all wait for it
        else:
            await asyncio.to_thread(self._folder.append, file, parts)
        self._dirty.add(file.name)

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


def open_folder(path: Path) -> JournalFolder:
    """The folder of journal files. Raises StoreError."""
    try:
        return JournalFolder(path)
    except OSError as error:
        raise StoreError(f"journal folder {path}: {error.strerror or error}") from error


@asynccontextmanager
async def journaling(
    engine: Engine, store: FeedStore, settings: StoreSettings | None
) -> AsyncIterator[Journaling | None]:
    """Journal files written within the context, if a folder for them is set; all of them at its end.

    Raises:
        StoreError: the folder cannot be used, or files are behind at the end.
    """
    if settings is None or settings.journal is None:
        yield None
        return
    folder = await asyncio.to_thread(open_folder, settings.journal)
    try:
        folder.code = fingerprints({name: each.function for name, each in engine.functions.items()})
        for execution, name in settings.journal_names.items():
            folder.adopt(execution, name)
        writing = Journaling(engine, store, folder, must=settings.journal_must)
        await writing.begin()
        try:
            yield writing
        finally:
            await writing.close()
    finally:
        folder.close()
