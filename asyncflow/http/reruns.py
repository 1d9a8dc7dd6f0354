"""Smart reruns over HTTP: the plan of a change, and carrying one out.

The rules are in `app/reruns`; the plain rerun from one task is with `workflow_operations`.
"""

from __future__ import annotations

from asyncflow.http.routing import (
    OPERATOR,
    VIEWER,
    Call,
    Reply,
    Routes,
    json_answer,
    json_body,
    reply_json,
)
from asyncflow.model.values import JsonObject

_TEXT: JsonObject = {"type": "string"}
_WHOLE: JsonObject = {"type": "integer"}
_FLAG: JsonObject = {"type": "boolean"}
_CHANGES: JsonObject = {
    "changed": {
        "type": "array",
        "items": _TEXT,
        "description": "Selectors: ref:, name:, type:, version:, data:, input:KEY[=VALUE], path:$.a[=VALUE].",
    },
    "completed": {"enum": ["keep", "redo", "ask-per-task"], "default": "keep"},
    "cutOff": {"enum": ["outputs", "inputs", "none"], "default": "outputs"},
    "version": {
        "type": ["integer", "null"],
        "description": "Go on under this version of the workflow, 0 for the newest; cutOff is then `inputs`.",
    },
}

routes = Routes(
    "Smart reruns",
    schemas={
        "RerunRequest": {"type": "object", "properties": _CHANGES},
        "RerunPlan": {
            "type": "object",
            "properties": {
                "workflowId": _TEXT,
                "epoch": _WHOLE,
                "seq": _WHOLE,
                **_CHANGES,
                "workflowInput": {"type": ["object", "null"], "description": "The new one, if it changes."},
                "definition": {"type": ["string", "null"], "description": "Of that version, by content."},
                "added": {"type": "array", "items": _TEXT, "description": "Tasks of it without a record."},
                "counts": {"type": "object", "additionalProperties": _WHOLE},
                "tasks": {"type": "array", "items": {"$ref": "#/components/schemas/RerunPlanTask"}},
            },
            "required": ["workflowId", "epoch", "seq", "tasks"],
        },
        "RerunPlanTask": {
            "type": "object",
            "properties": {
                "taskId": _TEXT,
                "taskReferenceName": _TEXT,
                "name": _TEXT,
                "type": _TEXT,
                "status": _TEXT,
                "action": {"enum": ["reuse", "redo", "ask"]},
                "reason": _TEXT,
                "conditional": {
                    **_FLAG,
                    "description": "Redone unless what it depends on comes out as before.",
                },
                "fixed": {**_FLAG, "description": "The action cannot be changed."},
            },
            "required": ["taskId", "action"],
        },
        "RerunApplied": {
            "type": "object",
            "properties": {
                "workflowId": _TEXT,
                "status": _TEXT,
                "applied": {**_FLAG, "description": "Something runs again."},
                "alreadyApplied": {**_FLAG, "description": "This very plan was carried out before."},
                "epoch": _WHOLE,
            },
            "required": ["workflowId", "applied", "alreadyApplied"],
        },
    },
)


@routes.post(
    "/api/asyncflow/workflow/{id}/rerun/plan",
    role=VIEWER,
    body=json_body("RerunRequest", optional=True),
    answers=json_answer("RerunPlan"),
    errors=(404, 409),
)
async def plan_rerun(call: Call) -> Reply:
    """Say of each task whether a change has it redone or reused, and why; nothing runs.

    Without a change it is the plan of a retry: what has no result is redone.
    """
    return reply_json(await call.services.reruns.plan(call.path["id"], await call.json_object()))


@routes.post(
    "/api/asyncflow/workflow/{id}/rerun/apply",
    role=OPERATOR,
    body=json_body("RerunPlan"),
    answers=json_answer("RerunApplied"),
    errors=(404, 409),
    begins=True,
)
async def apply_rerun(call: Call) -> Reply:
    """Carry out a plan, in which actions may have been changed by hand; a second time changes nothing.

    Refused (409) where the execution has changed since the plan was made.
    """
    return reply_json(await call.services.reruns.apply(call.path["id"], await call.json_object()))
