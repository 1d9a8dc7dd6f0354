from __future__ import annotations

import pytest

from asyncflow.model.definition import WorkflowDefinition, WorkflowTask, parse_workflow
from asyncflow.model.limits import Limits
from asyncflow.model.validation import Known, validate_workflow
from tests.model.making import Json, faulty, fork, problems, task, workflow


@pytest.mark.parametrize(
    ("data", "path", "message"),
    [
        (workflow(task(), name=""), "name", "WorkflowDef name cannot be null or empty"),
        ({"tasks": [task()]}, "name", "WorkflowDef name cannot be null or empty"),
        (workflow(), "tasks", "WorkflowTask list cannot be empty"),
        (
            workflow(task(), schemaVersion=1),
            "schemaVersion",
            "workflowDef schemaVersion: 2 is only supported",
        ),
        (
            workflow(task(), asyncflow={"failIfFailedWeightAbove": -0.5}),
            "asyncflow.failIfFailedWeightAbove",
            "must be at least 0, not -0.5",
        ),
        (workflow(task(), asyncflow={"priority": 100}), "asyncflow.priority", "must be 0 to 99, not 100"),
        (
            workflow(task(), asyncflow={"resources": [{}]}),
            "asyncflow.resources[0].name",
            "a resource must be named",
        ),
    ],
)
def test_workflow_is_refused(data: Json, path: str, message: str) -> None:
    assert problems(data) == [(path, message)]


def test_violations_are_reported_together_in_order() -> None:
    assert faulty({"tasks": [task("EVENT", ""), task(startDelay=-1)], "schemaVersion": 3}) == [
        "name",
        "schemaVersion",
        "tasks[0].taskReferenceName",
        "tasks[0].sink",
        "tasks[1].startDelay",
    ]


@pytest.mark.parametrize(
    ("second", "path"),
    [
        (task(ref="a"), "tasks[1].taskReferenceName"),
        (fork(task(ref="b"), task(ref="a")), "tasks[1].forkTasks[1][0].taskReferenceName"),
        (
            task("SWITCH", "s", evaluatorType="e", expression="x", decisionCases={"k": [task(ref="a")]}),
            "tasks[1].decisionCases.k[0].taskReferenceName",
        ),
        (
            task("DO_WHILE", "l", loopCondition="", loopOver=[task(ref="a")]),
            "tasks[1].loopOver[0].taskReferenceName",
        ),
        (task("DECISION", "a", caseValueParam="k", decisionCases={"k": []}), "tasks[1].taskReferenceName"),
    ],
)
def test_reference_used_twice_in_the_tree_is_refused(second: Json, path: str) -> None:
    message = "taskReferenceName: a should be unique across tasks for a given workflowDefinition: w"

    assert problems(workflow(task(ref="a"), second)) == [(path, message)]


def using(value: object, ref: str = "t") -> Json:
    return task(ref=ref, inputParameters={"k": value})


@pytest.mark.parametrize(
    "value",
    [
        "${workflow.input.a}",
        "${a.output.x[0].y['b.c']}",
        "${inner.output}",
        "${$.workflow.input.a}",
        "x ${a.output.x} y ${workflow.variables.z}",
        "${workflow.input.${a.output.key}}",
        "$${nowhere.output}",
        "${}",
        "${ }",
        "${workflow.input.a",
        "${CPEWF_TASK_ID}",
        "${HOME_DIR}",
        "${workflow.secrets.key}",
        "${a.output.list[?(@.x > 1 && @.y == ']')].z}",
        "${a.output..x}",
        "${a.output.list.length()}",
        5,
        None,
        {"nested": ["${a.output}", {"deep": "${workflow.input}"}]},
    ],
)
def test_expression_is_accepted(value: object) -> None:
    data = workflow(task(ref="a"), fork(task(ref="inner")), using(value))

    assert problems(data, known=Known(names=frozenset({"HOME_DIR"}))) == []


@pytest.mark.parametrize(
    "value", ["${b.output.x}", "x${a.output}${b.output.x}", "${workflow.input.${b.output.x}}"]
)
def test_expression_that_names_nothing_is_refused(value: str) -> None:
    message = (
        "taskReferenceName: b for given task: n_t input value: k of input parameter: b.output.x is not "
        "defined in workflow definition."
    )

    assert problems(workflow(task(ref="a"), using(value))) == [("tasks[1].inputParameters.k", message)]


@pytest.mark.parametrize(
    "path", ["workflow.input.", "workflow.input[", "t.output['x]", "t.output[]", "t.x(]", "t.x]"]
)
def test_expression_that_is_no_path_is_refused(path: str) -> None:
    message = f"key: k input parameter value: {path} is not valid"

    assert problems(workflow(using(f"${{{path}}}"))) == [("tasks[0].inputParameters.k", message)]


def test_faulty_expression_deep_in_an_input_is_refused_with_its_path() -> None:
    data = workflow(using({"a.b": [1, {"c": "${x.output}"}]}))

    assert faulty(data) == ['tasks[0].inputParameters.k["a.b"][1].c']


def test_expressions_of_inner_tasks_are_not_judged() -> None:
    assert problems(workflow(fork(using("${nowhere.output}")))) == []


# --- inline sub-workflows --------------------------------------------------------------------


def child(*tasks: Json, ref: str = "s", **fields: object) -> Json:
    definition = {"tasks": list(tasks), **fields}
    return task("SUB_WORKFLOW", ref, subWorkflowParam={"name": "c", "workflowDefinition": definition})


def test_inline_child_is_judged_as_a_definition_of_its_own() -> None:
    path = "tasks[1].forkTasks[0][0].subWorkflowParam.workflowDefinition"
    inner = child(task(ref="a"), task(ref="a"), child(ref="deep"), schemaVersion=1)

    assert faulty(workflow(task(ref="a"), fork(inner))) == [
        f"{path}.schemaVersion",
        f"{path}.tasks[1].taskReferenceName",
        f"{path}.tasks[2].subWorkflowParam.workflowDefinition.tasks",
    ]


def test_references_of_an_inline_child_are_left_to_its_start() -> None:
    assert problems(workflow(child(using("${nowhere.output}")))) == []


# --- limits ----------------------------------------------------------------------------------


def nested(levels: int) -> Json:
    inner = task(ref="t1")
    for level in range(2, levels + 1):
        inner = task("DO_WHILE", f"t{level}", loopCondition="", loopOver=[inner])
    return workflow(inner)


def nested_children(levels: int) -> Json:
    inner = task()
    for _ in range(levels - 1):
        inner = child(inner)
    return workflow(inner)


def test_nesting_is_taken_at_the_limit_and_refused_past_it() -> None:
    for make in (nested, nested_children):
        assert problems(make(20)) == []
        assert problems(make(21)) == [("", "definition_nesting: at most 20, got 21")]


def test_number_of_tasks_is_taken_at_the_limit_and_refused_past_it() -> None:
    at = workflow(fork(*(task(ref=f"t{i}") for i in range(9_998))), child(task()))
    at["tasks"] = [at["tasks"][0], task(ref="x")]  # type: ignore[index]  # it is a list
    past = workflow(*(task(ref=f"t{i}") for i in range(9_999)), child(task()))

    assert problems(at) == []
    assert problems(past) == [("", "definition_tasks: at most 10000")]


def test_size_is_taken_at_the_limit_and_refused_past_it() -> None:
    at = workflow(task(), description="")
    missing = 4 * 2**20 - len(
        '{"name":"w","description":"","tasks":[{"name":"n_t","taskReferenceName":"t"}]}'
    )
    at["description"] = "a" * missing
    past = at | {"description": "a" * (missing + 1)}

    assert problems(at) == []
    assert problems(past) == [("", "definition_bytes: at most 4194304, got 4194305")]


def test_fork_width_is_taken_at_the_limit_and_refused_past_it() -> None:
    data = workflow(fork(task(ref="a"), task(ref="b")))

    assert problems(data, limits=Limits(fork_width=2)) == []
    assert problems(data, limits=Limits(fork_width=1)) == [("", "fork_width: at most 1, got 2")]


def test_violations_beyond_the_limit_are_counted() -> None:
    data = workflow(*(task(ref="a") for _ in range(4)))

    assert len(problems(data, limits=Limits(reported_violations=3))) == 3
    assert problems(data, limits=Limits(reported_violations=2))[2:] == [("", "and 1 more violations")]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({1}, "not a JSON value: set"),
        ((1,), "not a JSON value: tuple"),
        (float("inf"), "NaN and Infinity are not JSON"),
        (b"x", "not a JSON value: bytes"),
        ("\ud800", "text with a lone surrogate"),
    ],
)
def test_record_made_in_python_must_be_json(value: object, message: str) -> None:
    made = WorkflowTask(name="a", task_reference_name="a", input_parameters={"k": [value]})

    found = validate_workflow(WorkflowDefinition(name="w", tasks=[made]))

    assert [(each.path, each.message) for each in found] == [("tasks[0].inputParameters.k[0]", message)]


def test_record_nested_far_beyond_python_frames_is_refused() -> None:
    inner = WorkflowTask(task_reference_name="t")
    for _ in range(5_000):
        inner = WorkflowTask.model_construct(loop_over=[inner], sub_workflow_param=None, fork_tasks=[])

    (found,) = validate_workflow(WorkflowDefinition.model_construct(tasks=[inner]))

    assert str(found) == "definition_nesting: at most 20, got 21"


def test_definition_of_many_inline_levels_is_parsed() -> None:
    assert parse_workflow(nested_children(60)).tasks
