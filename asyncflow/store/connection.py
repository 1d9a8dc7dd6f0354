"""One SQLite connection in a thread of its own, and whole transactions as single calls.

The only module that knows aiosqlite. A function handed to `SqlThread.run` is carried out there
in one hop, however many statements it executes: nothing can slip between its BEGIN and COMMIT,
and a caller that is cancelled leaves no transaction open. `transaction` is the frame of a write.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar, cast

import aiosqlite

from asyncflow.errors import NotCommitted, OutcomeUnknown, StoreError

T = TypeVar("T")

STORAGE_BUSY = "storage_busy"
"""Somebody else locks the file."""

_CALL = "call"  # stands where an SQL text would; never reaches SQLite
_FULL = "storage_full"
_REFUSED_BEFORE_COMMIT = {
    "SQLITE_FULL": _FULL,
    "SQLITE_BUSY": STORAGE_BUSY,
    "SQLITE_LOCKED": STORAGE_BUSY,
}


class _Answer:
    """What a called function returned, in the form in which aiosqlite fetches rows."""

    def __init__(self, value: object) -> None:
        self._value = value

    def fetchall(self) -> object:
        return self._value


class _CallingConnection(sqlite3.Connection):
    """A connection whose `execute` also carries out functions of itself, for `SqlThread.run`."""

    def execute(self, sql: str, parameters: object = (), /) -> sqlite3.Cursor:
        if sql is not _CALL:
            return super().execute(sql, cast("Sequence[str | int]", parameters))
        (function,) = cast("tuple[Callable[[sqlite3.Connection], object]]", parameters)
        return cast("sqlite3.Cursor", _Answer(function(self)))


class SqlThread:
    """A connection and its thread; an async context manager that opens and closes both.

    Calls are carried out in the order in which they were made, also those whose caller was
    cancelled.
    """

    def __init__(self, target: str, prepare: Callable[[sqlite3.Connection], None]) -> None:
        self._target = target
        self._prepare = prepare
        self._connection: aiosqlite.Connection | None = None

    async def __aenter__(self) -> Self:
        connection = aiosqlite.connect(
            self._target, uri=True, isolation_level=None, factory=_CallingConnection, cached_statements=256
        )
        try:
            self._connection = await connection
            await self.run(self._prepare)
        except sqlite3.Error as error:
            await self._close()
            raise StoreError(f"cannot open the database: {error}") from error
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def run(self, function: Callable[[sqlite3.Connection], T]) -> T:
        """What the function returns, called in the thread with the connection.

        Raises:
            StoreError: SQLite failed, or the connection is closed.
        """
        if self._connection is None:
            raise StoreError("the database is closed")
        try:
            return cast("T", await self._connection.execute_fetchall(_CALL, (function,)))
        except sqlite3.Error as error:
            raise StoreError(f"{_name(error)}: {error}") from error


@contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """The frame of every write: BEGIN IMMEDIATE, the body, COMMIT; or ROLLBACK and a clear answer.

    Raises:
        NotCommitted: SQLite refused for want of room or for a lock, and the
            roll back is certain.
        OutcomeUnknown: COMMIT failed in any other way, or the roll back did.
    """
    try:
        db.execute("BEGIN IMMEDIATE")
        yield
    except BaseException as error:
        _roll_back(db, error)
        if isinstance(error, sqlite3.Error):
            raise _refusal(error) from error
        raise
    try:
        db.execute("COMMIT")
    except sqlite3.Error as error:
        _roll_back(db, error)
        # Where the disk is full, the frames of the commit did not all reach the WAL: no reader sees
        # them, the next commit overwrites them. After any other error, above all a failed fsync,
        # what the disk holds cannot be known.
        if _primary(error) == "SQLITE_FULL":
            raise _refusal(error) from error
        raise OutcomeUnknown(f"commit failed, {_name(error)}: {error}") from error


@contextmanager
def statement(db: sqlite3.Connection) -> Iterator[None]:
    """The frame of a write that is one statement, and so commits itself; raises as `transaction`.

    Where it failed, before its commit or in it, is not told: what is not surely undone is unknown.
    """
    try:
        yield
    except sqlite3.Error as error:
        _roll_back(db, error)
        if _primary(error) in _REFUSED_BEFORE_COMMIT:
            raise _refusal(error) from error
        raise OutcomeUnknown(f"a write failed, {_name(error)}: {error}") from error


@contextmanager
def snapshot(db: sqlite3.Connection) -> Iterator[None]:
    """The frame of reads that must all see one instant."""
    db.execute("BEGIN")
    try:
        yield
    finally:
        if db.in_transaction:
            db.execute("ROLLBACK")


def target(path: str | Path, *, read_only: bool = False) -> str:
    """The URI under which SQLite opens the file; `:memory:` stays what it is."""
    if str(path) == ":memory:":
        return ":memory:"
    return Path(path).absolute().as_uri() + ("?mode=ro" if read_only else "?mode=rwc")


def _roll_back(db: sqlite3.Connection, cause: BaseException) -> None:
    if not db.in_transaction:
        return  # SQLite did it by itself, or the transaction never began
    try:
        db.execute("ROLLBACK")
    except sqlite3.Error as error:
        raise OutcomeUnknown(f"roll back failed, {_name(error)}: {error}") from cause


def _refusal(error: sqlite3.Error) -> StoreError:
    code = _REFUSED_BEFORE_COMMIT.get(_primary(error))
    text = f"{_name(error)}: {error}"
    return NotCommitted(f"nothing was written, {text}", code=code) if code else StoreError(text)


def _name(error: sqlite3.Error) -> str:
    return getattr(error, "sqlite_errorname", type(error).__name__)


def _primary(error: sqlite3.Error) -> str:
    """The primary result code: `SQLITE_BUSY` also for `SQLITE_BUSY_SNAPSHOT`."""
    return "_".join(_name(error).split("_")[:2])
