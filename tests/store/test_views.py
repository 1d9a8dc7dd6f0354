"""The views: replaced in bulk, read by conditions, never more than the columns there are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asyncflow.errors import InvalidInput
from asyncflow.store.records import AnyOf, Condition, Page, ViewBatch, Where
from asyncflow.store.sqlite import SqliteStore
from asyncflow.store.views import EXECUTIONS, TASKS
from tests.store.making import execution, sql, task, turn, views


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    async with SqliteStore.open(tmp_path / "flow.db") as store:
        yield store


@pytest.fixture
async def filled(store: SqliteStore) -> SqliteStore:
    rows = [
        execution("e1", name="nightly", status="COMPLETED", started_at_ms=10, correlation_id="c%1"),
        execution("e2", name="nightly", status="RUNNING", started_at_ms=20, parent_id="e1"),
        execution("e3", name="hourly", status="FAILED", started_at_ms=30, correlation_id="C%1"),
    ]
    await store.write_views(views(5, rows, [task("t2", "e1", number=2), task("t1", "e1", number=1)]))
    return store


async def found(store: SqliteStore, column: str, operator: str, *values: str | int) -> list[str]:
    rows = await store.list_executions([Condition(column, operator, values)])
    assert await store.count_executions([Condition(column, operator, values)]) == len(rows)
    return [row.execution_id for row in rows]


async def test_rows_come_back_as_written(store: SqliteStore) -> None:
    row = execution(
        input='{"n":12345678901234567890,"t":"\\u0000\\"é"}', reason='it\'s "so"\n\u2028', last_seq=2**62
    )
    await store.write_views(views(3, [row], [task(reason="é")]))

    assert await store.execution_row("e1") == row
    assert await store.task_rows("e1") == [task(reason="é")]
    assert await store.projected_turn() == 3


async def test_row_written_again_is_replaced_whole(filled: SqliteStore) -> None:
    await filled.write_views(views(6, [execution("e1", status="FAILED")], [task("t1", "e1", state="DONE")]))

    assert await filled.execution_row("e1") == execution("e1", status="FAILED")
    assert [row.state for row in await filled.task_rows("e1")] == ["DONE", "READY"]


async def test_removed_rows_go_before_new_ones_come(filled: SqliteStore) -> None:
    await filled.write_views(ViewBatch(6, [execution("e1")], [task("t2", "e1")], ["t2"], ["e1", "e2"]))

    assert {row.execution_id for row in await filled.list_executions()} == {"e1", "e3"}
    assert [row.task_id for row in await filled.task_rows("e1")] == ["t2"]


async def test_removing_an_execution_removes_its_tasks(filled: SqliteStore) -> None:
    await filled.write_views(ViewBatch(6, [], [], [], ["e1"]))

    assert await filled.execution_row("e1") is None
    assert await filled.list_tasks() == []


async def test_clearing_empties_both_and_forgets_the_turn(filled: SqliteStore) -> None:
    await filled.clear_views()

    assert (await filled.count_executions(), await filled.list_tasks()) == (0, [])
    assert await filled.projected_turn() == 0


@pytest.mark.parametrize(
    ("column", "operator", "values", "expected"),
    [
        ("status", "=", ("RUNNING",), ["e2"]),
        ("status", "!=", ("RUNNING",), ["e3", "e1"]),
        ("status", "in", ("RUNNING", "FAILED"), ["e3", "e2"]),
        ("status", "not in", ("RUNNING", "FAILED"), ["e1"]),
        ("status", "in", (), []),
        ("started_at_ms", ">", (10,), ["e3", "e2"]),
        ("started_at_ms", "<=", (10,), ["e1"]),
        ("correlation_id", "contains", ("%1",), ["e3", "e1"]),
        ("correlation_id", "contains", ("c%",), ["e1"]),
        ("name", "starts", ("night",), ["e2", "e1"]),
        ("name", "starts", ("ight",), []),
        ("name", "=", ("' OR 1=1 --",), []),
        ("parent_id", "=", ("e1",), ["e2"]),
    ],
)
async def test_conditions_select_newest_start_first(
    filled: SqliteStore, column: str, operator: str, values: tuple[str | int, ...], expected: list[str]
) -> None:
    assert await found(filled, column, operator, *values) == expected


async def test_pages_cut_an_ordered_list(filled: SqliteStore) -> None:
    page = Page(limit=1, offset=1, order=(("name", False), ("started_at_ms", True)))

    assert [row.execution_id for row in await filled.list_executions((), page)] == ["e2"]
    assert [row.task_id for row in await filled.list_tasks()] == ["t1", "t2"]


@pytest.mark.parametrize(
    "condition",
    [
        Condition("name; DROP TABLE task", "=", ("x",)),
        Condition("name", "resembles", ("x",)),
        Condition("name", "=", ()),
        Condition("version", "=", (1 << 63,)),
        Condition("version", ">", (-(1 << 63) - 1,)),
        Condition("name", "=", ("\ud800",)),
        Condition("name", "contains", ("\ud800",)),
    ],
)
async def test_column_operator_or_value_that_cannot_be_is_refused(
    filled: SqliteStore, condition: Condition
) -> None:
    with pytest.raises(InvalidInput):
        await filled.list_executions([condition])


async def test_unknown_order_is_refused(filled: SqliteStore) -> None:
    with pytest.raises(InvalidInput):
        await filled.list_executions((), Page(order=(("random()", False),)))


async def test_page_beyond_all_numbers_is_refused(filled: SqliteStore) -> None:
    with pytest.raises(InvalidInput, match="64 bits"):
        await filled.list_executions((), Page(offset=1 << 63))


async def test_cursors_are_kept_by_name(store: SqliteStore) -> None:
    await store.append(turn(1))
    await store.move_cursors({"journal-files": 1})
    await store.move_cursors({"journal-files": 4})

    assert (await store.cursor("journal-files"), await store.cursor("other")) == (4, 0)


@pytest.mark.parametrize(
    ("condition", "index"),
    [
        (Condition("correlation_id", "=", ("x",)), "execution_correlation"),
        (Condition("parent_id", "=", ("x",)), "execution_parent"),
        (Condition("name", "=", ("x",)), "execution_name"),
        (Condition("open", "=", (1,)), "execution_open"),
        (Condition("status", "=", ("FAILED",)), "execution_status"),
        (Condition("idempotency_key", "=", ("k",)), "execution_idempotency"),
        (Condition("priority", ">", (1,)), "execution_started"),
        (Condition("execution_id", "=", ("x",)), "sqlite_autoindex_execution_1"),
    ],
)
async def test_each_index_serves_its_query(
    tmp_path: Path, store: SqliteStore, condition: Condition, index: str
) -> None:
    query = EXECUTIONS.query([condition], Page())

    assert index in str(sql(tmp_path / "flow.db", f"EXPLAIN QUERY PLAN {query.sql}", *query.values))


@pytest.mark.parametrize("shared", [Condition("name", "=", ("n",)), Condition("status", "=", ("FAILED",))])
async def test_one_correlation_id_is_not_looked_for_among_all_of_a_name(
    tmp_path: Path, store: SqliteStore, shared: Condition
) -> None:
    few = AnyOf((Condition("correlation_id", "=", ("x",)), Condition("correlation_id", "=", ("y",))))
    asked: list[list[Where]] = [[shared, few], [few.members[0], shared]]
    for conditions in asked:
        query = EXECUTIONS.query(conditions, Page())

        plan = str(sql(tmp_path / "flow.db", f"EXPLAIN QUERY PLAN {query.sql}", *query.values))
        assert "execution_correlation" in plan


async def test_tasks_of_an_execution_are_found_by_index(tmp_path: Path, store: SqliteStore) -> None:
    query = TASKS.query([Condition("execution_id", "=", ("x",))], Page())

    assert "task_execution" in str(
        sql(tmp_path / "flow.db", f"EXPLAIN QUERY PLAN {query.sql}", *query.values)
    )


async def test_text_without_utf8_form_is_refused_and_leaves_nothing(store: SqliteStore) -> None:
    with pytest.raises(InvalidInput, match="surrogate"):
        await store.write_views(views(1, [execution("e1"), execution("e2", reason="\ud800")]))

    assert await store.count_executions() == 0
