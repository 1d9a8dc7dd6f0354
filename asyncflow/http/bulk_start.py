"""The route that starts up to 1,000 executions with one request: each for itself, in one answer.

It is ours; Conductor has none. A request costs more than a start, so who starts many should use it;
what one start is, is in `workflow`, operations on what was started are in `bulk`.
"""

from __future__ import annotations

from collections.abc import Sequence

from asyncflow.errors import AsyncflowError, DefinitionError, InvalidInput
from asyncflow.http.bulk import MOST
from asyncflow.http.errors import HttpError, status_of
from asyncflow.http.listing import read
from asyncflow.http.routing import OPERATOR, Call, Reply, Routes, json_answer, json_body, reply_json
from asyncflow.http.workflow import Starts
from asyncflow.model.json_text import is_plain
from asyncflow.model.values import JsonObject

routes = Routes("Workflow bulk")

_AT_ONCE = 250  # starts that are decided and committed together; others come in between


@routes.post(
    "/api/asyncflow/workflow/bulk/start",
    role=OPERATOR,
    body=json_body("StartWorkflowRequest", many=True),
    answers=json_answer("StartOutcome", many=True),
    begins=True,
)
async def start_workflows(call: Call) -> Reply:
    """Start up to 1,000 executions.

    The answer has one entry for each request, in order: its id, or the status and message that a start of
    its own would have been answered with. Where the server stops meanwhile the whole answer is 503, though
    some may have begun: a header `Idempotency-Key` makes it safe to send the same list again.
    """
    given = await call.json_list()
    if not 1 <= len(given) <= MOST:
        raise InvalidInput(f"1 to {MOST} requests expected, got {len(given)}", field="body")
    plain = is_plain(call.received)
    starts = await read(
        call, lambda: [_read(call, each, place, is_plain=plain) for place, each in enumerate(given)]
    )
    outcomes: list[JsonObject] = []
    for first in range(0, len(starts), _AT_ONCE):
        outcomes += await _begun(call, starts[first : first + _AT_ONCE])
    return reply_json(outcomes)


def _read(call: Call, given: object, place: int, *, is_plain: bool) -> Starts | AsyncflowError:
    """One start of a list, or what is wrong with it; its key is that of the list, with its place."""
    if not isinstance(given, dict):
        return InvalidInput("an object is expected", field=f"body[{place}]")
    key = call.header("Idempotency-Key").strip().strip('"')
    if key and not given.get("idempotencyKey"):
        named = {"idempotencyKey": f"{key}/{place}", "idempotencyStrategy": "RETURN_EXISTING"}
        given, is_plain = {**given, **named}, False
    try:
        return Starts(call, given, is_plain=is_plain)
    except AsyncflowError as error:
        return error


async def _begun(call: Call, starts: Sequence[Starts | AsyncflowError]) -> list[JsonObject]:
    """What became of some, which arrive together and so are committed together."""
    good = [each for each in starts if isinstance(each, Starts)]
    begun = await call.services.executing.start_all([(each.start_request, each.strategy) for each in good])
    ended = zip(good, begun, strict=True)
    return [_told(*next(ended)) if isinstance(each, Starts) else _refused(each) for each in starts]


def _told(start: Starts, outcome: str | AsyncflowError) -> JsonObject:
    return {"workflowId": outcome} if isinstance(outcome, str) else _refused(start.explained(outcome))


def _refused(outcome: HttpError | AsyncflowError) -> JsonObject:
    """An entry of the answer for what did not begin; raises what concerns the whole request."""
    status = outcome.status if isinstance(outcome, HttpError) else status_of(outcome)
    if status is None or status >= 500:
        raise outcome
    said = outcome.message if isinstance(outcome, HttpError) else str(outcome)
    if isinstance(outcome, DefinitionError):
        said = "; ".join(f"{each.path}: {each.message}" for each in outcome.violations)
    return {"status": status, "message": said}
