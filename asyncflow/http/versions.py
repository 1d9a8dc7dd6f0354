"""Versions of workflows: running executions migrated, starts spread over versions, versions compared.

The rules are in `app/migrations`, `app/routing` and `model/compatibility`; what is registered is shown
and changed by `metadata`.
"""

from __future__ import annotations

from asyncflow.app.migrations import checked_mapping, checked_version
from asyncflow.errors import InvalidInput
from asyncflow.http.routing import (
    AUTHOR,
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
_NAMES: JsonObject = {"type": "object", "additionalProperties": _TEXT}
_LIST: JsonObject = {"type": "array", "items": _TEXT}

routes = Routes(
    "Versions",
    schemas={
        "MigrateRequest": {
            "type": "object",
            "properties": {
                "version": {**_WHOLE, "description": "By default the highest."},
                "mapping": {**_NAMES, "description": "New reference names by those of now."},
                "dryRun": {"type": "boolean", "description": "Only say what would become of it."},
            },
        },
        "UpgradeRequest": {
            "type": "object",
            "properties": {"name": _TEXT, "version": _WHOLE},
        },
        "Migration": {
            "type": "object",
            "properties": {
                "workflowId": _TEXT,
                "name": _TEXT,
                "fromVersion": _WHOLE,
                "toVersion": _WHOLE,
                "possible": {"type": "boolean"},
                "migrated": {"type": "boolean"},
                "mapped": _NAMES,
                "detached": _LIST,
                "underWay": _LIST,
                "next": _LIST,
                "passed": _LIST,
                "problems": {
                    "type": "array",
                    "items": {"type": "object", "properties": {"task": _TEXT, "reason": _TEXT}},
                },
            },
            "required": ["workflowId", "possible", "migrated", "problems"],
        },
    },
)


@routes.post(
    "/api/workflow/{id}/migrate",
    role=AUTHOR,
    body=json_body("MigrateRequest", optional=True),
    answers=json_answer("Migration"),
    errors=(404, 409),
)
async def migrate_workflow(call: Call) -> Reply:
    """Go on under another registered version, or say what would become of the execution.

    Refused (409), with every reason, where something under way has no place in the version.
    """
    body = await call.json_object()
    version, mapping = checked_version(body.get("version")), checked_mapping(body.get("mapping"))
    dry_run = body.get("dryRun", False)
    if not isinstance(dry_run, bool):
        raise InvalidInput("true or false is expected", field="dryRun")
    does = call.services.migrations.plan if dry_run else call.services.migrations.migrate
    return reply_json(await does(call.path["id"], version=version, mapping=mapping))


@routes.post(
    "/api/workflow/{id}/upgrade",
    role=AUTHOR,
    body=json_body("UpgradeRequest"),
    answers=json_answer("Migration"),
    errors=(404, 409),
)
async def upgrade_workflow(call: Call) -> Reply:
    """Go on under another registered version, asked for in Orkes' form.

    `taskOutput` and `workflowInput` are refused: what was given and done stays what it was.
    """
    body = await call.json_object()
    for name in ("taskOutput", "workflowInput"):
        if body.get(name):
            raise InvalidInput("a migration changes no recorded input or output", field=name)
    version = checked_version(body.get("version"))
    if body.get("name") not in {None, "", await _name_of(call)}:
        raise InvalidInput("an execution cannot become one of another workflow", field="name")
    return reply_json(await call.services.migrations.migrate(call.path["id"], version=version))


async def _name_of(call: Call) -> object:
    shown = await call.services.executions.get(call.path["id"], include_tasks=False)
    return shown.get("workflowName")
