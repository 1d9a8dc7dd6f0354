"""What `asyncflow db` does to a file: migrate, back up, clone, vacuum, check.

Each takes the process lock where it writes into the file, and none needs an engine. Rebuilding
the views needs the deciding core and is done above; `SqliteStore.clear_views` is its first half.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import secrets
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from asyncflow.errors import Conflict, StoreError
from asyncflow.store import checks, schema, wal
from asyncflow.store.codec import Codec
from asyncflow.store.connection import SqlThread, target, transaction
from asyncflow.store.lock import process_lock
from asyncflow.store.reader import SqliteReader
from asyncflow.store.records import StoreSettings

Settle = Callable[[Path], Awaitable[None]]
"""What is done to a clone before it has its name; nobody else has it open."""

_TO_RESTORE = """
UPDATE installation SET restored_ms = -1,
  restored_from_ms = coalesce((SELECT elapsed_ms FROM turn ORDER BY number DESC LIMIT 1), 0)"""
_NOT_RESTORED = "UPDATE installation SET restored_from_ms = 0, restored_ms = 0"
_READ_ALL = """
UPDATE reader_cursor SET turn = (SELECT max(number) FROM turn)
WHERE name <> 'views' AND EXISTS (SELECT 1 FROM turn)"""


async def migrate(path: str | Path, *, wait_s: float = 0.0) -> list[int]:
    """Bring an existing file to the schema of this release and give the migrations applied.

    Raises:
        StoreLocked: an engine holds the file.
        StoreError: the file is missing, not ours, or of a newer release; it is left unchanged.
    """
    async with _locked(path, wait_s=wait_s) as writer:
        return await writer.run(partial(schema.migrate, steps=schema.migrations()))


async def backup(source: str | Path, destination: str | Path) -> None:
    """Copy a file, also while an engine writes to it, to a name that is still free.

    The copy is of one instant, complete, checked whole, and on disk on return; it appears under its name
    only then.

    Raises:
        Conflict: the destination exists.
        StoreError: the source cannot be read or is damaged, or the copy not written.
    """
    async with _copied(source, destination) as copy:
        await asyncio.to_thread(_finish, copy, "")


async def clone(source: str | Path, destination: str | Path, *, installation_id: str, settle: Settle) -> None:
    """A copy that is another installation: its tokens never meet those of the original.

    `settle` is given the copy, of this release's schema, before it has its name. Use it to try things out on
    real data; a restore after a loss is a backup, with the old id. Raises as `backup` and `settle`.
    """
    async with _copied(source, destination) as copy:
        await asyncio.to_thread(_finish, copy, installation_id)
        await settle(copy)
        await asyncio.to_thread(_finish, copy, installation_id)


async def vacuum(path: str | Path, *, wait_s: float = 0.0) -> int:
    """Write the file anew without its free pages and give the bytes it shrank by.

    Needs as much free disk as the file has content. Raises as `migrate`.
    """
    before = _size(path)
    async with _locked(path, wait_s=wait_s) as writer:
        await writer.run(_vacuum)
    return before - _size(path)


async def check(path: str | Path, *, codec: Codec | None = None) -> list[str]:
    """Everything that is wrong with the file, worst first; empty if it is sound.

    SQLite's full integrity check, then every check sum and every record of the journal. Works
    beside a running engine. Cost: about a second per 100 MiB.

    Raises:
        StoreError: the file cannot even be opened.
    """
    async with SqliteReader.open(path, codec=codec) as reader:
        return await reader.find_faults()


@asynccontextmanager
async def _locked(path: str | Path, *, wait_s: float) -> AsyncIterator[SqlThread]:
    file = _existing(path)
    async with process_lock(file, wait_s=wait_s), SqlThread(target(file), _prepare) as writer:
        yield writer


def _prepare(db: sqlite3.Connection) -> None:
    schema.check_version(db, schema.migrations(), reading=False)
    wal.configure_writer(db, StoreSettings())


def _vacuum(db: sqlite3.Connection) -> None:
    db.execute("VACUUM")
    db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


def _existing(path: str | Path) -> Path:
    file = Path(path).absolute()
    checks.check_exists(file)
    return file


def _size(path: str | Path) -> int:
    return _existing(path).stat().st_size


@asynccontextmanager
async def _copied(source: str | Path, destination: str | Path) -> AsyncIterator[Path]:
    """A copy under a name of its own; it gets its real name when the context is left without an error."""
    file, target_file = _existing(source), _free(destination)
    copy = target_file.with_name(f".{target_file.name}.{secrets.token_hex(4)}.partial")
    try:
        async with SqlThread(target(file, read_only=True), _check_readable) as reader:
            await reader.run(partial(_copy_file, copy=copy))
        yield copy
        await asyncio.to_thread(_publish, copy, target_file)
    except OSError as error:
        raise StoreError(f"cannot write {target_file}: {error.strerror}") from error
    finally:
        _remove(copy)


def _free(destination: str | Path) -> Path:
    file = Path(destination).absolute()
    checks.check_place(file)
    if file.exists():
        raise Conflict(f"{file} exists: a copy overwrites nothing")
    return file


def _check_readable(db: sqlite3.Connection) -> None:
    schema.check_version(db, schema.migrations(), reading=True)


def _remove(copy: Path) -> None:
    for suffix in ("", "-wal", "-shm", "-journal", ".lock"):
        Path(f"{copy}{suffix}").unlink(missing_ok=True)


def _copy_file(db: sqlite3.Connection, copy: Path) -> None:
    os.close(os.open(copy, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
    with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as written:
        # In one step: a copy in several begins anew whenever the engine commits between two.
        db.backup(written)


def _finish(copy: Path, installation_id: str) -> None:
    """Make one whole, clean file of it; with an id, that of another installation whose readers begin here.

    Raises:
        StoreError: it is damaged, as the source then is; or it cannot be written.
    """
    try:
        with contextlib.closing(sqlite3.connect(copy, isolation_level=None)) as db:
            db.execute("PRAGMA journal_mode = DELETE")  # no log beside it; an engine sets WAL again
            checks.check_whole(db)
            with transaction(db):
                db.execute("UPDATE installation SET clean = 1")
                if installation_id:
                    db.execute(
                        "UPDATE installation SET installation_id = ?, since_ms = 0", (installation_id,)
                    )
                    db.execute(_READ_ALL)
                db.execute(_NOT_RESTORED if installation_id else _TO_RESTORE)
    except sqlite3.Error as error:
        raise StoreError(f"cannot write {copy}: {error}") from error


def _publish(partial_file: Path, destination: Path) -> None:
    """Give the finished copy its name, both on disk, without ever replacing a file of that name."""
    descriptor = os.open(partial_file, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    try:
        os.link(partial_file, destination)
    except FileExistsError as error:
        raise Conflict(f"{destination} exists: a copy overwrites nothing") from error
    folder = os.open(destination.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
