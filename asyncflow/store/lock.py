"""The process lock: one writer per database file, on one machine.

An OS lock on `<file>.lock`, not a pid file: it goes with the process, however that ends. The
file stays behind and names its last holder; deleting it while an engine runs would let a
second one in. `sqlite` takes it before it opens the database.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import logging
import os
import socket
import weakref
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path

import anyio

from asyncflow.errors import StoreError, StoreLocked

log = logging.getLogger("asyncflow.store")

_RETRY_S = 0.05


class _Held:
    """An open lock file; the lock lasts as long as its descriptor, in this process only."""

    def __init__(self, descriptor: int) -> None:
        self.descriptor = descriptor

    def close(self) -> None:
        if self.descriptor >= 0:
            os.close(self.descriptor)
            self.descriptor = -1


_held: weakref.WeakSet[_Held] = weakref.WeakSet()


def _let_go_in_child() -> None:
    # A forked child shares the open file, and with it the lock: it would keep a dead engine's
    # file locked. Closing the child's copy leaves the parent's lock alone.
    for held in list(_held):
        held.close()


os.register_at_fork(after_in_child=_let_go_in_child)


@asynccontextmanager
async def process_lock(database: Path, *, wait_s: float = 0.0) -> AsyncIterator[None]:
    """Holds the lock of the database file until it is left.

    Raises:
        StoreLocked: another holder kept it for `wait_s` seconds; the message names its pid and host, and
            since when it has the file.
    """
    held = _open(database.with_name(database.name + ".lock"))
    try:
        if not _try_lock(held):
            if wait_s:
                log.info("%s is in use by %s: waiting up to %g s", database, _holder(held), wait_s)
            if not await _acquire(held, wait_s):
                raise StoreLocked(f"{database} is in use by {_holder(held)}: stop it, or use another file")
        _write_holder(held)
        yield
    finally:
        held.close()


def _open(path: Path) -> _Held:
    try:
        held = _Held(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StoreError(f"cannot open the lock file {path}: {error.strerror}") from error
    _held.add(held)
    return held


async def _acquire(held: _Held, wait_s: float) -> bool:
    with anyio.move_on_after(wait_s):
        while not _try_lock(held):  # noqa: ASYNC110
            # Nothing tells when a lock is let go, and the engine's clock does not run yet.
            await anyio.sleep(_RETRY_S)  # noqa: TID251
        return True
    return False


def _try_lock(held: _Held) -> bool:
    try:
        fcntl.flock(held.descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _write_holder(held: _Held) -> None:
    text = json.dumps({"pid": os.getpid(), "host": socket.gethostname()})
    os.ftruncate(held.descriptor, 0)
    os.pwrite(held.descriptor, text.encode(), 0)


def _holder(held: _Held) -> str:
    with contextlib.suppress(ValueError, KeyError, TypeError):
        holder = json.loads(os.pread(held.descriptor, 4096, 0))
        since = datetime.fromtimestamp(os.fstat(held.descriptor).st_mtime, UTC)  # it wrote its name then
        return f"process {holder['pid']} on {holder['host']} since {since:%Y-%m-%d %H:%M:%S} UTC"
    return "another process"
