"""Files as each release left them: its schema, made by its own migrations, with rows in all of its tables.

That the migrations are still those that were released is told by their checksums, which `files/released.sql`
keeps with the rows. Files that whole engines of releases wrote are in `tests/histories`.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple

from asyncflow.store import schema

_HEAD = re.compile(r"^-- (\d+) (\w+) ([0-9a-f]{32})$", re.MULTILINE)


class Release(NamedTuple):
    """A schema that was released, and the rows of the tables that came with it."""

    number: int
    name: str
    checksum: str
    rows: str


def releases() -> list[Release]:
    """All of them, in their order."""
    text = (Path(__file__).parent / "files" / "released.sql").read_text(encoding="utf-8")
    _, *parts = _HEAD.split(text)
    groups = zip(parts[::4], parts[1::4], parts[2::4], parts[3::4], strict=True)
    return [Release(int(number), name, checksum, rows) for number, name, checksum, rows in groups]


def leave_file(path: Path, number: int, *, installation: str = "inst-1") -> None:
    """A file as an engine of this schema left it."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        schema.migrate(db, schema.migrations()[:number], installation_id=installation)
        for release in releases()[:number]:
            db.executescript(release.rows)
