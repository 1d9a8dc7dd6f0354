"""FORK_JOIN_DYNAMIC by lists of tasks, and the legacy form: what runs, what is refused."""

from __future__ import annotations

import pytest

from asyncflow.model.state import ExecutionState
from tests.decide.definitions import Json, child, dynamic_fork, loop, switch, task, workflow, world

TASKS = {"dynamicForkTasksParam": "tasks", "dynamicForkTasksInputParamName": "inputs"}
LEGACY = {"dynamicForkJoinTasksParam": "listed"}


def inputs_fork(ref: str, listed: object, **more: object) -> list[Json]:
    return dynamic_fork(ref, {"forkTaskInputs": listed, "forkTaskName": "w", **more})


def refs(state: ExecutionState) -> list[str]:
    return [record.ref for record in state.tasks.values()]


def tasks_fork(ref: str, tasks: object, inputs: object) -> list[Json]:
    return dynamic_fork(ref, {"tasks": tasks, "inputs": inputs}, **TASKS)


def test_listed_tasks_run_with_their_inputs_over_their_own() -> None:
    made = world("a", "b")
    listed = [
        {"name": "a", "taskReferenceName": "r1", "inputParameters": {"x": 1, "y": "${workflow.input.y}"}},
        {"name": "b", "taskReferenceName": "r2", "type": "SIMPLE"},
    ]
    given = {"r1": {"x": "${workflow.input.y}"}, "other": {}}
    state = made.start(workflow(*tasks_fork("f", listed, given)), {"y": 5})

    assert refs(state) == ["f", "r1", "r2", "f_join"]
    assert made.task(state, "r1").input == {"x": 5, "y": 5}
    made.end(state, "r1", {"o": 1})
    made.end(state, "r2")
    assert state.status == "COMPLETED"


def test_listed_operators_run_with_what_is_in_them() -> None:
    made = world()
    chosen = switch("s", 1, {"1": [task("a")]})
    around = loop("l", task("b"), times=2)
    state = made.start(workflow(*tasks_fork("f", [chosen, around, task("n", "NOOP")], {})))

    made.end(state, "a")
    made.end(state, "b__1")
    made.end(state, "b__2")

    assert state.status == "COMPLETED"


def test_listed_sub_workflow_needs_no_name() -> None:
    made = world()
    made.register(workflow(task("x"), name="inner"))
    listed = [{"taskReferenceName": "r", "type": "SUB_WORKFLOW", "subWorkflowParam": {"name": "inner"}}]
    state = made.start(workflow(*tasks_fork("f", listed, {"r": {"k": 1}})))

    assert made.child(state, "r").input == {"k": 1}


def test_listed_tasks_heed_what_stands_under_asyncflow() -> None:
    made = world("a", "b")
    made.register_task(
        name="a", asyncflow={"resources": [{"name": "r"}], "retryDelays": [7], "executor": "remote"}
    )
    own = task("b", asyncflow={"retryDelays": [1, 2]})
    state = made.start(workflow(*tasks_fork("f", [task("a"), own], {})))
    listed, other = made.task(state, "a"), made.task(state, "b")

    assert listed.executor == "remote"
    assert str(listed.node.extra["resources"].resolve(None)).startswith("[{'name': 'r'")
    policies = [each.node.policy for each in (listed, other)]
    assert [(policy.retry_delays, policy.retry_count) for policy in policies] == [((7,), 1), ((1, 2), 2)]


def test_elements_heed_what_their_definition_has_under_asyncflow() -> None:
    made = world("w")
    made.register_task(name="w", asyncflow={"executor": "remote"})
    state = made.start(workflow(*dynamic_fork("f", {"forkTaskInputs": [1, 2], "forkTaskName": "w"})))

    assert [record.executor for record in state.tasks.values()] == ["", "remote", "remote", ""]


@pytest.mark.parametrize(
    ("tasks", "inputs", "reason"),
    [
        ("no list", {}, "Cannot deserialize a list of Workflow Tasks"),
        (None, {}, "Cannot deserialize a list of Workflow Tasks"),
        ([{"name": "a"}], {}, "element 0 has no taskReferenceName"),
        (["text"], {}, "element 0 has no taskReferenceName"),
        ([task("a")], "no map", "is not a map"),
        ([task("a")], None, "is not a map"),
        ([task("a"), task("a")], {}, "must be new and unique"),
        ([task("before")], {}, "must be new and unique"),
        ([task("later")], {}, "must be new and unique"),
        ([loop("l", task("later"))], {}, "must be new and unique"),
        ([{**task("a"), "type": {"x": 1}}], {}, "Dynamic tasks could not be created"),
        (
            [loop("l", task("x", asyncflow={"dependsOn": ["nobody"]}))],
            {},
            "which is no task of the same list",
        ),
        ([task("s", "SUB_WORKFLOW")], {}, "subWorkflowParam field is required"),
        ([task("l", "DO_WHILE")], {}, "loopOver field is required"),
        ([task("x", "FORK_JOIN")], {}, "not followed by a join"),
        ([task("x", "DYNAMIC")], {}, "Cannot map a dynamic task"),
        (
            [child("c", workflow(task("x", asyncflow={"dependsOn": ["nobody"]})))],
            {},
            "no task of the same list",
        ),
        ([loop("l", child("c", workflow(task("x"), task("x"))))], {}, "should be unique"),
        ([task("x", asyncflow={"resources": [{"name": "r", "weight": -5}]})], {}, "weight: must be 1 to"),
        ([task("x", "WAIT", asyncflow={"durationMs": 2**62})], {}, "durationMs: must be 0 to"),
    ],
)
def test_bad_list_of_tasks_fails_the_execution_by_name(tasks: object, inputs: object, reason: str) -> None:
    made = world()
    given = {"list": tasks, "map": inputs}
    made_of = tasks_fork("f", "${workflow.input.list}", "${workflow.input.map}")
    state = made.start(workflow(task("before", "NOOP"), *made_of, task("later")), given)

    assert state.status == "FAILED"
    assert reason in str(state.reason)
    assert state.open_count == 0


@pytest.mark.parametrize(
    "given",
    [
        {},
        {"forkTaskInputs": "text"},
        {"forkTaskInputs": {"a": 1}},
        {"forkTaskInputs": [{}], "forkTaskWorkflow": "w", "forkTaskWorkflowVersion": "latest"},
        {"forkTaskInputs": [{}], "forkTaskWorkflow": "w", "forkTaskWorkflowVersion": "9" * 5_000},
        {"forkTaskInputs": [{"retryCount": {"no": "number"}}]},
    ],
)
def test_bad_list_of_inputs_fails_the_execution_by_name(given: Json) -> None:
    made = world()
    state = made.start(workflow(*dynamic_fork("f", given)))

    assert state.status == "FAILED"
    assert str(state.reason).startswith("f: ")


def test_inputs_that_are_no_list_fall_through_to_the_next_form() -> None:
    made = world("a")
    given: Json = {"forkTaskInputs": "${workflow.input.nothing}", "tasks": [task("a")], "inputs": {}}
    state = made.start(workflow(*dynamic_fork("f", given, **TASKS)))

    assert refs(state) == ["f", "a", "f_join"]


# --- form 3: legacy -------------------------------------------------------------------------------


def test_legacy_form_makes_tasks_and_sub_workflows() -> None:
    made = world("a")
    made.register(workflow(task("x"), name="inner"))
    listed = {
        "dynamicTasks": [
            {"taskName": "a", "referenceName": "r1", "input": {"x": 1}},
            {"workflowName": "inner", "referenceName": "r2", "input": {"y": 2}},
        ]
    }
    state = made.start(workflow(*dynamic_fork("f", {"listed": listed}, **LEGACY)))

    assert made.task(state, "r1").input == {"x": 1}
    assert made.child(state, "r2").input == {"y": 2}


@pytest.mark.parametrize("listed", [{}, {"dynamicTasks": "x"}, {"dynamicTasks": [{"taskName": "a"}]}, None])
def test_bad_legacy_form_fails_the_execution(listed: object) -> None:
    made = world()
    state = made.start(workflow(*dynamic_fork("f", {"listed": listed}, **LEGACY)))

    assert state.status == "FAILED"


def test_tasks_inside_a_listed_operator_have_their_registered_definitions() -> None:
    made = world()
    made.register_task(name="a", retryCount=2, retryDelaySeconds=7)
    made.register_task(name="b", retryCount=0)
    inner = switch("s", 1, {"1": [task("a")]})
    around = loop("l", task("b"), inner, times=1)
    state = made.start(workflow(*tasks_fork("f", [around], {})))
    made.end(state, "b__1")
    record = made.task(state, "a__1")

    assert (record.node.policy.retry_count, record.node.policy.retry_delay) == (2, 7)
    assert made.task(state, "b__1").node.policy.retry_count == 0
    assert made.fold(state.execution_id).by_ref["a__1"].node.policy == record.node.policy
