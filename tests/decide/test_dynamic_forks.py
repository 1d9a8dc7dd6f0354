"""FORK_JOIN_DYNAMIC: its three input forms, names, options of elements, what is refused."""

from __future__ import annotations

import pytest

from asyncflow.decide.render import render_task
from asyncflow.errors import LimitExceeded
from asyncflow.model.events import BranchesScheduled
from asyncflow.model.limits import Limits
from asyncflow.model.state import ExecutionState
from tests.decide.definitions import Json, dynamic_fork, loop, task, workflow, world

TASKS = {"dynamicForkTasksParam": "tasks", "dynamicForkTasksInputParamName": "inputs"}


def inputs_fork(ref: str, listed: object, **more: object) -> list[Json]:
    return dynamic_fork(ref, {"forkTaskInputs": listed, "forkTaskName": "w", **more})


def refs(state: ExecutionState) -> list[str]:
    return [record.ref for record in state.tasks.values()]


# --- form 1: a list of inputs ---------------------------------------------------------------------


def test_each_element_becomes_a_task_with_its_index() -> None:
    made = world("w")
    state = made.start(workflow(*inputs_fork("f", [{"x": 1}, 7, "t", None])))

    assert refs(state) == ["f", "_w_0", "_w_1", "_w_2", "_w_3", "f_join"]
    assert [made.task(state, f"_w_{n}").input for n in range(4)] == [
        {"x": 1, "__index": 0},
        {"input": 7, "__index": 1},
        {"input": "t", "__index": 2},
        {"input": None, "__index": 3},
    ]


def test_join_of_a_dynamic_fork_gathers_its_branches_and_ignores_join_on() -> None:
    made = world("w")
    tasks = inputs_fork("f", [1, 2])
    tasks[1]["joinOn"] = ["nobody"]
    state = made.start(workflow(*tasks, outputParameters={"all": "${f_join.output}"}))
    for n in range(2):
        made.end(state, f"_w_{n}", {"n": n})

    assert state.output == {"all": {"_w_0": {"n": 0}, "_w_1": {"n": 1}}}


def test_empty_list_completes_at_once() -> None:
    made = world("w")
    state = made.start(workflow(*inputs_fork("f", []), task("n", "NOOP")))

    assert state.status == "COMPLETED"
    assert refs(state) == ["f", "f_join", "n"]


def test_second_dynamic_fork_names_its_branches_after_itself() -> None:
    made = world("w")
    state = made.start(workflow(*inputs_fork("f", [1]), *inputs_fork("g", [1])))
    made.end(state, "_w_0")

    assert made.task(state, "_g_w_0").status == "SCHEDULED"


def test_two_equal_forks_in_a_loop_have_names_of_their_own() -> None:
    made = world("w")
    state = made.start(workflow(loop("l", *inputs_fork("f", [1]), times=2)))
    made.end(state, "_w_0__1")

    assert made.task(state, "_f_w_0__2").status == "SCHEDULED"
    made.end(state, "_f_w_0__2")
    assert state.status == "COMPLETED"


@pytest.mark.parametrize(
    ("given", "name", "kind"),
    [
        ({}, "_f_0", "SIMPLE"),
        ({"forkTaskName": "w"}, "_w_0", "SIMPLE"),
        ({"forkTaskType": "HTTP"}, "_HTTP_0", "HTTP"),
        ({"forkTaskType": "HTTP", "forkTaskName": "w"}, "_w_0", "HTTP"),
        ({"forkTaskWorkflow": "inner"}, "_f_0", "SUB_WORKFLOW"),
    ],
)
def test_branches_are_named_by_task_type_or_fork(given: Json, name: str, kind: str) -> None:
    made = world()
    made.register(workflow(task("x"), name="inner"))
    state = made.start(workflow(*dynamic_fork("f", {"forkTaskInputs": [{}], **given})))

    assert made.task(state, name).node.type == kind


@pytest.mark.parametrize("version", ["1", 1, " 1 "])
def test_fork_of_sub_workflows_starts_a_child_for_each_element(version: object) -> None:
    made = world()
    made.register(workflow(task("x"), name="inner"))
    given = {"forkTaskWorkflow": "inner", "forkTaskWorkflowVersion": version}
    elements = [{"k": 1, "taskToDomain": {"x": "far"}}, {"k": 2}]
    state = made.start(workflow(*dynamic_fork("f", {"forkTaskInputs": elements, **given})))

    children = [made.child(state, f"_f_{n}") for n in range(2)]
    assert children[0].input == {"k": 1, "taskToDomain": {"x": "far"}, "__index": 0}
    assert children[0].task_to_domain == {"x": "far"}
    assert children[1].input == {"k": 2, "__index": 1}
    for each in children:
        made.end(each, "x")
    assert state.status == "COMPLETED"


def test_keys_of_an_element_act_on_its_task_and_stay_its_input() -> None:
    made = world("w")
    made.register_task(name="w", retryCount=0, retryDelaySeconds=0)
    elements = [{"optional": True}, {"retryCount": 1}, {"startDelay": 9}, {}]
    state = made.start(workflow(*inputs_fork("f", elements)))

    assert made.task(state, "_w_0").input == {"optional": True, "__index": 0}
    made.fail(state, "_w_0")
    assert made.task(state, "_w_0").status == "COMPLETED_WITH_ERRORS"
    made.fail(state, "_w_1")
    assert made.task(state, "_w_1").retry_count == 1
    assert made.task(state, "_w_2").due_ms == made.now_ms + 9_000
    assert made.task(state, "_w_3").due_ms == 0


def test_optional_fork_makes_every_branch_optional() -> None:
    made = world("w")
    made.register_task(name="w", retryCount=0)
    tasks = dynamic_fork("f", {"forkTaskInputs": [1, 2], "forkTaskName": "w"}, optional=True)
    state = made.start(workflow(*tasks))
    made.fail(state, "_w_0")
    made.end(state, "_w_1")

    assert made.task(state, "f_join").status == "COMPLETED_WITH_ERRORS"
    assert state.status == "COMPLETED"


def test_elements_that_hold_expressions_are_templates() -> None:
    made = world("w")
    listed = [{"x": "${workflow.input.secretly}"}, {"x": "plain"}, {"deep": [{"y": "${workflow.input.n}"}]}]
    state = made.start(
        workflow(*inputs_fork("f", "${workflow.input.list}")), {"list": listed, "secretly": 5, "n": 1}
    )

    assert made.task(state, "_w_0").input == {"x": 5, "__index": 0}
    assert made.task(state, "_w_1").input == {"x": "plain", "__index": 1}
    assert made.task(state, "_w_2").input == {"deep": [{"y": 1}], "__index": 2}


def test_input_template_of_the_forked_task_fills_in() -> None:
    made = world("w")
    made.register_task(name="w", inputTemplate={"t": 1, "x": 2})
    state = made.start(workflow(*inputs_fork("f", [{"x": 9}, {"x": None}])))

    assert made.task(state, "_w_0").input == {"x": 9, "__index": 0, "t": 1}
    assert made.task(state, "_w_1").input == {"x": 2, "__index": 1, "t": 1}


def test_forked_worker_without_a_definition_is_not_retried() -> None:
    made = world()
    state = made.start(workflow(*inputs_fork("f", [{"retryCount": 5}])))

    made.fail(state, "_w_0")

    assert state.status == "FAILED"


def test_branches_carry_the_domain_of_their_name() -> None:
    made = world()
    state = made.start(workflow(*inputs_fork("f", [1, 2])), task_to_domain={"w": "far"})

    assert [made.task(state, f"_w_{n}").domain for n in range(2)] == ["far", "far"]


# --- as a whole -----------------------------------------------------------------------------------


def test_record_of_the_fork_shows_its_branches() -> None:
    made = world("w")
    state = made.start(workflow(*inputs_fork("f", [1, 2])))
    shown = render_task(state, made.task(state, "f"))

    given = shown["inputData"]
    assert isinstance(given, dict)
    assert given["forkedTasks"] == ["_w_0", "_w_1"]
    assert (shown["taskType"], shown["status"]) == ("FORK", "COMPLETED")


def test_fork_needs_a_join_behind_it() -> None:
    made = world("w")
    state = made.start(workflow(inputs_fork("f", [1])[0], task("b")))

    assert state.status == "FAILED"
    assert "not followed by a join" in str(state.reason)


@pytest.mark.parametrize(("width", "status"), [(10, "RUNNING"), (11, "FAILED")])
def test_width_is_limited_by_name(width: int, status: str) -> None:
    made = world("w", limits=Limits(fork_width=10))
    state = made.start(workflow(*inputs_fork("f", list(range(width)))))

    assert state.status == status
    if status == "FAILED":
        assert LimitExceeded.code in str(state.reason)
        assert "fork_width" in str(state.reason)


def test_dynamic_fork_in_a_dynamic_fork_and_in_a_branch() -> None:
    made = world("w")
    inner = loop("l", *inputs_fork("g", [1, 2]), times=1)
    state = made.start(workflow(*dynamic_fork("f", {"tasks": [inner], "inputs": {}}, **TASKS)))
    made.end(state, "_g_w_0__1")
    made.end(state, "_g_w_1__1")

    assert state.status == "COMPLETED"


@pytest.mark.parametrize("slice_size", [5, 2_000])
def test_branches_come_in_slices_and_each_once(slice_size: int) -> None:
    made = world("w", slice_size=slice_size)
    state = made.start(workflow(*inputs_fork("f", list(range(100)))))
    runs = [r.event for r in made.journal[state.execution_id] if isinstance(r.event, BranchesScheduled)]

    assert sum(run.last - run.first for run in runs) == 100
    assert max(run.last - run.first for run in runs) <= slice_size
    made.run()
    assert state.status == "COMPLETED"
