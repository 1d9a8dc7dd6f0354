"""Routes for what is said of tasks: results of workers, updates by reference name, signals.

They read Conductor's TaskResult and hand it on; what it leads to is decided behind `app/workers` and
`app/executing`. An update of what has ended already is answered as any other and changes nothing.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final, cast

from asyncflow.app.executing import Patience
from asyncflow.app.signal_response import ReturnStrategy
from asyncflow.app.volumes import read_io
from asyncflow.app.workers import TaskResult
from asyncflow.errors import InvalidInput, NotFound, ShuttingDown
from asyncflow.http.routing import (
    OPERATOR,
    Call,
    Reply,
    Routes,
    empty_answer,
    json_answer,
    json_body,
    number,
    reply_empty,
    reply_json,
    reply_text,
    text_answer,
    word,
)
from asyncflow.http.workflow import STRATEGIES, no_such_execution, reply_shown, showing
from asyncflow.model.json_text import is_plain
from asyncflow.model.values import JsonObject

routes = Routes("Task updates")

STATUSES: Final = ("IN_PROGRESS", "COMPLETED", "FAILED", "FAILED_WITH_TERMINAL_ERROR")
"""What may be said of a task from outside."""

_LONGEST_WAIT_MS = 3_600_000
_LONGEST_CALLBACK_S = 100 * 366 * 24 * 3600


# --- results of workers ---------------------------------------------------------------------------


@routes.post(
    "/api/tasks",
    role=OPERATOR,
    body=json_body("TaskResult"),
    answers=text_answer("The id of the task."),
    errors=(404,),
)
async def update_task(call: Call) -> Reply:
    """Say how a task stands, by its id."""
    result = await read_result(call)
    await call.services.workers.update(result)
    return reply_text(result.task_id)


@routes.post(
    "/api/tasks/update-v2",
    role=OPERATOR,
    body=json_body("TaskResult"),
    answers=(
        json_answer("Task", about="The next task for this worker, of the same type and domain."),
        empty_answer(204, about="There is none for it now, or the task goes on."),
    ),
    errors=(404,),
)
async def update_and_take(call: Call) -> Reply:
    """Say how a task stands, and take the next one.

    What is said is taken also while the server stops; a next task is not handed out then.
    """
    workers, result = call.services.workers, await read_result(call)
    found: JsonObject | None = None
    if call.closing.is_set():
        await workers.update(result)
    else:
        try:
            found = await workers.update_and_poll(result)
        except ShuttingDown:
            await workers.update(result)  # it may have been recorded already: then this changes nothing
    if found is not None and call.gone.is_set():  # what was said counts, but nobody is there to go on
        await workers.release(str(found["taskId"]), "the worker was gone that it was handed to")
    return reply_empty(204) if found is None else reply_json(found)


async def read_result(call: Call) -> TaskResult:
    """Conductor's TaskResult from a body; null is as good as absent, and what is not known is ignored.

    Raises:
        InvalidInput: a field is missing or malformed; names it.
    """
    body = await call.json_object()
    callback_s = body.get("callbackAfterSeconds")
    if callback_s is None:
        callback_s = 0
    if type(callback_s) not in {int, float} or not abs(cast("float", callback_s)) <= _LONGEST_CALLBACK_S:
        raise InvalidInput(f"0 to {_LONGEST_CALLBACK_S} is expected", field="callbackAfterSeconds")
    if body.get("externalOutputPayloadStoragePath"):
        raise InvalidInput(
            "there is no external storage here: send the output whole",
            field="externalOutputPayloadStoragePath",
        )
    extend_lease = body.get("extendLease")
    if extend_lease is not None and not isinstance(extend_lease, bool):
        raise InvalidInput("true or false is expected", field="extendLease")
    return TaskResult(
        _needed(body, "workflowInstanceId"),
        _needed(body, "taskId"),
        "IN_PROGRESS" if extend_lease and body.get("status") is None else _status(body.get("status")),
        output=_object(body, "outputData"),
        reason=_text(body, "reasonForIncompletion"),
        callback_after_s=max(0.0, cast("float", callback_s)),
        worker_id=_text(body, "workerId") or "",
        logs=_logs(body),
        extend_lease=bool(extend_lease),
        io=read_io(_object(body, "asyncflow").get("io"), "asyncflow.io"),
        is_plain=is_plain(call.received),
    )


def _needed(body: JsonObject, name: str) -> str:
    found = _text(body, name)
    if not found:
        raise InvalidInput("a text is expected, and not an empty one", field=name)
    return found


def _text(body: JsonObject, name: str) -> str | None:
    found = body.get(name)
    if found is not None and not isinstance(found, str):
        raise InvalidInput("a text is expected", field=name)
    return found


def _object(body: JsonObject, name: str) -> JsonObject:
    found = body.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise InvalidInput("a JSON object is expected", field=name)
    return found


def _logs(body: JsonObject) -> list[JsonObject]:
    found = body.get("logs")
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(line, dict) for line in found):
        raise InvalidInput("a list of objects is expected", field="logs")
    return cast("list[JsonObject]", found)


def _status(given: object) -> str:
    if given not in STATUSES:
        raise InvalidInput(f"one of {', '.join(STATUSES)} is expected", field="status")
    return str(given)


# --- by reference name ----------------------------------------------------------------------------


@routes.post(
    "/api/tasks/{workflowId}/{reference}/{status}",
    role=OPERATOR,
    query=(word("workerid", about="Who says so."),),
    body=json_body("Map"),
    answers=(text_answer("The id of the task."), empty_answer(about="No task of this name is open.")),
)
async def update_by_reference(call: Call) -> Reply:
    """Say how the open task of a reference name stands; its output is laid over the present one.

    Where no such task is open the answer is 200 and empty, as Conductor's is.
    """
    updated = await _updated(call)
    return reply_empty() if updated is None else reply_text(updated)


@routes.post(
    "/api/tasks/{workflowId}/{reference}/{status}/sync",
    role=OPERATOR,
    query=(word("workerid", about="Who says so."),),
    body=json_body("Map"),
    answers=json_answer("Workflow"),
    errors=(404,),
)
async def update_by_reference_and_show(call: Call) -> Reply:
    """Say how the open task of a reference name stands, and get the execution after it."""
    if await _updated(call) is None:
        raise NotFound("open task", f"{call.path['reference']} of workflow {call.path['workflowId']}")
    return reply_shown(await showing(call).execution(call.path["workflowId"]))


async def _updated(call: Call) -> str | None:
    """The id of the task that was updated by its reference name, or None."""
    path = call.path
    return await call.services.workers.update_by_reference(
        path["workflowId"],
        path["reference"],
        _status(path["status"]),
        await call.json_object(),
        worker_id=call.word("workerid"),
    )


# --- signals --------------------------------------------------------------------------------------


@routes.post(
    "/api/tasks/{workflowId}/{status}/signal",
    role=OPERATOR,
    body=json_body("Map", optional=True),
    errors=(404,),
)
async def signal(call: Call) -> Reply:
    """End the WAIT task that an execution stands at, or one below it, whatever its name.

    It is no error if nothing waits.
    """
    output = await call.json_object()
    with _explained(call):
        await call.services.executing.signal(call.path["workflowId"], _status(call.path["status"]), output)
    return reply_empty()


@routes.post(
    "/api/tasks/{workflowId}/{status}/signal/sync",
    role=OPERATOR,
    query=(
        word("returnStrategy", default=STRATEGIES[0], choices=STRATEGIES, about="What is given back."),
        number(
            "timeoutMillis", default=5_000, minimum=0, maximum=_LONGEST_WAIT_MS, about="How long to wait."
        ),
    ),
    body=json_body("Map", optional=True),
    answers=json_answer("SignalResponse"),
    errors=(404,),
    held=True,
)
async def signal_and_wait(call: Call) -> Reply:
    """End the WAIT task that an execution stands at, and wait until it has ended or stands at the next one.

    When the time is up it is shown as it is, and goes on.
    """
    output = await call.json_object()
    patience = Patience(
        call.integer("timeoutMillis") / 1000, strategy=cast("ReturnStrategy", call.word("returnStrategy"))
    )
    with _explained(call):
        shown = await call.services.executing.signal_sync(
            call.path["workflowId"], patience, _status(call.path["status"]), output
        )
    return reply_shown(shown)


@contextmanager
def _explained(call: Call) -> Iterator[None]:
    """Say of an execution that is not there what Conductor says."""
    try:
        yield
    except NotFound as error:
        raise no_such_execution(error, call.path["workflowId"]) from error
