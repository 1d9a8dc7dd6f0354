"""Tasks that nobody in this process can do: named, or answered from a file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from asyncflow.app.following import TaskSeen
from asyncflow.app.rehearsal import parse_outcomes
from tests.cli.making import call, result, task, tasks, workflow, write

# --- tasks that nobody here can do ------------------------------------------------------------


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("kind", ["SIMPLE", "HUMAN", "WAIT", "SOME_PLUGIN"])
def test_run_names_a_task_that_nobody_here_can_do(kind: str) -> None:
    write(Path("stuck.json"), workflow(task("stuck", kind)))

    done = call("run", "stuck.json")

    assert done.exit_code == 2
    assert "task stuck" in done.stderr
    assert "--load" in done.stderr


def test_run_goes_as_far_as_it_can_before_it_gives_up(here: Path) -> None:
    branches = [[task("stuck")], [task("brief", "WAIT", inputParameters={"duration": "1 seconds"})]]
    write(
        here / "fork.json",
        workflow(
            task("fork", "FORK_JOIN", forkTasks=branches), task("join", "JOIN", joinOn=["stuck", "brief"])
        ),
    )

    done = call("run", "fork.json", "-o", "json")

    assert done.exit_code == 2
    statuses = {each["referenceTaskName"]: each["status"] for each in json.loads(done.stdout)["tasks"]}
    assert statuses["brief"] == "COMPLETED"
    assert statuses["stuck"] == "SCHEDULED"


@pytest.mark.usefixtures("here")
def test_run_finds_a_stuck_task_inside_a_sub_workflow() -> None:
    child = workflow(task("deep"), name="child")
    inline = {"name": "child", "workflowDefinition": child}
    write(Path("parent.json"), workflow(task("sub", "SUB_WORKFLOW", subWorkflowParam=inline)))

    done = call("run", "parent.json")

    assert done.exit_code == 2
    assert "task deep" in done.stderr


@pytest.mark.usefixtures("here")
def test_rehearsal_answers_and_says_so_everywhere() -> None:
    done = call("run", "double.json", "--outcomes", "any.json")
    shown = result("double.json", "--outcomes", "any.json")

    assert done.exit_code == 0
    assert "1 attempts were answered from a file, not performed" in done.stdout
    assert "a rehearsal" in done.stderr
    assert tasks(shown)[0]["workerId"] == "outcomes:any.json"
    assert tasks(shown)[0]["outputData"] == {"done": True}


def test_rehearsal_consumes_one_outcome_per_attempt(here: Path) -> None:
    write(here / "first.json", {"double": [{"status": "FAILED", "reason": "disk"}, {"output": {"n": 2}}]})

    shown = result("double.json", "--outcomes", "first.json")

    assert [each["status"] for each in tasks(shown)] == ["FAILED", "COMPLETED"]
    assert tasks(shown)[0]["reasonForIncompletion"] == "disk"
    assert tasks(shown)[1]["outputData"] == {"n": 2}


def test_rehearsal_prefers_the_iteration_then_the_reference_then_the_name(here: Path) -> None:
    loop = task(
        "loop",
        "DO_WHILE",
        loopCondition="$.loop['iteration'] < 3",
        loopOver=[task("body") | {"name": "work"}],
    )
    write(here / "loop.json", workflow(loop, task("work", inputParameters={})))
    outcomes = {"body__2": {"output": {"at": "iteration"}}, "body": {"output": {"at": "reference"}}}
    write(here / "outcomes.json", outcomes | {"work": {"output": {"at": "name"}}, "*": {"output": {}}})

    shown = result("loop.json", "--outcomes", "outcomes.json")

    found = {each["referenceTaskName"]: each["outputData"] for each in tasks(shown)}
    assert found["body__1"] == {"at": "reference"}
    assert found["body__2"] == {"at": "iteration"}
    assert found["work"] == {"at": "name"}


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize(
    ("outcomes", "path"),
    [
        ([], ""),
        ({"a": []}, "a"),
        ({"a": [1]}, "a[0]"),
        ({"a": {"status": "DONE"}}, "a.status"),
        ({"a": {"status": ["COMPLETED"]}}, "a.status"),
        ({"a": {"output": 1}}, "a.output"),
        ({"a": {"reason": 1}}, "a.reason"),
        ({"a": [{}, {"outputs": {}}]}, "a[1].outputs"),
    ],
)
def test_rehearsal_refuses_outcomes_that_are_not_well_formed(outcomes: object, path: str) -> None:
    done = call("run", "double.json", "--outcomes", write(Path("bad.json"), outcomes))

    assert done.exit_code == 2
    assert f"invalid_definition: bad.json: {path}" in done.stderr


@pytest.mark.parametrize(("key", "found"), [("a__b", True), ("a__b__2", True), ("work", True), ("a", False)])
def test_rehearsal_leaves_off_the_iteration_and_nothing_else(key: str, found: bool) -> None:  # noqa: FBT001 - a case
    """A reference name may have two underscores of its own."""
    outcomes = parse_outcomes({key: {"output": {}}})
    seen = TaskSeen("e", 1, "a__b__2", "work", "SIMPLE", "remote", "SCHEDULED", 0)

    assert (outcomes.of(seen) is not None) is found
