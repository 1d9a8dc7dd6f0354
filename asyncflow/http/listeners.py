"""Routes of listeners: who is told of committed events, how far each is, and what an event looks like.

They change nothing: listeners are configured. How they are told is in `app/listening`.
"""

from __future__ import annotations

from asyncflow.http.routing import VIEWER, Call, Reply, Routes, json_answer, number, reply_json
from asyncflow.http.schemas import MAP, NUMBER, TEXT, listed, one_of, ref, shape

_LISTENER = {
    "name": TEXT,
    "type": TEXT,
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
_EVENT = {"name": TEXT, "about": TEXT, "subject": TEXT, "schema": MAP}

routes = Routes(
    "Listeners",
    schemas={
        "Listener": shape(_LISTENER, "name", "state"),
        "Listeners": shape({"listeners": listed(ref("Listener"))}, "listeners"),
        "SkippedEvent": shape(_SKIPPED, *_SKIPPED),
        "SkippedEvents": shape({"totalHits": NUMBER, "results": listed(ref("SkippedEvent"))}, "results"),
        "PublishedEvent": shape(_EVENT, *_EVENT),
        "EventCatalogue": shape({"events": listed(ref("PublishedEvent"))}, "events"),
    },
)


@routes.get("/api/asyncflow/listeners", role=VIEWER, answers=json_answer("Listeners"))
async def get_listeners(call: Call) -> Reply:
    """Every listener that is configured: how far it is, what it was told, and what it did not take.

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
    """Events that a listener did not take after all retries, newest first."""
    total, found = await call.services.listeners.skipped(
        call.path["name"], start=call.integer("start"), size=call.integer("count")
    )
    return reply_json({"totalHits": total, "results": found})


@routes.get("/api/asyncflow/event-catalogue", role=VIEWER, answers=json_answer("EventCatalogue"))
async def get_event_catalogue(call: Call) -> Reply:
    """Every event that listeners are told of, with the JSON schema of its data."""
    return reply_json({"events": call.services.listeners.catalogue()})
