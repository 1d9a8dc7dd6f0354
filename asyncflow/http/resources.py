"""Routes about resources: what is limited and shared, who holds it and who waits; drained, resized, decided.

What is done is in `app/resources` and `app/jobs`. The address that services call when a job has ended is
open to everybody, and believes nobody: it only has the job asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from asyncflow.app.job_decisions import decide_job
from asyncflow.app.overview import MOST_LISTED
from asyncflow.http.bodies import Body
from asyncflow.http.routing import (
    ADMIN,
    OPEN,
    OPERATOR,
    VIEWER,
    Answer,
    Call,
    Handler,
    HttpError,
    Reply,
    Routes,
    json_answer,
    json_body,
    number,
    reply_empty,
    reply_json,
    word,
)
from asyncflow.http.schemas import MAP, NUMBER, TEXT, listed, one_of, ref, shape

_DECISIONS = ("resubmit", "adopt", "fail", "complete")

routes = Routes(
    "Resources",
    schemas={
        "Resource": shape(
            {
                "name": TEXT,
                "type": TEXT,
                "source": one_of("configuration", "document", "implicit", "undeclared"),
                "state": TEXT,
                "settings": MAP,
                "in_use": NUMBER,
                "holders": NUMBER,
                "waiting": NUMBER,
            },
            "name",
            "source",
            "state",
        ),
        "Resources": shape(
            {"totalHits": NUMBER, "resources": listed(ref("Resource"))}, "totalHits", "resources"
        ),
        "ResourceSettings": shape(
            {"type": TEXT, "max_concurrent": NUMBER, "rate": TEXT},
            about="As in [resources.NAME] of the configuration file, keys of the plugin included.",
        ),
        "ResourceSize": shape(
            {
                "maxConcurrent": NUMBER,
                "instances": shape({"min": NUMBER, "max": NUMBER}, closed=True),
                "perInstance": NUMBER,
            },
            closed=True,
        ),
        "ResourceEvents": shape({"totalHits": NUMBER, "events": listed(MAP)}, "totalHits", "events"),
        "ResourceJobs": shape({"totalHits": NUMBER, "jobs": listed(MAP)}, "totalHits", "jobs"),
        "InstanceDecision": shape(
            {"decision": one_of("adopt", "absent"), "handle": TEXT, "reason": TEXT}, "decision", closed=True
        ),
        "ResourceRelease": shape(
            {"nextNumber": NUMBER, "instances": MAP, "reason": TEXT}, "nextNumber", closed=True
        ),
        "JobDecision": shape(
            {
                "decision": one_of(*_DECISIONS),
                "handle": TEXT,
                "output": MAP,
                "reason": TEXT,
                "serial": NUMBER,
            },
            "decision",
        ),
    },
)

_START = number("start", default=0, minimum=0, about="How many to leave out.")
_COUNT = number("count", default=100, minimum=1, maximum=MOST_LISTED, about="How many to show.")
_PAGE = (_START, _COUNT)
_REASON = word("reason", about="Why, for those who come after.")
_NO_BODY = json_body("Map", optional=True)
_RESOURCE = json_answer("Resource")


_ALL = "/api/asyncflow/resources"
_ONE = f"{_ALL}/{{name}}"


def _page(call: Call) -> dict[str, int]:
    return {"start": call.integer("start"), "count": call.integer("count")}


def _listing(what: str, shown: str) -> Callable[[Handler], Handler]:
    """A page of something that a resource has."""
    return routes.get(f"{_ONE}/{what}", role=VIEWER, query=_PAGE, answers=json_answer(shown), errors=(404,))


def _verb(
    verb: str, body: Body = _NO_BODY, *, answers: Sequence[Answer] = (_RESOURCE,)
) -> Callable[[Handler], Handler]:
    """Something that operators do with a resource, and may say why."""
    path, query = f"{_ONE}/{verb}", (_REASON,)
    return routes.post(path, role=OPERATOR, query=query, body=body, answers=answers, errors=(404, 409))


def _asked(call: Call) -> dict[str, str]:
    """Who asks, and why."""
    return {"by": call.caller.name, "reason": call.word("reason")}


@routes.get(_ALL, role=VIEWER, query=_PAGE, answers=json_answer("Resources"))
async def get_resources(call: Call) -> Reply:
    """Everything that limits tasks: how much there is, how much is in use, how many wait, in which state."""
    return reply_json(call.services.resources.all(**_page(call)))


@routes.get(_ONE, role=VIEWER, answers=_RESOURCE, errors=(404,))
async def get_resource(call: Call) -> Reply:
    """A resource with its settings, its instances, those who hold it and those who wait for it."""
    return reply_json(call.services.resources.get(call.path["name"]))


@_listing("history", "ResourceEvents")
async def get_resource_history(call: Call) -> Reply:
    """What became of a resource and why, the newest event first."""
    return reply_json(await call.services.resources.history(call.path["name"], **_page(call)))


@_listing("jobs", "ResourceJobs")
async def get_resource_jobs(call: Call) -> Reply:
    """The open jobs of a resource: of which task, in which phase, under which handle."""
    return reply_json(await call.services.resources.jobs(call.path["name"], **_page(call)))


@routes.put(_ONE, role=ADMIN, body=json_body("ResourceSettings"), answers=_RESOURCE, errors=(409,))
async def save_resource(call: Call) -> Reply:
    """Make a resource, or change it; those of the configuration file are changed there."""
    body = await call.json_object()
    return reply_json(await call.services.resources.save(call.path["name"], body, by=call.caller.name))


@routes.delete(_ONE, role=ADMIN, body=_NO_BODY, errors=(404, 409))
async def delete_resource(call: Call) -> Reply:
    """Delete a resource that nobody uses."""
    await call.services.resources.delete(call.path["name"], by=call.caller.name)
    return reply_empty()


@_verb("drain")
async def drain_resource(call: Call) -> Reply:
    """Begin nothing there any more until it is resumed; what is under way ends."""
    return reply_json(await call.services.resources.drain(call.path["name"], **_asked(call)))


@_verb("resume")
async def resume_resource(call: Call) -> Reply:
    """Let tasks begin again after a drain."""
    return reply_json(await call.services.resources.resume(call.path["name"], **_asked(call)))


@_verb("resize", json_body("ResourceSize"))
async def resize_resource(call: Call) -> Reply:
    """Change how much there is, at once; that of the configuration file holds until the next start."""
    name, body = call.path["name"], await call.json_object()
    return reply_json(await call.services.resources.resize(name, body, **_asked(call)))


@routes.post(
    f"{_ONE}/instances/{{number}}/decide",
    role=OPERATOR,
    body=json_body("InstanceDecision"),
    answers=_RESOURCE,
    errors=(404, 409),
)
async def decide_instance(call: Call) -> Reply:
    """Say whether an instance is there of which nobody can tell whether it was created.

    `adopt`: it is there, under `handle`. `absent`: it is not there.
    """
    name, instance = call.path["name"], call.path_number("number")
    body = await call.json_object()
    call.give_reason(body.get("decision"), body.get("handle"), body.get("reason"))
    found = await call.services.resources.decide_instance(name, instance, body, by=call.caller.name)
    return reply_json(found)


@routes.post(
    f"{_ONE}/release",
    role=OPERATOR,
    body=json_body("ResourceRelease"),
    answers=_RESOURCE,
    errors=(404, 409),
)
async def release_resource(call: Call) -> Reply:
    """Go on with a resource whose history cannot be read.

    Its instances are counted from `nextNumber` on; those that are there are named in `instances`, the handle
    of each by its number. Jobs on others go on another one.
    """
    body = await call.json_object()
    call.give_reason(body.get("nextNumber"), body.get("reason"))
    found = await call.services.resources.release(call.path["name"], body, by=call.caller.name)
    return reply_json(found)


@_verb("forget", answers=())
async def forget_resource(call: Call) -> Reply:
    """Leave the instances of a resource that is not configured any more to themselves."""
    await call.services.resources.forget(call.path["name"], **_asked(call))
    return reply_empty()


# --- jobs -------------------------------------------------------------------------------------------


@routes.post(
    "/api/asyncflow/tasks/{id}/decide",
    role=OPERATOR,
    body=json_body("JobDecision"),
    answers=json_answer("Task"),
    errors=(404, 409),
)
async def decide(call: Call) -> Reply:
    """Say what became of a job that nobody could tell about: NEEDS_DECISION.

    `resubmit`: it is not there, hand it in again. `adopt`: it is there, under `handle`. `fail` and
    `complete`: it ended so, with `output`.
    """
    body = await call.json_object()
    call.give_reason(body.get("decision"), body.get("handle"), body.get("reason"))
    services = call.services
    found = await decide_job(
        services.executions, services.workers, call.path["id"], body, by=call.caller.name
    )
    return reply_json(found)


@routes.post("/api/asyncflow/callback/{token}/{proof}", role=OPEN, errors=(404,))
async def call_back(call: Call) -> Reply:
    """A service tells that something happened to a job; it is asked for at once, whatever the body says."""
    token, proof = call.path["token"], call.path["proof"]
    if not call.services.resources.called_back(token, proof):
        raise HttpError(404, "No such callback")
    return reply_empty()
