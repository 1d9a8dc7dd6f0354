"""Queries: each is answered in its time or broken off, and holds up nobody else."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from threading import Event

import pytest

from asyncflow.errors import Overloaded
from asyncflow.http.errors import status_of
from asyncflow.store.queries import Queries, QueryTooLong
from asyncflow.store.records import StoreSettings
from asyncflow.store.sqlite import SqliteStore

FOR_EVER = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"


class Slow:
    """A query without an end, and the moment from which on it is asked."""

    def __init__(self) -> None:
        self.begun = Event()

    def __call__(self, db: sqlite3.Connection) -> object:
        self.begun.set()
        return db.execute(FOR_EVER).fetchone()


async def begun(store: SqliteStore) -> asyncio.Task[object]:
    slow = Slow()
    task = asyncio.create_task(store._query(slow))
    await asyncio.to_thread(slow.begun.wait)
    return task


async def test_a_query_that_takes_too_long_is_broken_off_and_names_the_limit(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "a.db", settings=StoreSettings(query_timeout_s=0.05)) as store:
        with pytest.raises(QueryTooLong, match=r"store\.query_timeout_s = 0\.05 s") as error:
            await store._query(Slow())

        assert await store.count_executions() == 0
        assert status_of(error.value) == 400


async def test_in_memory_too() -> None:
    async with SqliteStore.open(":memory:", settings=StoreSettings(query_timeout_s=0.05)) as store:
        with pytest.raises(QueryTooLong):
            await store._query(Slow())

        assert await store.projected_turn() == 0


async def test_a_slow_query_holds_up_no_other_one(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "a.db", settings=StoreSettings(query_timeout_s=3_600)) as store:
        slow = await begun(store)
        counts = [await store.count_executions() for _ in range(4)]

        assert counts == [0, 0, 0, 0]
        assert not slow.done()
        slow.cancel()


async def test_a_query_that_nobody_waits_for_any_more_is_broken_off(tmp_path: Path) -> None:
    settings = StoreSettings(query_connections=1)
    async with SqliteStore.open(tmp_path / "a.db", settings=settings) as store:
        slow = await begun(store)
        slow.cancel()

        assert await store.count_executions() == 0  # on the same connection, which is free again


async def test_a_query_that_waited_too_long_for_others_is_not_begun(tmp_path: Path) -> None:
    settings = StoreSettings(query_connections=1)
    async with SqliteStore.open(tmp_path / "a.db", settings=settings) as store:
        slow = await begun(store)
        hasty = Queries([*store._queries._waiting], limit_s=1e-9)
        later = asyncio.create_task(hasty.run(lambda db: db.execute("SELECT 1").fetchone()))
        await asyncio.sleep(0)  # it is in line
        slow.cancel()

        with pytest.raises(Overloaded, match=r"store\.query_timeout_s"):
            await later


async def test_reading_what_an_execution_needs_waits_for_no_query(tmp_path: Path) -> None:
    settings = StoreSettings(query_connections=1)
    async with SqliteStore.open(tmp_path / "a.db", settings=settings) as store:
        slow = await begun(store)

        assert await store.read_stream("e") == []
        assert await store.cursor("views") == 0
        assert not slow.done()
        slow.cancel()
