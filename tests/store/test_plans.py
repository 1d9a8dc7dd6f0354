"""Queries that may meet millions of rows: each is answered by an index, and none sorts all that it finds."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from asyncflow.store import logbook, schema
from asyncflow.store.log_records import LogEntry
from asyncflow.store.records import Condition, Page
from asyncflow.store.views import _NEWEST_FIRST, EXECUTION_KEYS, TASK_HITS, Query, View

SORTED = "USE TEMP B-TREE FOR ORDER BY"  # all of it; "FOR RIGHT PART OF" sorts ties alone


@pytest.fixture
def db() -> Iterator[sqlite3.Connection]:
    with closing(sqlite3.connect(":memory:", isolation_level=None)) as found:
        schema.migrate(found, schema.migrations())
        yield found


def plan(db: sqlite3.Connection, query: Query) -> list[str]:
    return [str(row[3]) for row in db.execute(f"EXPLAIN QUERY PLAN {query.sql}", query.values)]


def test_the_newest_runs_of_a_task_are_read_from_the_end_of_an_index(db: sqlite3.Connection) -> None:
    conditions = [
        Condition("workflow_name", "=", ("w",)),
        Condition("reference", "rounds", ("r",)),
        Condition("ended_at_ms", ">", (0,)),
    ]
    found = plan(db, TASK_HITS.query(conditions, Page(20, 0, _NEWEST_FIRST)))

    assert found[:2] == [
        "SEARCH execution USING INDEX execution_name (name=?)",
        "SEARCH task USING INDEX task_execution (execution_id=?)",
    ]
    assert SORTED not in found


@pytest.mark.parametrize("view", logbook._ENTRIES)
def test_the_newest_lines_are_read_by_time(db: sqlite3.Connection, view: View[LogEntry]) -> None:
    found = plan(db, view.query([Condition("line", "contains", ("x",))], Page(10)))

    assert "_log_time" in found[0]
    assert SORTED not in found


@pytest.mark.parametrize(("column", "index"), [("execution_id", "_execution"), ("at_ms", "_time")])
@pytest.mark.parametrize("view", logbook._ENTRIES)
def test_lines_are_found_by_an_index(
    db: sqlite3.Connection, view: View[LogEntry], column: str, index: str
) -> None:
    found = plan(db, view.query([Condition(column, "=", ("x",))], Page(10)))

    assert found[0].startswith("SEARCH")
    assert f"{index} " in found[0]


def test_what_one_listener_or_handler_did_is_found_by_its_kind(db: sqlite3.Connection) -> None:
    conditions = [
        Condition("caller", "=", ("listener:x",)),
        Condition("object_kind", "=", ("listener_event",)),
    ]
    found = plan(db, logbook.AUDIT.query(conditions, Page(10)))

    assert found == ["SEARCH audit USING INDEX audit_kind (object_kind=?)"]


def test_ids_are_read_without_inputs_and_outputs(db: sqlite3.Connection) -> None:
    query = EXECUTION_KEYS.query([Condition("name", "=", ("w",))], Page(limit=-1))

    assert query.sql.startswith("SELECT execution_id, correlation_id FROM execution")
    assert "execution_name" in plan(db, query)[0]
