"""Every journal of ours keeps the contract that third parties are held to, and its own bounds."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asyncflow.store.sqlite import MEMORY, SqliteStore
from asyncflow.testing.contracts import JournalContract
from tests.store.making import entry, turn


class SqliteContract(JournalContract):
    """What the implementation in SQLite promises beyond the protocol: small steps, measured sizes."""

    async def test_trimming_goes_in_small_steps(
        self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("asyncflow.store.writing._TRIM_BYTES", 1)
        for number in range(1, 5):
            await store.append(turn(number))

        assert [await store.trim_turns(3) for _ in range(4)] == [1, 1, 0, 0]

    async def test_turns_held_are_measured_in_bytes(self, store: SqliteStore) -> None:
        await store.append(turn(1, entry("s", 1, "é" * 1000)))
        large = (await store.recover()).turn_bytes
        await store.append(turn(2))
        await store.trim_turns(2)

        assert large > 2000
        assert (await store.recover()).turn_bytes < 200

    async def test_reading_in_batches_meets_every_turn_once(
        self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("asyncflow.store.reading.BATCH_BYTES", 100)
        for number in range(1, 21):
            await store.append(turn(number))
        batches = [batch async for batch in store.read_turns(5)]

        assert [one.number for batch in batches for one in batch] == list(range(6, 21))
        assert len(batches) > 2

    async def test_a_stream_is_read_in_pages(
        self, store: SqliteStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("asyncflow.store.reading._EVENT_BYTES", 1)
        for number in range(1, 21):
            await store.append(turn(number))
        pages = [[each.seq for each in page] async for page in store.read_events("s", 5)]

        assert pages == [[number] for number in range(6, 21)]


class TestSqliteFile(SqliteContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SqliteStore]:
        async with SqliteStore.open(tmp_path / "flow.db") as store:
            yield store


class TestSqliteMemory(SqliteContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SqliteStore]:
        async with SqliteStore.open(MEMORY) as store:
            yield store
