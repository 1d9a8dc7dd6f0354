"""The stored schema is a contract: its page, its comments and its migrations say the same."""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from importlib import resources
from pathlib import Path

import pytest

from asyncflow.errors import StoreError
from asyncflow.store import schema
from asyncflow.store.records import ExecutionRow, TaskRow
from asyncflow.store.schema import Migration
from asyncflow.store.sqlite import SqliteStore
from tests.store.making import execution, recorded, task
from tests.store.released import Release, leave_file, releases

NEXT = schema.migrations()[-1].number + 1
RELEASES = releases()


def script() -> str:
    return (resources.files("asyncflow.store") / "schema.sql").read_text(encoding="utf-8")


def objects(db: sqlite3.Connection) -> list[tuple[str, str]]:
    rows = db.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL ORDER BY name")
    return [(name, _plain(text)) for name, text in rows]


def _plain(statement: str) -> str:
    """Without comments; a column that a migration added stands where SQLite puts it, without a line break."""
    return " ".join(re.sub(r"([(),])", r" \1 ", re.sub(r"--[^\n]*", " ", statement)).split())


def fresh() -> sqlite3.Connection:
    return sqlite3.connect(":memory:", isolation_level=None)


def test_migrations_lead_to_the_documented_schema() -> None:
    with closing(fresh()) as migrated, closing(fresh()) as documented:
        schema.migrate(migrated, schema.migrations())
        documented.executescript(script())

        assert objects(migrated) == objects(documented)


def test_page_is_made_from_the_schema(checkout: Path) -> None:
    assert (checkout / "docs" / "schema.md").read_text(encoding="utf-8") == schema.schema_page()


def test_every_column_is_commented() -> None:
    tables = re.findall(r"CREATE TABLE \w+ \((.*?)\n\)", script(), re.DOTALL)
    columns = [line for body in tables for line in body.strip().splitlines() if "PRIMARY KEY (" not in line]

    assert len(columns) > 60
    assert [line for line in columns if "-- " not in line] == []


@pytest.mark.parametrize(("table", "row"), [("execution", ExecutionRow), ("task", TaskRow)])
def test_rows_have_the_columns_of_their_view(table: str, row: type[ExecutionRow | TaskRow]) -> None:
    with closing(fresh()) as db:
        schema.migrate(db, schema.migrations())
        columns = [name for _, name, *_ in db.execute(f"PRAGMA table_info({table})")]

    assert tuple(columns) == row._fields


def test_migrations_are_numbered_without_gaps() -> None:
    assert [step.number for step in schema.migrations()] == list(range(1, len(schema.migrations()) + 1))


def test_later_migration_is_applied_once_and_keeps_the_installation() -> None:
    second = Migration(NEXT, "colour", "ALTER TABLE task ADD COLUMN colour TEXT NOT NULL DEFAULT ';';\n")
    with closing(fresh()) as db:
        assert schema.migrate(db, schema.migrations(), installation_id="inst") == list(range(1, NEXT))
        assert schema.migrate(db, [*schema.migrations(), second]) == [NEXT]
        assert schema.migrate(db, [*schema.migrations(), second]) == []

        assert db.execute("SELECT installation_id FROM installation").fetchone() == ("inst",)
        assert schema.schema_version(db) == NEXT


def test_failing_migration_leaves_the_schema_before_it() -> None:
    broken = Migration(NEXT, "broken", "CREATE TABLE extra (a);\nINSERT INTO nowhere VALUES (1);\n")
    with closing(fresh()) as db:
        schema.migrate(db, schema.migrations())
        before = objects(db)
        with pytest.raises(StoreError, match="nowhere"):
            schema.migrate(db, [*schema.migrations(), broken])

        assert (objects(db), schema.schema_version(db)) == (before, NEXT - 1)


@pytest.mark.parametrize("release", RELEASES, ids=lambda release: release.name)
async def test_files_of_every_released_schema_open_and_read(tmp_path: Path, release: Release) -> None:
    """Law: what a release wrote, all later ones read."""
    path = tmp_path / "flow.db"
    leave_file(path, release.number)
    async with SqliteStore.open(path) as store:
        assert await store.read_stream("s") == recorded(1, 4)
        assert await store.read_definitions(["h"]) == {"h": '{"name":"é"}'}
        assert await store.list_executions() == [execution()]
        assert await store.task_rows("e1") == [task()]
        assert (await store.projected_turn(), await store.cursor("files")) == (4, 2)
        assert (await store.facts()).installation_id == "inst-1"
        assert await store.find_faults() == []


def test_migrations_are_those_that_were_released() -> None:
    released = [(each.number, each.name, each.checksum) for each in RELEASES]

    assert released == [(step.number, step.name, step.checksum) for step in schema.migrations()]


def test_rows_are_kept_of_every_table() -> None:
    """A migration that brings a table brings rows of it."""
    with closing(fresh()) as db:
        schema.migrate(db, schema.migrations())
        made = {name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    kept = {name for each in RELEASES for name in re.findall(r"^INSERT INTO (\w+)", each.rows, re.MULTILINE)}
    empty = {"removal", "text_pending"}  # what is to be done, and is done once the file is opened
    ours = {name for name in made if not name.startswith(("sqlite_", "execution_text_"))}

    assert ours - kept == {"installation", "migration", *empty}
