"""The failure workflow: when it starts, which one, and what it is told."""

from __future__ import annotations

import pytest

from asyncflow.ids import task_id
from asyncflow.model import inputs
from tests.decide.definitions import Json, task, workflow, world

NONE: Json = {"taskDefinition": {"name": "x", "retryCount": 0}}
CLEANUP = workflow(task("c"), name="cleanup")


def failing(**more: object) -> Json:
    return workflow(task("a", **NONE), task("b"), **{"failureWorkflow": "cleanup", **more})


def test_failure_workflow_gets_what_there_is_to_know() -> None:
    made = world()
    made.register(CLEANUP)
    state = made.start(failing(), {"n": 1}, correlation_id="c", task_to_domain={"c": "far"})
    made.fail(state, "a", "bad")
    cleanup = made.states[str(state.output["conductor.failure_workflow"])]

    assert {
        key: cleanup.input[key] for key in ("n", "workflowId", "reason", "failureStatus", "failureTaskId")
    } == {
        "n": 1,
        "workflowId": state.execution_id,
        "reason": state.reason,
        "failureStatus": "FAILED",
        "failureTaskId": task_id(state.execution_id, 1),
    }
    failed = cleanup.input["failedWorkflow"]
    assert isinstance(failed, dict)
    assert failed["status"] == "FAILED"
    assert [each["status"] for each in failed["tasks"]] == ["FAILED"]
    assert (cleanup.correlation_id, cleanup.task_to_domain, cleanup.parent_id) == ("c", {"c": "far"}, None)


@pytest.mark.parametrize(
    ("name", "started"),
    [
        ("cleanup", True),
        ("${workflow.input.cleaner}", True),
        ("$workflow.input.cleaner", True),
        ("${workflow.input.nobody}", False),
        ("$cleaner", False),
        ("missing", False),
    ],
)
def test_failure_workflow_is_named_or_found_in_the_input(name: str, *, started: bool) -> None:
    made = world()
    made.register(CLEANUP)
    state = made.start(failing(failureWorkflow=name), {"cleaner": "cleanup"})
    made.fail(state, "a")
    found = str(state.output["conductor.failure_workflow"])

    assert (found in made.states) == started
    if not started:
        assert found.startswith("Error starting failure workflow")


@pytest.mark.parametrize(("asked", "expected"), [(False, 1), (True, 2)])
def test_terminate_starts_the_failure_workflow_only_when_asked(*, asked: bool, expected: int) -> None:
    made = world()
    made.register(CLEANUP)
    state = made.start(failing())
    made.send(state.execution_id, inputs.TerminateExecution("x", failure_workflow=asked))

    assert len(made.states) == expected


def test_failure_workflow_of_a_timeout_has_no_task() -> None:
    made = world()
    made.register(CLEANUP)
    state = made.start(failing(timeoutSeconds=5, timeoutPolicy="TIME_OUT_WF"))
    made.pass_time()
    cleanup = made.states[str(state.output["conductor.failure_workflow"])]

    assert cleanup.input["failureStatus"] == "TIMED_OUT"
    assert "failureTaskId" not in cleanup.input


def test_failure_workflow_that_names_itself_comes_to_an_end() -> None:
    made = world()
    made.register(
        {
            **workflow(task("t", "TERMINATE", inputParameters={"terminationStatus": "FAILED"})),
            "failureWorkflow": "w",
        }
    )
    made.start("w")

    assert len(made.states) == 101
    assert all(each.status == "FAILED" for each in made.states.values())
