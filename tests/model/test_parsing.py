from __future__ import annotations

import pytest

from asyncflow.errors import DefinitionError
from asyncflow.model.definition import (
    SubWorkflowParams,
    TaskDefinition,
    TaskExtension,
    WorkflowDefinition,
    WorkflowTask,
    iterate_tasks,
    parse_task_definition,
    parse_workflow,
    parse_workflow_task,
)
from asyncflow.model.limits import Limits
from tests.model.making import task, workflow


def refusal(data: object) -> list[str]:
    with pytest.raises(DefinitionError) as refused:
        parse_workflow(data)
    return [str(each) for each in refused.value.violations]


@pytest.mark.parametrize(
    ("field", "given", "attribute", "taken"),
    [
        ("startDelay", "3", "start_delay", 3),
        ("startDelay", 3.9, "start_delay", 3),
        ("startDelay", None, "start_delay", 0),
        ("startDelay", 2**31 - 1, "start_delay", 2**31 - 1),
        ("retryCount", None, "retry_count", None),
        ("optional", "true", "optional", True),
        ("optional", "False", "optional", False),
        ("optional", 1, "optional", True),
        ("optional", None, "optional", False),
        ("description", 5, "description", "5"),
        ("description", True, "description", "true"),
        ("inputParameters", None, "input_parameters", {}),
        ("joinOn", None, "join_on", []),
        ("joinOn", ["a", 1], "join_on", ["a", "1"]),
        ("forkTasks", None, "fork_tasks", []),
        ("decisionCases", None, "decision_cases", {}),
        ("type", None, "type", "SIMPLE"),
        ("type", "ANYTHING", "type", "ANYTHING"),
        ("workflowTaskType", "WAIT", "type", "WAIT"),
        ("joinMode", "SYNC", "join_mode", "SYNC"),
        ("items", "${a.output.list}", "items", "${a.output.list}"),
    ],
)
def test_task_field_is_taken_as_conductor_takes_it(
    field: str, given: object, attribute: str, taken: object
) -> None:
    parsed = parse_workflow_task({field: given})

    assert getattr(parsed, attribute) == taken
    assert type(getattr(parsed, attribute)) is type(taken)


@pytest.mark.parametrize(
    ("field", "given", "message"),
    [
        ("startDelay", "x", "must be an integer, not 'x'"),
        ("startDelay", True, "must be an integer, not a boolean"),
        ("startDelay", 2**31, "must fit into 32 bits, not 2147483648"),
        ("startDelay", [], "must be an integer, not a list"),
        ("optional", "yes", "must be true or false, not 'yes'"),
        ("name", ["a"], "must be text, not a list"),
        ("joinOn", "a", "must be a list, not text"),
        ("inputParameters", [1], "must be an object, not a list"),
        ("joinMode", "sync", "must be 'SYNC' or 'ASYNC', not 'sync'"),
        ("subWorkflowParam", 1, "must be an object, not a number"),
        ("asyncflow", "x", "must be an object, not text"),
        ("forkTasks", [{}], "[0]: must be a list, not an object"),
        ("decisionCases", {"a b": [1]}, '["a b"][0]: must be an object, not a number'),
    ],
)
def test_task_field_of_another_shape_is_refused_with_its_path(
    field: str, given: object, message: str
) -> None:
    separator = "" if message.startswith("[") else ": "

    assert refusal(workflow(task(), {field: given})) == [f"tasks[1].{field}{separator}{message}"]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "must be an object, not null"),
        ([], "must be an object, not a list"),
        ("{}", "must be an object, not text"),
        ({"tasks": [None]}, "tasks[0]: must be an object, not null"),
        ({"timeoutPolicy": "RETRY"}, "timeoutPolicy: must be 'TIME_OUT_WF' or 'ALERT_ONLY', not 'RETRY'"),
        ({"x": float("nan")}, "x: NaN and Infinity are not JSON"),
        ({"x": {"y": {1}}}, "x.y: not a JSON value: set"),
        ({"x": {1: 2}}, "x: key is not a text: int"),
        ({"x": "a\0"}, "x: text with the character NUL"),
        ({"x": ["\ud800"]}, "x[0]: text with a lone surrogate"),
        ({"x\0": 1}, "key is text with the character NUL"),
        ({"x": 10**4300}, "x: an integer of more than 4300 digits"),
    ],
)
def test_document_that_is_no_definition_is_refused(data: object, message: str) -> None:
    assert refusal(data) == [message]


def test_all_violations_of_the_shape_are_reported_at_once() -> None:
    inline = {"workflowDefinition": {"tasks": [{"joinOn": 3}]}}
    branch = [task(), {"joinOn": 1, "asyncflow": {"resources": [{"weight": "x"}]}}]

    assert refusal(workflow({"forkTasks": [branch], "subWorkflowParam": inline}, version="x")) == [
        "version: must be an integer, not 'x'",
        "tasks[0].subWorkflowParam.workflowDefinition.tasks[0].joinOn: must be a list, not a number",
        "tasks[0].forkTasks[0][1].joinOn: must be a list, not a number",
        "tasks[0].forkTasks[0][1].asyncflow.resources[0].weight: must be an integer, not 'x'",
    ]


def test_violations_beyond_the_limit_are_counted() -> None:
    with pytest.raises(DefinitionError) as refused:
        parse_workflow({"tasks": [1] * 5}, limits=Limits(reported_violations=3))

    assert [str(each) for each in refused.value.violations[3:]] == ["and 2 more violations"]


@pytest.mark.parametrize("given", ["abc", "${a", 5, [], True])
def test_inline_child_that_is_neither_definition_nor_expression_is_refused(given: object) -> None:
    (message,) = refusal(workflow({"subWorkflowParam": {"workflowDefinition": given}}))

    assert message.startswith(
        "tasks[0].subWorkflowParam.workflowDefinition: must be a workflow definition or an expression ${…}"
    )


@pytest.mark.parametrize("given", [7, 7.5, "7", "${workflow.input.p}", None])
def test_priority_of_a_child_keeps_its_type(given: object) -> None:
    parsed = parse_workflow_task({"subWorkflowParam": {"priority": given}})

    assert parsed.sub_workflow_param == SubWorkflowParams.model_construct(priority=given)
    assert parsed.sub_workflow_param is not None
    assert type(parsed.sub_workflow_param.priority) is type(given)


def test_of_two_names_of_the_type_the_later_one_counts() -> None:
    assert parse_workflow_task({"type": "A", "workflowTaskType": "B"}).type == "B"
    assert parse_workflow_task({"workflowTaskType": "B", "type": "A"}).type == "A"
    assert parse_workflow_task({"type": "A", "workflowTaskType": None}).type == "A"


def test_attribute_names_are_no_names_in_json() -> None:
    parsed = parse_workflow_task({"task_reference_name": "a", "extension": 5})

    assert parsed.task_reference_name == ""
    assert parsed.extension is None
    assert parsed.model_extra == {"task_reference_name": "a", "extension": 5}


def test_defaults_are_those_of_conductor() -> None:
    definition = TaskDefinition()

    assert (definition.retry_count, definition.retry_delay_seconds, definition.retry_logic) == (
        3,
        60,
        "FIXED",
    )
    assert (definition.response_timeout_seconds, definition.timeout_seconds) == (3600, 0)
    assert definition.timeout_policy == "TIME_OUT_WF"
    assert (WorkflowDefinition().version, WorkflowDefinition().schema_version) == (1, 2)
    assert WorkflowDefinition().timeout_policy == "ALERT_ONLY"


def test_records_are_made_in_python_by_their_attribute_names_and_are_frozen() -> None:
    made = WorkflowTask(name="a", task_reference_name="b", extension=TaskExtension(depends_on=[]))

    assert made == parse_workflow_task(
        {"name": "a", "taskReferenceName": "b", "asyncflow": {"dependsOn": []}}
    )
    with pytest.raises(ValueError, match="frozen"):
        made.name = "c"


def test_defaults_are_not_shared_between_records() -> None:
    assert WorkflowTask().input_parameters is not WorkflowTask().input_parameters


@pytest.mark.parametrize("given", [True, "true", 1])
def test_execute_when_recovering_may_be_text(given: object) -> None:
    parsed = parse_task_definition({"asyncflow": {"executeWhenRecovering": given}})

    assert parsed.extension is not None
    assert parsed.extension.execute_when_recovering is True


def test_depends_on_missing_and_empty_differ() -> None:
    missing = parse_workflow_task({"asyncflow": {}}).extension
    empty = parse_workflow_task({"asyncflow": {"dependsOn": []}}).extension

    assert missing is not None
    assert missing.depends_on is None
    assert empty is not None
    assert empty.depends_on == []


@pytest.mark.parametrize(
    ("given", "taken"), [(7, 7), ("7", 7), ("${workflow.input.p}", "${workflow.input.p}")]
)
def test_priority_is_a_number_or_an_expression(given: object, taken: object) -> None:
    parsed = parse_workflow_task({"asyncflow": {"priority": given}})

    assert parsed.extension is not None
    assert parsed.extension.priority == taken


def test_tasks_are_walked_in_definition_order_with_their_paths() -> None:
    switch = task("SWITCH", "s", decisionCases={"a.b": [task(ref="c")]}, defaultCase=[task(ref="d")])
    loop = task("DO_WHILE", "l", loopOver=[task(ref="e")])
    inline = task("SUB_WORKFLOW", "i", subWorkflowParam={"workflowDefinition": workflow(task(ref="hidden"))})
    definition = parse_workflow(workflow(task("FORK_JOIN", "f", forkTasks=[[switch], [loop]]), inline))

    assert [(path, each.task_reference_name) for path, each in iterate_tasks(definition)] == [
        ("tasks[0]", "f"),
        ("tasks[0].forkTasks[0][0]", "s"),
        ('tasks[0].forkTasks[0][0].decisionCases["a.b"][0]', "c"),
        ("tasks[0].forkTasks[0][0].defaultCase[0]", "d"),
        ("tasks[0].forkTasks[1][0]", "l"),
        ("tasks[0].forkTasks[1][0].loopOver[0]", "e"),
        ("tasks[1]", "i"),
    ]


def test_tasks_nested_far_beyond_python_frames_are_walked() -> None:
    inner = WorkflowTask(task_reference_name="innermost")
    for _ in range(1_500):
        inner = WorkflowTask.model_construct(
            loop_over=[inner], fork_tasks=[], decision_cases={}, default_case=[]
        )

    *_, (path, last) = iterate_tasks(WorkflowDefinition.model_construct(tasks=[inner]))

    assert last.task_reference_name == "innermost"
    assert path.count("loopOver") == 1_500


def test_depth_of_a_definition_is_bounded() -> None:
    value: object = 1
    for _ in range(255):
        value = [value]
    (message,) = refusal({"x": [value]})

    assert parse_workflow({"x": value}).model_extra == {"x": value}
    assert message.endswith(": nested deeper than 256 levels")


def test_value_that_contains_itself_is_refused() -> None:
    cycle: list[object] = []
    cycle.append(cycle)

    (message,) = refusal({"x": cycle})

    assert message.endswith(": nested deeper than 256 levels")


def test_tasks_far_beyond_the_limit_are_not_read() -> None:
    wrong: list[object] = [1] * 100_000
    cases = {f"c{i}": 1 for i in range(100_000)}

    assert refusal({"tasks": wrong}) == ["tasks: definition_tasks: at most 10000"]
    assert refusal(workflow({"forkTasks": wrong})) == ["tasks[0].forkTasks: definition_tasks: at most 10000"]
    assert refusal(workflow({"decisionCases": cases})) == [
        "tasks[0].decisionCases: definition_tasks: at most 10000"
    ]


def test_of_many_wrong_texts_the_first_is_reported() -> None:
    assert refusal(workflow({"joinOn": ["a", *[[]] * 100_000]})) == [
        "tasks[0].joinOn[1]: must be text, not a list"
    ]
    assert refusal(workflow({"asyncflow": {"resources": [1] * 100_000}})) == [
        "tasks[0].asyncflow.resources[0]: must be an object, not a number"
    ]
