"""Files as they are named and found on the command line: odd names, no name, faults inside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.making import HELLO, call, environment, run_process, write

NOT_UTF8 = os.fsdecode(b"name\xff.json")


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "hello.json", "--db", ""],
        ["run", "hello.json", "--input", "@"],
        ["run", ""],
        ["export", "hello.json", "--target", "conductor", "--out", ""],
        ["workflow", "list", "--db", ""],
        ["db", "check", ""],
        ["doctor", "--db", ""],
    ],
)
def test_an_empty_file_name_is_refused_as_such(here: Path, arguments: list[str]) -> None:
    done = call(*arguments)

    assert done.exit_code == 2
    assert "the name of a file is empty" in done.stderr


@pytest.mark.skipif(sys.platform == "darwin", reason="its file names are UTF-8")
@pytest.mark.parametrize("output", ["json", "jsonl"])
def test_a_file_name_that_is_not_utf8_is_written_as_json(tmp_path: Path, output: str) -> None:
    done = run_process("lint", NOT_UTF8, "-o", output, cwd=tmp_path)

    assert done.returncode == 2
    found = json.loads(done.stdout)
    assert (found if output == "jsonl" else found[0])["file"] == NOT_UTF8


@pytest.mark.parametrize("name", ["sp ace ü[1].json", "a#b?c%20.json", "日本.json"])
def test_odd_file_names_are_files(here: Path, name: str) -> None:
    write(here / name, HELLO)

    done = call("run", name, "--db", f"{name}.db", "-o", "json")
    listed = call("workflow", "list", "--db", f"{name}.db", "-o", "jsonl")

    assert (done.exit_code, listed.exit_code) == (0, 0)
    assert json.loads(listed.stdout)["workflowId"] == json.loads(done.stdout)["workflowId"]


def test_lint_names_a_file_that_cannot_be_read_once(here: Path) -> None:
    (here / "empty.json").touch()

    done = call("lint", "empty.json")

    assert done.stdout == "empty.json: error: holds no document\n"


def test_faults_of_outcomes_name_their_file(here: Path) -> None:
    write(here / "odd.json", {"a": {"state": "FAILED"}})

    done = call("run", "hello.json", "--outcomes", "odd.json")

    assert done.exit_code == 2
    assert "odd.json: a.state: unknown" in done.stderr


def test_python_that_fails_while_loaded_names_its_line(here: Path) -> None:
    (here / "broken.py").write_text("import asyncflow\n\nrate = 1 / 0\n", encoding="utf-8")

    done = call("run", "hello.json", "--load", "broken.py")

    assert done.exit_code == 2
    assert "ZeroDivisionError: division by zero" in done.stderr
    assert "broken.py, line 3)" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_resource_has_one_limit(here: Path) -> None:
    done = call("run", "hello.json", "--resource", "disk=1", "--resource", "disk=2")

    assert done.exit_code == 2
    assert "--resource disk=2: disk has a limit already" in done.stderr


def test_example_without_a_folder_says_how_it_is_called(checkout: Path) -> None:
    for example in ("run_workflow_files.py", "run_conductor_definitions.py"):
        done = subprocess.run(
            [sys.executable, checkout / "examples" / example],
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
        )

        assert done.returncode == 1
        assert f"python examples/{example} FOLDER" in done.stderr
        assert "Traceback" not in done.stderr
