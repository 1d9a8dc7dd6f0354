"""What opening takes, refuses and leaves unchanged: lock, schema, place, rights."""

# ruff: noqa: ASYNC222, ASYNC240 - a test may wait for a small file
from __future__ import annotations

import asyncio
import json
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path

import pytest

from asyncflow.errors import StoreError, StoreLocked
from asyncflow.store import checks, reader, schema
from asyncflow.store.lock import process_lock
from asyncflow.store.records import StoreSettings
from asyncflow.store.sqlite import MEMORY, SqliteReader, SqliteStore
from tests.store.making import recorded, sql, turn, turns


async def create(path: Path, **settings: object) -> None:
    async with SqliteStore.open(path, settings=StoreSettings(**settings)) as store:  # type: ignore[arg-type]  # by name
        await store.append(turn(1))


@pytest.mark.scenario("R51")
async def test_second_opener_is_refused_with_the_holders_name(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "flow.db"):
        with pytest.raises(
            StoreLocked, match=rf"process {os.getpid()} on \S+ since \d+-\d+-\d+ \d+:\d+:\d+ UTC"
        ):
            await create(tmp_path / "flow.db")

    await create(tmp_path / "flow.db")


@pytest.mark.scenario("R13")
async def test_second_opener_may_wait_for_the_first(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "flow.db"):
        waiting = asyncio.ensure_future(create(tmp_path / "flow.db", takeover_wait_s=60))
        await asyncio.sleep(0)
    await waiting

    assert sql(tmp_path / "flow.db", "SELECT count(*) FROM turn") == [(1,)]


async def test_lock_file_of_a_dead_process_is_no_lock(tmp_path: Path) -> None:
    (tmp_path / "flow.db.lock").write_text('{"pid": 1, "host": "long gone"}')
    await create(tmp_path / "flow.db")

    assert json.loads((tmp_path / "flow.db.lock").read_text())["pid"] == os.getpid()


async def test_forked_child_does_not_keep_the_lock(tmp_path: Path) -> None:
    (told, tell), (hold, let_go) = os.pipe(), os.pipe()
    async with process_lock(tmp_path / "flow.db"):
        child = os.fork()
        if child == 0:
            os.close(let_go)
            os.write(tell, b"x")
            os.read(hold, 1)  # until the parent has seen enough
            os._exit(0)
        os.read(told, 1)  # the child runs
    try:
        async with process_lock(tmp_path / "flow.db"):
            assert os.waitpid(child, os.WNOHANG) == (0, 0)  # it still lives
    finally:
        os.close(let_go)
        os.waitpid(child, 0)
        for descriptor in (told, tell, hold):
            os.close(descriptor)


async def test_files_are_for_their_owner_alone(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "flow.db") as store:
        await store.append(turn(1))
        rights = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}

    assert rights == dict.fromkeys(("flow.db", "flow.db-wal", "flow.db-shm", "flow.db.lock"), 0o600)


@pytest.mark.scenario("R72")
async def test_newer_schema_is_refused_and_unchanged(tmp_path: Path) -> None:
    path = tmp_path / "flow.db"
    await create(path)
    sql(path, "PRAGMA user_version = 99")
    before = path.read_bytes()
    with pytest.raises(StoreError, match="schema 99, this version knows "):
        await create(path)

    assert path.read_bytes() == before
    assert not Path(f"{path}-wal").exists()


@pytest.mark.parametrize(("since", "is_read"), [(1, True), (99, False)])
async def test_newer_schema_is_read_if_it_says_so(tmp_path: Path, since: int, *, is_read: bool) -> None:
    path = tmp_path / "flow.db"
    await create(path)
    sql(path, "ALTER TABLE execution ADD COLUMN colour TEXT NOT NULL DEFAULT ''")
    sql(path, "UPDATE installation SET readable_since = ?", since)
    sql(path, "PRAGMA user_version = 99")
    if is_read:
        async with SqliteReader.open(path) as reader:
            assert await reader.read_stream("s") == recorded(1, 1)
    else:
        with pytest.raises(StoreError, match="newer release"):
            async with SqliteReader.open(path):
                pass


async def test_altered_migration_is_refused(tmp_path: Path) -> None:
    await create(tmp_path / "flow.db")
    sql(tmp_path / "flow.db", "UPDATE migration SET checksum = 'x'")
    with pytest.raises(StoreError, match="migration 1"):
        await create(tmp_path / "flow.db")


async def test_foreign_files_are_refused_and_unchanged(tmp_path: Path) -> None:
    text, foreign = tmp_path / "text.db", tmp_path / "foreign.db"
    text.write_text("not a database, but long enough to have a header" * 100)
    sql(foreign, "CREATE TABLE t (a)")
    for path in (text, foreign):
        before = path.read_bytes()
        with pytest.raises(StoreError):
            await create(path)
        assert path.read_bytes() == before


async def test_reader_of_nothing_is_refused_and_creates_nothing(tmp_path: Path) -> None:
    (tmp_path / "empty.db").touch()
    for name in ("missing.db", "empty.db"):
        with pytest.raises(StoreError):
            async with SqliteReader.open(tmp_path / name):
                pass

    assert [file.name for file in tmp_path.iterdir()] == ["empty.db"]


async def test_reader_writes_nothing(tmp_path: Path) -> None:
    await create(tmp_path / "flow.db")
    async with SqliteReader.open(tmp_path / "flow.db") as reader:
        with pytest.raises(StoreError, match="READONLY"):
            await reader._reader.run(lambda db: db.execute("DELETE FROM turn"))


def test_network_file_systems_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "a b"
    folder.mkdir()
    mounts = tmp_path / "mounts"
    escaped = str(folder).replace(" ", "\\040")
    mounts.write_text(f"/dev/vda / ext4 rw 0 0\nhost:/x {escaped} nfs4 rw 0 0\n")
    with pytest.raises(StoreError, match="nfs4"):
        checks.check_place(folder / "flow.db", mounts)

    checks.check_place(tmp_path / "flow.db", mounts)
    checks.check_place(tmp_path / "flow.db", tmp_path / "no mount table")


async def test_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match=r"folder .*nowhere does not exist"):
        await create(tmp_path / "nowhere" / "flow.db")


def test_old_sqlite_is_refused_by_version() -> None:
    with pytest.raises(StoreError, match=r"3\.32\.0 is too old"):
        checks.check_sqlite_version((3, 32, 0))


@pytest.mark.parametrize(("durability", "expected"), [("full", 2), ("normal", 1)])
async def test_durability_is_what_was_asked_for(tmp_path: Path, durability: str, expected: int) -> None:
    settings = StoreSettings(durability=durability)  # type: ignore[arg-type]  # parametrised
    async with SqliteStore.open(tmp_path / "flow.db", settings=settings) as store:
        rows = await store._writer.run(lambda db: db.execute("PRAGMA synchronous").fetchone())
        assert (rows, (await store.facts()).durability) == ((expected,), durability)


async def test_facts_count_turns_without_reading_them(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "flow.db") as store:
        empty = (await store.facts()).turns
        for number in range(1, 8):
            await store.append(turn(number))
        await store.trim_turns(4)
        trimmed = (await store.facts()).turns
    (*plan,) = sql(tmp_path / "flow.db", f"EXPLAIN QUERY PLAN {reader.TURNS_HELD}")

    assert (empty, trimmed) == (0, 4)
    assert "SEARCH turn" in str(plan)
    assert "SCAN turn" not in str(plan)


async def test_facts_name_installation_and_last_stop(tmp_path: Path) -> None:
    path = tmp_path / "flow.db"
    await create(path, installation_id="inst-1")
    async with SqliteStore.open(path, settings=StoreSettings(installation_id="inst-2")) as store:
        facts = await store.facts()

    assert (facts.installation_id, facts.was_clean, facts.turns) == ("inst-1", True, 1)
    assert facts.sqlite_version == sqlite3.sqlite_version
    assert facts.schema_version == schema.migrations()[-1].number


async def test_unclean_stop_is_told_and_the_damage_found(tmp_path: Path) -> None:
    path = tmp_path / "flow.db"
    await create(path)
    sql(path, "UPDATE installation SET clean = 0")
    async with SqliteStore.open(path) as store:
        assert not (await store.facts()).was_clean
    sql(path, "UPDATE installation SET clean = 0")
    with closing(sqlite3.connect(path)) as db:
        (root,) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'turn'").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 200)
    with pytest.raises(StoreError):
        await create(path)


async def test_memory_lives_as_long_as_its_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    async with SqliteStore.open(MEMORY) as store:
        await store.append(turn(1))
        assert len(await turns(store)) == 1
    async with SqliteStore.open(MEMORY) as store:
        assert await turns(store) == []

    assert list(tmp_path.iterdir()) == []
    with pytest.raises(StoreError, match="closed"):
        await store.append(turn(1))
