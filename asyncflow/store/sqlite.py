"""The journal and the views in one SQLite file: opening, closing, and one hop per write.

One connection writes, in a thread of its own; what a call does is written in `writing` and
`views` as plain functions, and this module decides only in which order a file is opened and
where they run. Reading is `reader`; the promises are in `journal`.
"""

from __future__ import annotations

import contextlib
import os
import secrets
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Self, TypeVar

from asyncflow.errors import NotCommitted, StoreError
from asyncflow.model.quarantine import Quarantined
from asyncflow.model.turn import Turn
from asyncflow.store import checks, logbook, logbook_trim, quarantine, schema, texts, views, wal, writing
from asyncflow.store.codec import Codec
from asyncflow.store.connection import STORAGE_BUSY, SqlThread, target, transaction
from asyncflow.store.lock import process_lock
from asyncflow.store.log_records import LogBound, LogRow, Surplus
from asyncflow.store.queries import Queries
from asyncflow.store.reader import MEMORY, SqliteReader
from asyncflow.store.records import DEFAULT_SETTINGS, Restored, Segment, StoreFacts, StoreSettings, ViewBatch

__all__ = ["MEMORY", "SqliteReader", "SqliteStore"]

T = TypeVar("T")


class SqliteStore(SqliteReader):
    """The engine's store: all of `Journal` and `Views`, and the lock of the file while it is open."""

    def __init__(
        self,
        path: str | Path,
        *,
        settings: StoreSettings = DEFAULT_SETTINGS,
        codec: Codec | None = None,
    ) -> None:
        super().__init__(path, codec=codec, settings=settings)
        self._writer: SqlThread
        self._was_clean = True
        self._is_broken, self._is_patient = False, True
        self._inode = 0

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        settings: StoreSettings = DEFAULT_SETTINGS,
        codec: Codec | None = None,
    ) -> Self:
        """To be entered: `async with SqliteStore.open("flow.db") as store`.

        Entering takes the lock, migrates, and checks the file if the last stop was not clean.

        Raises:
            StoreLocked: on entering, if another process holds the file.
            StoreError: on entering, if the file cannot be used; it is left unchanged.
        """
        return cls(path, settings=settings, codec=codec)

    async def _enter(self, stack: AsyncExitStack) -> None:
        checks.check_sqlite_version()
        if self.path == MEMORY:
            self._writer = await stack.enter_async_context(SqlThread(MEMORY, self._prepare_writer))
            self._reader = self._writer  # memory is of one connection
            self._queries = Queries([self._writer], limit_s=self._settings.query_timeout_s)
            return
        path = Path(self.path)
        checks.check_place(path)
        await stack.enter_async_context(process_lock(path, wait_s=self._settings.takeover_wait_s))
        self._inode = _create_private(path)
        self._writer = await stack.enter_async_context(SqlThread(target(path), self._prepare_writer))
        stack.push_async_callback(self._mark_clean)
        await super()._enter(stack)

    def _prepare_writer(self, db: sqlite3.Connection) -> None:
        schema.check_version(db, schema.migrations(), reading=False)  # before anything is changed
        wal.configure_writer(db, self._settings)
        installation = self._settings.installation_id or secrets.token_hex(16)
        schema.migrate(db, schema.migrations(), installation_id=installation)
        self._was_clean = bool(db.execute("SELECT clean FROM installation").fetchone()[0])
        if not self._was_clean:
            checks.check_after_crash(db)
        with transaction(db):
            db.execute("UPDATE installation SET clean = 0")

    async def _mark_clean(self) -> None:
        if not self._is_broken:
            # A mark that cannot be written stays 0, and the next start checks the file.
            with contextlib.suppress(StoreError):
                await self._writer.run(_mark_clean)

    async def _commit(self, function: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._writer.run(function)
        except NotCommitted as error:
            if error.code == STORAGE_BUSY:
                await self._wait_for_locks(is_patient=False)
            raise
        except StoreError:
            self._is_broken = True
            raise

    async def _wait_for_locks(self, *, is_patient: bool) -> None:
        """Wait for whoever locks the file some seconds, or, where that was in vain, hardly at all.

        Otherwise every write that a stop still has to try would take those seconds.
        """
        self._is_patient = is_patient
        await self._writer.run(partial(wal.wait_for_locks, is_patient=is_patient))

    # --- journal --------------------------------------------------------------------------

    async def append(self, turn: Turn) -> None:
        """Commit a turn; see `Journal.append`. It is encoded before the first await."""
        body = self._codec.encode_entries(turn.entries)
        elapsed_ms, wall_ms = turn.moment
        crc = writing.turn_crc(turn.number, elapsed_ms, wall_ms, body)
        text, size = body.decode(), len(body)
        row = writing.TurnRow(
            turn.number, elapsed_ms, wall_ms, size, crc, text, turn.definitions, turn.removed
        )
        if self._inode:
            checks.check_still_there(self.path, self._inode)
        await self._commit(partial(writing.append_turn, row=row))
        if not self._is_patient:  # this write was one for sure: others may have had nothing to write
            await self._wait_for_locks(is_patient=True)

    async def write_segments(self, segments: Sequence[Segment]) -> None:
        """Store segments; see `Journal.write_segments`."""
        await self._write(partial(writing.write_segments, codec=self._codec, segments=list(segments)))

    async def trim_turns(self, below: int) -> int:
        """Delete turns; see `Journal.trim_turns`."""
        return await self._write(partial(writing.trim_turns, below=below))

    async def restored(self, now_ms: int) -> Restored:
        """Whether the file was a backup; see `Backups.restored`."""
        return await self._write(partial(writing.restored, now_ms=now_ms))

    async def read_held(self) -> dict[str, Quarantined]:
        """Who is held; see `Quarantines.read_held`."""
        return await self._read(quarantine.read_held)

    async def hold(self, stream: str, why: Quarantined) -> None:
        """Hold an execution; see `Quarantines.hold`."""
        await self._write(partial(quarantine.hold, stream=stream, why=why))

    async def let_go(self, stream: str) -> None:
        """Hold an execution no more; see `Quarantines.let_go`."""
        await self._write(partial(quarantine.let_go, stream=stream))

    # --- views ----------------------------------------------------------------------------

    async def write_views(self, batch: ViewBatch) -> None:
        """Bring the views up to a turn; see `Views.write_views`."""
        await self._write(partial(views.write, batch=batch))

    async def clear_views(self) -> None:
        """Empty the views; see `Views.clear_views`."""
        await self._write(views.clear)

    async def index_texts(self) -> int:
        """Index what changed first; see `Views.index_texts`."""
        return await self._write(texts.index_some)

    async def write_logs(self, rows: Sequence[LogRow], bound: LogBound) -> None:
        """Store rows of the side tables; see `Logs.write_logs`."""
        await self._write(partial(logbook.write, rows=list(rows), bound=bound))

    async def trim(self, surplus: Surplus) -> int:
        """Delete a part of what is not kept; see `Logs.trim`."""
        return await self._write(partial(logbook_trim.trim, surplus=surplus))

    async def move_cursors(self, turns: Mapping[str, int]) -> None:
        """Store that readers have dealt with all turns up to these, by the readers' names."""
        await self._write(partial(writing.move_cursors, turns=turns))

    async def _write(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """A write that is not a turn; these come when the engine is idle, so the WAL is cut back here."""

        def write_and_tidy(db: sqlite3.Connection) -> T:
            answer = function(db)
            wal.cut_back(db, self.path, self._settings.wal_limit)
            return answer

        return await self._commit(write_and_tidy)

    async def facts(self) -> StoreFacts:
        """What there is to know of the file, its driver and the last stop."""
        facts = await super().facts()
        return facts._replace(durability=self._settings.durability, was_clean=self._was_clean)


def _create_private(path: Path) -> int:
    """Make the file if there is none, for its owner alone, and give its inode.

    SQLite gives its side files the rights of the main one. The descriptor is closed before
    SQLite opens the file: closing it later would drop SQLite's own locks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        return os.fstat(descriptor).st_ino
    finally:
        os.close(descriptor)


def _mark_clean(db: sqlite3.Connection) -> None:
    with transaction(db):
        db.execute("UPDATE installation SET clean = 1")
