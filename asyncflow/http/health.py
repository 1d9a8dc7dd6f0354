"""Whether the server lives, is ready and is sound; open to everybody, by exact paths.

What is looked at is in `app/health`; Conductor's shape of it, and Spring's, are made here.
"""

from __future__ import annotations

from asyncflow.http.routing import OPEN, Call, Reply, Routes, reply_text, text_answer

routes = Routes("Health")


@routes.get("/ready", role=OPEN, answers=(text_answer(), text_answer(status=503)))
async def get_ready(call: Call) -> Reply:
    """Whether new work is taken: 503 while the server starts or stops."""
    if call.closing.is_set():
        return reply_text("stopping", 503)
    return reply_text("ready")
