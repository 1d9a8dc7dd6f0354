"""What is looked at before a database is used: the place, the driver, the last stop.

Each check refuses by name or says nothing; none repairs. `sqlite` runs them in its order of
opening.
"""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from asyncflow.errors import StoreError

_MOUNTS = Path("/proc/self/mounts")
_NETWORK_TYPES = frozenset({
    "9p", "afs", "beegfs", "ceph", "cifs", "fuse.gcsfuse", "fuse.glusterfs", "fuse.s3fs", "fuse.sshfs",
    "glusterfs", "gpfs", "lustre", "ncpfs", "nfs", "nfs4", "smb3", "smbfs",
})  # fmt: skip
_OLDEST_SQLITE = (3, 33, 0)  # `PRAGMA quick_check(table)`; all else is older
_RACE_FIXED = (3, 51, 3)  # before it, two connections that checkpoint at once can corrupt a file
_WHOLE_FILE = 256 << 20  # bytes; larger files have only the newest part checked, to start in time


def check_sqlite_version(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> None:
    """Refuse an SQLite that lacks what the store needs.

    Raises:
        StoreError: it is too old.
    """
    if version < _OLDEST_SQLITE:
        wanted = ".".join(map(str, _OLDEST_SQLITE))
        raise StoreError(f"SQLite {'.'.join(map(str, version))} is too old: {wanted} is needed")


def is_wal_race_fixed(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> bool:
    """Whether SQLite is free of the WAL-reset race; our single writer and checkpointer avoids it anyway."""
    return version >= _RACE_FIXED


def check_place(database: Path, mounts: Path = _MOUNTS) -> None:
    """Refuse a folder that does not exist or lies on a network file system.

    WAL needs shared memory and honest locks, which network file systems do not give: two
    machines would corrupt the file. Where there is no mount table nothing is detected.

    Raises:
        StoreError: the message names the folder and what is wrong with it.
    """
    folder = database.parent
    if not folder.is_dir():
        raise StoreError(f"the folder {folder} does not exist")
    kind = _file_system(folder.resolve(), mounts)
    if kind in _NETWORK_TYPES:
        raise StoreError(f"{folder} is on a network file system ({kind}): use a local disk")


def _file_system(folder: Path, mounts: Path) -> str:
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    best, kind = "", ""
    for line in lines:
        fields = line.split(" ")
        point = fields[1].encode().decode("unicode_escape") if len(fields) > 2 else ""
        # The last of equal mount points hides those before it.
        if point and folder.is_relative_to(point) and len(point) >= len(best):
            best, kind = point, fields[2]
    return kind


def check_after_crash(db: sqlite3.Connection) -> None:
    """A quick integrity check: of the whole file, or of its newest part where that would take long.

    Segments of a large file are left to their check sums, which every read compares.

    Raises:
        StoreError: SQLite found damage; the message carries its first finding.
    """
    pages, size = (int(db.execute(f"PRAGMA {name}").fetchone()[0]) for name in ("page_count", "page_size"))
    tables = ["installation", "turn", "definition", "reader_cursor"] if pages * size > _WHOLE_FILE else [""]
    for table in tables:
        finding = db.execute(f"PRAGMA quick_check({table})" if table else "PRAGMA quick_check").fetchone()[0]
        if finding != "ok":
            raise StoreError(f"the database is damaged: {finding}; restore a backup")


def check_whole(db: sqlite3.Connection) -> None:
    """SQLite's full integrity check.

    Raises:
        StoreError: it found damage; the message carries its first finding.
    """
    finding = db.execute("PRAGMA integrity_check(1)").fetchone()[0]
    if finding != "ok":
        raise StoreError(f"the database is damaged: {finding}; restore a backup")


def check_exists(database: Path) -> None:
    """Refuse a name under which there is no file.

    Raises:
        StoreError: there is none.
    """
    if not database.is_file():
        raise StoreError(f"there is no database {database}")


def check_still_there(path: str, inode: int) -> None:
    """Refuse to write into a file that was deleted or replaced: SQLite would not notice.

    Raises:
        StoreError: the path leads to nothing, or to another file. Cost: 1 µs.
    """
    try:
        # Once per commit, where making a Path would cost more than the call.
        found = os.stat(path).st_ino  # noqa: PTH116
    except OSError as error:
        raise StoreError(f"the database file is gone: {path}: {error.strerror}") from error
    if found != inode:
        raise StoreError(f"the database file was replaced while in use: {path}")
