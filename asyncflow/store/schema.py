"""The stored schema: its migrations, its number, and the page that documents it.

Migrations go forward only, each in one transaction with its number, so a kill at any point
leaves the file at one of them. A file of a newer release is refused and left untouched; what a
column means is written in `schema.sql`.
"""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from functools import cache
from importlib import resources
from typing import NamedTuple

from asyncflow.errors import StoreError
from asyncflow.store.connection import transaction

APPLICATION_ID = 0x41464C57
"""`AFLW`: what `file` and SQLite show for a database of ours."""

_READABLE_SINCE = 1  # raise it with a migration that readers of older releases cannot follow
_PAGE_HEAD = """\
# Schema of the database

This page is made from `asyncflow/store/schema.sql`; a test compares the two. The file is an
SQLite database in WAL mode. Open it read-only with any tool, at any time, also while an engine
runs: `sqlite3 'file:flow.db?mode=ro'`. Never copy the file of a running engine: use
`asyncflow db backup`. Columns are added at the end; a reader of an older release may go on
reading as long as `installation.readable_since` is not above the schema number it knows.

"""


class Migration(NamedTuple):
    """One step of the schema: the number it leads to, and the statements that do it."""

    number: int
    name: str
    script: str

    @property
    def checksum(self) -> str:
        """What is stored of the script, so that an edit of a released one is noticed."""
        return hashlib.sha256(self.script.encode()).hexdigest()[:32]


@cache
def migrations() -> tuple[Migration, ...]:
    """The migrations of this release, in their order."""
    found = []
    for entry in (resources.files("asyncflow.store") / "migrations").iterdir():
        number, _, name = entry.name.removesuffix(".sql").partition("_")
        if entry.name.endswith(".sql"):
            found.append(Migration(int(number), name, entry.read_text(encoding="utf-8")))
    return tuple(sorted(found))


def schema_version(db: sqlite3.Connection) -> int:
    """The number of the newest migration applied; 0 for an empty file."""
    return int(db.execute("PRAGMA user_version").fetchone()[0])


def check_version(db: sqlite3.Connection, steps: Sequence[Migration], *, reading: bool) -> None:
    """Refuse a file that this release cannot use, and change nothing.

    Raises:
        StoreError: the file is no database of ours, of a newer release, or its migrations were
            not those of this release.
    """
    version, known = schema_version(db), steps[-1].number
    application = int(db.execute("PRAGMA application_id").fetchone()[0])
    if version == 0 and application == 0 and not _has_tables(db):
        if reading:
            raise StoreError("the file is empty: no engine has used it yet")
        return
    if application != APPLICATION_ID:
        raise StoreError("the file is an SQLite database, but not one of asyncflow")
    if version > known and not (reading and _readable_since(db) <= known):
        raise StoreError(
            f"the file has schema {version}, this version knows {known}: use the newer release; "
            "nothing was changed"
        )
    if reading and version < known:
        raise StoreError(f"the file has schema {version}: run `asyncflow db migrate` first")
    _check_sums(db, steps)


def migrate(db: sqlite3.Connection, steps: Sequence[Migration], *, installation_id: str = "") -> list[int]:
    """Apply what is missing, each step in one transaction, and give the numbers applied."""
    check_version(db, steps, reading=False)
    applied = []
    for step in steps:
        if step.number > schema_version(db):
            _apply(db, step, installation_id)
            applied.append(step.number)
    return applied


def _apply(db: sqlite3.Connection, step: Migration, installation_id: str) -> None:
    with transaction(db):
        for statement in _statements(step.script):
            db.execute(statement)
        db.execute(
            "INSERT INTO migration (number, name, checksum, applied_at_ms) "
            "VALUES (?, ?, ?, CAST(strftime('%s', 'now') AS INTEGER) * 1000)",
            (step.number, step.name, step.checksum),
        )
        db.execute(
            "INSERT INTO installation (one, installation_id, readable_since, clean) VALUES (1, ?, ?, 1) "
            "ON CONFLICT (one) DO UPDATE SET readable_since = excluded.readable_since",
            (installation_id, _READABLE_SINCE),
        )
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute(f"PRAGMA user_version = {step.number}")


def _statements(script: str) -> Iterator[str]:
    # `executescript` would commit what is under way, so the script is cut at complete statements.
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""


def _has_tables(db: sqlite3.Connection) -> bool:
    return bool(db.execute("SELECT count(*) FROM sqlite_master").fetchone()[0])


def _readable_since(db: sqlite3.Connection) -> int:
    return int(db.execute("SELECT readable_since FROM installation").fetchone()[0])


def _check_sums(db: sqlite3.Connection, steps: Sequence[Migration]) -> None:
    known = {step.number: step.checksum for step in steps}
    for number, checksum in db.execute("SELECT number, checksum FROM migration"):
        if known.get(number, checksum) != checksum:
            raise StoreError(
                f"migration {number} of the file is not the one of this release: "
                "it was made by a development version, or the release was altered"
            )


def schema_page() -> str:
    """`docs/schema.md`: the commented schema with a head for those who read with SQL."""
    script = (resources.files("asyncflow.store") / "schema.sql").read_text(encoding="utf-8")
    return f"{_PAGE_HEAD}```sql\n{script}```\n"
