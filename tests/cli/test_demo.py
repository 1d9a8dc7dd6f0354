"""`asyncflow demo`: real work on real files, within bounds, and nothing outside its folder."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest

from tests.cli.making import call


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Files of three kinds, hidden ones, a link that leads out, a pipe and a name that is no text."""
    root = tmp_path / "files"
    (root / "sub").mkdir(parents=True)
    (root / "a.txt").write_text("one\ntwo\n", encoding="utf-8")
    (root / "sub" / "b.txt").write_text("three\n", encoding="utf-8")
    (root / "c.bin").write_bytes(b"\0\n" * 10)
    (root / "plain").write_text("", encoding="utf-8")
    (root / ".hidden").write_text("secret", encoding="utf-8")
    (tmp_path / "outside.txt").write_text("outside", encoding="utf-8")
    (root / "link.txt").symlink_to(tmp_path / "outside.txt")
    (root / "loop").symlink_to(root, target_is_directory=True)
    os.mkfifo(root / "pipe")
    (root / "odd\nname.txt").write_text("x", encoding="utf-8")
    return root


def demo(folder: Path, place: Path, *options: str) -> dict[str, object]:
    done = call("demo", folder, "--dir", place, "-o", "json", "--progress", "off", *options)
    assert done.exit_code == 0, done.output
    shown = json.loads(done.stdout)
    assert isinstance(shown, dict)
    return shown


def test_demo_measures_every_regular_file_and_no_other(folder: Path, tmp_path: Path) -> None:
    shown = demo(folder, tmp_path / "kept")

    output = shown["output"]
    assert isinstance(output, dict)
    assert {key: output[key] for key in ("files", "bytes", "lines", "kinds", "left_out")} == {
        "files": 4,
        "bytes": 8 + 6 + 20,
        "lines": 3,
        "kinds": 3,
        "left_out": 1,
    }
    tasks = shown["tasks"]
    assert isinstance(tasks, list)
    measured = {
        each["outputData"]["path"]: each["outputData"]
        for each in tasks
        if each["taskDefName"] == "measure_file"
    }
    assert set(measured) == {"a.txt", "sub/b.txt", "c.bin", "plain"}
    assert measured["a.txt"]["sha256"] == hashlib.sha256(b"one\ntwo\n").hexdigest()
    assert not measured["c.bin"]["is_text"]


def test_demo_writes_a_report_and_keeps_its_database(folder: Path, tmp_path: Path) -> None:
    shown = demo(folder, tmp_path / "kept")
    listed = call("workflow", "list", "--db", tmp_path / "kept" / "demo.db", "-o", "json")
    linted = call("lint", tmp_path / "kept" / "demo.yaml")

    report = (tmp_path / "kept" / "report.md").read_text(encoding="utf-8")
    assert "| `.txt` | 2 | 14 | 3 | `a.txt` |" in report
    assert "| `.bin` | 1 | 20 | 0 | `c.bin` |" in report
    assert [row["workflowId"] for row in json.loads(listed.stdout)] == [shown["workflowId"]]
    assert linted.exit_code == 0, linted.stdout


def test_demo_runs_a_sub_workflow_for_each_kind_and_chooses_in_it(folder: Path, tmp_path: Path) -> None:
    demo(folder, tmp_path / "kept")
    database = tmp_path / "kept" / "demo.db"
    listed = call("workflow", "list", "--db", database, "--name", "demo_kind", "--children", "-o", "json")
    outputs = [
        json.loads(call("workflow", "get", row["workflowId"], "--db", database, "-o", "json").stdout)[
            "output"
        ]
        for row in json.loads(listed.stdout)
    ]

    units = {output["kind"]: output["unit"] for output in outputs}
    assert units == {".txt": "lines", ".bin": "bytes", "no suffix": "lines"}


def test_demo_says_what_to_try_next_on_stderr(folder: Path, tmp_path: Path) -> None:
    done = call("demo", folder, "--dir", tmp_path / "kept")

    assert done.exit_code == 0
    assert done.stderr.count("  asyncflow ") == 3
    assert "asyncflow " not in done.stdout


def test_demo_does_not_measure_what_it_writes(folder: Path) -> None:
    outputs = [demo(folder, folder / "kept", "--new")["output"] for _ in range(2)]

    assert outputs[0] == outputs[1]


def test_demo_is_bounded(folder: Path, tmp_path: Path) -> None:
    output = demo(folder, tmp_path / "kept", "--files", "2")["output"]

    assert isinstance(output, dict)
    assert (output["files"], output["left_out"]) == (2, 3)


def test_demo_on_an_empty_folder_ends_well(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()

    output = demo(tmp_path / "empty", tmp_path / "kept")["output"]

    assert isinstance(output, dict)
    assert (output["files"], output["kinds"]) == (0, 0)


def test_demo_takes_the_package_by_default_and_keeps_to_one_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    done = call("demo", "--progress", "off")

    assert done.exit_code == 0, done.output
    assert [path.name for path in tmp_path.iterdir()] == ["asyncflow-demo"]
    assert "`store/schema.sql`" in (tmp_path / "asyncflow-demo" / "report.md").read_text(encoding="utf-8")


def test_demo_refuses_a_folder_that_is_not_there(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")

    assert call("demo", tmp_path / "none").exit_code == 2
    assert call("demo", tmp_path, "--dir", tmp_path / "file" / "below").exit_code == 2
