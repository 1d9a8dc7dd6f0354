"""Versions of workflows: running executions migrated, starts spread over versions, versions compared.

The rules are in `app/migrations`, `app/routing` and `model/compatibility`; what is registered is shown
and changed by `metadata`.
"""

from __future__ import annotations

from asyncflow.app.comparing import compare
from asyncflow.app.migrations import checked_mapping, checked_version
from asyncflow.errors import InvalidInput
from asyncflow.http.routing import (
    AUTHOR,
    OPERATOR,
    VIEWER,
    Call,
    Reply,
    Routes,
    empty_answer,
    json_answer,
    json_body,
    number,
    reply_empty,
    reply_json,
)
from asyncflow.model.definition import parse_workflow
from asyncflow.model.values import JsonObject

_TIMES = frozenset({"createTime", "updateTime"})
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
        "RoutingRules": {
            "type": "object",
            "properties": {
                "name": _TEXT,
                "rules": {"type": "array", "items": {"$ref": "#/components/schemas/RoutingRule"}},
                "default": {**_WHOLE, "description": "Who meets no rule; without it the highest version."},
                "rolledBack": {"type": "object", "description": "The rules before the last way back."},
                "createTime": _WHOLE,
                "updateTime": _WHOLE,
            },
        },
        "RoutingRule": {
            "type": "object",
            "properties": {
                "version": _WHOLE,
                "percentage": {"type": "number", "minimum": 0, "maximum": 100},
                "when": {**_TEXT, "description": "JavaScript; `$` is the input of the start."},
            },
            "required": ["version"],
        },
        "Compatibility": {
            "type": "object",
            "properties": {
                "name": _TEXT,
                "version": _WHOLE,
                "against": {"type": ["integer", "null"]},
                "compatible": {"type": "boolean"},
                "mapping": {**_NAMES, "description": "Renamed tasks, as `migrate` takes them."},
                "differences": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {
                            "subject": {"enum": ["task", "input", "output", "schema"]},
                            "change": {"enum": ["added", "removed", "renamed", "changed"]},
                            "name": _TEXT,
                            "verdict": {"enum": ["safe", "breaking"]},
                            "message": _TEXT,
                            "renamedTo": _TEXT,
                        },
                    },
                },
            },
            "required": ["name", "compatible", "differences"],
        },
        "VersionCounts": {
            "type": "object",
            "properties": {
                "name": _TEXT,
                "routing": {"type": ["object", "null"]},
                "versions": {"type": "array", "items": {"type": "object"}},
            },
            "required": ["name", "versions"],
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
    for field in ("taskOutput", "workflowInput"):
        if body.get(field):
            raise InvalidInput("a migration changes no recorded input or output", field=field)
    version = checked_version(body.get("version"))
    name = await _name_of(call)
    if body.get("name", "") not in (None, "", name):  # a tuple: what is sent may be a list
        raise InvalidInput("an execution cannot become one of another workflow", field="name")
    return reply_json(await call.services.migrations.migrate(call.path["id"], version=version))


async def _name_of(call: Call) -> object:
    shown = await call.services.executions.get(call.path["id"], include_tasks=False)
    return shown.get("workflowName")


# --- starts spread over versions ------------------------------------------------------------------


@routes.get("/api/asyncflow/routing", role=VIEWER, answers=json_answer("RoutingRules", many=True))
async def list_routing(call: Call) -> Reply:
    """The rules of every workflow that has any."""
    return reply_json(call.services.routing.all())


@routes.get("/api/asyncflow/routing/{name}", role=VIEWER, answers=json_answer("RoutingRules"), errors=(404,))
async def get_routing(call: Call) -> Reply:
    """The rules by which starts of a workflow get their version."""
    return reply_json(call.services.routing.get(call.path["name"]))


@routes.put(
    "/api/asyncflow/routing/{name}",
    role=AUTHOR,
    body=json_body("RoutingRules"),
    answers=json_answer("RoutingRules"),
    errors=(404,),
)
async def put_routing(call: Call) -> Reply:
    """Say which version starts get that name none: the first rule that holds, else the default.

    A percentage is of all starts and sticks to the correlation id; without one to the idempotency key.
    """
    name, body = call.path["name"], await call.json_object()
    return reply_json(await call.services.routing.save(name, body, by=call.caller.name))


@routes.delete("/api/asyncflow/routing/{name}", role=AUTHOR, answers=empty_answer(), errors=(404,))
async def delete_routing(call: Call) -> Reply:
    """Forget the rules: starts get the highest version again."""
    await call.services.routing.delete(call.path["name"])
    return reply_empty()


@routes.post(
    "/api/asyncflow/routing/{name}/rollback",
    role=OPERATOR,
    body=json_body("Map", optional=True),
    answers=json_answer("RoutingRules"),
    errors=(404, 409),
)
async def roll_back_routing(call: Call) -> Reply:
    """Send every start to the default version again, at once; what the rules were is kept."""
    return reply_json(await call.services.routing.roll_back(call.path["name"], by=call.caller.name))


@routes.get(
    "/api/asyncflow/workflow/{name}/versions",
    role=VIEWER,
    answers=json_answer("VersionCounts"),
    errors=(404,),
)
async def get_versions(call: Call) -> Reply:
    """How the versions of a workflow do, side by side: starts, ends, and how long completed ones took."""
    return reply_json(await call.services.versions.of(call.path["name"]))


# --- versions compared ----------------------------------------------------------------------------


@routes.post(
    "/api/asyncflow/metadata/workflow/compatibility",
    role=VIEWER,
    query=(number("version", about="Compare with this version; by default with the one before."),),
    body=json_body("WorkflowDef"),
    answers=json_answer("Compatibility"),
    errors=(404,),
)
async def compare_versions(call: Call) -> Reply:
    """What a definition changes for callers, workers and running executions: each safe or breaking."""
    executions = call.services.executions
    given = {key: value for key, value in (await call.json_object()).items() if key not in _TIMES}
    definition = executions.check_workflow(parse_workflow(given, limits=call.limits))
    return reply_json(compare(executions.engine, definition, call.number("version")))
