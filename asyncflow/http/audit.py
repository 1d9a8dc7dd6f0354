"""Which requests are audited and what is written of them; and the route that shows it.

Every request that changes something is, and everyone that is refused for its credentials, except what
workers say of their tasks, thousands of times a second. Entries are made by `app/audit`.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Final

from pydantic_core import from_json

from asyncflow.app.audit import Deed
from asyncflow.app.callers import Caller
from asyncflow.app.logbook import AuditFilter
from asyncflow.app.services import Services
from asyncflow.errors import AsyncflowError, Unauthenticated
from asyncflow.http.call import Call
from asyncflow.http.errors import HttpError
from asyncflow.http.matching import Found
from asyncflow.http.reply import TEXT, Reply, reply_json
from asyncflow.http.routing import ADMIN, Route, Routes, json_answer, number, word
from asyncflow.http.schemas import MOMENT, NUMBER, listed, ref, shape
from asyncflow.http.schemas import TEXT as A_TEXT

UNAUDITED: Final = frozenset(
    {
        ("POST", "/api/tasks"),
        ("POST", "/api/tasks/update-v2"),
        ("POST", "/api/tasks/{id}/log"),
        ("POST", "/api/asyncflow/tasks/{id}/heartbeat"),
        ("POST", "/api/asyncflow/tasks/{id}/io"),
        ("POST", "/api/asyncflow/tasks/{id}/release"),
        ("POST", "/api/asyncflow/callback/{token}/{proof}"),
    }
)
"""What workers and services say of their tasks and jobs; the execution's own history has it."""

ONLY_READING: Final = frozenset(
    {
        ("POST", "/api/metadata/workflow/validate"),
        ("POST", "/api/token"),
        ("POST", "/api/workflow/test"),
        ("POST", "/api/workflow/bulk/search"),
        ("POST", "/api/workflow/{name}/correlated"),
        ("POST", "/api/workflow/correlated/batch"),
        ("POST", "/api/asyncflow/metadata/workflow/compatibility"),
    }
)
"""Requests that change nothing in spite of their method."""

STARTS: Final = frozenset(
    {
        ("POST", "/api/workflow"),
        ("POST", "/api/workflow/{name}"),
        ("POST", "/api/workflow/execute/{name}/{version}"),
        ("POST", "/api/asyncflow/workflow/bulk/start"),
    }
)
"""Starts of executions, which nobody keeps waiting for the audit: the journal says who started what."""

_WORDS = {400: "invalid_input", 403: "forbidden", 404: "not_found", 409: "conflict"}
_SAFE = frozenset({"GET", "HEAD"})
_ENTRY = {
    "time": MOMENT,
    "caller": A_TEXT,
    "role": A_TEXT,
    "action": A_TEXT,
    "objectKind": A_TEXT,
    "objectId": A_TEXT,
    "reason": A_TEXT,
    "outcome": A_TEXT,
}
_MOST_IDS = 1_000
_MOST_CHARACTERS = 200
_MOST_BYTES = 1 << 20

routes = Routes(
    "Audit",
    schemas={
        "AuditEntry": shape(_ENTRY, *_ENTRY),
        "Audit": shape({"totalHits": NUMBER, "results": listed(ref("AuditEntry"))}, "totalHits", "results"),
    },
)


@routes.get(
    "/api/asyncflow/audit",
    role=ADMIN,
    query=(
        word("caller", about="Name of the key."),
        word("role", about="Role of the key."),
        word("action", about="Method and path of the route, such as `DELETE /api/workflow/{id}`."),
        word("kind", about="Kind of what it was asked of, such as `workflow`."),
        word("id", about="Id or name of what it was asked of."),
        word("outcome", about="`done`, or the code of the error."),
        number("from", default=0, minimum=0, about="Not before this time, in ms."),
        number("to", default=0, minimum=0, about="Not after this time, in ms; 0 means any."),
        number("start", default=0, minimum=0, about="How many to leave out."),
        number("size", default=100, minimum=0, maximum=5_000, about="How many at most."),
    ),
    answers=json_answer("Audit"),
)
async def get_audit(call: Call) -> Reply:
    """List who changed what, and who was refused, newest first."""
    chosen = AuditFilter(
        caller=call.word("caller"),
        role=call.word("role"),
        action=call.word("action"),
        object_kind=call.word("kind"),
        object_id=call.word("id"),
        outcome=call.word("outcome"),
        from_ms=call.integer("from"),
        to_ms=call.integer("to"),
    )
    page = {"start": call.integer("start"), "size": call.integer("size")}
    found = await call.services.logbook.audit_entries(chosen, **page)
    rows = [dict(zip(_ENTRY, row, strict=True)) for row in found.rows]
    return reply_json({"totalHits": found.total, "results": rows})


def is_audited(route: Route, *, workers: bool = False) -> bool:
    """Whether what a route does is written down; what workers say of their tasks only with `workers`."""
    place = route.method, route.path
    if (route.method in _SAFE and not route.changes) or place in ONLY_READING:
        return False
    return workers or place not in UNAUDITED


def outcome_of(error: BaseException) -> str:
    """What the audit calls an error."""
    if isinstance(error, HttpError):
        return _WORDS.get(error.status, f"http_{error.status}")
    return error.code if isinstance(error, AsyncflowError) else "internal_error"


async def tell_of(call: Call, route: Route, reply: Reply | None, outcome: str) -> None:
    """Write what a request did, or tried to; durable at return, those of `STARTS` a moment later.

    Likewise of one that was broken off, which has no reply: it waits for nothing any more.
    """
    is_start = (route.method, route.path) in STARTS
    begun = _begun(reply) if is_start and reply is not None and reply.status == 200 else []
    ids = begun or _ids_in_path(call.path) or _ids_in_body(call)
    deed = Deed(*_deed_of(route), ids, call.reason)
    await call.services.audit.record(call.caller, deed, outcome, waits=not is_start and reply is not None)


def _begun(reply: Reply) -> list[str]:
    """The ids of executions that an answer tells of: its text, or those of its members."""
    if reply.content_type == TEXT:
        return [reply.body[:_MOST_CHARACTERS].decode("utf-8", "replace")]
    members = from_json(reply.body) if reply.body.startswith(b"[") else ()
    return [str(each["workflowId"]) for each in members if "workflowId" in each]


@lru_cache(maxsize=1_000)
def _deed_of(route: Route) -> tuple[str, str]:
    """What calling a route is called, and the kind of what it is about."""
    return f"{route.method} {route.path}", _kind(route.path)


def tell_of_refusal(
    services: Services, found: Found, error: Unauthenticated | HttpError, caller: Caller
) -> None:
    """Write that somebody had no credentials, or not those that it takes."""
    (action, kind), ids = _deed_of(found.route), _ids_in_path(found.path)
    if isinstance(error, Unauthenticated) and error.key_id:
        kind, ids = "key", [error.key_id]
    outcome = "forbidden" if isinstance(error, HttpError) else error.code
    services.audit.refuse(caller, Deed(action, kind, ids, str(error)), outcome)


def _kind(path: str) -> str:
    """What a route is about: the first word of its path that tells, such as `workflow`."""
    words = [each for each in path.split("/") if each not in {"", "api", "asyncflow"}]
    return words[0] if words else "server"


def _ids_in_path(path: Mapping[str, str]) -> list[str]:
    return ["/".join(path.values())] if path else []


def _ids_in_body(call: Call) -> list[str]:
    """Ids in a list of them, names of definitions; nothing else of a body is ever written down."""
    content = call.received
    if not content or len(content) > _MOST_BYTES:
        return []
    try:
        value = from_json(content)
    except ValueError:
        return []
    members = value if isinstance(value, list) else [value]
    return [name for each in members[:_MOST_IDS] if (name := _name(each))]


def _name(member: object) -> str:
    if isinstance(member, dict):
        member = member.get("name")
    return member[:_MOST_CHARACTERS] if isinstance(member, str) else ""
