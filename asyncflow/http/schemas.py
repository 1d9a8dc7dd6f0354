"""Schemas of what goes over the wire, by component name, for the OpenAPI document.

Definitions are described by their models; the rest is written here in brief. Parts bring schemas of
their own with their `Routes`. Nothing is validated with these: requests are checked where they count.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Final, get_args

from pydantic import TypeAdapter

from asyncflow.model.definition import TaskDefinition, WorkflowDefinition
from asyncflow.model.statuses import ExecutionStatus, TaskStatus
from asyncflow.model.values import JsonObject

REF = "#/components/schemas/"

TEXT: Final[JsonObject] = {"type": "string"}
NUMBER: Final[JsonObject] = {"type": "integer"}
YES_NO: Final[JsonObject] = {"type": "boolean"}
MOMENT: Final[JsonObject] = {"type": "integer", "description": "Milliseconds since 1970, UTC."}
MAP: Final[JsonObject] = {"type": "object"}
ANY: Final[JsonObject] = {}


def ref(name: str) -> JsonObject:
    """A reference to a component."""
    return {"$ref": f"{REF}{name}"}


def listed(of: JsonObject) -> JsonObject:
    """A list of these."""
    return {"type": "array", "items": of}


def or_null(schema: JsonObject) -> JsonObject:
    """This, or null."""
    return {"anyOf": [schema, {"type": "null"}]}


def mapped(to: JsonObject) -> JsonObject:
    """An object whose values are these."""
    return {"type": "object", "additionalProperties": to}


def one_of(*words: str) -> JsonObject:
    """One of these words."""
    return {"type": "string", "enum": list(words)}


def shape(
    properties: Mapping[str, JsonObject], *required: str, about: str = "", closed: bool = False
) -> JsonObject:
    """An object with these properties; others may be there unless it is closed."""
    found: JsonObject = {"type": "object", "properties": dict(properties)}
    if required:
        found["required"] = list(required)
    if about:
        found["description"] = about
    if closed:
        found["additionalProperties"] = False
    return found


_VOLUME: Final = shape({"rows": NUMBER, "bytes": NUMBER})

_WORKFLOW: Final[dict[str, JsonObject]] = {
    "workflowId": TEXT,
    "workflowName": TEXT,
    "workflowVersion": NUMBER,
    "status": one_of(*get_args(ExecutionStatus)),
    "createTime": MOMENT,
    "startTime": MOMENT,
    "updateTime": MOMENT,
    "endTime": MOMENT,
    "createdBy": TEXT,
    "correlationId": TEXT,
    "priority": NUMBER,
    "input": MAP,
    "output": MAP,
    "variables": MAP,
    "reasonForIncompletion": TEXT,
    "failedReferenceTaskNames": listed(TEXT),
    "failedTaskNames": listed(TEXT),
    "taskToDomain": mapped(TEXT),
    "parentWorkflowId": TEXT,
    "parentWorkflowTaskId": TEXT,
    "workflowDefinition": MAP,
    "tasks": listed(ref("Task")),
    "asyncflow": MAP,
}

_TASK: Final[dict[str, JsonObject]] = {
    "taskId": TEXT,
    "taskType": TEXT,
    "taskDefName": TEXT,
    "referenceTaskName": TEXT,
    "status": one_of(*get_args(TaskStatus)),
    "workflowInstanceId": TEXT,
    "workflowType": TEXT,
    "inputData": MAP,
    "outputData": MAP,
    "seq": NUMBER,
    "retryCount": NUMBER,
    "pollCount": NUMBER,
    "iteration": NUMBER,
    "scheduledTime": MOMENT,
    "startTime": MOMENT,
    "updateTime": MOMENT,
    "endTime": MOMENT,
    "workerId": TEXT,
    "domain": TEXT,
    "callbackAfterSeconds": {"type": "number"},
    "responseTimeoutSeconds": {"type": "number"},
    "reasonForIncompletion": TEXT,
    "workflowTask": MAP,
    "asyncflow": MAP,
}

_SUMMARY: Final[dict[str, JsonObject]] = {
    "workflowType": TEXT,
    "version": NUMBER,
    "workflowId": TEXT,
    "correlationId": TEXT,
    "startTime": TEXT,
    "updateTime": TEXT,
    "endTime": TEXT,
    "status": _WORKFLOW["status"],
    "input": TEXT,
    "output": TEXT,
    "reasonForIncompletion": TEXT,
    "executionTime": NUMBER,
    "priority": NUMBER,
}

_TASK_SUMMARY: Final[dict[str, JsonObject]] = {
    "workflowId": TEXT,
    "workflowType": TEXT,
    "taskId": TEXT,
    "taskDefName": TEXT,
    "taskType": TEXT,
    "status": _TASK["status"],
    "input": TEXT,
    "output": TEXT,
    "scheduledTime": TEXT,
    "startTime": TEXT,
    "updateTime": TEXT,
    "endTime": TEXT,
    "executionTime": NUMBER,
    "queueWaitTime": NUMBER,
}


def _found(of: str) -> JsonObject:
    return shape({"totalHits": NUMBER, "results": listed(ref(of))}, "totalHits", "results")


WRITTEN: Final[dict[str, JsonObject]] = {
    "Error": shape(
        {
            "status": NUMBER,
            "message": TEXT,
            "instance": TEXT,
            "retryable": YES_NO,
            "validationErrors": listed(shape({"path": TEXT, "message": TEXT}, "path", "message")),
        },
        *("status", "message", "instance", "retryable"),
    ),
    "Health": shape(
        {
            "healthy": YES_NO,
            "healthResults": listed(shape({"name": TEXT, "healthy": YES_NO, "message": TEXT})),
            "suppressedHealthResults": listed(MAP),
            "asyncflow": MAP,
        },
        *("healthy", "healthResults", "suppressedHealthResults"),
    ),
    "Status": shape({"status": one_of("UP", "DOWN")}, "status"),
    "Heartbeat": shape({"lostInstances": listed(TEXT)}, "lostInstances"),
    "Map": MAP,
    "Text": TEXT,
    "Number": NUMBER,
    "Numbers": mapped(NUMBER),
    "Workflow": shape(_WORKFLOW, "workflowId", "status"),
    "WorkflowSummary": shape(_SUMMARY, "workflowId", "status"),
    "WorkflowStatus": shape(
        {key: _WORKFLOW[key] for key in ("workflowId", "correlationId", "output", "variables", "status")},
        *("workflowId", "status"),
    ),
    "WorkflowSearchResult": _found("Workflow"),
    "WorkflowSummarySearchResult": _found("WorkflowSummary"),
    "Task": shape(_TASK, "taskId", "status", "workflowInstanceId"),
    "TaskSummary": shape(_TASK_SUMMARY, "taskId", "status"),
    "TaskSearchResult": _found("Task"),
    "TaskSummarySearchResult": _found("TaskSummary"),
    "TaskResult": shape(
        {
            "workflowInstanceId": TEXT,
            "taskId": TEXT,
            "status": one_of("IN_PROGRESS", "COMPLETED", "FAILED", "FAILED_WITH_TERMINAL_ERROR"),
            "outputData": MAP,
            "workerId": or_null(TEXT),
            "reasonForIncompletion": or_null(TEXT),
            "callbackAfterSeconds": {"type": "number"},
            "extendLease": YES_NO,
            "logs": listed(ref("TaskLog")),
            "asyncflow": shape({"io": shape({"in": _VOLUME, "out": _VOLUME})}),
        },
        *("workflowInstanceId", "taskId", "status"),
    ),
    "TaskLog": shape({"log": TEXT, "taskId": TEXT, "createdTime": MOMENT}),
    "PollData": shape({"queueName": TEXT, "domain": or_null(TEXT), "workerId": TEXT, "lastPollTime": MOMENT}),
    "StartWorkflowRequest": shape(
        {
            "name": TEXT,
            "version": or_null(NUMBER),
            "input": MAP,
            "correlationId": or_null(TEXT),
            "priority": {"type": "integer", "minimum": 0, "maximum": 99},
            "taskToDomain": mapped(TEXT),
            "workflowDef": ref("WorkflowDef"),
            "idempotencyKey": or_null(TEXT),
            "idempotencyStrategy": one_of("FAIL", "RETURN_EXISTING", "FAIL_ON_RUNNING"),
        },
        "name",
    ),
    "RerunWorkflowRequest": shape(
        {
            "reRunFromWorkflowId": or_null(TEXT),
            "reRunFromTaskId": or_null(TEXT),
            "workflowInput": or_null(MAP),
            "taskInput": or_null(MAP),
            "correlationId": or_null(TEXT),
        }
    ),
    "SkipTaskRequest": shape({"taskInput": or_null(MAP), "taskOutput": or_null(MAP)}),
    "CorrelationIdsSearchRequest": shape(
        {"correlationIds": listed(TEXT), "workflowNames": listed(TEXT)}, "correlationIds", "workflowNames"
    ),
    "WorkflowStateUpdate": shape(
        {"taskReferenceName": or_null(TEXT), "taskResult": or_null(MAP), "variables": or_null(MAP)}
    ),
    "WorkflowTestRequest": shape(
        {
            "name": TEXT,
            "version": or_null(NUMBER),
            "workflowDef": ref("WorkflowDef"),
            "input": MAP,
            "taskRefToMockOutput": mapped(listed(MAP)),
            "subWorkflowTestRequest": mapped(ref("WorkflowTestRequest")),
        },
        "name",
    ),
    "SignalResponse": shape(
        {
            "responseType": TEXT,
            "requestId": or_null(TEXT),
            "workflowId": TEXT,
            "targetWorkflowId": TEXT,
            "targetWorkflowStatus": TEXT,
            "correlationId": or_null(TEXT),
            "input": MAP,
            "output": MAP,
            "signalTimeout": YES_NO,
        },
        "workflowId",
    ),
    "BulkResponse": shape(
        {"bulkErrorResults": mapped(TEXT), "bulkSuccessfulResults": listed(ANY), "message": TEXT},
        *("bulkErrorResults", "bulkSuccessfulResults"),
    ),
    "StartOutcome": shape({"workflowId": TEXT, "status": NUMBER, "message": TEXT}),
    "ExternalStorageLocation": shape({"uri": TEXT, "path": TEXT}),
}
"""The components that are written here."""


@cache
def modelled() -> dict[str, JsonObject]:
    """The components that models describe: `WorkflowDef`, `TaskDef` and what they hold."""
    found: dict[str, JsonObject] = {}
    models: dict[str, type] = {"WorkflowDef": WorkflowDefinition, "TaskDef": TaskDefinition}
    for name, model in models.items():
        schema = TypeAdapter(model).json_schema(by_alias=True, ref_template=f"{REF}{{model}}")
        parts = schema.pop("$defs", {})
        own = schema
        if set(schema) == {"$ref"}:  # a model that holds itself is among its own parts
            own = parts[schema["$ref"].removeprefix(REF)]
        found |= parts
        found[name] = own
    return found
