"""Executions that were set aside: listed with the reason, released, and deleted.

What they are, and what releasing and deleting do, is in `app/quarantine`; it decides nothing.
"""

from __future__ import annotations

from asyncflow.http.routing import (
    OPERATOR,
    VIEWER,
    Call,
    Reply,
    Routes,
    json_answer,
    number,
    reply_json,
    word,
)

routes = Routes("Quarantine")

_MOST = 1_000


@routes.get(
    "/api/asyncflow/quarantine",
    role=VIEWER,
    query=(
        number("start", default=0, minimum=0, about="How many to leave out."),
        number("count", default=100, minimum=1, maximum=_MOST, about="How many to show."),
    ),
    answers=json_answer(),
)
async def list_quarantined(call: Call) -> Reply:
    """Executions that were set aside, the latest first: since when, why, and what can be done about it."""
    found = await call.services.quarantine.listed(start=call.integer("start"), count=call.integer("count"))
    return reply_json(found)


@routes.post(
    "/api/asyncflow/quarantine/{id}/release", role=OPERATOR, answers=json_answer(), errors=(404, 409)
)
async def release_quarantined(call: Call) -> Reply:
    """Let an execution go on from what is recorded of it; 409 if it cannot be read still."""
    return reply_json(await call.services.quarantine.release(call.path["id"]))


@routes.delete(
    "/api/asyncflow/quarantine/{id}",
    role=OPERATOR,
    query=(word("reason", about="Why; it stands in the audit and in the log."),),
    answers=json_answer(),
    errors=(404, 409),
)
async def delete_quarantined(call: Call) -> Reply:
    """Delete an execution for good that was set aside; 409 if the one above it goes on.

    The answer names its open tasks, as far as they are known: what they began elsewhere goes on there.
    """
    found = call.services.quarantine.delete(call.path["id"], reason=call.word("reason"))
    return reply_json(await found)
