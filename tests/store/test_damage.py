"""Law: a flipped bit in a stored record is named when it is read; it never comes back as data."""

# ruff: noqa: ASYNC240 - a test may wait for a small file
from __future__ import annotations

import random
from pathlib import Path

import pytest

from asyncflow.errors import StoreError
from asyncflow.model.turn import StoredDefinition
from asyncflow.store import maintenance
from asyncflow.store.sqlite import SqliteStore
from tests.store.making import recorded, segment, sql, turn, turns


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    path = tmp_path / "flow.db"
    async with SqliteStore.open(path) as store:
        for number in range(1, 5):
            await store.append(turn(number, definitions=[StoredDefinition(f"h{number}", '{"name":"x"}')]))
        await store.write_segments([segment(1, 3)])
    return path


def flip(path: Path, table: str, column: str, where: str, bit: int) -> None:
    """Flip one bit of a column, text or blob or number."""
    ((value, kind),) = sql(
        path, f"SELECT CAST({column} AS BLOB), typeof({column}) FROM {table} WHERE {where}"
    )
    assert isinstance(value, bytes)
    data = bytearray(value)
    if kind == "integer":
        sql(path, f"UPDATE {table} SET {column} = ? WHERE {where}", int(value) ^ (1 << (bit % 31)))
        return
    data[bit // 8 % len(data)] ^= 1 << (bit % 8)
    sql(path, f"UPDATE {table} SET {column} = CAST(? AS {kind}) WHERE {where}", bytes(data))


@pytest.mark.parametrize("column", ["elapsed_ms", "wall_ms", "crc", "body"])
async def test_flipped_bit_in_a_turn_is_named(path: Path, column: str) -> None:
    for bit in range(0, 400, 13):
        flip(path, "turn", column, "number = 2", bit)
        async with SqliteStore.open(path) as store:
            with pytest.raises(StoreError, match="turn 2 is damaged"):
                await turns(store)
        flip(path, "turn", column, "number = 2", bit)

    assert await maintenance.check(path) == []


@pytest.mark.parametrize("column", ["to_seq", "crc", "body"])
async def test_flipped_bit_in_a_segment_is_named(path: Path, column: str) -> None:
    for bit in range(0, 400, 13):
        flip(path, "segment", column, "stream = 's'", bit)
        async with SqliteStore.open(path) as store:
            with pytest.raises(StoreError, match=r"segment s .* is damaged"):
                await store.read_stream("s")
        flip(path, "segment", column, "stream = 's'", bit)


async def test_flipped_bit_in_a_definition_is_named(path: Path) -> None:
    flip(path, "definition", "body", "hash = 'h1'", 9)
    async with SqliteStore.open(path) as store:
        with pytest.raises(StoreError, match="definition h1 is damaged"):
            await store.read_definitions(["h1", "h2"])
        assert await store.read_definitions(["h2"]) == {"h2": '{"name":"x"}'}


async def test_missing_segment_is_a_gap_and_not_a_shorter_history(path: Path) -> None:
    async with SqliteStore.open(path) as store:
        await store.write_segments([segment(4, 4)])
    sql(path, "DELETE FROM segment WHERE from_seq = 1")
    async with SqliteStore.open(path) as store:
        with pytest.raises(StoreError, match="events before 4 are missing"):
            await store.read_stream("s")


async def test_missing_turn_is_a_gap_and_not_a_shorter_history(path: Path) -> None:
    sql(path, "DELETE FROM segment")
    sql(path, "DELETE FROM turn WHERE number = 2")
    async with SqliteStore.open(path) as store:
        with pytest.raises(StoreError, match="the events after 1 are missing"):
            await store.read_stream("s")

    assert await maintenance.check(path) == ["turns 2..2 are missing"]


async def test_check_lists_every_fault(path: Path) -> None:
    flip(path, "turn", "body", "number = 1", 3)
    flip(path, "turn", "wall_ms", "number = 3", 3)
    flip(path, "segment", "body", "stream = 's'", 100)
    flip(path, "definition", "body", "hash = 'h4'", 9)

    faults = await maintenance.check(path)
    assert [fault.split(" is damaged")[0] for fault in faults] == [
        "turn 1", "turn 3", "segment s 1..3", "definition h4"
    ]  # fmt: skip


@pytest.mark.scenario("R69")
async def test_flipped_bits_in_the_file_never_pass_for_data(path: Path) -> None:
    """Law: whatever byte of the file is hit, reading gives the truth or a StoreError."""
    sound = path.read_bytes()
    dice = random.Random(20)
    for _ in range(60):
        data = bytearray(sound)
        data[dice.randrange(len(data))] ^= 1 << dice.randrange(8)
        path.write_bytes(bytes(data))
        try:
            async with SqliteStore.open(path) as store:
                read = await turns(store), await store.read_stream("s")
        except StoreError:
            continue
        assert read == ([turn(number) for number in range(1, 5)], recorded(1, 4))


async def test_torn_file_is_refused_or_the_truth(path: Path) -> None:
    sound = path.read_bytes()
    for size in range(0, len(sound), 4096 * 3 + 1000):
        path.write_bytes(sound[:size])
        try:
            async with SqliteStore.open(path) as store:
                read = await turns(store)
        except StoreError:
            continue
        assert read in ([], [turn(number) for number in range(1, 5)])
        assert read or not size
