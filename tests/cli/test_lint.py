"""`asyncflow lint`: errors refuse, warnings do not, and both say where."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.making import HELLO, call, task, workflow, write

SCRIPTS: list[tuple[str, str, dict[str, object]]] = [
    (
        "inputParameters.expression",
        "INLINE",
        {"inputParameters": {"evaluatorType": "javascript", "expression": "1 +"}},
    ),
    ("inputParameters.scriptExpression", "LAMBDA", {"inputParameters": {"scriptExpression": "return 1 +"}}),
    (
        "expression",
        "SWITCH",
        {"evaluatorType": "javascript", "expression": "if (", "decisionCases": {"a": []}},
    ),
    ("loopCondition", "DO_WHILE", {"loopCondition": "$.x <", "loopOver": [task("inner", "NOOP")]}),
]


def test_lint_is_silent_about_a_sound_definition(tmp_path: Path) -> None:
    done = call("lint", write(tmp_path / "hello.json", HELLO))

    assert (done.exit_code, done.stdout) == (0, "")
    assert "0 errors" in done.stderr


def test_lint_tells_every_violation_with_its_path(tmp_path: Path) -> None:
    faulty = workflow(task("a", "FORK_JOIN_DYNAMIC"), task("a", "NOOP"), name="faulty")

    done = call("lint", write(tmp_path / "faulty.json", faulty))

    assert done.exit_code == 2
    assert "tasks[1].taskReferenceName" in done.stdout
    assert "tasks[0]" in done.stdout


def test_lint_takes_warnings_lightly(tmp_path: Path) -> None:
    done = call("lint", write(tmp_path / "odd.json", workflow(task("a", "SOME_PLUGIN"))))

    assert done.exit_code == 0
    assert "warning: tasks[0].type" in done.stdout


@pytest.mark.parametrize(("path", "kind", "fields"), SCRIPTS)
def test_lint_finds_syntax_errors_of_scripts(
    tmp_path: Path, path: str, kind: str, fields: dict[str, object]
) -> None:
    done = call("lint", write(tmp_path / "script.json", workflow(task("s", kind, **fields))))

    assert done.exit_code == 2
    assert f"error: tasks[0].{path}" in done.stdout


def test_lint_looks_into_inline_sub_workflows(tmp_path: Path) -> None:
    _, kind, fields = SCRIPTS[0]
    child = workflow(task("s", kind, **fields), name="child")
    inline = {"name": "child", "workflowDefinition": child}
    parent = workflow(task("sub", "SUB_WORKFLOW", subWorkflowParam=inline))

    done = call("lint", write(tmp_path / "parent.json", parent))

    assert done.exit_code == 2
    assert "tasks[0].subWorkflowParam.workflowDefinition.tasks[0].inputParameters.expression" in done.stdout


def test_lint_leaves_scripts_with_expressions_to_the_run(tmp_path: Path) -> None:
    expression = "1 + ${workflow.input.more}"
    fields: dict[str, object] = {"inputParameters": {"evaluatorType": "javascript", "expression": expression}}

    assert call("lint", write(tmp_path / "s.json", workflow(task("s", "INLINE", **fields)))).exit_code == 0


def test_lint_warns_of_what_conductor_would_lose(tmp_path: Path) -> None:
    file = write(tmp_path / "w.json", workflow(task("a", asyncflow={"priority": 3})))

    plain, targeted = call("lint", file), call("lint", file, "--target", "conductor")

    assert "priority" not in plain.stdout
    assert targeted.exit_code == 0
    assert "for Conductor: a: priority" in targeted.stdout


def test_lint_looks_at_every_file_before_it_ends(tmp_path: Path) -> None:
    good = write(tmp_path / "good.json", HELLO)
    (tmp_path / "bad.json").write_text("{", encoding="utf-8")
    tasks = write(tmp_path / "tasks.json", [{"name": "t", "retryCount": -1}])

    done = call("lint", tmp_path / "bad.json", tmp_path / "missing.json", good, tasks, "-o", "json")

    found = json.loads(done.stdout)
    assert done.exit_code == 2
    assert {Path(each["file"]).name for each in found} == {"bad.json", "missing.json", "tasks.json"}
    assert all(each["kind"] == "error" for each in found)


def test_lint_accepts_what_conductor_publishes(data_dir: Path) -> None:
    folder = data_dir / "conductor-definitions"
    files = [path for place in ("e2e", "kitchensink") for path in sorted((folder / place).glob("*.json"))]

    done = call("lint", *[path for path in files if path.name != "wf1.json"], "-o", "json")

    assert [each for each in json.loads(done.stdout) if each["kind"] == "error"] == []
    assert (
        call("lint", folder / "kitchensink" / "wf1.json").exit_code == 2
    )  # of schema version 1, as published
