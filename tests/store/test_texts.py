"""The full-text index: brought on in steps, never with more than the view has, and rebuilt alike."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asyncflow.model.free_text import matching
from asyncflow.store import texts
from asyncflow.store.records import Condition, Page, ViewBatch
from asyncflow.store.sqlite import SqliteStore
from tests.store.making import execution, sql, task, views


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore.open(tmp_path / "flow.db") as store:
        yield store


async def found(store: SqliteStore, text: str) -> list[str]:
    conditions = [Condition("text", "matches", (matching(text),))]
    rows = (await store.find_executions(conditions, Page())).rows
    return [row.execution_id for row in rows]


async def catch_up(store: SqliteStore) -> int:
    steps = 0
    while await store.index_texts():
        steps += 1
    assert await store.newest_pending_text() == 0
    return steps


async def test_texts_are_found_once_indexed(store: SqliteStore) -> None:
    await store.write_views(
        views(1, [execution(input='{"a":"b\\u0001 line\\nnext C:\\\\new"}', reason="no")])
    )
    assert await found(store, "next") == []
    assert await store.newest_pending_text() > 0
    await catch_up(store)

    assert [await found(store, text) for text in ("next", "new", "no", "line", "nnext")] == [
        *[["e1"]] * 4,
        [],
    ]


async def test_rows_without_texts_and_unchanged_ones_cost_nothing(store: SqliteStore) -> None:
    await store.write_views(views(1, [execution("e1", input="{}"), execution("e2")]))
    assert await catch_up(store) == 1
    await store.write_views(views(2, [execution("e1", input="{}", last_seq=9), execution("e2", last_seq=9)]))

    assert await store.newest_pending_text() == 0


async def test_changed_text_replaces_the_old_one(store: SqliteStore) -> None:
    for number, word in enumerate(("first", "second", "third"), start=1):
        await store.write_views(views(number, [execution(output=f'{{"x":"{word}"}}')]))
        if number != 2:
            await catch_up(store)

    assert [await found(store, word) for word in ("first", "second", "third")] == [[], [], ["e1"]]


async def test_removed_executions_leave_no_word(store: SqliteStore, tmp_path: Path) -> None:
    await store.write_views(views(1, [execution("e1", reason="gone"), execution("e2", reason="stays")]))
    await catch_up(store)
    await store.write_views(views(2, [execution("e3", reason="gone")]))
    await store.write_views(ViewBatch(3, [], [], [], ["e1", "e3"]))
    await catch_up(store)

    assert (await found(store, "gone"), await found(store, "stays")) == ([], ["e2"])
    assert sql(tmp_path / "flow.db", "SELECT count(*) FROM execution_text") == [(1,)]


async def test_steps_are_bounded_and_go_in_order(store: SqliteStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(texts, "_PASS_BYTES", 2_500)
    rows = [execution(f"e{n}", input_bytes=1_000, reason=f"word{n}", started_at_ms=n) for n in range(7)]
    await store.write_views(views(1, rows))
    await store.index_texts()

    assert [await found(store, f"word{n}") for n in range(4)] == [["e0"], ["e1"], [], []]
    assert await catch_up(store) == 3


async def test_clearing_empties_the_index_and_filling_makes_it_alike(
    store: SqliteStore, tmp_path: Path
) -> None:
    rows = [execution(f"e{n}", reason=f"word{n}") for n in range(3)]
    query = "SELECT execution_id, reason, body.input FROM text_document, execution_text AS body "
    query += "WHERE body.rowid = number"
    await store.write_views(views(1, rows, [task()]))
    await catch_up(store)
    before = sql(tmp_path / "flow.db", f"{query} ORDER BY 1")
    await store.clear_views()
    assert sql(tmp_path / "flow.db", query) == []
    await store.write_views(views(1, rows))
    await catch_up(store)

    assert sql(tmp_path / "flow.db", f"{query} ORDER BY 1") == before
    assert await store.find_faults() == []


async def test_index_is_sound_by_its_own_check(store: SqliteStore, tmp_path: Path) -> None:
    for number in range(1, 30):
        await store.write_views(views(number, [execution(f"e{number % 5}", reason=f"word {number}")]))
        await store.index_texts()

    sql(tmp_path / "flow.db", "INSERT INTO execution_text (execution_text) VALUES ('integrity-check')")
