"""What is kept of the audit and of firings: bounded by number and age, the oldest first, never the newest."""

from __future__ import annotations

import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from asyncflow.app.logbook import LogFilter
from asyncflow.app.logbook_sweep import LogbookSweep
from asyncflow.app.options import EngineSettings
from asyncflow.app.services import Services, open_services
from asyncflow.store.log_records import AuditEntry, Firing, LogBound, Retention, TaskIo, TaskLine
from asyncflow.store.records import Condition, Page
from asyncflow.store.sqlite import SqliteStore
from tests.integration.waiting import until
from tests.store.making import execution, sql, task, views

DAY_MS = 86_400_000
ALL = Retention(0, 0, 0, 0)


def entry(at_ms: int, kind: str = "workflow") -> AuditEntry:
    return AuditEntry(at_ms, "ada", "admin", "PUT /x", kind, f"{kind}{at_ms}")


def firing(due_ms: int, schedule: str = "nightly") -> Firing:
    return Firing(schedule, due_ms, "", due_ms, "EXECUTED")


def settings(kept: Retention) -> EngineSettings:
    return EngineSettings(logbook=kept)


def sweep(services: Services, kept: Retention) -> LogbookSweep:
    engine = services.executions.engine
    engine.settings = settings(kept)
    return LogbookSweep(engine, engine._store)


async def test_of_each_kind_so_many_entries_are_kept_the_newest(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with open_services(path, settings=settings(ALL)) as services:
        rows = [entry(n, "event_action") for n in range(1_300)] + [entry(n) for n in range(5)]
        await services.executions.engine.logs.add(*rows)
        swept = sweep(services, Retention(3, 0, 0, 0))

        assert await swept.sweep() == 1_297 + 2
        assert await swept.sweep() == 0
        left = Counter(row.object_kind for row in (await services.logbook.audit_entries()).rows)
        assert left == {"event_action": 3, "workflow": 3}
    found = sql(path, "SELECT at_ms FROM audit WHERE object_kind = 'event_action' ORDER BY number")
    assert found == [(1_297,), (1_298,), (1_299,)]


async def test_what_is_too_old_goes_but_never_the_newest(tmp_path: Path) -> None:
    async with open_services(tmp_path / "a.db", settings=settings(ALL)) as services:
        now_ms = services.executions.engine.clock.now().wall_ms
        old = now_ms - 3 * DAY_MS
        rows = [entry(old), entry(now_ms), entry(old, "key"), entry(old + 1, "key")]
        times = [firing(old), firing(now_ms), firing(old, "hourly"), firing(old + 1, "hourly")]
        await services.executions.engine.logs.add(*rows, *times)
        await sweep(services, Retention(0, 2, 0, 2)).sweep()
        audit = await services.logbook.audit_entries()
        firings = await services.logbook.firings()

        assert {(row.object_kind, row.at_ms) for row in audit.rows} == {
            ("workflow", now_ms),
            ("key", old + 1),
        }
        assert {(row.schedule, row.due_ms) for row in firings.rows} == {
            ("nightly", now_ms),
            ("hourly", old + 1),
        }


async def test_of_each_schedule_so_many_times_are_kept(tmp_path: Path) -> None:
    async with open_services(tmp_path / "a.db", settings=settings(ALL)) as services:
        rows = [firing(n, name) for name in ("nightly", "hourly") for n in range(1, 8)]
        await services.executions.engine.logs.add(*rows)
        await sweep(services, Retention(0, 0, 2, 0)).sweep()
        left = await services.logbook.firings()

        assert [(row.schedule, row.due_ms) for row in left.rows] == [
            ("hourly", 7),
            ("nightly", 7),
            ("hourly", 6),
            ("nightly", 6),
        ]


async def test_an_engine_sweeps_by_itself_after_its_start(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with SqliteStore.open(path) as store:
        await store.write_logs([entry(n) for n in range(10)], LogBound())
    async with open_services(path, settings=settings(Retention(4, 0, 0, 0))):
        await until(lambda: sql(path, "SELECT count(*) FROM audit") == [(4,)])


async def test_one_part_is_small(tmp_path: Path) -> None:
    async with SqliteStore.open(tmp_path / "a.db") as store:
        await store.write_logs([entry(n) for n in range(1_200)], LogBound())
        (surplus,) = await store.find_surplus(Retention(100), 10**15)

        assert [await store.trim(surplus) for _ in range(4)] == [500, 500, 100, 0]


@pytest.mark.parametrize("statement", ["DELETE FROM audit WHERE number = 2", "DELETE FROM audit"])
async def test_nothing_but_the_oldest_can_be_deleted(tmp_path: Path, statement: str) -> None:
    path = tmp_path / "a.db"
    async with SqliteStore.open(path) as store:
        await store.write_logs([entry(n) for n in range(3)], LogBound())
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        sql(path, statement)

    assert sql(path, "SELECT count(*) FROM audit") == [(3,)]


async def test_lines_that_came_before_their_task_are_given_to_its_execution(tmp_path: Path) -> None:
    async with open_services(tmp_path / "a.db") as services:
        engine = services.executions.engine
        now_ms = engine.clock.now().wall_ms
        lines = [
            TaskLine("t1", now_ms - 3 * DAY_MS, "early"),
            TaskLine("x", now_ms - 3 * DAY_MS, "of nobody"),
        ]
        await engine.logs.add(*lines, TaskLine("y", now_ms, "new"), TaskIo("t1", "in", 1, 2))
        await engine._store.write_views(views(10**6, [execution("e1")], [task("t1", "e1")]))
        swept = await sweep(services, ALL).sweep()
        of_it = await services.logbook.entries(LogFilter(execution_id="e1"))
        left = await services.logbook.entries()
        found = await engine._store.find_io([Condition("execution_id", "=", ("e1",))], Page(5))

    assert swept == 1
    assert [row.line for row in of_it.rows] == ["early"]
    assert {row.line for row in left.rows} == {"early", "new"}
    assert [row.task_id for row in found.rows] == ["t1"]
