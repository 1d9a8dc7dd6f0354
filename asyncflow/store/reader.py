"""Reading a database file: history, definitions and views, beside an engine or without one.

It opens the file read-only, takes no lock and holds no transaction between calls, so it may run
in any process at any time. `sqlite` builds the writing store on it; `reading` and `views` hold
the statements.
"""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from asyncflow.model.events import Event
from asyncflow.model.turn import Recorded, Turn
from asyncflow.store import (
    audit,
    checks,
    logbook,
    logbook_trim,
    reading,
    retention,
    schema,
    texts,
    views,
    wal,
)
from asyncflow.store.codec import Codec
from asyncflow.store.connection import SqlThread, snapshot, target
from asyncflow.store.log_records import AuditEntry, Firing, LogEntry, Retention, Surplus, TaskIo, TaskLine
from asyncflow.store.queries import Queries
from asyncflow.store.records import (
    DEFAULT_SETTINGS,
    FIRST_PAGE,
    Condition,
    ExecutionKey,
    ExecutionRow,
    Found,
    Page,
    Recovery,
    StoreFacts,
    StoreSettings,
    TaskHit,
    TaskRow,
    Where,
)
from asyncflow.store.retention import Expired

T = TypeVar("T")

MEMORY = ":memory:"
"""The path of a database that lives in memory and ends with its store."""

TURNS_HELD = "SELECT ifnull((SELECT max(number) FROM turn) - (SELECT min(number) FROM turn) + 1, 0)"
"""How many turns there are. Their numbers are gap-free; to count them would read the whole log."""


class SqliteReader:
    """Reads a database file that an engine, in this process or another, may be writing; or none.

    An async context manager. Needs no lock, writes nothing, holds no transaction between calls.
    """

    def __init__(
        self, path: str | Path, *, codec: Codec | None = None, settings: StoreSettings = DEFAULT_SETTINGS
    ) -> None:
        # Absolute, as the working directory may change; links are kept, the lock lies beside the name.
        self.path = MEMORY if str(path) == MEMORY else str(Path(path).absolute())
        self._settings = settings
        self._codec = codec or Codec()
        self._stack = AsyncExitStack()
        self._reader: SqlThread
        self._queries: Queries

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
        # Connections apart: a search over all executions must hold up neither the loading of one nor, where
        # there are several, another search.
        uri = target(self.path, read_only=True)
        self._reader = await stack.enter_async_context(SqlThread(uri, _prepare_reader))
        asked = [
            await stack.enter_async_context(SqlThread(uri, _prepare_reader))
            for _ in range(self._settings.query_connections)
        ]
        self._queries = Queries(asked, limit_s=self._settings.query_timeout_s)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, trace)

    async def _read(self, function: Callable[[sqlite3.Connection], T]) -> T:
        return await self._reader.run(function)

    async def _query(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """What may take long and may be refused for that; everything else is read by `_read`."""
        return await self._queries.run(function)

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

    async def read_streams(
        self, streams: Sequence[str], *, segments_only: bool = False
    ) -> dict[str, list[Recorded]]:
        """Whole histories; see `Journal.read_streams`."""
        names = list(streams)
        read = partial(reading.read_streams, codec=self._codec, streams=names, segments_only=segments_only)
        return await self._read(read)

    async def read_events(self, stream: str, after: int = 0) -> AsyncIterator[list[Recorded]]:
        """A history page by page; see `Journal.read_events`."""
        seq, turn, ended = after, 0, False
        while not ended:
            read = partial(reading.read_events, codec=self._codec, stream=stream, after=seq, turn=turn)
            events, seq, turn, ended = await self._read(read)
            if events:
                yield events

    async def read_legible(self, streams: Sequence[str]) -> dict[str, list[Event]]:
        """The events of streams that can be read; see `Journal.read_legible`."""
        return await self._read(partial(reading.read_legible, codec=self._codec, streams=list(streams)))

    async def last_seq(self, stream: str) -> int:
        """The number of the newest event of a stream; see `Journal.last_seq`."""
        return await self._read(partial(reading.last_seq, codec=self._codec, stream=stream))

    async def read_stream(self, stream: str) -> list[Recorded]:
        """The whole history of one stream, empty if there is none; see `Journal.read_streams`."""
        return (await self.read_streams([stream]))[stream]

    async def read_definitions(self, hashes: Sequence[str]) -> dict[str, str]:
        """Definitions by hash; see `Journal.read_definitions`."""
        return await self._read(partial(reading.read_definitions, hashes=list(hashes)))

    async def segmented_streams(self, after: str = "", *, limit: int = 10_000) -> list[str]:
        """Names of streams that have segments, in order, those above `after`: for rebuilding and retention.

        Streams that only turns hold are met in `read_turns`.
        """
        return await self._read(partial(reading.segmented_streams, after=after, limit=limit))

    # --- views ----------------------------------------------------------------------------

    async def list_executions(
        self,
        conditions: Sequence[Condition] = (),
        page: Page = FIRST_PAGE,
    ) -> list[ExecutionRow]:
        """Executions that meet the conditions; see `Views.list_executions`."""
        return await self._read(partial(views.EXECUTIONS.select, conditions=conditions, page=page))

    async def count_executions(self, conditions: Sequence[Condition] = ()) -> int:
        """How many there are; see `Views.count_executions`."""
        return await self._query(partial(views.EXECUTIONS.count, conditions=conditions))

    async def execution_row(self, execution_id: str) -> ExecutionRow | None:
        """The view's row of one execution, or None."""
        rows = await self.list_executions([Condition("execution_id", "=", (execution_id,))])
        return rows[0] if rows else None

    async def list_tasks(
        self,
        conditions: Sequence[Condition] = (),
        page: Page = FIRST_PAGE,
    ) -> list[TaskRow]:
        """Tasks that meet the conditions; see `Views.list_tasks`."""
        return await self._read(partial(views.TASKS.select, conditions=conditions, page=page))

    async def task_rows(self, execution_id: str, page: Page | None = None) -> list[TaskRow]:
        """The tasks of one execution in the order of their numbers; all of them unless a page is given."""
        page = page or Page(limit=-1, order=(("number", False),))
        return await self.list_tasks([Condition("execution_id", "=", (execution_id,))], page)

    async def find_executions(self, conditions: Sequence[Where], page: Page) -> Found[ExecutionRow]:
        """A page of executions, long inputs and outputs cut; see `Views.find_executions`."""
        return await self._query(partial(views.EXECUTION_HITS.find, conditions=conditions, page=page))

    async def list_keys(self, conditions: Sequence[Where]) -> list[ExecutionKey]:
        """Ids of executions; see `Views.list_keys`."""
        page = Page(limit=-1)
        return await self._query(partial(views.EXECUTION_KEYS.select, conditions=conditions, page=page))

    async def find_tasks(self, conditions: Sequence[Where], page: Page) -> Found[TaskHit]:
        """A page of tasks; see `Views.find_tasks`."""
        return await self._query(partial(views.TASK_HITS.find, conditions=conditions, page=page))

    async def newest_tasks(self, conditions: Sequence[Where], count: int) -> list[TaskHit]:
        """The newest tasks; see `Views.newest_tasks`."""
        return await self._query(partial(views.newest_tasks, conditions=conditions, count=count))

    async def find_owners(self, conditions: Sequence[Where], page: Page) -> Found[ExecutionRow]:
        """A page of executions that own such tasks; see `Views.find_owners`."""
        return await self._query(partial(views.find_owners, conditions=conditions, page=page))

    async def find_lines(self, conditions: Sequence[Where], page: Page) -> Found[TaskLine]:
        """Lines of task logs; see `Logs.find_lines`."""
        return await self._query(partial(logbook.LINES.find, conditions=conditions, page=page))

    async def find_entries(self, conditions: Sequence[Where], page: Page) -> Found[LogEntry]:
        """Lines of tasks and resources; see `Logs.find_entries`."""
        return await self._query(partial(logbook.find_entries, conditions=conditions, page=page))

    async def find_audit(self, conditions: Sequence[Where], page: Page) -> Found[AuditEntry]:
        """Entries of the audit; see `Logs.find_audit`."""
        return await self._query(partial(logbook.AUDIT.find, conditions=conditions, page=page))

    async def find_firings(self, conditions: Sequence[Where], page: Page) -> Found[Firing]:
        """Firings of schedules; see `Logs.find_firings`."""
        return await self._query(partial(logbook.FIRINGS.find, conditions=conditions, page=page))

    async def last_firings(self, schedules: Sequence[str]) -> list[Firing]:
        """The latest firing of each schedule; see `Logs.last_firings`."""
        return await self._query(partial(logbook.last_firings, schedules=schedules))

    async def find_io(self, conditions: Sequence[Where], page: Page) -> Found[TaskIo]:
        """What tasks told of their data; see `Logs.find_io`."""
        return await self._query(partial(logbook.IO.find, conditions=conditions, page=page))

    async def find_surplus(self, kept: Retention, now_ms: int) -> list[Surplus]:
        """What is beyond what is kept; see `Logs.find_surplus`."""
        return await self._read(partial(logbook_trim.find_surplus, kept=kept, now_ms=now_ms))

    async def workflow_names(self) -> list[str]:
        """The names of all workflows that have executions; see `retention.workflow_names`."""
        return await self._query(retention.workflow_names)

    async def find_expired(self, wanted: Expired) -> list[str]:
        """Executions that are kept no longer; see `retention.find_expired`."""
        return await self._query(partial(retention.find_expired, wanted=wanted))

    async def newest_pending_text(self) -> int:
        """The last change of a text that is not indexed; see `Views.newest_pending_text`."""
        return await self._read(texts.newest_pending)

    async def projected_turn(self) -> int:
        """How far the views are; see `Views.projected_turn`."""
        return await self.cursor("views")

    async def cursor(self, name: str) -> int:
        """The last turn a reader of this name has dealt with; 0 for an unknown one."""
        return await self._read(partial(reading.read_cursor, name=name))

    async def cursors(self) -> dict[str, int]:
        """The same of all readers that are known; see `Journal.cursors`."""
        return await self._read(reading.read_cursors)

    # --- the file -------------------------------------------------------------------------

    async def facts(self) -> StoreFacts:
        """What there is to know of the file and its driver, for `/health` and `doctor`.

        `durability` is empty where nobody here writes.
        """
        return await self._read(partial(_facts, path=self.path))

    async def find_faults(self) -> list[str]:
        """All that is wrong with the file, worst first; empty if it is sound. Reads everything."""
        return await self._read(partial(audit.find_faults, codec=self._codec))


def _prepare_reader(db: sqlite3.Connection) -> None:
    db.execute("PRAGMA busy_timeout = 5000")
    db.execute("PRAGMA query_only = ON")
    schema.check_version(db, schema.migrations(), reading=True)


def _facts(db: sqlite3.Connection, *, path: str) -> StoreFacts:
    with snapshot(db):
        installation, since_ms, clean = db.execute(
            "SELECT installation_id, since_ms, clean FROM installation"
        ).fetchone()
        pages, page_size = (
            db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("page_count", "page_size")
        )
        return StoreFacts(
            path=path,
            sqlite_version=sqlite3.sqlite_version,
            wal_race_fixed=checks.is_wal_race_fixed(),
            schema_version=schema.schema_version(db),
            installation_id=installation,
            installation_since_ms=since_ms,
            durability="",
            was_clean=bool(clean),
            size_bytes=pages * page_size,
            wal_bytes=wal.size(path),
            turns=db.execute(TURNS_HELD).fetchone()[0],
        )
