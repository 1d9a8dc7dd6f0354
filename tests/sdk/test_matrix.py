"""Whatever JSON can say the builder can say: each field of the model, written both ways, reads the same.

The fields come from the model itself; one that is added there and is not in the tables here fails.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import cast

import pytest
from pydantic import BaseModel
from pydantic.alias_generators import to_camel

from asyncflow.model import definition as model
from asyncflow.sdk import operators as nodes
from asyncflow.sdk.composition import Node
from asyncflow.sdk.tasks import TaskFunction, TaskOptions
from asyncflow.sdk.workflow import Workflow, WorkflowOptions

Json = dict[str, object]

# Written by the server, or kept only because old files have them: `extra` says them as they are.
AS_THEY_ARE: dict[type[BaseModel], Json] = {
    model.WorkflowDefinition: {
        "schemaVersion": 2,
        "ownerApp": "a",
        "createTime": 1,
        "updateTime": 2,
        "createdBy": "b",
        "updatedBy": "c",
    },
    model.WorkflowTask: {
        "rateLimited": True,
        "joinStatus": "s",
        "caseValueParam": "p",
        "caseExpression": "e",
        "scriptExpression": "s",
    },
    model.TaskDefinition: {
        "inputKeys": ["a"],
        "outputKeys": ["b"],
        "runtimeMetadata": ["c"],
        "isolationGroupId": "d",
        "executionNameSpace": "e",
        "ownerApp": "f",
        "createTime": 1,
        "updateTime": 2,
        "createdBy": "g",
        "updatedBy": "h",
        "taskStatusListenerEnabled": False,
        "baseType": "i",
        "inputSchema": {"name": "s", "type": "JSON"},
        "outputSchema": {"name": "s", "type": "JSON"},
        "enforceSchema": True,
    },
}

WORKFLOW: list[tuple[WorkflowOptions, Json]] = [
    ({"description": "d"}, {"description": "d"}),
    ({"inputs": ["a"]}, {"inputParameters": ["a"]}),
    ({"output": {"a": 1}}, {"outputParameters": {"a": 1}}),
    ({"input_template": {"a": 1}}, {"inputTemplate": {"a": 1}}),
    (
        {"failure_workflow": "f", "failure_workflow_version": 2},
        {"failureWorkflow": "f", "failureWorkflowVersion": 2},
    ),
    ({"failure_workflow": Workflow("f", 3)}, {"failureWorkflow": "f", "failureWorkflowVersion": 3}),
    ({"restartable": False}, {"restartable": False}),
    (
        {"status_listener": True, "status_listener_sink": "s"},
        {"workflowStatusListenerEnabled": True, "workflowStatusListenerSink": "s"},
    ),
    ({"owner_email": "a@example.org"}, {"ownerEmail": "a@example.org"}),
    ({"timeout": 60}, {"timeoutSeconds": 60, "timeoutPolicy": "TIME_OUT_WF"}),
    ({"timeout": 60, "timeout_policy": "ALERT_ONLY"}, {"timeoutSeconds": 60, "timeoutPolicy": "ALERT_ONLY"}),
    ({"variables": {"a": 1}}, {"variables": {"a": 1}}),
    (
        {"rate_limit": ("k", 2, "REJECT")},
        {"rateLimitConfig": {"rateLimitKey": "k", "concurrentExecLimit": 2, "policy": "REJECT"}},
    ),
    ({"input_schema": {"name": "s", "type": "JSON"}}, {"inputSchema": {"name": "s", "type": "JSON"}}),
    ({"output_schema": {"name": "s", "type": "JSON"}}, {"outputSchema": {"name": "s", "type": "JSON"}}),
    ({"enforce_schema": False}, {"enforceSchema": False}),
    ({"metadata": {"a": 1}}, {"metadata": {"a": 1}}),
    ({"cache": ("k", 60)}, {"cacheConfig": {"key": "k", "ttlInSecond": 60}}),
    ({"masked_fields": ["a"]}, {"maskedFields": ["a"]}),
    ({"resources": "emr"}, {"asyncflow": {"resources": [{"name": "emr"}]}}),
    ({"priority": 7}, {"asyncflow": {"priority": 7}}),
    ({"fail_if_failed_weight_above": 2}, {"asyncflow": {"failIfFailedWeightAbove": 2}}),
    ({"pin_worker_version": True}, {"asyncflow": {"pinWorkerVersion": True}}),
    ({"on_stop": "pause"}, {"asyncflow": {"onStop": "pause"}}),
    ({"extra": AS_THEY_ARE[model.WorkflowDefinition]}, AS_THEY_ARE[model.WorkflowDefinition]),
    ({"extra": {"unknown": 1, "asyncflow": {"more": 2}}}, {"unknown": 1, "asyncflow": {"more": 2}}),
]

SIMPLE: Json = {"name": "t", "taskReferenceName": "t", "type": "SIMPLE"}
NOOP: Json = {"name": "n", "taskReferenceName": "n", "type": "NOOP"}


def _noop() -> Node:
    return nodes.noop(ref="n")


TASK: list[tuple[Callable[[], Node], Json]] = [
    (lambda: nodes.simple("t", description="d"), SIMPLE | {"description": "d"}),
    (lambda: nodes.simple("t", inputs={"a": 1}), SIMPLE | {"inputParameters": {"a": 1}}),
    (lambda: nodes.simple("t", optional=True), SIMPLE | {"optional": True}),
    (lambda: nodes.simple("t", permissive=True), SIMPLE | {"permissive": True}),
    (lambda: nodes.simple("t", start_delay=3), SIMPLE | {"startDelay": 3}),
    (
        lambda: nodes.simple("t", extra={"asyncflow": {"durationMs": 1500}}),
        SIMPLE | {"asyncflow": {"durationMs": 1500}},
    ),
    (lambda: nodes.simple("t", retries=3), SIMPLE | {"retryCount": 3}),
    (lambda: nodes.simple("t", async_complete=True), SIMPLE | {"asyncComplete": True}),
    (lambda: nodes.simple("t", task_definition={"name": "t"}), SIMPLE | {"taskDefinition": {"name": "t"}}),
    (
        lambda: nodes.simple("t", cache=("k", 60)),
        SIMPLE | {"cacheConfig": {"key": "k", "ttlInSecond": 60}},
    ),
    (lambda: nodes.simple("t", metadata={"a": 1}), SIMPLE | {"metadata": {"a": 1}}),
    (
        lambda: nodes.simple("t", on_state_change={"onStart": [{"type": "e"}]}),
        SIMPLE | {"onStateChange": {"onStart": [{"type": "e"}]}},
    ),
    (
        lambda: nodes.simple(
            "t", resources=nodes.uses("r", weight=2, mode="shared", key="k", hold="from t to t")
        ),
        SIMPLE
        | {
            "asyncflow": {
                "resources": [{"name": "r", "weight": 2, "mode": "shared", "key": "k", "hold": "from t to t"}]
            }
        },
    ),
    (lambda: nodes.simple("t", after=[]), SIMPLE | {"asyncflow": {"dependsOn": []}}),
    (lambda: nodes.simple("t", priority=7), SIMPLE | {"asyncflow": {"priority": 7}}),
    (lambda: nodes.simple("t", weight=0.5), SIMPLE | {"asyncflow": {"weight": 0.5}}),
    (lambda: nodes.simple("t", retry_delays=[1, 2]), SIMPLE | {"asyncflow": {"retryDelays": [1, 2]}}),
    (
        lambda: nodes.simple("t", execute_when_recovering=True),
        SIMPLE | {"asyncflow": {"executeWhenRecovering": True}},
    ),
    (lambda: nodes.simple("t", executor="remote"), SIMPLE | {"asyncflow": {"executor": "remote"}}),
    (
        lambda: nodes.simple("t", max_in_flight_per_worker=2, reassign="not_last", pin_worker_version=True),
        SIMPLE | {"asyncflow": {"maxInFlightPerWorker": 2, "reassign": "not_last", "pinWorkerVersion": True}},
    ),
    (
        lambda: nodes.simple("t", extra=AS_THEY_ARE[model.WorkflowTask]),
        SIMPLE | AS_THEY_ARE[model.WorkflowTask],
    ),
    (lambda: nodes.simple("t", extra={"unknown": 1}), SIMPLE | {"unknown": 1}),
    (lambda: nodes.event("s", ref="t"), SIMPLE | {"type": "EVENT", "sink": "s"}),
    (
        lambda: nodes.sub_workflow(
            "c",
            version=1,
            definition={"name": "c", "tasks": [NOOP]},
            params={
                "taskToDomain": {"*": "d"},
                "priority": 1,
                "idempotencyKey": "k",
                "idempotencyStrategy": "FAIL",
            },
            ref="t",
        ),
        SIMPLE
        | {
            "type": "SUB_WORKFLOW",
            "subWorkflowParam": {
                "name": "c",
                "version": 1,
                "workflowDefinition": {"name": "c", "tasks": [NOOP]},
                "taskToDomain": {"*": "d"},
                "priority": 1,
                "idempotencyKey": "k",
                "idempotencyStrategy": "FAIL",
            },
        },
    ),
    (
        lambda: nodes.join(["n"], mode="ASYNC", ref="t"),
        SIMPLE | {"type": "JOIN", "joinOn": ["n"], "joinMode": "ASYNC"},
    ),
    (
        lambda: nodes.exclusive_join(["n"], default=["m"], ref="t"),
        SIMPLE | {"type": "EXCLUSIVE_JOIN", "joinOn": ["n"], "defaultExclusiveJoinTask": ["m"]},
    ),
    (
        lambda: nodes.dynamic("x", key="k", ref="t"),
        SIMPLE | {"type": "DYNAMIC", "dynamicTaskNameParam": "k", "inputParameters": {"k": "x"}},
    ),
    (
        lambda: nodes.switch("s", cases={"a": _noop()}, default=[], evaluator="graaljs", ref="t"),
        SIMPLE
        | {
            "type": "SWITCH",
            "evaluatorType": "graaljs",
            "expression": "s",
            "decisionCases": {"a": [NOOP]},
            "defaultCase": [],
        },
    ),
    (
        lambda: nodes.loop(_noop(), over="${workflow.input.l}", condition="c", ref="t"),
        SIMPLE
        | {"type": "DO_WHILE", "items": "${workflow.input.l}", "loopCondition": "c", "loopOver": [NOOP]},
    ),
]

FORKS: list[tuple[Callable[[], Node], Json]] = [
    (lambda: nodes.fork([_noop()], ref="t"), SIMPLE | {"type": "FORK_JOIN", "forkTasks": [[NOOP]]}),
    (
        lambda: nodes.dynamic_fork_tasks(1, 2, ref="t"),
        SIMPLE
        | {
            "type": "FORK_JOIN_DYNAMIC",
            "dynamicForkTasksParam": "dynamicTasks",
            "dynamicForkTasksInputParamName": "dynamicTasksInputs",
            "inputParameters": {"dynamicTasks": 1, "dynamicTasksInputs": 2},
        },
    ),
    (
        lambda: nodes.dynamic_fork_legacy(1, ref="t"),
        SIMPLE
        | {
            "type": "FORK_JOIN_DYNAMIC",
            "dynamicForkJoinTasksParam": "dynamicForkTasks",
            "inputParameters": {"dynamicForkTasks": 1},
        },
    ),
]

DEFINITION: list[tuple[TaskOptions, Json]] = [
    ({"description": "d"}, {"description": "d"}),
    ({"retries": 1, "retry_delay": 2}, {"retryCount": 1, "retryDelaySeconds": 2}),
    (
        {"retry_logic": "LINEAR_BACKOFF", "backoff_scale": 2},
        {"retryLogic": "LINEAR_BACKOFF", "backoffScaleFactor": 2},
    ),
    ({"max_retry_delay": 9, "jitter": 0.5}, {"maxRetryDelaySeconds": 9, "backoffJitterMs": 500}),
    (
        {
            "timeout": 9,
            "response_timeout": 8,
            "poll_timeout": 7,
            "total_timeout": 10,
            "timeout_policy": "TIME_OUT_WF",
        },
        {
            "timeoutSeconds": 9,
            "responseTimeoutSeconds": 8,
            "pollTimeoutSeconds": 7,
            "totalTimeoutSeconds": 10,
            "timeoutPolicy": "TIME_OUT_WF",
        },
    ),
    (
        {"concurrency": 2, "rate": (3, 4)},
        {"concurrentExecLimit": 2, "rateLimitPerFrequency": 3, "rateLimitFrequencyInSeconds": 4},
    ),
    ({"input_template": {"a": 1}}, {"inputTemplate": {"a": 1}}),
    ({"owner_email": "a@example.org"}, {"ownerEmail": "a@example.org"}),
    ({"executor": "thread"}, {"asyncflow": {"executor": "thread"}}),
    ({"retry_delays": [1, 2]}, {"retryCount": 2, "asyncflow": {"retryDelays": [1, 2]}}),
    ({"resources": ["r"]}, {"asyncflow": {"resources": [{"name": "r"}]}}),
    ({"priority": 7, "weight": 2}, {"asyncflow": {"priority": 7, "weight": 2}}),
    ({"execute_when_recovering": True}, {"asyncflow": {"executeWhenRecovering": True}}),
    (
        {"max_in_flight_per_worker": 2, "reassign": "same_host", "pin_worker_version": True},
        {"asyncflow": {"maxInFlightPerWorker": 2, "reassign": "same_host", "pinWorkerVersion": True}},
    ),
    ({"extra": AS_THEY_ARE[model.TaskDefinition]}, AS_THEY_ARE[model.TaskDefinition]),
]


def f() -> None: ...


@pytest.mark.parametrize(("options", "fields"), WORKFLOW)
def test_workflow_field_is_the_same_both_ways(options: WorkflowOptions, fields: Json) -> None:
    wf = Workflow("w", 2, **options)
    _ = wf >> _noop()
    written = {"name": "w", "version": 2, "tasks": [NOOP]} | fields

    assert wf.to_definition() == written
    assert model.parse_workflow(wf.to_definition()) == model.parse_workflow(written)


@pytest.mark.parametrize(("make", "fields"), TASK + FORKS)
def test_task_field_is_the_same_both_ways(make: Callable[[], Node], fields: Json) -> None:
    wf = Workflow("w")
    _ = wf >> make()
    tasks = cast("list[Json]", wf.to_definition()["tasks"])

    assert tasks[0] == fields
    assert model.parse_workflow_task(tasks[0]) == model.parse_workflow_task(fields)


@pytest.mark.parametrize(("options", "fields"), DEFINITION)
def test_task_definition_field_is_the_same_both_ways(options: TaskOptions, fields: Json) -> None:
    definition = TaskFunction(f, options).definition()

    assert definition == {"name": "f"} | fields
    assert model.parse_task_definition(definition) == model.parse_task_definition({"name": "f"} | fields)


def _said(rows: list[Mapping[str, object]]) -> tuple[set[str], set[str]]:
    """The fields that some row says, outside and under the `asyncflow` key."""
    own = [cast("Json", row["asyncflow"]) for row in rows if "asyncflow" in row]
    return {key for row in rows for key in row} - {"asyncflow"}, {key for row in own for key in row}


def _fields(shape: type[BaseModel]) -> set[str]:
    return {field.alias or to_camel(name) for name, field in shape.model_fields.items()} - {
        "extension",
        "asyncflow",
    }


@pytest.mark.parametrize(
    ("shape", "extension", "rows"),
    [
        (
            model.WorkflowDefinition,
            model.WorkflowExtension,
            [*(fields for _, fields in WORKFLOW), {"name": 1, "version": 1, "tasks": 1}],
        ),
        (model.WorkflowTask, model.TaskExtension, [fields for _, fields in TASK + FORKS]),
        (
            model.TaskDefinition,
            model.TaskDefinitionExtension,
            [*(fields for _, fields in DEFINITION), {"name": 1}],
        ),
    ],
)
def test_matrix_has_every_field_of_the_model(
    shape: type[BaseModel], extension: type[BaseModel], rows: list[Mapping[str, object]]
) -> None:
    said, own = _said(rows)

    assert _fields(shape) - said == set()
    assert _fields(extension) - own == set()
