"""Laws: whatever is killed when, a deleted execution is gone whole or there whole, and gone once told so."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.app.search import Search
from asyncflow.errors import NotFound
from asyncflow.runtime.points import POINTS
from asyncflow.runtime.rebuild import rebuild_views
from asyncflow.store.sqlite import SqliteStore
from tests.integration.engine_support import noop
from tests.store.making import sql

TABLES = ("execution", "task", "segment", "task_log", "text_document", "text_pending")


def run(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.crash.deletion_life", *arguments]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=60, check=False)


def traces(database: Path, execution: str) -> dict[str, int]:
    """In how many rows of each table an execution is still met."""
    columns = {"segment": "stream"}
    return {
        table: int(str(found))
        for table in TABLES
        for ((found,),) in [
            sql(
                database,
                f"SELECT count(*) FROM {table} WHERE {columns.get(table, 'execution_id')} = ?",
                execution,
            )
        ]
    }


async def is_whole(engine: af.Engine, execution: str, word: str) -> bool:
    """Whether the execution is there by every way of looking; that all agree is asserted."""
    inner = engine.service.engine
    search = Search(inner, inner._store)
    found = (await search.executions(free_text=word)).rows
    listed = (await search.executions(f"workflowId = {execution}")).rows
    try:
        shown = await engine.service.get(execution)
    except NotFound:
        assert (found, listed) == ([], [])
        return False
    assert shown["status"] == "COMPLETED"
    assert [row.execution_id for row in found] == [row.execution_id for row in listed] == [execution]
    return True


@pytest.mark.scenario("R37")
@pytest.mark.parametrize("point", [*POINTS, "never"])
@pytest.mark.parametrize("is_segmented", [False, True])
async def test_deletion_is_whole_at_every_point(
    tmp_path: Path, checkout: Path, point: str, *, is_segmented: bool
) -> None:
    database = tmp_path / "flow.db"
    filled = run(checkout, str(database), "fill")
    first, *others = filled.stdout.split()
    assert filled.returncode == 0, filled.stderr[-2000:]
    if is_segmented:
        async with af.Engine(database, tasks=[noop]) as engine:
            await engine.service.engine.views_caught_up()
            await engine.service.engine.compaction.compact()
        assert traces(database, first)["segment"] == 1

    killed = run(checkout, str(database), first, point)
    assert killed.returncode == (0 if point == "never" else -9), killed.stderr[-2000:]
    was_told = "deleted" in killed.stdout

    async with af.Engine(database, tasks=[noop]) as engine:
        is_there = await is_whole(engine, first, "word0")
        assert [await is_whole(engine, other, f"word{n}") for n, other in enumerate(others, start=1)] == [
            True,
            True,
        ]
    assert not (was_told and is_there)
    if not is_there:
        assert set(traces(database, first).values()) == {0}
    async with SqliteStore.open(database) as store:
        assert await store.find_faults() == []
        before = await store.list_executions()
        await rebuild_views(store)
        assert await store.list_executions() == before
        assert (await store.execution_row(first) is not None) == is_there
