"""What `asyncflow db` does: copies of one instant, clones of their own identity, files made smaller."""

# ruff: noqa: ASYNC240 - a test may wait for a small file
from __future__ import annotations

import asyncio
import stat
from pathlib import Path

import pytest

from asyncflow.errors import Conflict, StoreError, StoreLocked
from asyncflow.store import maintenance
from asyncflow.store.records import StoreSettings
from asyncflow.store.sqlite import SqliteReader, SqliteStore
from tests.store.making import entry, recorded, segment, sql, turn, turns


async def create(path: Path, last: int = 3) -> None:
    async with SqliteStore.open(path, settings=StoreSettings(installation_id="original")) as store:
        for number in range(1, last + 1):
            await store.append(turn(number))


async def installation(path: Path) -> str:
    async with SqliteReader.open(path) as reader:
        return (await reader.facts()).installation_id


async def test_backup_beside_a_writer_is_of_one_instant(tmp_path: Path) -> None:
    path = tmp_path / "flow.db"
    async with SqliteStore.open(path) as store:
        await store.append(turn(1))
        writing = asyncio.gather(*(store.append(turn(number)) for number in range(2, 300)))
        await maintenance.backup(path, tmp_path / "copy.db")
        await writing

    async with SqliteStore.open(tmp_path / "copy.db") as copy:
        last = (await copy.recover()).last_turn
        assert await copy.read_stream("s") == recorded(1, last)
        assert (await copy.facts()).was_clean
    assert await maintenance.check(tmp_path / "copy.db") == []


async def test_backup_goes_on_where_it_was_taken(tmp_path: Path) -> None:
    await create(tmp_path / "flow.db")
    await maintenance.backup(tmp_path / "flow.db", tmp_path / "copy.db")
    async with SqliteStore.open(tmp_path / "copy.db") as copy:
        await copy.append(turn(4))

    assert await installation(tmp_path / "copy.db") == "original"
    assert stat.S_IMODE((tmp_path / "copy.db").stat().st_mode) == 0o600


async def test_clone_is_another_installation(tmp_path: Path) -> None:
    await create(tmp_path / "flow.db")
    settled: list[str] = []

    async def settle(copy: Path) -> None:
        settled.append(await installation(copy))
        assert not (tmp_path / "copy.db").exists()

    async with SqliteStore.open(tmp_path / "flow.db") as store:
        await store.move_cursors({"listener:x": 1})
    await maintenance.clone(
        tmp_path / "flow.db", tmp_path / "copy.db", installation_id="clone", settle=settle
    )

    async with SqliteReader.open(tmp_path / "copy.db") as reader:
        assert (await reader.cursor("listener:x"), await reader.projected_turn()) == (3, 0)
    assert settled == ["clone"]
    assert await installation(tmp_path / "copy.db") == "clone"
    assert await installation(tmp_path / "flow.db") == "original"


async def test_copy_overwrites_nothing_and_leaves_nothing_behind(tmp_path: Path) -> None:
    await create(tmp_path / "flow.db")
    (tmp_path / "copy.db").write_text("precious")
    with pytest.raises(Conflict):
        await maintenance.backup(tmp_path / "flow.db", tmp_path / "copy.db")
    with pytest.raises(StoreError):
        await maintenance.backup(tmp_path / "missing.db", tmp_path / "other.db")

    assert (tmp_path / "copy.db").read_text() == "precious"
    assert {file.name for file in tmp_path.iterdir()} == {"flow.db", "flow.db.lock", "copy.db"}


async def test_vacuum_gives_free_pages_back(tmp_path: Path) -> None:
    path = tmp_path / "flow.db"
    async with SqliteStore.open(path) as store:
        for number in range(1, 30):
            await store.append(turn(number, entry("s", number, "x" * 20_000)))
        await store.trim_turns(29)
    freed = await maintenance.vacuum(path)

    assert freed > 28 * 20_000
    async with SqliteStore.open(path) as store:
        assert [one.number for one in await turns(store)] == [29]


async def test_file_in_use_is_neither_migrated_nor_vacuumed(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "flow.db"):
        with pytest.raises(StoreLocked):
            await maintenance.migrate(tmp_path / "flow.db")
        with pytest.raises(StoreLocked):
            await maintenance.vacuum(tmp_path / "flow.db")


async def test_migrating_a_current_file_changes_nothing(tmp_path: Path) -> None:
    await create(tmp_path / "flow.db")

    assert await maintenance.migrate(tmp_path / "flow.db") == []
    with pytest.raises(StoreError, match="no database"):
        await maintenance.migrate(tmp_path / "missing.db")


async def test_removed_streams_leave_no_segment_and_get_none(tmp_path: Path) -> None:
    path = tmp_path / "flow.db"
    async with SqliteStore.open(path) as store:
        for number in range(1, 4):
            await store.append(turn(number))
        await store.write_segments([segment(1, 2)])
        await store.append(turn(4)._replace(removed=("s", "unknown")))
        await store.write_segments([segment(3, 4), segment(1, 2)._replace(stream="other")])

        assert await store.read_stream("s") == []
        assert len(await store.read_stream("other")) == 2
        assert sql(path, "SELECT stream FROM segment") == [("other",)]
        await store.trim_turns(4)
        assert sql(path, "SELECT stream, turn FROM removal ORDER BY 1") == [("s", 4), ("unknown", 4)]
        await store.append(turn(5, entry("t", 1, "x")))
        await store.trim_turns(5)
        assert sql(path, "SELECT count(*) FROM removal") == [(0,)]
        assert (await store.read_stream("s"), await store.find_faults()) == ([], [])


async def test_segmented_streams_are_listed_page_by_page(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "flow.db") as store:
        await store.write_segments([segment(1, 2)._replace(stream=name) for name in "cab"])
        await store.write_segments([segment(3, 3)._replace(stream="a")])

        assert await store.segmented_streams(limit=2) == ["a", "b"]
        assert await store.segmented_streams("b") == ["c"]
