"""The journal and the views in one SQLite file: opening, closing, and one hop per call.

One connection writes, in a thread of its own; another, read-only, reads. What a call does is
written in `writing`, `reading` and `views` as plain functions; this module decides only in
which thread they run. Promises: `journal`.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from asyncflow.errors import NotCommitted, StoreError
from asyncflow.model.turn import Recorded, Turn
from asyncflow.store import audit, checks, reading, schema, views, wal, writing
from asyncflow.store.codec import Codec
from asyncflow.store.connection import SqlThread, snapshot, target, transaction
from asyncflow.store.lock import process_lock
from asyncflow.store.records import (
    Condition,
    ExecutionRow,
    Page,
    Recovery,
    Segment,
    StoreFacts,
    StoreSettings,
    TaskRow,
    ViewBatch,
)

T = TypeVar("T")

MEMORY = ":memory:"
"""The path of a database that lives in memory and ends with its store."""


class SqliteReader:
    """Reads a database file that an engine, in this process or another, may be writing; or none.

    An async context manager. Needs no lock, writes nothing, holds no transaction between calls.
    """

    def __init__(self, path: str | Path, *, codec: Codec | None = None) -> None:
        # Absolute, as the working directory may change; links are kept, the lock lies beside the name.
        self.path = MEMORY if str(path) == MEMORY else str(Path(path).absolute())
        self._codec = codec or Codec()
        self._stack = AsyncExitStack()
        self._reader: SqlThread

    @classmethod
    def open(cls, path: str | Path, *, codec: Codec | None = None) -> Self:
        """To be entered: `async with SqliteReader.open(path) as reader`.

        Raises:
            StoreError: on entering, if the file is missing, not ours or of a newer release.
        """
        return cls(path, codec=codec)

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            await self._enter(stack)
            self._stack = stack.pop_all()
        return self

    async def _enter(self, stack: AsyncExitStack) -> None:
        self._reader = await stack.enter_async_context(
            SqlThread(target(self.path, read_only=True), _prepare_reader)
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def _read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return await self._reader.run(function)

    # --- journal --------------------------------------------------------------------------

    async def recover(self) -> Recovery:
        """Where the journal stands; see `Journal.recover`."""
        return await self._read(reading.recover)

    async def read_turns(self, after: int, *, unsegmented: bool = False) -> AsyncIterator[list[Turn]]:
        """Turns in batches; see `Journal.read_turns`."""
        ended = False
        while not ended:
            read = partial(reading.read_turns, codec=self._codec, after=after, unsegmented=unsegmented)
            turns, after, ended = await self._read(read)
            if turns:
                yield turns

    async def read_streams(self, streams: Sequence[str]) -> dict[str, list[Recorded]]:
        """Whole histories; see `Journal.read_streams`."""
        return await self._read(partial(reading.read_streams, codec=self._codec, streams=list(streams)))

    async def read_stream(self, stream: str) -> list[Recorded]:
        """The whole history of one stream, empty if there is none; see `Journal.read_streams`."""
        return (await self.read_streams([stream]))[stream]

    async def read_definitions(self, hashes: Sequence[str]) -> dict[str, str]:
        """Definitions by hash; see `Journal.read_definitions`."""
        return await self._read(partial(reading.read_definitions, hashes=list(hashes)))

    # --- views ----------------------------------------------------------------------------

    async def list_executions(
        self,
        conditions: Sequence[Condition] = (),
        page: Page = Page(),  # noqa: B008 - frozen
    ) -> list[ExecutionRow]:
        """Executions that meet the conditions; see `Views.list_executions`."""
        return await self._read(partial(views.EXECUTIONS.select, conditions=conditions, page=page))

    async def count_executions(self, conditions: Sequence[Condition] = ()) -> int:
        """How many there are; see `Views.count_executions`."""
        return await self._read(partial(views.EXECUTIONS.count, conditions=conditions))

    async def execution_row(self, execution_id: str) -> ExecutionRow | None:
        """The view's row of one execution, or None."""
        rows = await self.list_executions([Condition("execution_id", "=", (execution_id,))])
        return rows[0] if rows else None

    async def list_tasks(
        self,
        conditions: Sequence[Condition] = (),
        page: Page = Page(),  # noqa: B008 - frozen
    ) -> list[TaskRow]:
        """Tasks that meet the conditions; see `Views.list_tasks`."""
        return await self._read(partial(views.TASKS.select, conditions=conditions, page=page))

    async def count_tasks(self, conditions: Sequence[Condition] = ()) -> int:
        """How many there are; see `Views.count_tasks`."""
        return await self._read(partial(views.TASKS.count, conditions=conditions))

    async def task_rows(self, execution_id: str, page: Page | None = None) -> list[TaskRow]:
        """The tasks of one execution in the order of their numbers; all of them unless a page is given."""
        page = page or Page(limit=-1, order=(("number", False),))
        return await self.list_tasks([Condition("execution_id", "=", (execution_id,))], page)

    async def projected_turn(self) -> int:
        """How far the views are; see `Views.projected_turn`."""
        return await self.cursor("views")

    async def cursor(self, name: str) -> int:
        """The last turn a reader of this name has dealt with; 0 for an unknown one."""
        return await self._read(partial(reading.read_cursor, name=name))

    # --- the file -------------------------------------------------------------------------

    async def facts(self) -> StoreFacts:
        """What there is to know of the file and its driver, for `/health` and `doctor`."""
        return await self._read(partial(_facts, path=self.path, durability="", was_clean=False))

    async def find_faults(self) -> list[str]:
        """All that is wrong with the file, worst first; empty if it is sound. Reads everything."""
        return await self._read(partial(audit.find_faults, codec=self._codec))


class SqliteStore(SqliteReader):
    """The engine's store: all of `Journal` and `Views`, and the lock of the file while it is open."""

    def __init__(
        self,
        path: str | Path,
        *,
        settings: StoreSettings = StoreSettings(),  # noqa: B008 - frozen
        codec: Codec | None = None,
    ) -> None:
        super().__init__(path, codec=codec)
        self._settings = settings
        self._writer: SqlThread
        self._was_clean = True
        self._is_broken = False
        self._inode = 0

    @classmethod
    def open(
        cls,
        path: str | Path,
        *,
        settings: StoreSettings = StoreSettings(),  # noqa: B008 - frozen
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
        schema.migrate(db, schema.migrations(), installation_id=self._settings.installation_id)
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
        except NotCommitted:
            raise
        except StoreError:
            self._is_broken = True
            raise

    # --- journal --------------------------------------------------------------------------

    async def append(self, turn: Turn) -> None:
        """Commit a turn; see `Journal.append`. It is encoded before the first await."""
        body = self._codec.encode_entries(turn.entries)
        elapsed_ms, wall_ms = turn.moment
        crc = writing.turn_crc(turn.number, elapsed_ms, wall_ms, body)
        row = writing.TurnRow(turn.number, elapsed_ms, wall_ms, crc, body.decode(), turn.definitions)
        if self._inode:
            checks.check_still_there(self.path, self._inode)
        await self._commit(partial(writing.append_turn, row=row))

    async def write_segments(self, segments: Sequence[Segment]) -> None:
        """Store segments; see `Journal.write_segments`."""
        await self._write(partial(writing.write_segments, codec=self._codec, segments=list(segments)))

    async def trim_turns(self, below: int) -> int:
        """Delete turns; see `Journal.trim_turns`."""
        return await self._write(partial(writing.trim_turns, below=below))

    async def delete_streams(self, streams: Sequence[str]) -> int:
        """Delete all segments of the streams and give their number, for retention.

        The caller has recorded the removal, and no turn still held has events of these streams.
        """
        return await self._write(partial(writing.delete_streams, streams=list(streams)))

    # --- views ----------------------------------------------------------------------------

    async def write_views(self, batch: ViewBatch) -> None:
        """Bring the views up to a turn; see `Views.write_views`."""
        await self._write(partial(views.write, batch=batch))

    async def clear_views(self) -> None:
        """Empty the views; see `Views.clear_views`."""
        await self._write(views.clear)

    async def move_cursor(self, name: str, turn: int) -> None:
        """Store that the reader of this name has dealt with all turns up to this one."""
        await self._write(partial(writing.move_cursor, name=name, turn=turn))

    async def _write(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """A write that is not a turn; these come when the engine is idle, so the WAL is cut back here."""

        def write_and_tidy(db: sqlite3.Connection) -> T:
            answer = function(db)
            wal.cut_back(db, self.path, self._settings.wal_limit)
            return answer

        return await self._commit(write_and_tidy)

    async def facts(self) -> StoreFacts:
        """What there is to know of the file, its driver and the last stop."""
        durability = self._settings.durability
        read = partial(_facts, path=self.path, durability=durability, was_clean=self._was_clean)
        return await self._read(read)


def _prepare_reader(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA busy_timeout = 5000")
    db.execute("PRAGMA query_only = ON")
    schema.check_version(db, schema.migrations(), reading=True)


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


def _facts(db: sqlite3.Connection, *, path: str, durability: str, was_clean: bool) -> StoreFacts:
    with snapshot(db):
        pages, page_size = (
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
        )
        return StoreFacts(
            path=path,
            sqlite_version=sqlite3.sqlite_version,
            wal_race_fixed=checks.is_wal_race_fixed(),
            schema_version=schema.schema_version(db),
            installation_id=db.execute("SELECT installation_id FROM installation").fetchone()[0],
            durability=durability,
            was_clean=was_clean,
            size_bytes=pages * page_size,
            wal_bytes=wal.size(path),
            turns=db.execute("SELECT count(*) FROM turn").fetchone()[0],
        )
