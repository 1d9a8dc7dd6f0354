"""Routes for whoever runs the server: its configuration, open tasks, a second look at executions, names.

They show and nudge; nothing here has a rule of its own. Values of secrets are shown by no route at all.
"""

from __future__ import annotations

from dataclasses import asdict

from asyncflow.app.documents import Documents
from asyncflow.app.task_views import look_again
from asyncflow.errors import NotFound
from asyncflow.http.health import VERSION
from asyncflow.http.routing import (
    ADMIN,
    AUTHOR,
    OPERATOR,
    VIEWER,
    Call,
    Reply,
    Routes,
    flag,
    json_answer,
    number,
    reply_json,
    reply_text,
    text_answer,
)

routes = Routes(
    "Admin",
    schemas={
        "EnvironmentVariable": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "value": {"type": "string"}},
            "required": ["name", "value"],
        }
    },
)


@routes.get("/api/admin/config", role=ADMIN, answers=json_answer("Map"))
async def get_config(call: Call) -> Reply:
    """Show what the server runs with: version, database and limits, by names with dots; no secrets."""
    engine = call.services.executions.engine.settings
    facts = {f"asyncflow.{name}": value for name, value in call.services.health.details().items()}
    limits = {f"asyncflow.limits.{name}": value for name, value in asdict(call.limits).items()}
    parts = {
        "asyncflow.version": VERSION,
        "asyncflow.http.allow": list(engine.http_allow),
        "asyncflow.scripts.mode": engine.scripts.mode,
        "asyncflow.commands.enabled": engine.commands.enabled,
        "asyncflow.resources": sorted(engine.resources),
        "asyncflow.payloads": engine.payload_folder is not None,
    }
    return reply_json({**parts, **facts, **limits})


@routes.get(
    "/api/admin/task/{type}",
    role=VIEWER,
    query=(
        number("start", default=0, about="How many to leave out."),
        number("count", default=100, about="How many at most."),
    ),
    answers=json_answer("Task", many=True),
)
async def get_pending(call: Call) -> Reply:
    """List the open tasks of a type: those that wait for a worker, and those that workers have."""
    workers = call.services.workers
    return reply_json(await workers.pending(call.path["type"], call.integer("start"), call.integer("count")))


@routes.post("/api/admin/sweep/requeue/{id}", role=OPERATOR, answers=text_answer("`true`."), errors=(404,))
async def sweep(call: Call) -> Reply:
    """Have an execution decided once more."""
    await look_again(call.services.executions.engine, call.path["id"])
    return reply_text("true")


@routes.post(
    "/api/admin/consistency/verifyAndRepair/{id}",
    role=OPERATOR,
    answers=text_answer("Whether there was anything to repair."),
    errors=(404,),
)
async def verify(call: Call) -> Reply:
    """Have an execution decided once more, and say whether that made a difference.

    Queues are made of the executions here, so there is nothing else that could be out of step.
    """
    changed = await look_again(call.services.executions.engine, call.path["id"])
    return reply_text("true" if changed else "false")


@routes.get(
    "/api/admin/queues",
    role=VIEWER,
    query=(flag("verbose", about="With the names of the handlers."),),
    answers=json_answer("Map"),
)
async def get_event_queues(call: Call) -> Reply:
    """List the event queues that active event handlers listen to."""
    found: dict[str, list[str]] = {}
    for name, handler in sorted(Documents(call.services.executions.engine, "event_handler").all().items()):
        if handler.get("active", True) and isinstance(handler.get("event"), str):
            found.setdefault(str(handler["event"]), []).append(name)
    return reply_json(found if call.flag("verbose") else {event: event for event in found})


# --- what expressions can name --------------------------------------------------------------------


@routes.get("/api/environment", role=AUTHOR, answers=json_answer("EnvironmentVariable", many=True))
async def get_environment(call: Call) -> Reply:
    """List the variables that `${workflow.env.NAME}` shows."""
    found = call.services.executions.engine.settings.environment
    return reply_json([{"name": name, "value": value} for name, value in sorted(found.items())])


@routes.get("/api/environment/{key}", role=AUTHOR, answers=text_answer("Its value."), errors=(404,))
async def get_variable(call: Call) -> Reply:
    """Get a variable that `${workflow.env.NAME}` shows."""
    value = call.services.executions.engine.settings.environment.get(call.path["key"])
    if value is None:
        raise NotFound("environment variable", call.path["key"])
    return reply_text(value)


@routes.get("/api/secrets", role=AUTHOR, answers=json_answer("Text", many=True))
async def get_secret_names(call: Call) -> Reply:
    """List the names that `${workflow.secrets.NAME}` knows; values are shown by nothing."""
    return reply_json(sorted(call.services.executions.engine.settings.secrets))
