"""Whether the server lives, is ready and is sound; open to everybody, by exact paths.

What is looked at is in `app/health`; Conductor's shape of it, and Spring's, are made here.
"""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version

from asyncflow.http.routing import OPEN, Call, Reply, Routes, json_answer, reply_json, reply_text, text_answer
from asyncflow.model.values import JsonObject

routes = Routes("Health")

PROBES = frozenset({"/health", "/api/health", "/actuator/health", "/ready", "/api/version"})
"""Paths that are answered before the engine is open."""


def version_text() -> str:
    """The version of this installation."""
    try:
        return version("asyncflow")
    except PackageNotFoundError:
        return "0.0.0+unknown"


VERSION = version_text()


@routes.get("/ready", role=OPEN, answers=(text_answer(), text_answer(status=503)))
async def get_ready(call: Call) -> Reply:
    """Whether new work is taken: 503 while the server starts or stops, or nothing can be stored."""
    if call.closing.is_set():
        return reply_text("stopping", 503)
    fatal = [each for each in call.services.health.findings() if each.is_fatal]
    return reply_text(fatal[0].message, 503) if fatal else reply_text("ready")


@routes.get("/health", role=OPEN, answers=json_answer("Health"))
@routes.get("/api/health", role=OPEN, answers=json_answer("Health"))
async def get_health(call: Call) -> Reply:
    """Whether all is well, and what is not.

    The status is 200 in any case, as the process lives; `healthy` is false while anything is wrong.
    """
    health = call.services.health
    found = [{"name": each.name, "healthy": False, "message": each.message} for each in health.findings()]
    details: JsonObject = {"version": VERSION, "stopping": call.closing.is_set(), **health.details()}
    return reply_json(
        {"healthResults": found, "suppressedHealthResults": [], "healthy": not found, "asyncflow": details}
    )


@routes.get("/actuator/health", role=OPEN, answers=(json_answer("Status"), json_answer("Status", status=503)))
async def get_status(call: Call) -> Reply:
    """UP or DOWN, as Spring's probes expect it."""
    is_down = any(each.is_fatal for each in call.services.health.findings())
    return reply_json({"status": "DOWN"}, 503) if is_down else reply_json({"status": "UP"})


@routes.get("/api/version", role=OPEN, answers=text_answer("The version."))
async def get_version(call: Call) -> Reply:  # noqa: ARG001 - as every handler is called
    """The version of this server."""
    return reply_text(VERSION)


def reply_while_starting(path: str) -> Reply | None:
    """The answer of a probe before the engine is open: alive, but not ready; None for other paths."""
    if path not in PROBES:
        return None
    if path == "/api/version":
        return reply_text(VERSION)
    if path == "/ready":
        return reply_text("starting", 503)
    if path == "/actuator/health":
        return reply_json({"status": "UP"})
    starting = {"name": "engine", "healthy": False, "message": "it is starting"}
    return reply_json({"healthResults": [starting], "suppressedHealthResults": [], "healthy": False})
