"""Routes for workers that take tasks, and for whoever looks at tasks: poll, one task, its log, search.

A poll waits no longer than its client does, and gives back what nobody is there to take; who gets
which task is decided behind `app/workers`. What workers report is in `task_updates`, queues are in
`task_queues`.
"""

from __future__ import annotations

import json

from asyncflow.app.search_summaries import TaskFound, summary
from asyncflow.app.task_views import whole_tasks
from asyncflow.errors import NotFound
from asyncflow.http.parameters import Parameter
from asyncflow.http.routing import (
    OPERATOR,
    VIEWER,
    Call,
    Reply,
    Routes,
    empty_answer,
    json_answer,
    number,
    reply_empty,
    reply_json,
    text_body,
    word,
    words,
)
from asyncflow.model.values import JsonObject

routes = Routes("Task")

_SINGLE_POLL_MS = 100  # how long a poll for one task waits, in Conductor too

_POLLER: tuple[Parameter, ...] = (
    word("workerid", about="Who polls; one name per process of a worker."),
    word("domain", about="Only tasks sent to this domain; absent: only tasks sent to none."),
    word("version", about="Of the worker's code, for tasks that are pinned to one."),
)
_SEARCH: tuple[Parameter, ...] = (
    number("start", default=0, minimum=0, about="How many to leave out."),
    number("size", default=100, about="How many at most."),
    words("sort", about="FIELD or FIELD:ASC or FIELD:DESC; several in order."),
    word("freeText", default="*", about="Words that must occur."),
    word("query", about="Conditions on fields, such as `status = FAILED AND taskDefName = mail`."),
)


# --- polling --------------------------------------------------------------------------------------


@routes.get(
    "/api/tasks/poll/{type}",
    role=OPERATOR,
    query=_POLLER,
    answers=(json_answer("Task"), empty_answer(204, about="There is no task now.")),
    held=True,
    begins=True,
)
async def poll_one(call: Call) -> Reply:
    """Take a task of a type, if one comes within 100 ms.

    It is IN_PROGRESS and the worker's, durably, before it is answered.
    """
    found = await _polled(call, count=1, timeout_ms=_SINGLE_POLL_MS)
    return reply_json(found[0]) if found else reply_empty(204)


@routes.get(
    "/api/tasks/poll/batch/{type}",
    role=OPERATOR,
    query=(
        *_POLLER,
        number("count", default=1, about="How many at most."),
        number("timeout", default=100, about="How long to wait for the first one, in ms; at most 5000."),
    ),
    answers=json_answer("Task", many=True),
    held=True,
    begins=True,
)
async def poll_many(call: Call) -> Reply:
    """Take tasks of a type, as soon as there is one; none is an empty list.

    They are IN_PROGRESS and the worker's, durably, before they are answered.
    """
    return reply_json(await _polled(call, count=call.integer("count"), timeout_ms=call.integer("timeout")))


async def _polled(call: Call, *, count: int, timeout_ms: int) -> list[JsonObject]:
    """What a poll gets; what is on its way to a client that goes is given back."""
    # The network layer does not end a handler whose client has gone, so this does.
    with call.while_connected():
        return await call.services.workers.poll(
            call.path["type"],
            worker_id=call.word("workerid"),
            domain=call.word("domain"),
            count=count,
            timeout_ms=timeout_ms,
            version=call.word("version"),
        )


# --- one task -------------------------------------------------------------------------------------


@routes.get("/api/tasks/{id}", role=VIEWER, answers=json_answer("Task"), errors=(404,))
async def get_task(call: Call) -> Reply:
    """Get a task by its id."""
    return reply_json(await call.services.workers.task(call.path["id"]))


@routes.post("/api/tasks/{id}/log", role=OPERATOR, body=text_body())
async def add_log_line(call: Call) -> Reply:
    """Add a line to the log of a task.

    The body is the line, as it is or as a JSON string. A task that is not known is no error: its worker
    may speak before it is recorded, or after it is gone.
    """
    await call.services.logbook.add_log_lines(call.path["id"], [_line(await call.text())])
    return reply_empty()


def _line(text: str) -> str:
    """The text of a line, without the quotes of a JSON string."""
    stripped = text.strip()
    if len(stripped) < 2 or stripped[0] != '"' or stripped[-1] != '"':
        return text
    try:
        quoted = json.loads(stripped)
    except ValueError:
        return text
    return quoted if isinstance(quoted, str) else text


@routes.get(
    "/api/tasks/{id}/log",
    role=VIEWER,
    answers=(json_answer("TaskLog", many=True), empty_answer(204, about="Nothing was logged.")),
)
async def get_log(call: Call) -> Reply:
    """Get the log of a task, oldest line first."""
    lines = await call.services.logbook.log_lines(call.path["id"])
    return reply_json(lines) if lines else reply_empty(204)


# --- search ---------------------------------------------------------------------------------------


@routes.get("/api/tasks/search", role=VIEWER, query=_SEARCH, answers=json_answer("TaskSummarySearchResult"))
async def search_summaries(call: Call) -> Reply:
    """Search tasks, in brief; scheduled last first unless sorted."""
    total, rows = await _found(call)
    return reply_json({"totalHits": total, "results": [summary(row) for row in rows]})


@routes.get("/api/tasks/search-v2", role=VIEWER, query=_SEARCH, answers=json_answer("TaskSearchResult"))
async def search_tasks(call: Call) -> Reply:
    """Search tasks, whole; scheduled last first unless sorted."""
    total, rows = await _found(call)
    whole = await whole_tasks(call.services.executions.engine, rows)
    return reply_json({"totalHits": total, "results": whole})


async def _found(call: Call) -> tuple[int, list[TaskFound]]:
    """How many tasks there are that a search asks for, and a page of them."""
    return await call.services.search.tasks(
        call.word("query"),
        call.word("freeText"),
        start=call.integer("start"),
        size=call.integer("size"),
        sort=call.words("sort"),
    )


@routes.get(
    "/api/tasks/externalstoragelocation",
    role=VIEWER,
    query=(
        word("path", about="Of the payload."),
        word("operation", required=True, about="READ or WRITE.", choices=("READ", "WRITE")),
        word("payloadType", required=True, about="What it is of."),
    ),
    answers=json_answer("ExternalStorageLocation"),
    errors=(404,),
)
async def get_storage_location(call: Call) -> Reply:  # noqa: ARG001 - as every handler is called
    """Where to put a large payload: nowhere, as payloads go through this server."""
    raise NotFound("external payload storage", "clients send payloads whole, the server stores large ones")


# --- ours -----------------------------------------------------------------------------------------


@routes.post(
    "/api/asyncflow/tasks/{id}/release",
    role=OPERATOR,
    query=(word("reason", about="Why, for the record."),),
    errors=(404,),
)
async def release_task(call: Call) -> Reply:
    """Give a task back that a worker has, for another one to take; no retry is used.

    A task that no worker has is left as it is, so this may be sent again.
    """
    await call.services.workers.release(call.path["id"], call.word("reason"))
    return reply_empty()


@routes.post(
    "/api/asyncflow/tasks/{id}/heartbeat", role=OPERATOR, answers=json_answer("Heartbeat"), errors=(404,)
)
async def keep_task(call: Call) -> Reply:
    """Say that a task is worked on: its response timeout begins anew.

    The answer names the resources whose instance is gone under the task, so that its worker can give up.
    """
    workers = call.services.workers
    task = await workers.task(call.path["id"])
    lost = await workers.extend_lease(str(task["workflowInstanceId"]), call.path["id"])
    return reply_json({"lostInstances": lost})
