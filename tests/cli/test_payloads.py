"""`asyncflow run --payloads` and `asyncflow db payloads` on real files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.making import call, task, workflow, write

LARGE = {"count": 3, "text": "x" * (3 << 20)}
ECHO = workflow(
    task("pass", "INLINE", inputParameters={"evaluatorType": "value-param", "expression": "text"}),
    outputParameters={"text": "${workflow.input.text}", "count": "${workflow.input.count}"},
)


@pytest.fixture
def given(tmp_path: Path) -> str:
    return f"@{write(tmp_path / 'input.json', LARGE)}"


def test_large_input_is_refused_without_a_folder(tmp_path: Path, given: str) -> None:
    done = call("run", write(tmp_path / "w.json", ECHO), "--input", given)

    assert done.exit_code == 2
    assert "payload_too_large" in done.stderr


def test_large_input_is_stored_taken_up_looked_after_and_pruned(tmp_path: Path, given: str) -> None:
    folder, database = tmp_path / "payloads", tmp_path / "w.db"
    done = call(
        "run", write(tmp_path / "w.json", ECHO), "--input", given, "--db", database,
        "--payloads", folder, "-o", "json",
    )  # fmt: skip
    (stored,) = folder.rglob("*.json")
    orphan = stored.with_name(f"{'0' * 64}.json")
    orphan.write_text("[]", encoding="utf-8")

    assert done.exit_code == 0, done.stderr
    output = json.loads(done.stdout)["output"]
    assert output["count"] == 3
    assert output["text"]["asyncflow:stored"]["sha256"] == stored.stem
    looked = call("db", "payloads", database, folder)
    assert (looked.exit_code, orphan.exists()) == (0, True)
    assert "2 files" in looked.stderr
    assert "named by nothing: 1 of 2 bytes" in looked.stderr
    assert call("db", "payloads", database, folder, "--prune").exit_code == 0
    assert (orphan.exists(), stored.exists()) == (False, True)


def test_missing_payload_is_named_with_exit_code_3(tmp_path: Path, given: str) -> None:
    folder, database = tmp_path / "payloads", tmp_path / "w.db"
    call("run", write(tmp_path / "w.json", ECHO), "--input", given, "--db", database, "--payloads", folder)
    (stored,) = folder.rglob("*.json")
    stored.unlink()
    done = call("db", "payloads", database, folder)

    assert (done.exit_code, done.stdout) == (3, f"missing: {stored.stem}\n")


@pytest.mark.parametrize("folder", ["", "file", "file/within"])
def test_folder_that_is_none_is_a_usage_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("file").write_text("", encoding="utf-8")

    assert call("run", write(tmp_path / "w.json", ECHO), "--payloads", folder).exit_code == 2
