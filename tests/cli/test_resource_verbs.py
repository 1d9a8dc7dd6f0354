"""`asyncflow resource`, `task decide`, `log` and `plugin` against a server."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.making import call, write
from tests.cli.remote_calls import Shell
from tests.plugins.test_scaffold import run


async def test_a_resource_is_made_drained_resized_and_deleted(shell: Shell, tmp_path: Path) -> None:
    file = tmp_path / "printer.json"
    write(file, {"max_concurrent": 1, "rate": "20/1m"})

    await shell("resource", "apply", "printer", str(file))
    made = await shell.one("resource", "get", "printer")
    drained = await shell("resource", "drain", "printer", "--reason", "toner")
    held = await shell.one("resource", "get", "printer")
    resumed = await shell("resource", "resume", "printer")
    resized = await shell("resource", "resize", "printer", "--max-concurrent", "3")
    nothing = await shell("resource", "resize", "printer", code=2)
    larger = await shell.one("resource", "get", "printer")
    history = await shell("resource", "history", "printer")
    jobs = await shell.rows("resource", "jobs", "printer")
    deleted = await shell("resource", "delete", "printer", "--yes")
    await shell("resource", "get", "printer", code=2)

    assert (made["limit"], made["rate"], made["source"]) == (1, 20, "document")
    assert "printer is drained" in drained.stderr
    assert "toner" in str(held["drained"])
    assert "printer is ready" in resumed.stderr
    assert "printer is resized" in resized.stderr
    assert "--max-concurrent 4" in nothing.stderr
    assert larger["limit"] == 3
    assert "ResourceDrained" in history.stdout
    assert jobs == []
    assert "deleted" in deleted.stderr


async def test_a_decision_names_what_is_missing(shell: Shell) -> None:
    execution = await shell.started()
    (task,) = await shell.rows("task", "list", execution)

    no_handle = await shell("task", "decide", str(task["taskId"]), "adopt", code=2)
    no_job = await shell("task", "decide", str(task["taskId"]), "fail", "--reason", "gone", code=2)

    assert "a handle goes with adopt" in no_handle.stderr
    assert "open job of task" in no_job.stderr


async def test_logs_are_searched_together(shell: Shell) -> None:
    await shell.server.services.logbook.add_log_lines("t1", ["the report is late"], execution_id="e1")

    rows = await shell.rows("log", "--text", "late")
    table = await shell("log", "--task", "t1")
    none = await shell.rows("log", "--resource", "emr-prod")

    assert [row["line"] for row in rows] == ["the report is late"]
    assert "the report is late" in table.stdout
    assert none == []


async def test_plugins_of_a_server_are_listed_and_shown(shell: Shell) -> None:
    listed = await shell.rows("plugin", "list")
    shown = await shell.one("plugin", "get", "resource", "limit")

    assert "limit" in [row["name"] for row in listed]
    assert shown["state"] == "ready"


def test_plugins_that_are_installed_here_are_listed_without_a_server() -> None:
    listed = call("plugin", "list")
    shown = call("plugin", "get", "resource", "limit", "-o", "json")
    missing = call("plugin", "get", "resource", "nothing")

    assert "limit" in listed.stdout
    assert json.loads(shown.stdout)["config"]["additionalProperties"] is False
    assert missing.exit_code == 2


def test_a_new_package_passes_its_check(tmp_path: Path) -> None:
    made = call("plugin", "new", "label-printer", "--kind", "task", "--out", str(tmp_path))
    again = call("plugin", "new", "label-printer", "--kind", "task", "--out", str(tmp_path))
    folder = tmp_path / "asyncflow-label-printer"
    done = run(["-m", "asyncflow", "plugin", "check", ".", "-o", "json"], folder)

    assert made.exit_code == 0
    assert str(folder / "pyproject.toml") in made.stdout
    assert again.exit_code == 2
    assert done.returncode == 0, done.stdout + done.stderr
    told = {row["subject"]: row for row in json.loads(done.stdout)}
    assert {each["level"] for each in told.values()} == {"ok"}
    assert set(told) == {"import", "class", "tests"}


def test_check_finds_what_is_wrong(tmp_path: Path) -> None:
    call("plugin", "new", "printer", "--kind", "listener", "--out", str(tmp_path))
    folder = tmp_path / "asyncflow-printer"
    module = folder / "src" / "asyncflow_printer" / "__init__.py"
    text = module.read_text(encoding="utf-8")
    text = text.replace('prefix: str = ""', 'prefix: str = ""\n    password: str = ""')
    text = text.replace("import logging", "import logging\nfrom time import sleep")
    text = text.replace("        assert isinstance", "        sleep(0.0)\n        assert isinstance")
    module.write_text(text, encoding="utf-8")
    (folder / "tests" / "test_printer.py").write_text(
        "def test_it() -> None:\n    assert 0\n", encoding="utf-8"
    )

    done = run(["-m", "asyncflow", "plugin", "check", ".", "-o", "json"], folder)

    told = [
        f"{row['subject']}: {row['message']}" for row in json.loads(done.stdout) if row["level"] == "error"
    ]
    assert done.returncode == 2
    assert told[0] == "secrets: Config.password is shown by repr: make it a pydantic.SecretStr"
    assert "time.sleep blocks everybody on the loop" in told[1]
    assert told[2].startswith("tests: FAILED")


def test_check_measures_the_import_and_names_a_broken_module(tmp_path: Path) -> None:
    call("plugin", "new", "printer", "--kind", "task", "--out", str(tmp_path))
    folder = tmp_path / "asyncflow-printer"
    module = folder / "src" / "asyncflow_printer" / "__init__.py"
    text = module.read_text(encoding="utf-8")
    slow = "import time\nbegan = time.perf_counter()\nwhile time.perf_counter() - began < 0.6:\n    pass\n"
    module.write_text(text.replace("from collections.abc", f"{slow}from collections.abc"), encoding="utf-8")
    lazy = run(["-m", "asyncflow", "plugin", "check", ".", "-o", "json"], folder)
    module.write_text("import nothing_of_this_name\n", encoding="utf-8")
    broken = run(["-m", "asyncflow", "plugin", "check", ".", "-o", "json"], folder)

    first, *_ = json.loads(lazy.stdout)
    assert (first["subject"], first["level"]) == ("import", "error")
    (only,) = json.loads(broken.stdout)
    assert "No module named 'nothing_of_this_name'" in only["message"]
