from __future__ import annotations

import json

import pytest

from asyncflow.model.definition import (
    TaskDefinition,
    WorkflowDefinition,
    WorkflowTask,
    canonical_json,
    parse_task_definition,
    parse_workflow,
    parse_workflow_task,
    to_json,
)
from tests.model.making import Json, fork, ours, task, workflow


def test_task_is_rendered_with_collections_and_booleans_and_without_nulls() -> None:
    assert to_json(parse_workflow_task({"name": "a", "taskReferenceName": "b", "sink": None})) == {
        "name": "a",
        "taskReferenceName": "b",
        "type": "SIMPLE",
        "inputParameters": {},
        "optional": False,
        "permissive": False,
        "startDelay": 0,
        "asyncComplete": False,
        "forkTasks": [],
        "joinOn": [],
        "defaultExclusiveJoinTask": [],
        "decisionCases": {},
        "defaultCase": [],
        "loopOver": [],
        "onStateChange": {},
        "metadata": {},
    }


def test_nulls_of_user_payloads_and_unknown_fields_are_kept() -> None:
    data = {"inputParameters": {"a": None, "b": [None]}, "unknown": None, "other": {"x": [None, {"y": 1}]}}

    rendered = to_json(parse_workflow_task(data))

    assert {key: rendered[key] for key in data} == data


def test_an_embedded_task_definition_without_a_name_bears_that_of_its_task() -> None:
    embedded = {"retryCount": 2}
    rendered = to_json(parse_workflow_task({"name": "t", "taskDefinition": embedded}))
    other = to_json(parse_workflow_task({"name": "t", "taskDefinition": {"name": "other"}}))

    assert rendered["taskDefinition"] == other["taskDefinition"] | {"name": "t", "retryCount": 2}  # type: ignore[operator]
    assert embedded == {"retryCount": 2}


@pytest.mark.parametrize(
    "data",
    [
        workflow(),
        workflow(fork(task(ref="a"), task(ref="b")), task("JOIN", "j", joinOn=["a", "b"]), x={"y": [None]}),
        workflow(
            task("SWITCH", decisionCases={"": [], "a": [task(ref="c", z=1)]}, defaultCase=[task(ref="d")])
        ),
        workflow(task("DO_WHILE", loopOver=[task(ref="c")], loopCondition="")),
        workflow(
            task("SUB_WORKFLOW", subWorkflowParam={"workflowDefinition": workflow(task()), "priority": 3})
        ),
        workflow(task("SUB_WORKFLOW", subWorkflowParam={"workflowDefinition": "${workflow.input.d}"})),
        workflow(task(taskDefinition={"name": "x", "retryCount": 0, "asyncflow": {"weight": 2}})),
        workflow(ours(dependsOn=[], resources=[{"name": "r", "mode": "exclusive"}], unknown=[{"a": None}])),
        workflow(rateLimitConfig={"rateLimitKey": "k", "concurrentExecLimit": 2}, inputSchema={"name": "s"}),
        workflow(variables={"a": [[], [1]], "b": []}, outputParameters={"o": [{"k": []}]}),
        workflow(asyncflow={"failIfFailedWeightAbove": 0, "priority": "${workflow.input.p}"}),
        workflow(task(onStateChange={"onStart": [{"type": "t", "payload": {"a": [1]}}]})),
        {"name": "émoji 😀 \u202e", "tasks": [{"name": "\U0001d4b3"}]},
    ],
)
def test_definition_survives_both_renderings(data: Json) -> None:
    """Law: parsing what was rendered gives an equal record, and equal records have equal bytes."""
    parsed = parse_workflow(data)

    assert parse_workflow(to_json(parsed)) == parsed
    assert parse_workflow(json.loads(canonical_json(parsed))) == parsed
    assert canonical_json(parse_workflow(to_json(parsed))) == canonical_json(parsed)


def test_extension_is_rendered_only_when_given_and_as_given() -> None:
    given: Json = {"weight": 1.0, "dependsOn": []}

    assert "asyncflow" not in to_json(parse_workflow_task(task()))
    assert to_json(parse_workflow_task(ours()))["asyncflow"] == {}
    assert to_json(parse_workflow_task(task(asyncflow=given | {"executor": None})))["asyncflow"] == given


def test_canonical_bytes_are_of_the_meaning_not_of_the_writing() -> None:
    one = parse_workflow({"tasks": [{"name": "a", "inputParameters": {"x": 1, "y": 2}}], "name": "w"})
    same = parse_workflow(
        {
            "name": "w",
            "version": "1",
            "tasks": [{"inputParameters": {"y": 2, "x": 1}, "name": "a", "sink": None}],
        }
    )
    other = parse_workflow({"tasks": [{"name": "a", "inputParameters": {"x": 1, "y": 3}}], "name": "w"})

    assert canonical_json(one) == canonical_json(same)
    assert canonical_json(one) != canonical_json(other)
    assert canonical_json(one) == b'{"name":"w","tasks":[{"inputParameters":{"x":1,"y":2},"name":"a"}]}'


def test_rendering_changes_nothing_of_the_record() -> None:
    parsed = parse_task_definition({"name": "a", "inputTemplate": {"k": [1]}})
    to_json(parsed)["retryCount"] = 99

    assert parsed == TaskDefinition(name="a", input_template={"k": [1]})


def test_records_made_in_python_render_as_if_parsed() -> None:
    made = WorkflowDefinition(name="w", tasks=[WorkflowTask(name="a", start_delay=5)])

    assert canonical_json(made) == b'{"name":"w","tasks":[{"name":"a","startDelay":5}]}'
