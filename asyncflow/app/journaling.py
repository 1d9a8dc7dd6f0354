"""Journal files kept up with the committed turns: a reader with a cursor, never a second way to be durable.

What a file holds is in the order of commits, so that every beginning of a file is a state that was once true.
What goes into which file is in `app/journal_filing`, how one is taken up again in `app/recovering`.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from asyncflow.app.code_prints import fingerprints
from asyncflow.app.journal_filing import Entry, JournalFiling
from asyncflow.app.turn_feed import FeedStore, Reader, TurnFeed
from asyncflow.errors import AsyncflowError, ShuttingDown, StoreError
from asyncflow.model.resource_events import RESOURCE_STREAMS
from asyncflow.model.turn import Recorded, Turn
from asyncflow.runtime.clock import comes_within, pause, stopwatch_s
from asyncflow.runtime.engine import Engine
from asyncflow.runtime.recovery import CATALOG_STREAM, MESSAGES
from asyncflow.store.journal_folder import JournalFolder
from asyncflow.store.records import StoreSettings

log = logging.getLogger("asyncflow.journal")

CURSOR = "journal files"

_SYNC_S = 1.0
_SYNC_ITEMS = 1_000
_AGAIN_S = 1.0
_GRACE_S = 30.0
_MOST_BEHIND = 100_000  # turns that the database keeps for files that cannot be written
_NO_STATE = (RESOURCE_STREAMS, MESSAGES)


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
        """Write nothing yet; the engine has not been opened.

        With `must` what a turn holds is in the files before anybody learns of it, or anything follows from
        it, from the first turn of the engine to its last, and it stops when a file cannot be written.
        """
        self.trouble = ""
        self._engine, self._folder, self._must = engine, folder, must
        self._filing = JournalFiling(engine, store, folder, at_once=must)
        self._feed: TurnFeed[Entry] = TurnFeed(
            engine, store, Reader(CURSOR, _entries, from_now=True, max_lag=_MOST_BEHIND)
        )
        self._feed.missed = self._missed
        self._taken: list[Entry] = []
        self._unsynced: list[Entry] = []
        self._synced_s = 0.0
        self._alarm: asyncio.TimerHandle | None = None
        self._closing, self._ended = asyncio.Event(), asyncio.Event()
        self._one_at_a_time = asyncio.Lock()
        self._written_from = 0  # the first turn that was written before its release
        if must:
            engine.turns.commits.also = self._before_release

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

    async def settle(self) -> None:
        """Make durable what the engine wrote since, while it closed."""
        try:
            await self._filing.sync()
        except OSError as error:
            self._told(error)
            log.error("journal file not durable", extra={"reason": self.trouble})  # noqa: TRY400 - no bug of ours

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
                for root, entries in (await self._filing.by_file(_entries(turn, is_repeat=False))).items():
                    await self._filing.write(root, entries)
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
        await self._filing.sync()
        for entry in self._unsynced:
            self._feed.finished(entry)
        self._unsynced.clear()
        self._synced_s = stopwatch_s()
        await self._feed.save(at_once=True)

    # --- into files -----------------------------------------------------------------------------------

    async def _write_all(self) -> None:
        """Write what was taken, file by file; raises for the first that could not be, the rest is written."""
        written = self._written_from or math.inf
        self._unsynced += [entry for entry in self._taken if entry.turn >= written]
        by_file = await self._filing.by_file([entry for entry in self._taken if entry.turn < written])
        self._taken, first = [], None
        for root, entries in by_file.items():
            try:
                await self._filing.write(root, entries)
            except (OSError, AsyncflowError) as error:
                first = first or error
                self._taken += entries
            else:
                self._unsynced += entries
        if first is not None:
            raise first


def open_folder(path: Path) -> JournalFolder:
    """The folder of journal files. Raises StoreError."""
    try:
        return JournalFolder(path)
    except OSError as error:
        raise StoreError(f"journal folder {path}: {error.strerror or error}") from error


class JournalFiles:
    """The journal files of an engine, from before it is opened until it is closed.

    Attributes:
        writing: who writes them, once there is an engine; None where none are wanted.
    """

    def __init__(self, settings: StoreSettings, folder: JournalFolder | None) -> None:
        """The folder is open, where one is set."""
        self.writing: Journaling | None = None
        self._settings, self._folder = settings, folder

    def attach(self, engine: Engine, store: FeedStore) -> None:
        """Write for this engine, which is not open yet: nothing happens in it that is not written."""
        if self._folder is None:
            return
        self._folder.code = fingerprints({name: each.function for name, each in engine.functions.items()})
        for execution, name in self._settings.journal_names.items():
            self._folder.adopt(execution, name)
        self.writing = Journaling(engine, store, self._folder, must=self._settings.journal_must)

    @asynccontextmanager
    async def kept_up(self) -> AsyncIterator[Journaling | None]:
        """Files are written within the context, and complete at its end; the engine is open.

        Raises:
            StoreError: the journal cannot be read, or files are behind at the end.
        """
        if self.writing is None:
            yield None
            return
        await self.writing.begin()
        try:
            yield self.writing
        finally:
            await self.writing.close()


@asynccontextmanager
async def journal_files(settings: StoreSettings | None) -> AsyncIterator[JournalFiles]:
    """The journal files for an engine that is opened within the context.

    Raises:
        StoreError: the folder for them cannot be used.
    """
    chosen = settings or StoreSettings()
    if chosen.journal is None:
        yield JournalFiles(chosen, None)
        return
    folder = await asyncio.to_thread(open_folder, chosen.journal)
    files = JournalFiles(chosen, folder)
    try:
        yield files
    finally:
        if files.writing is not None:
            await files.writing.settle()
        folder.close()
