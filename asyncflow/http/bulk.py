"""The routes of `/api/workflow/bulk`: one operation on up to 1,000 executions, each for itself.

The answer is 200 and says which succeeded; what each operation does is in `workflow_operations`.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine

from pydantic_core import to_json

from asyncflow.errors import AsyncflowError, InvalidInput, NotFound
from asyncflow.http.listing import BULK_DONE, reply_bulk
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
    reply_stream,
    word,
)
from asyncflow.http.workflow import no_such_execution, showing

routes = Routes("Workflow bulk")

MOST = 1_000
_AT_ONCE = 200

_IDS = json_body("Text", many=True)
_ANSWER = json_answer("BulkResponse")
_REASON = word("reason", about="Kept with the executions.")
_ARCHIVE = flag(
    "archiveWorkflow",
    default=True,
    about="Refuse executions that have not ended; they are deleted in both cases.",
)

Command = Callable[[str], Coroutine[object, object, None]]


async def _ids(call: Call) -> list[str]:
    """The ids in the body; raises InvalidInput unless there are 1 to 1,000."""
    given = await call.json_list()
    if len(given) > MOST:
        raise InvalidInput(f"Cannot process more than {MOST} workflows. Please use multiple requests.")
    ids = [each for each in given if isinstance(each, str)]
    if len(ids) != len(given) or not ids:
        raise InvalidInput("a list of workflow ids is expected, at least one", field="body")
    return ids


async def _each(call: Call, command: Command) -> Reply:
    """Do it for every id; those that arrive together are committed together."""
    ids = list(dict.fromkeys(await _ids(call)))
    failed: dict[str, str] = {}
    done: list[str] = []
    for first in range(0, len(ids), _AT_ONCE):
        chunk = ids[first : first + _AT_ONCE]
        outcomes = await asyncio.gather(*map(command, chunk), return_exceptions=True)
        for identity, outcome in zip(chunk, outcomes, strict=True):
            if outcome is None:
                done.append(identity)
            else:
                failed[identity] = _said(outcome, identity)
    return reply_bulk(done, failed)


def _said(error: BaseException, identity: str) -> str:
    """What to tell of one that failed; raises what is a bug."""
    if not isinstance(error, AsyncflowError):
        raise error
    if isinstance(error, NotFound):
        error = no_such_execution(error, identity)
    return error.message if isinstance(error, HttpError) else str(error)


@routes.put("/api/workflow/bulk/pause", role=OPERATOR, body=_IDS, answers=_ANSWER)
async def pause_workflows(call: Call) -> Reply:
    """Pause executions."""
    return await _each(call, call.services.executions.pause)


@routes.put("/api/workflow/bulk/resume", role=OPERATOR, body=_IDS, answers=_ANSWER)
async def resume_workflows(call: Call) -> Reply:
    """Resume executions."""
    return await _each(call, call.services.executions.resume)


@routes.post(
    "/api/workflow/bulk/restart",
    role=OPERATOR,
    query=(flag("useLatestDefinitions", about="Begin again on the newest definitions."),),
    body=_IDS,
    answers=_ANSWER,
    begins=True,
)
async def restart_workflows(call: Call) -> Reply:
    """Begin ended executions again."""
    executions, latest = call.services.executions, call.flag("useLatestDefinitions")
    return await _each(call, lambda identity: executions.restart(identity, latest_definition=latest))


@routes.post("/api/workflow/bulk/retry", role=OPERATOR, body=_IDS, answers=_ANSWER, begins=True)
async def retry_workflows(call: Call) -> Reply:
    """Try again what was unsuccessful in ended executions."""
    return await _each(call, call.services.executions.retry)


@routes.post("/api/workflow/bulk/terminate", role=OPERATOR, query=(_REASON,), body=_IDS, answers=_ANSWER)
async def terminate_workflows(call: Call) -> Reply:
    """End executions TERMINATED."""
    executions, reason = call.services.executions, call.word("reason")
    return await _each(call, lambda identity: executions.terminate(identity, reason))


@routes.delete("/api/workflow/bulk/remove", role=OPERATOR, query=(_ARCHIVE,), body=_IDS, answers=_ANSWER)
async def remove_workflows(call: Call) -> Reply:
    """Delete executions for good."""
    executions, ended_only = call.services.executions, call.flag("archiveWorkflow")
    return await _each(call, lambda identity: executions.remove(identity, ended_only=ended_only))


@routes.delete(
    "/api/workflow/bulk/terminate-remove",
    role=OPERATOR,
    query=(_REASON, _ARCHIVE),
    body=_IDS,
    answers=_ANSWER,
)
async def terminate_and_remove_workflows(call: Call) -> Reply:
    """End executions, where they go on, and delete them for good."""
    executions, reason = call.services.executions, call.word("reason")
    return await _each(call, lambda identity: executions.terminate_and_remove(identity, reason))


@routes.post(
    "/api/workflow/bulk/search",
    role=VIEWER,
    query=(flag("includeTasks", default=True, about="Whether to show the tasks too."),),
    body=_IDS,
    answers=_ANSWER,
)
async def find_workflows(call: Call) -> Reply:
    """Executions by their ids, whole."""
    return reply_stream(_found(call, await _ids(call)), JSON)


async def _found(call: Call, ids: list[str]) -> AsyncIterator[bytes]:
    failed: dict[str, str] = {}
    before = b'{"bulkSuccessfulResults":['
    for identity in ids:
        try:
            shown = await showing(call).execution(identity, include_tasks=call.flag("includeTasks"))
        except AsyncflowError as error:
            failed[identity] = _said(error, identity)
            continue
        yield before + shown.text
        if shown.pieces is not None:
            async for piece in shown.pieces:
                yield piece
        before = b","
    opened = b"" if before == b"," else before
    yield opened + to_json({"bulkErrorResults": failed, "message": BULK_DONE}).replace(b"{", b"],", 1)
