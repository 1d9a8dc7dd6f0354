"""The routes of `/api/workflow` that steer an execution: pause, retry, rerun, terminate, remove and others.

Statuses are Conductor's, but resume and skip in the wrong state are 409. What each does is in
`app/service`; the same for many executions is in `bulk`.
"""

from __future__ import annotations

from collections.abc import Awaitable

from asyncflow.errors import InvalidInput, NotFound
from asyncflow.http.routing import (
    OPERATOR,
    Call,
    Reply,
    Routes,
    empty_answer,
    flag,
    json_answer,
    json_body,
    reply_empty,
    reply_text,
    text_answer,
    word,
)
from asyncflow.http.workflow import (
    WAITING,
    no_such_execution,
    patience,
    reply_response,
    reply_shown,
    showing,
)
from asyncflow.model.values import JsonObject

routes = Routes("Workflow operations")

_REASON = word("reason", about="Kept with the execution.")
_REFUSED = (404, 409)


async def _done(call: Call, command: Awaitable[object]) -> Reply:
    """Nothing, once the command is durable; an execution that is not there in Conductor's words."""
    await _obeyed(call, command)
    return reply_empty()


async def _obeyed(call: Call, command: Awaitable[object]) -> None:
    try:
        await command
    except NotFound as error:
        raise no_such_execution(error, call.path["id"]) from error


@routes.put("/api/workflow/decide/{id}", role=OPERATOR, body=json_body("Map", optional=True), errors=(404,))
async def decide_workflow(call: Call) -> Reply:
    """Look again whether an execution can go on; it always does so by itself."""
    return await _done(call, call.services.executions.evaluate(call.path["id"]))


@routes.put("/api/workflow/{id}/pause", role=OPERATOR, body=json_body("Map", optional=True), errors=_REFUSED)
async def pause_workflow(call: Call) -> Reply:
    """Schedule no follow-ups from here on; what runs goes on."""
    return await _done(call, call.services.executions.pause(call.path["id"]))


@routes.put("/api/workflow/{id}/resume", role=OPERATOR, body=json_body("Map", optional=True), errors=_REFUSED)
async def resume_workflow(call: Call) -> Reply:
    """Go on with a paused execution."""
    return await _done(call, call.services.executions.resume(call.path["id"]))


@routes.put(
    "/api/workflow/{id}/skiptask/{ref}",
    role=OPERATOR,
    query=(word("skipTaskRequest", about="Ignored: what is given stands in the body."),),
    body=json_body("SkipTaskRequest", optional=True),
    errors=_REFUSED,
)
async def skip_task(call: Call) -> Reply:
    """Count a task as done before it is scheduled."""
    body = await call.json_object()
    skipped = call.services.executions.skip(
        call.path["id"],
        call.path["ref"],
        task_input=_map(body, "taskInput"),
        output=_map(body, "taskOutput"),
    )
    return await _done(call, skipped)


@routes.post(
    "/api/workflow/{id}/rerun",
    role=OPERATOR,
    body=json_body("RerunWorkflowRequest", optional=True),
    answers=text_answer("The id of the execution."),
    errors=_REFUSED,
    begins=True,
)
async def rerun_workflow(call: Call) -> Reply:
    """Run an ended execution again, whole or from a task."""
    body = await call.json_object()
    rerun = call.services.executions.rerun(
        call.path["id"],
        from_task=_text(body, "reRunFromTaskId"),
        task_input=_map(body, "taskInput"),
        workflow_input=_map(body, "workflowInput"),
        correlation_id=_text(body, "correlationId"),
    )
    await _obeyed(call, rerun)
    return reply_text(call.path["id"])


@routes.post(
    "/api/workflow/{id}/restart",
    role=OPERATOR,
    query=(flag("useLatestDefinitions", about="Begin again on the newest definition."),),
    body=json_body("Map", optional=True),
    answers=empty_answer(204),
    errors=_REFUSED,
    begins=True,
)
async def restart_workflow(call: Call) -> Reply:
    """Begin an ended execution again."""
    latest = call.flag("useLatestDefinitions")
    await _obeyed(call, call.services.executions.restart(call.path["id"], latest_definition=latest))
    return reply_empty(204)


@routes.post(
    "/api/workflow/{id}/retry",
    role=OPERATOR,
    query=(
        flag("resumeSubworkflowTasks", about="Retry inside the sub-workflows that failed."),
        flag("retryIfRetriedByParent", default=True, about="Ignored."),
    ),
    body=json_body("Map", optional=True),
    answers=empty_answer(204),
    errors=_REFUSED,
    begins=True,
)
async def retry_workflow(call: Call) -> Reply:
    """Try again what was unsuccessful in an ended execution."""
    children = call.flag("resumeSubworkflowTasks")
    await _obeyed(call, call.services.executions.retry(call.path["id"], resume_children=children))
    return reply_empty(204)


@routes.post(
    "/api/workflow/{id}/resetcallbacks",
    role=OPERATOR,
    body=json_body("Map", optional=True),
    answers=empty_answer(204),
    errors=_REFUSED,
)
async def reset_callbacks(call: Call) -> Reply:
    """Offer at once what workers asked to be called back for later."""
    await _obeyed(call, call.services.executions.reset_callbacks(call.path["id"]))
    return reply_empty(204)


@routes.delete(
    "/api/workflow/{id}",
    role=OPERATOR,
    query=(_REASON, flag("triggerFailureWorkflow", about="Start the failure workflow too.")),
    body=json_body("Map", optional=True),
    errors=_REFUSED,
)
async def terminate_workflow(call: Call) -> Reply:
    """End an execution TERMINATED, with its children."""
    terminated = call.services.executions.terminate(
        call.path["id"], call.word("reason"), failure_workflow=call.flag("triggerFailureWorkflow")
    )
    return await _done(call, terminated)


_ARCHIVE = flag(
    "archiveWorkflow",
    default=True,
    about="Refuse an execution that has not ended; it is deleted in both cases.",
)


@routes.delete(
    "/api/workflow/{id}/remove",
    role=OPERATOR,
    query=(_ARCHIVE,),
    body=json_body("Map", optional=True),
    errors=_REFUSED,
)
async def remove_workflow(call: Call) -> Reply:
    """Delete an execution for good, from all that is shown."""
    removed = call.services.executions.remove(call.path["id"], ended_only=call.flag("archiveWorkflow"))
    return await _done(call, removed)


@routes.delete(
    "/api/workflow/{id}/terminate-remove",
    role=OPERATOR,
    query=(_REASON, _ARCHIVE),
    body=json_body("Map", optional=True),
    errors=_REFUSED,
)
async def terminate_and_remove(call: Call) -> Reply:
    """End an execution, if it goes on, and delete it for good."""
    removed = call.services.executions.terminate_and_remove(call.path["id"], call.word("reason"))
    return await _done(call, removed)


@routes.post(
    "/api/workflow/{id}/variables",
    role=OPERATOR,
    body=json_body("Map"),
    answers=json_answer("Workflow"),
    errors=_REFUSED,
)
async def set_variables(call: Call) -> Reply:
    """Merge variables into an execution that goes on, key by key."""
    body = await call.json_object()
    await _obeyed(call, call.services.executions.set_variables(call.path["id"], body))
    return reply_shown(await showing(call).execution(call.path["id"]))


@routes.post(
    "/api/workflow/{id}/state",
    role=OPERATOR,
    query=WAITING,
    body=json_body("WorkflowStateUpdate"),
    answers=(json_answer("SignalResponse"), empty_answer(about="A task was asked for, and none blocks.")),
    errors=_REFUSED,
    held=True,
)
async def update_state(call: Call) -> Reply:
    """Merge variables into an execution and update a task of it, then wait as a synchronous start does."""
    body, identity = await call.json_object(), call.path["id"]
    ref, result = _text(body, "taskReferenceName"), _map(body, "taskResult")
    variables = _map(body, "variables") or {}
    try:
        shown = await call.services.executing.update_state(
            identity, patience(call), ref=ref or "", result=result, variables=variables
        )
    except NotFound as error:
        raise no_such_execution(error, identity) from error
    return reply_response(shown)


def _map(body: JsonObject, field: str) -> JsonObject | None:
    value = body.get(field)
    if value is not None and not isinstance(value, dict):
        raise InvalidInput("a JSON object is expected", field=field)
    return value


def _text(body: JsonObject, field: str) -> str | None:
    value = body.get(field)
    if value is not None and not isinstance(value, str):
        raise InvalidInput("text is expected", field=field)
    return value or None
