"""Law: killed at any statement of a migration, or of a first start, a file has the old schema or the new."""

from __future__ import annotations

import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from asyncflow.store import schema
from asyncflow.store.sqlite import SqliteStore
from tests.store.making import turn, turns

STEPS = schema.migrations()

MIGRATOR = """
import os, signal, sqlite3, sys
from asyncflow.store import schema

path, upto, nth = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for at in range(1, nth):
    db = sqlite3.connect(f"{path}.{at}", isolation_level=None)
    db.execute("PRAGMA journal_mode = WAL")
    if not os.fork():
        left = [at]

        def seen(sql):
            left[0] -= 1
            if not left[0]:
                os.kill(os.getpid(), signal.SIGKILL)

        db.set_trace_callback(seen)
        schema.migrate(db, schema.migrations()[:upto], installation_id="one")
        os._exit(0)
    _, status = os.wait()
    print(os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0)
    db.close()
    if not os.WIFSIGNALED(status):
        break
"""


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as db:
        return schema.schema_version(db)


def shape(path: Path) -> set[tuple[object, ...]]:
    with closing(sqlite3.connect(path)) as db:
        return {*db.execute("SELECT type, name, sql FROM sqlite_master")}


def killed_at_each(path: Path, checkout: Path, *, copies: int, upto: int) -> Iterator[Path]:
    """The files of processes killed one statement later each, and last the one that was not."""
    command = [sys.executable, "-c", MIGRATOR, str(path), str(upto), str(copies)]
    ended = subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=60, check=True)
    ends = [int(each) for each in ended.stdout.split()]

    assert ends[-1] == 0, "more statements than copies"
    assert {*ends[:-1]} == {int(signal.SIGKILL)}
    yield from (Path(f"{path}.{at}") for at in range(1, len(ends) + 1))


@pytest.mark.scenario("R38")
@pytest.mark.parametrize("before", range(1, len(STEPS)))
async def test_a_migration_is_whole_or_not_begun(tmp_path: Path, checkout: Path, before: int) -> None:
    path = tmp_path / "flow.db"
    copies = 60
    for at in range(1, copies):
        with closing(sqlite3.connect(f"{path}.{at}", isolation_level=None)) as db:
            schema.migrate(db, STEPS[:before], installation_id="one")
    old = shape(Path(f"{path}.1"))
    files = [*killed_at_each(path, checkout, copies=copies, upto=before + 1)]
    new = shape(files[-1])

    assert {version(each) for each in files} == {before, before + 1}
    assert all(shape(each) == (new if version(each) > before else old) for each in files)
    assert len(files) > 3
    for each in files[::3]:
        async with SqliteStore.open(each) as store:
            await store.append(turn(1))
            assert await turns(store) == [turn(1)]


@pytest.mark.scenario("R39")
async def test_a_first_start_that_was_killed_is_made_up_for_by_the_next(
    tmp_path: Path, checkout: Path
) -> None:
    path = tmp_path / "flow.db"
    files = [*killed_at_each(path, checkout, copies=100, upto=1)]

    assert {version(each) for each in files} == {0, 1}
    for each in files:
        async with SqliteStore.open(each) as store:
            await store.append(turn(1))
            assert await store.find_faults() == []
        assert version(each) == len(STEPS)
