"""The routes of `/api/workflow` that start executions and show them.

Statuses and words are Conductor's. What is asked of an execution later is in
`workflow_operations`, lists are in `workflow_search`.
"""

from __future__ import annotations

from asyncflow.app.showing import Showing, Shown
from asyncflow.app.start_requests import StartWorkflowRequest, parse_start_request, request_hash
from asyncflow.errors import NotFound
from asyncflow.http.metadata import no_such_workflow
from asyncflow.http.reply import JSON
from asyncflow.http.routing import (
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
    reply_bytes,
    reply_json,
    reply_stream,
    reply_text,
    text_answer,
    word,
    words,
)
from asyncflow.model.values import JsonObject

routes = Routes("Workflow")


def showing(call: Call) -> Showing:
    """What shows executions to this caller."""
    return Showing(call.services.executions.engine)


def reply_shown(shown: Shown) -> Reply:
    """JSON text, as a stream where it comes in pieces."""
    if shown.pieces is not None:
        return reply_stream(shown.pieces, JSON)
    return reply_bytes(shown.text, JSON)


def no_such_execution(error: NotFound, identity: str) -> HttpError:
    """What Conductor says of an execution that is not there."""
    said = f"No such workflow found by id: {identity}" if error.kind == "execution" else str(error)
    return HttpError(404, said)


# --- starting -------------------------------------------------------------------------------------


@routes.post(
    "/api/workflow",
    role=OPERATOR,
    body=json_body("StartWorkflowRequest"),
    answers=text_answer("The id of the execution."),
    errors=(404, 409, 422),
    begins=True,
)
async def start_workflow(call: Call) -> Reply:
    """Start an execution."""
    body = await call.json_object()
    request = parse_start_request(body, limits=call.limits)
    return await _start(call, request, body)


async def _start(call: Call, request: StartWorkflowRequest, body: JsonObject) -> Reply:
    start = request.to_start(created_by=call.caller.name, request_hash=request_hash(body))
    try:
        return reply_text(await call.services.executions.start(start))
    except NotFound as error:
        raise no_such_definition(error, request) from error


def no_such_definition(error: NotFound, request: StartWorkflowRequest) -> HttpError:
    """What Conductor says of a start of nothing."""
    if request.workflow_def is not None or "sub-workflow of" in error.name:
        return HttpError(404, str(error))
    version = "null" if request.version is None else request.version
    return HttpError(404, f"No such workflow defined. name={request.name}, version={version}")


@routes.post(
    "/api/workflow/{name}",
    role=OPERATOR,
    query=(
        number("version", about="By default the highest."),
        word("correlationId"),
        number("priority", default=0),
    ),
    body=json_body("Map", optional=True),
    answers=text_answer("The id of the execution."),
    errors=(404, 409, 422),
    begins=True,
)
async def start_workflow_by_name(call: Call) -> Reply:
    """Start an execution of a registered workflow; the body is its input."""
    name, version = call.path["name"], call.number("version")
    body: JsonObject = {
        "name": name,
        "version": version,
        "correlationId": call.word("correlationId") or None,
        "priority": call.number("priority"),
        "input": await call.json_object(),
    }
    request = parse_start_request(body, limits=call.limits)
    try:
        return await _start(call, request, body)
    except HttpError as error:
        if error.status != 404 or "sub-workflow of" in error.message:
            raise
        raise HttpError(404, no_such_workflow(name, version)) from error


# --- showing --------------------------------------------------------------------------------------


@routes.get(
    "/api/workflow/{id}",
    role=VIEWER,
    query=(flag("includeTasks", default=True, about="Whether to show the tasks too."),),
    answers=json_answer("Workflow"),
    errors=(404,),
)
async def get_workflow(call: Call) -> Reply:
    """An execution."""
    identity = call.path["id"]
    try:
        shown = await showing(call).execution(identity, include_tasks=call.flag("includeTasks"))
    except NotFound as error:
        raise no_such_execution(error, identity) from error
    return reply_shown(shown)


@routes.get(
    "/api/workflow/{id}/status",
    role=VIEWER,
    query=(flag("includeOutput"), flag("includeVariables")),
    answers=json_answer("WorkflowStatus"),
    errors=(404,),
)
async def get_status(call: Call) -> Reply:
    """The status of an execution."""
    identity = call.path["id"]
    try:
        found = await showing(call).status(
            identity, output=call.flag("includeOutput"), variables=call.flag("includeVariables")
        )
    except NotFound as error:
        raise no_such_execution(error, identity) from error
    return reply_json(found)


@routes.get(
    "/api/workflow/{id}/tasks",
    role=VIEWER,
    query=(
        number("start", default=0, minimum=0),
        number("count", default=15, minimum=0, maximum=5_000),
        words("status", about="Only tasks in one of these."),
    ),
    answers=json_answer("TaskSearchResult"),
    errors=(404,),
)
async def list_tasks(call: Call) -> Reply:
    """A page of the tasks of an execution, in their order."""
    identity = call.path["id"]
    try:
        found = await showing(call).tasks(
            identity,
            start=call.integer("start"),
            count=call.integer("count"),
            statuses=call.words("status"),
        )
    except NotFound as error:
        raise no_such_execution(error, identity) from error
    return reply_json(found)
