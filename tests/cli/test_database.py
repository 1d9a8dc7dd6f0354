"""`asyncflow workflow`, `asyncflow db` and `asyncflow doctor` on real files."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from tests.cli.making import FAILING, HELLO, call, task, workflow, write

FORK = workflow(
    task("fork", "FORK_JOIN", forkTasks=[[task(f"b{i}", "NOOP")] for i in range(3)]),
    task("join", "JOIN", joinOn=["b0", "b1", "b2"]),
    task("sub", "SUB_WORKFLOW", subWorkflowParam={"name": "child", "workflowDefinition": HELLO}),
    name="fork",
)


@pytest.fixture
def database(tmp_path: Path) -> Path:
    """A file with three executions, one of them failed, and a sub-workflow's."""
    path = tmp_path / "x.db"
    for name, definition in (("hello", HELLO), ("failing", FAILING), ("fork", FORK)):
        call("run", write(tmp_path / f"{name}.json", definition), "--db", path, "--progress", "off")
    return path


def listed(database: Path, *options: str) -> list[dict[str, object]]:
    done = call("workflow", "list", "--db", database, "-o", "json", *options)
    assert done.exit_code == 0, done.stderr
    rows = json.loads(done.stdout)
    assert isinstance(rows, list)
    return rows


def rows_of(database: Path, table: str) -> list[tuple[object, ...]]:
    with closing(sqlite3.connect(database)) as db:
        return db.execute(f"SELECT * FROM {table} ORDER BY 1").fetchall()


def test_list_shows_the_newest_first_and_leaves_children_out(database: Path) -> None:
    assert [row["workflowName"] for row in listed(database)] == ["fork", "failing", "hello"]
    assert len(listed(database, "--children")) == 4


@pytest.mark.parametrize(
    ("options", "names"),
    [
        (["--status", "FAILED"], ["failing"]),
        (["--status", "failed", "--status", "COMPLETED"], ["fork", "failing", "hello"]),
        (["--name", "hello"], ["hello"]),
        (["--name", "nothing"], []),
        (["--limit", "1"], ["fork"]),
        (["--limit", "1", "--offset", "1"], ["failing"]),
    ],
)
def test_list_filters(database: Path, options: list[str], names: list[str]) -> None:
    assert [row["workflowName"] for row in listed(database, *options)] == names


def test_list_says_when_there_are_more(database: Path) -> None:
    done = call("workflow", "list", "--db", database, "--limit", "2")

    assert "2 of 3 executions" in done.stderr
    assert done.stdout.splitlines()[0].startswith("EXECUTION")


def test_get_shows_an_execution_folded_from_the_journal(database: Path) -> None:
    identity = str(listed(database)[0]["workflowId"])

    plain = call("workflow", "get", identity, "--db", database, "--tasks")
    shape = json.loads(call("workflow", "get", identity, "--db", database, "-o", "json").stdout)

    assert "status         COMPLETED" in plain.stdout
    assert "join" in plain.stdout
    assert (shape["workflowId"], shape["workflowDefinition"]["name"]) == (identity, "fork")
    assert [each["referenceTaskName"] for each in shape["tasks"]][:2] == ["fork", "b0"]


@pytest.mark.parametrize(
    ("identity", "said"),
    [("nonsense", "not an execution id"), ("01890000-0000-7000-8000-000000000000", "no such execution")],
)
def test_get_refuses_an_unknown_execution(database: Path, identity: str, said: str) -> None:
    done = call("workflow", "get", identity, "--db", database)

    assert done.exit_code == 2
    assert said in done.stderr


def test_reading_makes_no_file(tmp_path: Path) -> None:
    done = call("workflow", "list", "--db", tmp_path / "none.db")

    assert done.exit_code == 3
    assert list(tmp_path.iterdir()) == []


# --- db ---------------------------------------------------------------------------------------


def test_rebuild_gives_equal_tables(database: Path) -> None:
    before = {table: rows_of(database, table) for table in ("execution", "task", "reader_cursor")}
    with closing(sqlite3.connect(database)) as db, db:
        db.execute("DELETE FROM task")
        db.execute("UPDATE execution SET status = 'RUNNING', name = 'wrong'")

    done = call("db", "rebuild", database)

    assert done.exit_code == 0, done.stderr
    assert "4 executions" in done.stderr
    assert {table: rows_of(database, table) for table in before} == before


def test_copies_are_whole_and_overwrite_nothing(database: Path, tmp_path: Path) -> None:
    backed_up = call("db", "backup", database, tmp_path / "backup.db")
    cloned = call("db", "clone", database, tmp_path / "clone.db")
    again = call("db", "backup", database, tmp_path / "clone.db")

    assert (backed_up.exit_code, cloned.exit_code, again.exit_code) == (0, 0, 2)
    assert len(listed(tmp_path / "backup.db")) == len(listed(tmp_path / "clone.db")) == 3
    original, backup, clone = (
        rows_of(path, "installation")[0][1]
        for path in (database, tmp_path / "backup.db", tmp_path / "clone.db")
    )
    assert original == backup != clone


def test_archive_is_read_like_any_file_and_comes_back(database: Path, tmp_path: Path) -> None:
    old, new = tmp_path / "old.db", tmp_path / "new.db"
    kept = call("db", "archive", database, old)
    again = call("db", "archive", database, old, "--name", "hello", "--days", "1")
    one = str(listed(old, "--name", "failing")[0]["workflowId"])
    back = call("db", "import", old, new, one)

    assert "4 copied, 0 were there" in kept.stderr
    assert "0 copied, 0 were there" in again.stderr
    assert [row["workflowName"] for row in listed(old)] == ["fork", "failing", "hello"]
    assert "1 copied" in back.stderr
    assert [row["workflowId"] for row in listed(new)] == [one]
    shown = [call("workflow", "get", one, "--db", file, "-o", "json").stdout for file in (database, new)]
    assert shown[0] == shown[1]


def test_check_finds_damage_and_passes_a_sound_file(database: Path) -> None:
    sound = call("db", "check", database)
    with closing(sqlite3.connect(database)) as db, db:
        db.execute("UPDATE turn SET body = '[]' WHERE number = (SELECT max(number) FROM turn)")
    damaged = call("db", "check", database)

    assert (sound.exit_code, sound.stdout) == (0, "")
    assert damaged.exit_code == 3
    assert damaged.stdout.strip()


@pytest.mark.parametrize("command", ["migrate", "rebuild", "vacuum", "check"])
def test_db_commands_work_on_a_sound_file_and_refuse_a_missing_one(
    database: Path, tmp_path: Path, command: str
) -> None:
    missing = call("db", command, tmp_path / "none.db")

    assert call("db", command, database).exit_code == 0
    assert missing.exit_code == 3
    assert not (tmp_path / "none.db").exists()


def test_db_refuses_a_file_that_is_none_of_ours(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database at all " * 100, encoding="utf-8")

    for command in ("migrate", "rebuild", "vacuum", "check"):
        done = call("db", command, tmp_path / "text.db")
        assert done.exit_code == 3
        assert "Traceback" not in done.stderr


# --- doctor -----------------------------------------------------------------------------------


def test_doctor_finds_this_installation_complete(database: Path) -> None:
    done = call("doctor", "--db", database, "-o", "json")

    checks = {row["check"]: row["result"] for row in json.loads(done.stdout)}
    assert done.exit_code == 0, done.output
    assert set(checks.values()) == {"ok"}
    assert {"python", "sqlite", "javascript", "uvloop", str(database)} <= set(checks)


def test_doctor_says_when_a_file_cannot_be_used(tmp_path: Path) -> None:
    done = call("doctor", "--db", tmp_path / "none.db")

    assert done.exit_code == 3
    assert "unusable" in done.stdout
