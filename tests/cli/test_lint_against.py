"""`asyncflow lint --against`: what breaks the users of another version is an error."""

from __future__ import annotations

from pathlib import Path

from tests.cli.making import call, task, workflow, write

BEFORE = workflow(task("a", name="work"), task("b"), name="w")


def test_lint_says_what_breaks_and_what_is_safe(tmp_path: Path) -> None:
    before = write(tmp_path / "before.json", BEFORE)
    safe = write(tmp_path / "safe.json", workflow(task("a", name="work"), task("b"), task("c"), name="w"))
    breaking = write(tmp_path / "breaking.json", workflow(task("x", name="work"), task("b"), name="w"))

    good, bad = call("lint", safe, "--against", before), call("lint", breaking, "--against", before)

    assert good.exit_code == 0, good.output
    assert "warning: task c: added, against version 1" in good.stdout
    assert bad.exit_code == 2
    assert "error: task a: renamed, against version 1" in bad.stdout


def test_lint_compares_with_the_highest_version_of_the_same_name(tmp_path: Path) -> None:
    versions = [BEFORE, {**BEFORE, "version": 3, "tasks": [task("n")]}]
    before = write(tmp_path / "before.json", {"workflows": versions})
    other = write(tmp_path / "other.json", workflow(task("q"), name="other"))
    after = write(tmp_path / "after.json", {**BEFORE, "version": 4})

    assert call("lint", other, "--against", before).stdout == ""
    assert "task n: removed, against version 3" in call("lint", after, "--against", before).stdout


def test_lint_refuses_to_compare_with_a_file_that_is_none(tmp_path: Path) -> None:
    good = write(tmp_path / "good.json", BEFORE)
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")

    assert call("lint", good, "--against", tmp_path / "bad.json").exit_code == 2
    assert call("lint", good, "--against", tmp_path / "missing.json").exit_code == 2
