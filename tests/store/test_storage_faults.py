"""Disk full, a stranger's lock, a file that goes away: each told apart, nothing half done (R64 to R71)."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from asyncflow.errors import NotCommitted, OutcomeUnknown, StoreError
from asyncflow.model.turn import Turn
from asyncflow.store import connection, wal
from asyncflow.store.records import StoreSettings
from asyncflow.store.sqlite import SqliteStore
from tests.store.making import entry, execution, segment, sql, turn, turns, views

SMALL = StoreSettings(size_limit=80 * 4096)


def large(number: int) -> Turn:
    return turn(number, entry("s", number, "x" * 20_000))


async def fill(store: SqliteStore) -> int:
    """Append large turns until there is no room; the number of the turn refused."""
    number = 1
    while True:
        try:
            await store.append(large(number))
        except NotCommitted as refused:
            if refused.code != "storage_full":
                raise
            return number
        number += 1


async def test_full_storage_refuses_the_turn_and_stays_readable(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "flow.db", settings=SMALL) as store:
        refused = await fill(store)

        assert [one.number for one in await turns(store)] == list(range(1, refused))
        with pytest.raises(NotCommitted):
            await store.append(large(refused))
        with pytest.raises(NotCommitted):
            await store.write_views(views(1, [execution(output="x" * 50_000)]))


async def test_refused_turn_is_taken_once_there_is_room(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "flow.db", settings=SMALL) as store:
        refused = await fill(store)
        await store.trim_turns(refused - 1)
        await store.append(large(refused))

        assert (await store.recover()).last_turn == refused


async def test_raised_limit_opens_a_full_file(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "flow.db", settings=SMALL) as store:
        refused = await fill(store)
    async with SqliteStore.open(tmp_path / "flow.db") as store:
        await store.append(large(refused))

        assert len(await turns(store)) == refused


async def test_strangers_write_lock_is_waited_out_then_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wal, "_BUSY_MS", 1)
    async with SqliteStore.open(tmp_path / "flow.db") as store:
        with closing(sqlite3.connect(tmp_path / "flow.db", isolation_level=None)) as stranger:
            stranger.execute("BEGIN IMMEDIATE")
            with pytest.raises(NotCommitted) as refused:
                await store.append(turn(1))
            with pytest.raises(NotCommitted):
                await store.write_segments([segment(1, 1)])
            stranger.execute("ROLLBACK")
        await store.append(turn(1))

        assert refused.value.code == "storage_busy"
        assert await turns(store) == [turn(1)]


@pytest.mark.parametrize("replace", [False, True])
async def test_file_that_went_away_takes_no_more_turns(tmp_path: Path, *, replace: bool) -> None:
    path = tmp_path / "flow.db"
    async with SqliteStore.open(path) as store:
        await store.append(turn(1))
        path.rename(tmp_path / "elsewhere.db")
        if replace:
            path.write_bytes(b"")
        with pytest.raises(StoreError, match=r"gone|replaced"):
            await store.append(turn(2))


async def test_write_error_without_a_sure_answer_stops_and_leaves_the_file_unclean(
    tmp_path: Path,
) -> None:
    async with SqliteStore.open(tmp_path / "flow.db") as store:
        await store._writer.run(lambda db: db.execute("PRAGMA query_only = ON"))
        with pytest.raises(OutcomeUnknown):
            await store.append(turn(1))

    assert sql(tmp_path / "flow.db", "SELECT clean FROM installation") == [(0,)]


def insert_and_fail(db: sqlite3.Connection, error: Exception) -> None:
    with connection.transaction(db):
        db.execute("INSERT INTO t VALUES (1)")
        raise error


@pytest.mark.parametrize("error", [ValueError("ours"), sqlite3.OperationalError("theirs")])
def test_transaction_left_by_an_error_changes_nothing(tmp_path: Path, error: Exception) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as db:
        db.execute("CREATE TABLE t (a)")
        with pytest.raises((ValueError, StoreError)):
            insert_and_fail(db, error)

        assert not db.in_transaction
        assert db.execute("SELECT count(*) FROM t").fetchone() == (0,)


def test_failed_commit_is_of_unknown_outcome(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "x.db", isolation_level=None)) as db:
        db.execute("PRAGMA foreign_keys = ON")
        db.execute("CREATE TABLE t (a INTEGER PRIMARY KEY, b REFERENCES t DEFERRABLE INITIALLY DEFERRED)")
        with pytest.raises(OutcomeUnknown), connection.transaction(db):
            db.execute("INSERT INTO t VALUES (1, 9)")  # a broken reference is found by COMMIT

        assert not db.in_transaction


async def test_log_is_cut_back_in_a_gap_and_not_before(tmp_path: Path) -> None:
    limits = StoreSettings(wal_limit=100_000)
    async with SqliteStore.open(tmp_path / "flow.db", settings=limits) as store:
        for number in range(1, 11):
            await store.append(large(number))
        assert (await store.facts()).wal_bytes > 200_000

        await store.write_views(views(10, [execution()]))
        assert (await store.facts()).wal_bytes == 0
        assert len(await turns(store)) == 10


async def test_reader_in_the_way_holds_up_no_writer(tmp_path: Path) -> None:
    path, limits = tmp_path / "flow.db", StoreSettings(wal_limit=1)
    async with SqliteStore.open(path, settings=limits) as store:
        await store.append(turn(1))
        with closing(sqlite3.connect(path, isolation_level=None)) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT count(*) FROM turn").fetchone()
            await store.append(turn(2))
            await store.write_views(views(2))
            assert (await store.facts()).wal_bytes > 0
        await store.write_views(views(2))

        assert (await store.facts()).wal_bytes == 0
