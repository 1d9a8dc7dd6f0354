"""The logbook on a real engine and file: durable at return, bounded, and beside the journal."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Sequence
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.app.logbook import AuditEntry, AuditFilter, Firing, Logbook
from asyncflow.errors import InvalidInput, LimitExceeded, NotCommitted, ShuttingDown
from asyncflow.ids import task_id
from asyncflow.runtime.engine import Engine
from asyncflow.store.log_records import LogBound, LogRow, TaskLine
from asyncflow.store.sqlite import SqliteStore
from tests.integration.engine_support import noop, simple, workflow
from tests.store.making import sql

LATER = 1_900_000_000_000
"""A wall clock time in milliseconds: lines of no task go when they are a day old."""


class CountingStore(SqliteStore):
    """A store that counts the writes of logs, and refuses them as told."""

    writes = 0
    refusals = 0

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.began = asyncio.Event()

    async def write_logs(self, rows: Sequence[LogRow], bound: LogBound) -> None:
        self.writes += 1
        self.began.set()
        if self.refusals:
            self.refusals -= 1
            raise NotCommitted("full", code="storage_full")
        await super().write_logs(rows, bound)


@af.task(retries=0)
async def talkative(ctx: af.TaskContext) -> None:
    ctx.log("first", step=1)
    ctx.log("last")


def book(engine: af.Engine) -> Logbook:
    inner = engine.service.engine
    return Logbook(inner, inner._store)


def counting(path: Path) -> CountingStore:
    return CountingStore(path)


async def test_lines_are_durable_at_return_and_kept_in_order(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with af.Engine(path) as engine:
        await book(engine).add_log_lines("t", ["one", "two \ud800", ""], at_ms=LATER)

        assert sql(path, "SELECT number, line FROM task_log") == [(1, "one"), (2, "two ?"), (3, "")]
    async with af.Engine(path) as engine:
        await book(engine).add_log_lines("t", ["four"], at_ms=LATER + 1)
        lines = await book(engine).log_lines("t")

    assert lines[0] == {"log": "one", "taskId": "t", "createdTime": LATER}
    assert [line["log"] for line in lines] == ["one", "two ?", "", "four"]
    assert [line["log"] for line in lines][3:] == ["four"]


async def test_callers_that_come_together_share_commits(tmp_path: Path) -> None:
    async with counting(tmp_path / "a.db") as store, Engine(store) as engine:
        logbook = Logbook(engine, store)
        await asyncio.gather(*(logbook.add_log_lines("t", [f"{n}"]) for n in range(200)))

        assert store.writes <= 3
        assert len(await logbook.log_lines("t")) == 200


async def test_rows_that_nobody_waits_for_are_gathered_while_others_are_written(tmp_path: Path) -> None:
    async with counting(tmp_path / "a.db") as store, Engine(store) as engine:
        logbook = Logbook(engine, store)
        asked = asyncio.create_task(logbook.add_log_lines("t", ["awaited"]))
        await store.began.wait()
        for number in range(300):
            engine.logs.put(TaskLine("t", LATER, f"{number}"))
        await asked
        assert store.writes == 1

        await engine.logs.flushed()
        assert store.writes == 2
        assert len(await logbook.log_lines("t")) == 301


async def test_many_rows_are_not_gathered_any_longer(tmp_path: Path) -> None:
    async with counting(tmp_path / "a.db") as store, Engine(store) as engine:
        engine.logs.put(*(TaskLine("t", LATER, f"{number}") for number in range(500)))
        for _ in range(10):  # of the loop, where a tenth of a second would be thousands
            await asyncio.sleep(0)

        assert store.writes == 1
        await engine.logs.flushed()
        assert len(await Logbook(engine, store).log_lines("t")) == 500


async def test_failed_write_is_told_to_all_who_shared_it_and_to_nobody_else(tmp_path: Path) -> None:
    async with counting(tmp_path / "a.db") as store, Engine(store) as engine:
        logbook = Logbook(engine, store)
        store.refusals = 1
        outcomes = await asyncio.gather(
            *(logbook.add_log_lines("t", [f"{n}"]) for n in range(3)), return_exceptions=True
        )
        await logbook.add_log_lines("t", ["later"])

        assert [type(outcome) for outcome in outcomes] == [NotCommitted] * 3
        assert [line["log"] for line in await logbook.log_lines("t")] == ["later"]


async def test_cancelled_caller_takes_nobody_along(tmp_path: Path) -> None:
    async with counting(tmp_path / "a.db") as store, Engine(store) as engine:
        logbook = Logbook(engine, store)
        first = asyncio.create_task(logbook.add_log_lines("t", ["a"]))
        second = asyncio.create_task(logbook.add_log_lines("t", ["b"]))
        await asyncio.sleep(0)
        first.cancel()
        await second

        assert [line["log"] for line in await logbook.log_lines("t")] == ["a", "b"]


async def test_log_of_a_task_is_bounded_and_says_where_it_was_cut(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "a.db") as store:
        small = LogBound(lines=3, bytes=20)
        for texts in (["a", "b"], ["c", "d", "e"], ["f"]):
            await store.write_logs([TaskLine("many", 1, text) for text in texts], small)
        await store.write_logs(
            [TaskLine("long", 1, "x" * 20), TaskLine("long", 1, ""), TaskLine("long", 1, "y")], small
        )
        rows = sql(tmp_path / "a.db", "SELECT task_id, line, level FROM task_log ORDER BY task_id, number")

    cut = "the log is cut here: at most 3 lines and 20 bytes"
    assert rows == [
        ("long", "x" * 20, "INFO"),
        ("long", "", "INFO"),
        ("long", cut, "WARN"),
        ("many", "a", "INFO"),
        ("many", "b", "INFO"),
        ("many", "c", "INFO"),
        ("many", cut, "WARN"),
    ]


async def test_lines_of_authors_and_notes_of_resets_stand_in_the_log_of_the_task(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with af.Engine(path, tasks=[talkative]) as engine:
        execution = await engine.start(workflow("talk", [simple("talkative")]))
        await execution.result()
        lines = await book(engine).log_lines(task_id(execution.id, 1))
        of_execution = sql(path, "SELECT DISTINCT execution_id FROM task_log")

    assert [line["log"] for line in lines] == ['first {"step":1}', "last"]
    assert of_execution == [(execution.id,)]


async def test_lines_that_nobody_waits_for_survive_an_orderly_stop(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with af.Engine(path, tasks=[talkative]) as engine:
        execution = await engine.start(workflow("talk", [simple("talkative")]))
        await execution.result()

    assert sql(path, "SELECT count(*) FROM task_log") == [(2,)]


async def test_execution_of_a_line_is_looked_up(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with af.Engine(path, tasks=[noop]) as engine:
        execution = await engine.start(workflow("one", [simple("noop")]))
        await execution.result()
        await engine.service.engine.views_caught_up()
        await book(engine).add_log_lines(task_id(execution.id, 1), ["from a worker"])

    assert sql(path, "SELECT execution_id FROM task_log") == [(execution.id,)]


async def test_audit_is_paged_newest_first_and_filtered(tmp_path: Path) -> None:
    async with af.Engine(tmp_path / "a.db") as engine:
        logbook = book(engine)
        for number in range(5):
            caller = "ada" if number % 2 else "bob"
            await logbook.audit(AuditEntry(number, caller, "ADMIN", "pause", "execution", f"e{number}"))
        total, page = await logbook.audit_entries(size=2, start=1)
        of_ada = await logbook.audit_entries(AuditFilter(caller="ada", from_ms=2))

        assert (total, [entry.object_id for entry in page]) == (5, ["e3", "e2"])
        assert [entry.object_id for entry in of_ada.rows] == ["e3"]
        assert (await logbook.audit_entries(AuditFilter(object_id="' OR 1=1 --"))).total == 0
        first = (await logbook.audit_entries(AuditFilter(object_id="e0"))).rows[0]
        assert first.at_ms > 1_000_000_000_000  # 0 is now


@pytest.mark.parametrize("statement", ["UPDATE audit SET caller = 'x'", "DELETE FROM audit"])
async def test_audit_cannot_be_altered(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "a.db"
    async with af.Engine(path) as engine:
        await book(engine).audit(AuditEntry(1, "ada", "ADMIN", "pause", "execution", "e"))
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        sql(path, statement)


async def test_firing_is_replaced_by_what_is_known_later(tmp_path: Path) -> None:
    async with af.Engine(tmp_path / "a.db") as engine:
        logbook = book(engine)
        assert await logbook.last_firings(["nightly"]) == {}
        await logbook.record_firing(Firing("nightly", 20, "", 21, "started"))
        await logbook.record_firing(Firing("nightly", 10, "e1", 11, "started"))
        await logbook.record_firing(Firing("nightly", 20, "e2", 21, "started"))
        await logbook.record_firing(Firing("hourly", 30, "", 31, "skipped", "one goes on"))

        assert await logbook.last_firings(["nightly", "never"]) == {
            "nightly": Firing("nightly", 20, "e2", 21, "started")
        }
        assert [firing.due_ms for firing in (await logbook.firings("nightly")).rows] == [20, 10]
        assert (await logbook.firings()).total == 3


async def test_what_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    async with af.Engine(tmp_path / "a.db") as engine:
        logbook = book(engine)
        with pytest.raises(InvalidInput):
            await logbook.add_log_lines("", ["x"])
        with pytest.raises(LimitExceeded):
            await logbook.add_log_lines("t", ["x"] * 1_001)
        with pytest.raises(LimitExceeded):
            await logbook.audit(AuditEntry(0, "c" * 1_001, "", "", "", ""))
        with pytest.raises(InvalidInput):
            await logbook.audit(AuditEntry(1 << 64, "", "", "", "", ""))
        with pytest.raises(InvalidInput):
            await logbook.log_lines("t", size=5_001)
    with pytest.raises(ShuttingDown):
        await logbook.add_log_lines("t", ["late"])
