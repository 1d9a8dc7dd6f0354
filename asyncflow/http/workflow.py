"""The routes of `/api/workflow` that start executions and show them.

Statuses and words are Conductor's. What is asked of an execution later is in
`workflow_operations`, lists are in `workflow_search`.
"""

from __future__ import annotations

from typing import Self, cast, get_args

from asyncflow.app.callers import ANONYMOUS
from asyncflow.app.executing import Patience
from asyncflow.app.showing import Showing, Shown
from asyncflow.app.signal_response import ReturnStrategy
from asyncflow.app.start_requests import (
    StartWorkflowRequest,
    Strategy,
    parse_start_request,
    parse_test_request,
    request_hash,
)
from asyncflow.errors import AsyncflowError, KeyReused, NotFound
from asyncflow.http.listing import read
from asyncflow.http.metadata import no_such_workflow
from asyncflow.http.reply import JSON
from asyncflow.http.routing import (
    OPERATOR,
    VIEWER,
    Call,
    HttpError,
    Reply,
    Routes,
    empty_answer,
    flag,
    json_answer,
    json_body,
    number,
    reply_bytes,
    reply_empty,
    reply_json,
    reply_stream,
    reply_text,
    text_answer,
    word,
    words,
)
from asyncflow.model.json_text import is_plain
from asyncflow.model.values import JsonObject

routes = Routes("Workflow")

STRATEGIES: tuple[str, ...] = get_args(ReturnStrategy)
_WAIT_S = 10
WAITING = (
    word("requestId", about="Repeated in the answer."),
    words("waitUntilTaskRef", about="Tasks whose end is waited for."),
    number("waitForSeconds", default=_WAIT_S, minimum=0, maximum=3_600, about="0 counts as 10."),
    word("consistency", about="Ignored: everything is durable."),
    word("returnStrategy", default=STRATEGIES[0], choices=STRATEGIES, about="What is given back."),
)


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
    """Start an execution.

    An idempotency key is taken from the body with its strategy, or from the header `Idempotency-Key`:
    the same request with the same key then gives the same execution, another one is refused with 422.
    """
    body = await call.json_object()
    starts = await Starts.read(call, body, is_plain=is_plain(call.received))
    return reply_text(await starts.start())


def _starter(call: Call) -> str:
    """Who starts, where callers are known; otherwise a request may say so itself."""
    return "" if call.caller is ANONYMOUS else call.caller.name


class Starts:
    """A start that a call asks for, with its idempotency key and its errors in Conductor's words.

    Attributes:
        request: the body, as it was read.
        start_request: what it asks for.
    """

    @classmethod
    async def read(cls, call: Call, body: JsonObject, *, is_plain: bool = False) -> Self:
        """A start from a body; raises DefinitionError and InvalidInput.

        Args:
            is_plain: all of the body was read from text of which `json_text.is_plain` says so.
        """
        return await read(call, lambda: cls(call, body, is_plain=is_plain))

    def __init__(self, call: Call, body: JsonObject, *, is_plain: bool = False) -> None:
        """Read the request; raises as `read`."""
        self._call = call
        request = parse_start_request(body, limits=call.limits, is_plain=is_plain)
        key = call.header("Idempotency-Key").strip().strip('"')
        self._by_header = bool(key) and not request.idempotency_key
        if self._by_header:
            given: JsonObject = {"idempotency_key": key, "idempotency_strategy": "RETURN_EXISTING"}
            request = request.model_copy(update=given)
        self.request = request
        told = request_hash(body) if request.idempotency_key else ""  # only a key asks whether they are equal
        self.start_request = request.to_start(created_by=_starter(call), request_hash=told, is_plain=is_plain)

    async def start(self) -> str:
        """The id of the execution; raises HttpError besides what a start raises."""
        try:
            return await self._call.services.executing.start(self.start_request, self.strategy)
        except (NotFound, KeyReused) as error:
            raise self.explained(error) from error

    async def execute(self, patience: Patience) -> Shown | None:
        """What a synchronous call gives back; raises as `start`."""
        try:
            return await self._call.services.executing.execute(self.start_request, patience, self.strategy)
        except (NotFound, KeyReused) as error:
            raise self.explained(error) from error

    @property
    def strategy(self) -> Strategy | None:
        """What to do where its key was used before."""
        return self.request.idempotency_strategy

    def explained(self, error: AsyncflowError) -> HttpError | AsyncflowError:
        """An error of a start as Conductor tells it."""
        if isinstance(error, NotFound):
            return no_such_definition(error, self.request)
        if isinstance(error, KeyReused):
            return HttpError(422 if self._by_header else 409, str(error))
        return error


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
    try:
        starts = await Starts.read(call, body)
        return reply_text(await starts.start())
    except HttpError as error:
        if error.status != 404 or "sub-workflow of" in error.message:
            raise
        raise HttpError(404, no_such_workflow(name, version)) from error


@routes.post(
    "/api/workflow/execute/{name}/{version}",
    role=OPERATOR,
    query=WAITING,
    body=json_body("StartWorkflowRequest", optional=True),
    answers=(json_answer("SignalResponse"), empty_answer(about="A task was asked for, and none blocks.")),
    errors=(404, 409, 422),
    begins=True,
    held=True,
)
async def execute_workflow(call: Call) -> Reply:
    """Start an execution and wait until it has ended or stands at a task.

    Version 0 is the highest. When the time is up the execution goes on, and is shown as it is.
    """
    body = await call.json_object()
    body |= {"name": call.path["name"], "version": call.path_number("version") or None}
    starts = await Starts.read(call, body)
    return reply_response(await starts.execute(patience(call)))


@routes.post(
    "/api/workflow/test",
    role=OPERATOR,
    body=json_body("WorkflowTestRequest"),
    answers=json_answer("Workflow"),
    errors=(404,),
)
async def simulate_workflow(call: Call) -> Reply:
    """Play a definition with mocked outputs of its tasks, in virtual time; nothing is stored."""
    body = await call.json_object()
    request = await read(call, lambda: parse_test_request(body, limits=call.limits))
    try:
        return reply_shown(await call.services.executing.simulate(request))
    except NotFound as error:
        raise no_such_definition(error, request) from error


def patience(call: Call) -> Patience:
    """How long a call waits, and for what, as its parameters `WAITING` say."""
    strategy = cast("ReturnStrategy", call.word("returnStrategy"))
    seconds = call.integer("waitForSeconds") or _WAIT_S
    return Patience(seconds, call.words("waitUntilTaskRef"), strategy, call.word("requestId"))


def reply_response(shown: Shown | None) -> Reply:
    """A SignalResponse, or nothing where no task blocks."""
    return reply_empty() if shown is None else reply_shown(shown)


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
