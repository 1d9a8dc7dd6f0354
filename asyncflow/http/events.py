"""The routes of `/api/event`, and of messages: handlers made, shown and deleted; messages published.

Statuses and words are Conductor's. What they do is in `app/event_handlers`; committed events as they come
are shown by `streams`, which has nothing to do with these.
"""

from __future__ import annotations

from asyncflow.errors import NotFound
from asyncflow.http.routing import (
    AUTHOR,
    OPERATOR,
    VIEWER,
    Call,
    HttpError,
    Reply,
    Routes,
    flag,
    json_answer,
    json_body,
    number,
    reply_empty,
    reply_json,
    word,
)
from asyncflow.http.schemas import MAP, MOMENT, NUMBER, TEXT, YES_NO, listed, one_of, shape

_ACTION = {
    "action": one_of(
        "start_workflow",
        "complete_task",
        "fail_task",
        "terminate_workflow",
        "update_workflow_variables",
        "start_agent",
    ),
    "start_workflow": MAP,
    "complete_task": MAP,
    "fail_task": MAP,
    "terminate_workflow": MAP,
    "update_workflow_variables": MAP,
    "expandInlineJSON": YES_NO,
}
_HANDLER = {
    "name": TEXT,
    "event": TEXT,
    "condition": TEXT,
    "evaluatorType": TEXT,
    "active": YES_NO,
    "actions": listed(shape(_ACTION, "action")),
}
_EXECUTION = {
    "id": TEXT,
    "messageId": TEXT,
    "name": TEXT,
    "action": TEXT,
    "status": one_of("COMPLETED", "FAILED"),
    "created": MOMENT,
    "reason": TEXT,
}

routes = Routes(
    "Events",
    schemas={
        "EventHandler": shape(_HANDLER, "name", "event", "actions"),
        "EventExecutionSearchResult": shape(
            {"totalHits": NUMBER, "results": listed(shape(_EXECUTION, "id", "name", "status"))},
            *("totalHits", "results"),
        ),
        "PublishedMessage": shape({"messageId": TEXT}, "messageId"),
    },
)


def _no_such(error: NotFound) -> HttpError:
    return HttpError(404, f"EventHandler with name {error.name} not found!")


@routes.post("/api/event", role=AUTHOR, body=json_body("EventHandler"), errors=(409,))
async def create_handler(call: Call) -> Reply:
    """Make an event handler; it acts on what is published from now on."""
    await call.services.handlers.create(await call.json_object(), by=call.caller.name)
    return reply_empty()


@routes.put("/api/event", role=AUTHOR, body=json_body("EventHandler"), errors=(404,))
async def update_handler(call: Call) -> Reply:
    """Replace an event handler."""
    try:
        await call.services.handlers.update(await call.json_object(), by=call.caller.name)
    except NotFound as error:
        raise _no_such(error) from error
    return reply_empty()


@routes.get("/api/event", role=VIEWER, answers=json_answer("EventHandler", many=True))
async def list_handlers(call: Call) -> Reply:
    """All event handlers, by name."""
    return reply_json(call.services.handlers.all())


@routes.get(
    "/api/event/{event}",
    role=VIEWER,
    query=(flag("activeOnly", default=True, about="Only those that are active."),),
    answers=json_answer("EventHandler", many=True),
)
async def list_handlers_of_event(call: Call) -> Reply:
    """The handlers of an event, such as `conductor:workflow:sink`."""
    return reply_json(call.services.handlers.all(call.path["event"], active_only=call.flag("activeOnly")))


@routes.delete("/api/event/{name}", role=AUTHOR, body=json_body("Map", optional=True), errors=(404,))
async def delete_handler(call: Call) -> Reply:
    """Delete an event handler; messages that it has not dealt with are dropped."""
    try:
        await call.services.handlers.delete(call.path["name"])
    except NotFound as error:
        raise _no_such(error) from error
    return reply_empty()


@routes.post(
    "/api/asyncflow/events/{sink}",
    role=OPERATOR,
    query=(word("messageId", about="Handlers act once on all messages of one id; by default a new one."),),
    body=json_body("Map", optional=True),
    answers=json_answer("PublishedMessage"),
)
async def publish_message(call: Call) -> Reply:
    """Publish a message to a sink, for the handlers of its event; durable when it is answered."""
    identity = await call.services.handlers.publish(
        call.path["sink"],
        await call.json_object(),
        message_id=call.word("messageId") or call.header("Idempotency-Key"),
    )
    return reply_json({"messageId": identity})


@routes.get(
    "/api/asyncflow/event-executions",
    role=VIEWER,
    query=(
        word("handler", about="Only those of this handler."),
        word("state", choices=("COMPLETED", "FAILED")),
        number("start", default=0, minimum=0),
        number("size", default=100, minimum=0, maximum=5_000),
    ),
    answers=json_answer("EventExecutionSearchResult"),
)
async def list_event_executions(call: Call) -> Reply:
    """What event handlers did, and what they failed to do after all retries, newest first."""
    total, found = await call.services.handlers.history(
        call.word("handler"),
        state=call.word("state"),
        start=call.integer("start"),
        size=call.integer("size"),
    )
    return reply_json({"totalHits": total, "results": found})
