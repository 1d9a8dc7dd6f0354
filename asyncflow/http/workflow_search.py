"""The routes of `/api/workflow` that list executions: search, what runs, what correlates, stored payloads.

The query and the summaries are those of `app/search`; one execution is shown by `workflow`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from pydantic_core import to_json

from asyncflow.app.search import Narrowed
from asyncflow.app.search_summaries import summary
from asyncflow.errors import InvalidInput
from asyncflow.http.reply import JSON
from asyncflow.http.routing import (
    VIEWER,
    Call,
    HttpError,
    Reply,
    Routes,
    flag,
    json_answer,
    json_body,
    number,
    reply_json,
    reply_stream,
    word,
)
from asyncflow.http.workflow import showing

routes = Routes("Workflow search")

_MOST = 5_000
_MOST_KEYS = 1_000
_PAGE = (
    number("start", default=0, minimum=0),
    number("size", default=100, minimum=0, maximum=_MOST),
    word("sort", about="`field:ASC` or `field:DESC`, several joined by `|`."),
    word("freeText", default="*", about="Words to be found; `*` for all."),
    word("query", about="`field operator value`, joined by AND and OR."),
)
_OF_WORKFLOWS = (
    *_PAGE,
    word("classifier", about="Only those whose definition is of this classifier: `workflow`, `agent`, …"),
    flag("topLevelOnly", about="No executions that another one started as its child."),
)


async def _searched(call: Call) -> tuple[int, list[str], list[object]]:
    """How many executions a call's query finds; ids and summaries of its page."""
    search = call.services.search
    found = await search.executions(
        call.word("query"),
        call.word("freeText"),
        start=call.integer("start"),
        size=call.integer("size"),
        sort=[call.word("sort")],
        narrowed=Narrowed(call.flag("topLevelOnly"), call.word("classifier")),
    )
    return found.total, [row.execution_id for row in found.rows], [summary(row) for row in found.rows]


async def _searched_by_tasks(call: Call) -> tuple[int, list[str], list[object]]:
    """The same for a query of tasks."""
    search = call.services.search
    found = await search.by_tasks(
        call.word("query"),
        call.word("freeText"),
        start=call.integer("start"),
        size=call.integer("size"),
        sort=[call.word("sort")],
    )
    return found.total, [row.execution_id for row in found.rows], [summary(row) for row in found.rows]


async def _whole(call: Call, total: int, ids: Sequence[str]) -> Reply:
    """Executions without tasks; those that cannot be read any more do not count."""
    results = await showing(call).briefs(ids)
    return reply_json({"totalHits": total - (len(ids) - len(results)), "results": results})


@routes.get(
    "/api/workflow/search",
    role=VIEWER,
    query=_OF_WORKFLOWS,
    answers=json_answer("WorkflowSummarySearchResult"),
)
async def search_workflows(call: Call) -> Reply:
    """Executions that meet a query, as summaries."""
    total, _, summaries = await _searched(call)
    return reply_json({"totalHits": total, "results": summaries})


@routes.get(
    "/api/workflow/search-v2", role=VIEWER, query=_OF_WORKFLOWS, answers=json_answer("WorkflowSearchResult")
)
async def search_workflows_whole(call: Call) -> Reply:
    """Executions that meet a query, without their tasks."""
    total, ids, _ = await _searched(call)
    return await _whole(call, total, ids)


@routes.get(
    "/api/workflow/search-by-tasks",
    role=VIEWER,
    query=_PAGE,
    answers=json_answer("WorkflowSummarySearchResult"),
)
async def search_by_tasks(call: Call) -> Reply:
    """Executions that own tasks which meet a query, as summaries."""
    total, _, summaries = await _searched_by_tasks(call)
    return reply_json({"totalHits": total, "results": summaries})


@routes.get(
    "/api/workflow/search-by-tasks-v2", role=VIEWER, query=_PAGE, answers=json_answer("WorkflowSearchResult")
)
async def search_by_tasks_whole(call: Call) -> Reply:
    """Executions that own tasks which meet a query, without their tasks."""
    total, ids, _ = await _searched_by_tasks(call)
    return await _whole(call, total, ids)


@routes.get(
    "/api/workflow/running/{name}",
    role=VIEWER,
    query=(
        number("version", default=1),
        number("startTime", about="With `endTime`: all that began in between, ended or not; milliseconds."),
        number("endTime"),
    ),
    answers=json_answer("Text", many=True),
)
async def list_running(call: Call) -> Reply:
    """Ids of the executions of a version that go on."""
    found = await call.services.search.running(
        call.path["name"], call.integer("version"), call.number("startTime"), call.number("endTime")
    )
    return reply_json(found)


_CORRELATED = (flag("includeClosed", about="Also those that have ended."), flag("includeTasks"))


@routes.get(
    "/api/workflow/{name}/correlated/{correlationId}",
    role=VIEWER,
    query=_CORRELATED,
    answers=json_answer("Workflow", many=True),
)
async def list_correlated(call: Call) -> Reply:
    """The executions of a workflow with a correlation id."""
    given = call.path["correlationId"]
    found = await call.services.search.correlated(
        call.path["name"], [given], include_closed=call.flag("includeClosed")
    )
    return reply_stream(_listed(call, found[given]), JSON)


@routes.post(
    "/api/workflow/{name}/correlated",
    role=VIEWER,
    query=_CORRELATED,
    body=json_body("Text", many=True),
    answers=json_answer("Map"),
)
async def map_correlated(call: Call) -> Reply:
    """The executions of a workflow by their correlation ids."""
    ids = _names(await call.json_list(), "body")
    found = await call.services.search.correlated(
        call.path["name"], ids, include_closed=call.flag("includeClosed")
    )
    return reply_stream(_mapped(call, found), JSON)


@routes.post(
    "/api/workflow/correlated/batch",
    role=VIEWER,
    query=_CORRELATED,
    body=json_body("CorrelationIdsSearchRequest"),
    answers=json_answer("Map"),
)
async def map_correlated_of_many(call: Call) -> Reply:
    """The executions of several workflows by their correlation ids."""
    body = await call.json_object()
    ids, names = (
        _names(given if isinstance(given := body.get(field), list) else [given], field)
        for field in ("correlationIds", "workflowNames")
    )
    found: dict[str, list[str]] = {identity: [] for identity in ids}
    for name in dict.fromkeys(names):
        each = await call.services.search.correlated(name, ids, include_closed=call.flag("includeClosed"))
        for identity, executions in each.items():
            found[identity] += executions
    return reply_stream(_mapped(call, found), JSON)


def _names(values: Sequence[object], field: str) -> list[str]:
    if len(values) > _MOST_KEYS:
        raise InvalidInput(f"at most {_MOST_KEYS} are expected, got {len(values)}", field=field)
    names = [value for value in values if isinstance(value, str)]
    if len(names) != len(values):
        raise InvalidInput("a list of texts is expected", field=field)
    return names


async def _mapped(call: Call, found: dict[str, list[str]]) -> AsyncIterator[bytes]:
    """A JSON object of lists of executions, piece by piece."""
    before = b"{"
    for key, ids in found.items():
        yield before + to_json(key) + b":"
        async for piece in _listed(call, ids):
            yield piece
        before = b","
    yield b"{}" if before == b"{" else b"}"


async def _listed(call: Call, ids: Sequence[str]) -> AsyncIterator[bytes]:
    """A JSON list of executions, piece by piece."""
    before = b"["
    async for shown in showing(call).executions(ids, include_tasks=call.flag("includeTasks")):
        yield before
        if shown.pieces is None:
            yield shown.text
        else:
            async for piece in shown.pieces:
                yield piece
        before = b","
    yield b"[]" if before == b"[" else b"]"


_STORAGE = (word("path"), word("operation"), word("payloadType"))


@routes.get(
    "/api/workflow/externalstoragelocation",
    role=VIEWER,
    query=_STORAGE,
    answers=json_answer("ExternalStorageLocation"),
    errors=(404,),
)
@routes.get(
    "/api/workflow/external-storage-location",
    role=VIEWER,
    query=_STORAGE,
    answers=json_answer("ExternalStorageLocation"),
    errors=(404,),
)
async def get_storage_location(call: Call) -> Reply:  # noqa: ARG001 - as every handler is called
    """Where a client could store a payload by itself: nowhere, the server takes payloads whole."""
    raise HttpError(404, "No external payload storage: payloads are sent with the request")
