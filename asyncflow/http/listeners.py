"""Routes of listeners: who is told of committed events, how far each is, and what an event looks like.

They make and change listeners beside those of the configuration, and have them told again. What is done is in
`app/listeners`, how they are told in `app/listening`.
"""

from __future__ import annotations

from asyncflow.errors import InvalidInput
from asyncflow.http.routing import (
    ADMIN,
    OPERATOR,
    VIEWER,
    Call,
    Reply,
    Routes,
    json_answer,
    json_body,
    number,
    reply_empty,
    reply_json,
)
from asyncflow.http.schemas import MAP, NUMBER, TEXT, listed, one_of, ref, shape

_LISTENER = {
    "name": TEXT,
    "source": one_of("configuration", "document"),
    "type": TEXT,
    "settings": MAP,
    "state": one_of("opening", "working", "retrying", "broken"),
    "reason": TEXT,
    "tries": NUMBER,
    "patterns": listed(TEXT),
    "turn": NUMBER,
    "lagTurns": NUMBER,
    "told": NUMBER,
    "retried": NUMBER,
    "skipped": NUMBER,
    "gaps": NUMBER,
    "missedTurns": NUMBER,
}
_SKIPPED = {"id": TEXT, "name": TEXT, "at": NUMBER, "reason": TEXT}
_TOLD = {"told": NUMBER, "gone": listed(TEXT), "left": NUMBER}
_SETTINGS = {
    "type": TEXT,
    "patterns": listed(TEXT),
    "from": one_of("now", "beginning"),
    "retries": NUMBER,
    "max_lag": NUMBER,
    "keep": NUMBER,
}
_EVENT = {"name": TEXT, "about": TEXT, "subject": TEXT, "schema": MAP}

routes = Routes(
    "Listeners",
    schemas={
        "Listener": shape(_LISTENER, "name", "state"),
        "Listeners": shape({"listeners": listed(ref("Listener"))}, "listeners"),
        "ListenerSettings": shape(
            _SETTINGS, about="As in [listeners.NAME] of the configuration file, keys of the plugin included."
        ),
        "ListenerRewind": shape({"turn": NUMBER, "event": TEXT}, closed=True),
        "SkippedIds": shape({"events": listed(TEXT)}, closed=True),
        "SkippedTold": shape({**_TOLD, "failed": MAP}, *_TOLD),
        "SkippedEvent": shape({**_SKIPPED, "toldAt": NUMBER}, *_SKIPPED),
        "SkippedEvents": shape({"totalHits": NUMBER, "results": listed(ref("SkippedEvent"))}, "results"),
        "PublishedEvent": shape(_EVENT, *_EVENT),
        "EventCatalogue": shape({"events": listed(ref("PublishedEvent"))}, "events"),
    },
)


@routes.get("/api/asyncflow/listeners", role=VIEWER, answers=json_answer("Listeners"))
async def get_listeners(call: Call) -> Reply:
    """Every listener that there is: how far it is, what it was told, and what it did not take.

    Counts are since the start.
    """
    return reply_json({"listeners": call.services.listeners.all()})


@routes.get(
    "/api/asyncflow/listeners/{name}/skipped",
    role=VIEWER,
    query=(
        number("start", default=0, minimum=0, about="How many to leave out."),
        number("count", default=100, minimum=1, maximum=5_000, about="How many to show."),
    ),
    answers=json_answer("SkippedEvents"),
    errors=(404,),
)
async def get_skipped(call: Call) -> Reply:
    """Events that a listener did not take after all retries, newest first; `toldAt` if it did later."""
    total, found = await call.services.listeners.skipped(
        call.path["name"], start=call.integer("start"), size=call.integer("count")
    )
    return reply_json({"totalHits": total, "results": found})


@routes.get("/api/asyncflow/listeners/{name}", role=VIEWER, answers=json_answer("Listener"), errors=(404,))
async def get_listener(call: Call) -> Reply:
    """One listener with its settings; values that may be secrets are not shown."""
    return reply_json(call.services.listeners.get(call.path["name"]))


@routes.put(
    "/api/asyncflow/listeners/{name}",
    role=ADMIN,
    body=json_body("ListenerSettings"),
    answers=json_answer("Listener"),
    errors=(409,),
)
async def save_listener(call: Call) -> Reply:
    """Make a listener, or change it, at once; those of the configuration file are changed there.

    A new one begins with what is committed from now on, or as `from` says; one that is changed goes on where
    it was. Secrets are named, as `${secret:NAME}`.
    """
    body = await call.json_object()
    return reply_json(await call.services.listeners.save(call.path["name"], body, by=call.caller.name))


@routes.delete(
    "/api/asyncflow/listeners/{name}", role=ADMIN, body=json_body("Map", optional=True), errors=(404, 409)
)
async def delete_listener(call: Call) -> Reply:
    """Delete a listener, and where it was."""
    await call.services.listeners.delete(call.path["name"])
    return reply_empty()


@routes.post(
    "/api/asyncflow/listeners/{name}/rewind",
    role=OPERATOR,
    body=json_body("ListenerRewind"),
    answers=json_answer("Listener"),
    errors=(404, 409),
)
async def rewind_listener(call: Call) -> Reply:
    """Tell it everything again, from a `turn` on or from the turn of an `event`; durable when answered.

    Turns that are not kept any more are refused with those that are.
    """
    body = await call.json_object()
    turn, event = body.get("turn", 0), body.get("event", "")
    if type(turn) is not int or not isinstance(event, str) or bool(event) == (turn > 0):
        raise InvalidInput("either a turn from 1 or the id of an event is expected", field="body")
    call.give_reason(f"from {event or turn}")
    return reply_json(await call.services.listeners.rewind(call.path["name"], turn, event))


@routes.post(
    "/api/asyncflow/listeners/{name}/skipped",
    role=OPERATOR,
    query=(number("count", default=100, minimum=1, maximum=1_000, about="How many at most."),),
    body=json_body("SkippedIds", optional=True),
    answers=json_answer("SkippedTold"),
    errors=(404, 409),
)
async def tell_skipped(call: Call) -> Reply:
    """Tell a listener once more what it did not take: the `events` of these ids, or the oldest of them.

    The first that it does not take again ends it.
    """
    ids = (await call.json_object()).get("events")
    if ids is not None and not (isinstance(ids, list) and all(isinstance(each, str) for each in ids)):
        raise InvalidInput("a list of ids is expected", field="events")
    found = await call.services.listeners.tell_skipped(
        call.path["name"], ids, most=call.integer("count"), by=call.caller.name
    )
    return reply_json(found)


@routes.get("/api/asyncflow/event-catalogue", role=VIEWER, answers=json_answer("EventCatalogue"))
async def get_event_catalogue(call: Call) -> Reply:
    """Every event that listeners are told of, with the JSON schema of its data."""
    return reply_json({"events": call.services.listeners.catalogue()})
