"""SUB_WORKFLOW and START_WORKFLOW: which definition, what input, how ends travel."""

from __future__ import annotations

import hashlib
import uuid

import pytest

from asyncflow.decide.render import render_task
from asyncflow.ids import task_id
from asyncflow.model import inputs
from asyncflow.model.state import ExecutionState
from asyncflow.testing.pure import World
from tests.decide.definitions import Json, child, fork, task, workflow, world

INNER = workflow(task("x"), name="inner", outputParameters={"y": "${x.output.y}"})


def param(**more: object) -> Json:
    return task("s", "SUB_WORKFLOW", subWorkflowParam={"name": "inner", **more})


def with_inner(*tasks: Json, versions: int = 1, given: Json | None = None) -> tuple[World, ExecutionState]:
    made = world()
    for version in range(1, versions + 1):
        made.register({**INNER, "version": version})
    return made, made.start(workflow(*tasks), given)


def test_child_starts_in_the_same_step_with_conductors_id() -> None:
    made, state = with_inner(param())
    identity = task_id(state.execution_id, 1)
    name = f"subworkflow:{state.execution_id}:{identity}:0"
    expected = uuid.UUID(bytes=hashlib.md5(name.encode()).digest(), version=3)

    record = made.task(state, "s")
    assert record.status == "IN_PROGRESS"
    assert record.output == {"subWorkflowId": str(expected)}
    inner = made.child(state, "s")
    assert inner.execution_id == str(expected)
    assert (inner.parent_id, inner.parent_number, inner.depth) == (state.execution_id, 1, 1)
    assert render_task(state, record)["subWorkflowId"] == str(expected)


def test_record_says_which_workflow_and_holds_its_input() -> None:
    sub = {
        "name": "${workflow.input.name}",
        "version": 1,
        "priority": "${workflow.input.priority}",
        "taskToDomain": {"x": "${workflow.input.domain}"},
        "idempotencyKey": "k",
        "idempotencyStrategy": "FAIL",
    }
    asked = task("s", "SUB_WORKFLOW", subWorkflowParam=sub, inputParameters={"n": "${workflow.input.n}"})
    made, state = with_inner(asked, given={"name": "inner", "priority": 7, "domain": "far", "n": 1})

    assert made.task(state, "s").input == {
        "subWorkflowName": "inner",
        "subWorkflowVersion": 1,
        "subWorkflowTaskToDomain": {"x": "far"},
        "priority": 7,
        "idempotencyKey": "k",
        "idempotencyStrategy": "FAIL",
        "workflowInput": {"n": 1},
    }
    inner = made.child(state, "s")
    assert (inner.input, inner.priority, inner.task_to_domain) == ({"n": 1}, 7, {"x": "far"})


def test_child_without_workflow_input_gets_the_record_input() -> None:
    made, state = with_inner(param())

    assert made.child(state, "s").input == {
        "subWorkflowName": "inner",
        "subWorkflowVersion": 1,
        "workflowInput": {},
    }


@pytest.mark.parametrize(("version", "expected"), [({}, 3), ({"version": 2}, 2), ({"version": 0}, 3)])
def test_version_is_the_latest_unless_named(version: Json, expected: int) -> None:
    made, state = with_inner(param(**version), versions=3)

    assert made.child(state, "s").version == expected


@pytest.mark.parametrize(("version", "expected"), [({}, 1), ({"version": 0}, 2)])
def test_latest_is_that_at_the_parents_start_and_zero_that_at_the_childs(
    version: Json, expected: int
) -> None:
    made, state = with_inner(task("a"), param(**version))
    made.register({**INNER, "version": 2})
    made.end(state, "a")

    assert made.child(state, "s").version == expected


def test_inline_child_is_marked_and_shown_in_the_input() -> None:
    made, state = with_inner(child("s", INNER, inputParameters={"n": 1}))

    assert made.child(state, "s").input == {"n": 1, "_systemMetadata": {"dynamic": True}}
    shown = render_task(state, made.task(state, "s"))["inputData"]
    assert isinstance(shown, dict)
    assert shown["subWorkflowDefinition"]["name"] == "inner"


def test_definition_by_expression_is_checked_and_run() -> None:
    asked = child("s", "inner")
    asked["subWorkflowParam"] = {"name": "d", "version": 1, "workflowDefinition": "${workflow.input.d}"}
    made, state = with_inner(asked, given={"d": INNER})
    broken = made.start(workflow(asked), {"d": {"name": "bad", "tasks": [task("a", "DO_WHILE")]}})
    text = made.start(workflow(asked), {"d": "text"})

    assert made.child(state, "s").name == "inner"
    for failed in (broken, text):
        assert failed.status == "FAILED"
        assert "workflowDefinition" in str(failed.reason)
        assert failed.open_count == 0


def test_missing_definition_fails_the_parent_by_name() -> None:
    made, state = with_inner(task("s", "SUB_WORKFLOW", subWorkflowParam={"name": "nobody"}))

    assert state.status == "FAILED"
    assert "no such workflow: nobody" in str(state.reason)
    assert len(made.states) == 1


def test_child_inherits_correlation_domains_and_priority() -> None:
    made = world()
    made.register(INNER)
    asked = {"correlation_id": "c", "priority": 5, "task_to_domain": {"x": "far"}}
    state = made.start(workflow(param()), None, **asked)
    inner = made.child(state, "s")

    assert (inner.correlation_id, inner.priority, inner.task_to_domain) == ("c", 5, {"x": "far"})


def test_priority_that_is_no_number_is_inherited() -> None:
    made = world()
    made.register(INNER)
    state = made.start(workflow(param(priority="7")), priority=3)

    assert made.child(state, "s").priority == 3


@pytest.mark.parametrize(("given", "taken"), [(2**80, 99), (-1, 0), (True, 3), (50, 50)])
def test_priority_that_data_gives_is_one_there_is(given: object, taken: int) -> None:
    """One of more than 64 bits could not be written into the view of executions."""
    made = world()
    made.register(INNER)
    state = made.start(workflow(param(priority="${workflow.input.p}")), {"p": given}, priority=3)
    request = {"name": "inner", "priority": given}
    other = made.start(starting(request))

    assert made.child(state, "s").priority == taken
    assert made.states[str(other.output["workflowId"])].priority == (0 if given is True else taken)


def test_domain_that_data_gives_as_null_is_none() -> None:
    domains = {"x": "${workflow.input.nothing}", "y": "${workflow.input.number}"}
    made, state = with_inner(param(taskToDomain=domains), given={"number": 1.0})

    assert made.child(state, "s").task_to_domain == {"y": "1.0"}
    assert made.task(made.child(state, "s"), "x").domain is None


def test_end_of_the_child_ends_its_task_with_its_output() -> None:
    made, state = with_inner(param())
    inner = made.child(state, "s")
    made.end(inner, "x", {"y": 2})

    assert made.task(state, "s").output == {"subWorkflowId": inner.execution_id, "y": 2}
    assert state.status == "COMPLETED"


@pytest.mark.parametrize(
    ("status", "of_task", "of_parent"),
    [
        ("FAILED_WITH_TERMINAL_ERROR", "FAILED", "FAILED"),
        ("CANCELED", "CANCELED", "TERMINATED"),
        ("terminate", "CANCELED", "TERMINATED"),
        ("time out", "TIMED_OUT", "TIMED_OUT"),
    ],
)
def test_bad_end_of_the_child_travels_up(status: str, of_task: str, of_parent: str) -> None:
    made = world()
    made.register({**INNER, "timeoutSeconds": 10, "timeoutPolicy": "TIME_OUT_WF"})
    state = made.start(workflow(param()))
    inner = made.child(state, "s")
    if status == "terminate":
        made.terminate(inner, "why")
    elif status == "time out":
        made.pass_time()
    else:
        made.end(inner, "x", status=status, reason="why")

    assert made.task(state, "s").status == of_task
    assert state.status == of_parent
    assert f"Sub workflow {inner.execution_id} failure reason: {inner.reason}" in str(state.reason)


def test_end_of_the_parent_terminates_children_with_its_reason() -> None:
    made = world()
    made.register({**INNER, "failureWorkflow": "cleanup"}, workflow(task("c"), name="cleanup"))
    state = made.start(workflow(param()))
    made.terminate(state, "enough")

    inner = made.child(state, "s")
    assert inner.status == "TERMINATED"
    assert inner.reason == "Parent workflow has been terminated with reason: enough"
    assert len(made.states) == 2, "a child terminated along starts no failure workflow"


def test_end_of_the_parent_without_a_reason_names_its_status() -> None:
    made, state = with_inner(param())
    made.terminate(state)

    assert made.child(state, "s").reason == "Parent workflow has been terminated with status TERMINATED"


def test_chain_of_children_is_terminated_from_the_top() -> None:
    made = world()
    middle = workflow(child("m", INNER), name="middle")
    state = made.start(workflow(*fork("f", [child("a", middle)], [child("b", middle)])))
    made.terminate(state, "enough")

    assert len(made.states) == 5
    assert {each.status for each in made.states.values()} == {"TERMINATED"}


def test_retry_of_the_task_starts_a_new_child_after_its_delay() -> None:
    made = world()
    made.register(INNER)
    made.register_task(name="s", retryCount=1, retryDelaySeconds=10)
    state = made.start(workflow(param()))
    first = made.child(state, "s")
    made.end(first, "x", status="FAILED_WITH_TERMINAL_ERROR")

    assert state.status == "RUNNING"
    assert len(made.states) == 2
    made.pass_time()
    second = made.child(state, "s")
    assert second.execution_id != first.execution_id
    assert made.task(state, "s").retry_count == 1
    made.end(second, "x")
    assert state.status == "COMPLETED"


@pytest.mark.parametrize("how", ["update", "timeout"])
def test_child_is_terminated_when_its_task_ends_before_it(how: str) -> None:
    made = world()
    made.register(INNER)
    made.register_task(name="s", retryCount=0, timeoutSeconds=10, responseTimeoutSeconds=1)
    state = made.start(workflow(param()))
    inner = made.child(state, "s")
    if how == "update":
        made.send(state.execution_id, inputs.UpdateTask(1, "COMPLETED", {}))
    else:
        made.pass_time()

    assert state.is_ended
    assert inner.status == "TERMINATED"


def test_pausing_the_parent_does_not_pause_the_child() -> None:
    made, state = with_inner(param(), task("b"))
    made.pause(state)
    inner = made.child(state, "s")
    made.end(inner, "x")

    assert inner.status == "COMPLETED"
    assert made.task(state, "s").status == "COMPLETED"
    assert "b" not in state.by_ref


def test_end_reported_by_another_execution_is_ignored() -> None:
    made, state = with_inner(param())
    before = state.seq
    made.send(state.execution_id, inputs.ChildEnded(1, "somebody", "COMPLETED", {}, None))

    assert state.seq == before


def test_definition_that_starts_itself_stops_at_the_limit_by_name() -> None:
    made = world()
    made.register(workflow(task("s", "SUB_WORKFLOW", subWorkflowParam={"name": "w", "version": 0})))
    state = made.start("w")

    assert state.status == "FAILED"
    assert len(made.states) == 101
    assert any("limit_exceeded: sub-workflow depth" in str(each.reason) for each in made.states.values())


# --- START_WORKFLOW -------------------------------------------------------------------------------


def starting(request: object) -> Json:
    return workflow(task("s", "START_WORKFLOW", inputParameters={"startWorkflow": request}))


def test_start_workflow_starts_another_and_does_not_wait() -> None:
    made = world()
    made.register(INNER)
    request = {"name": "inner", "input": {"n": 1}, "priority": 4}
    state = made.start(starting(request), correlation_id="c", task_to_domain={"x": "far"})

    assert state.status == "COMPLETED"
    started = made.states[str(state.output["workflowId"])]
    assert (started.name, started.input, started.priority) == ("inner", {"n": 1}, 4)
    assert (started.correlation_id, started.task_to_domain) == ("c", {"x": "far"})
    assert started.parent_id is None


@pytest.mark.parametrize(
    "request_",
    [None, "text", {}, {"name": "nobody"}, {"name": "inner", "version": "x"}, {"workflowDef": {"tasks": 1}}],
)
def test_start_workflow_that_names_nothing_fails_its_task(request_: object) -> None:
    made = world()
    made.register(INNER)
    state = made.start(starting(request_))

    assert made.task(state, "s").status == "FAILED"
    assert state.status == "FAILED"
    assert len(made.states) == 1
