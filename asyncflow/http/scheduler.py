"""The routes of `/api/scheduler`: schedules made, shown, paused and resumed, and what came of their times.

Statuses are Conductor's, but a cron expression that cannot be read is 400. What they do is in
`app/schedules`.
"""

from __future__ import annotations

from asyncflow.app.callers import ANONYMOUS
from asyncflow.app.schedules import MOST_NEXT, Wanted
from asyncflow.errors import InvalidInput, NotFound
from asyncflow.http.routing import (
    ADMIN,
    AUTHOR,
    OPERATOR,
    VIEWER,
    Call,
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
from asyncflow.http.schemas import MAP, MOMENT, NUMBER, TEXT, YES_NO, listed, one_of, ref, shape

_SCHEDULE = {
    "name": TEXT,
    "cronExpression": TEXT,
    "zoneId": TEXT,
    "cronSchedules": listed(shape({"cronExpression": TEXT, "zoneId": TEXT})),
    "startWorkflowRequest": MAP,
    "paused": YES_NO,
    "pausedReason": TEXT,
    "runCatchupScheduleInstances": YES_NO,
    "scheduleStartTime": MOMENT,
    "scheduleEndTime": MOMENT,
    "description": TEXT,
    "createTime": MOMENT,
    "updatedTime": MOMENT,
    "createdBy": TEXT,
    "updatedBy": TEXT,
    "nextRunTime": MOMENT,
    "asyncflow": shape(
        {"catchUp": one_of("none", "one", "all"), "overlap": one_of("allow", "skip", "cancel_running")}
    ),
}
_EXECUTION = {
    "executionId": TEXT,
    "scheduleName": TEXT,
    "scheduledTime": MOMENT,
    "executionTime": MOMENT,
    "state": one_of("POLLED", "EXECUTED", "FAILED"),
    "workflowName": TEXT,
    "workflowId": TEXT,
    "reason": TEXT,
    "startWorkflowRequest": MAP,
    "asyncflow": shape({"state": one_of("POLLED", "EXECUTED", "FAILED", "SKIPPED")}),
}

routes = Routes(
    "Scheduler",
    schemas={
        "WorkflowSchedule": shape(_SCHEDULE, "name", "startWorkflowRequest"),
        "WorkflowScheduleExecution": shape(_EXECUTION, "executionId", "scheduleName", "state"),
        "WorkflowScheduleSearchResult": shape(
            {"totalHits": NUMBER, "results": listed(ref("WorkflowSchedule"))}, "totalHits", "results"
        ),
        "WorkflowScheduleExecutionSearchResult": shape(
            {"totalHits": NUMBER, "results": listed(ref("WorkflowScheduleExecution"))}, "totalHits", "results"
        ),
    },
)

_MOST = 5_000
_MOST_NAMES = 1_000
_BULK_MESSAGE = "Bulk Request has been processed."
_REASON = word("reason", about="Kept with the schedule.")
_NO_BODY = json_body("Map", optional=True)
_PAGE = (
    word("freeText", default="*", about="Words to be found; `*` for all."),
    number("start", default=0, minimum=0),
    number("size", default=100, minimum=0, maximum=_MOST),
    word("sort", about="`field:ASC` or `field:DESC`, several joined by commas or `|`."),
)


def _no_such(error: NotFound) -> HttpError:
    return HttpError(404, f"No such {error.kind} found by name: {error.name}")


@routes.post(
    "/api/scheduler/schedules",
    role=AUTHOR,
    body=json_body("WorkflowSchedule"),
    answers=json_answer("WorkflowSchedule"),
)
async def save_schedule(call: Call) -> Reply:
    """Make a schedule, or replace the one of its name."""
    body = await call.json_object()
    if call.caller is not ANONYMOUS:  # who it is said to be made by is said to start what it starts
        body.pop("createdBy", None)
    return reply_json(await call.services.schedules.save(body, by=call.caller.name))


@routes.get(
    "/api/scheduler/schedules",
    role=VIEWER,
    query=(word("workflowName", about="Only those that start this workflow."),),
    answers=json_answer("WorkflowSchedule", many=True),
)
async def list_schedules(call: Call) -> Reply:
    """All schedules, by name."""
    return reply_json(call.services.schedules.all(call.word("workflowName")))


@routes.get(
    "/api/scheduler/schedules/search",
    role=VIEWER,
    query=(
        word("workflowName"),
        word("scheduleName", about="A part of the name."),
        word("paused", choices=("true", "false")),
        *_PAGE,
    ),
    answers=json_answer("WorkflowScheduleSearchResult"),
)
async def search_schedules(call: Call) -> Reply:
    """Schedules that meet all that is asked for."""
    paused = {"true": True, "false": False}.get(call.word("paused"))
    wanted = Wanted(call.word("workflowName"), call.word("scheduleName"), paused, call.word("freeText"))
    total, found = call.services.schedules.search(
        wanted, start=call.integer("start"), size=call.integer("size"), sort=_sort(call)
    )
    return reply_json({"totalHits": total, "results": found})


def _sort(call: Call) -> list[str]:
    return [call.word("sort").replace(",", "|")]


@routes.get(
    "/api/scheduler/schedules/{name}", role=VIEWER, answers=json_answer("WorkflowSchedule"), errors=(404,)
)
async def get_schedule(call: Call) -> Reply:
    """A schedule, with the next time at which it is due."""
    try:
        return reply_json(call.services.schedules.get(call.path["name"]))
    except NotFound as error:
        raise _no_such(error) from error


@routes.delete("/api/scheduler/schedules/{name}", role=AUTHOR, body=_NO_BODY)
async def delete_schedule(call: Call) -> Reply:
    """Delete a schedule, if there is one; what it started goes on."""
    await call.services.schedules.delete(call.path["name"])
    return reply_empty()


@routes.put(
    "/api/scheduler/schedules/{name}/pause",
    role=OPERATOR,
    query=(_REASON,),
    body=_NO_BODY,
    errors=(404,),
)
async def pause_schedule(call: Call) -> Reply:
    """Fire it no more; what comes due until it is resumed is not made up for."""
    try:
        await call.services.schedules.pause(call.path["name"], call.word("reason"), by=call.caller.name)
    except NotFound as error:
        raise _no_such(error) from error
    return reply_empty()


@routes.put("/api/scheduler/schedules/{name}/resume", role=OPERATOR, body=_NO_BODY, errors=(404,))
async def resume_schedule(call: Call) -> Reply:
    """Fire a paused schedule again, from now on."""
    try:
        await call.services.schedules.resume(call.path["name"], by=call.caller.name)
    except NotFound as error:
        raise _no_such(error) from error
    return reply_empty()


@routes.get(
    "/api/scheduler/schedules/{name}/pause", role=OPERATOR, query=(_REASON,), errors=(404,), changes=True
)
async def pause_schedule_by_get(call: Call) -> Reply:
    """Pause a schedule as Orkes' server lets clients do; the Python SDK before 2.0 knows no other way."""
    return await pause_schedule(call)


@routes.get("/api/scheduler/schedules/{name}/resume", role=OPERATOR, errors=(404,), changes=True)
async def resume_schedule_by_get(call: Call) -> Reply:
    """Resume a schedule as Orkes' server lets clients do; the Python SDK before 2.0 knows no other way."""
    return await resume_schedule(call)


async def _steered(call: Call, *, is_paused: bool) -> Reply:
    names = [name for name in await call.json_list() if isinstance(name, str)]
    if len(names) > _MOST_NAMES:
        raise InvalidInput(f"at most {_MOST_NAMES} names are taken", field="body")
    failed = await call.services.schedules.steer(names, is_paused=is_paused, by=call.caller.name)
    done = [name for name in dict.fromkeys(names) if name not in failed]
    return reply_json({"bulkErrorResults": failed, "bulkSuccessfulResults": done, "message": _BULK_MESSAGE})


@routes.put(
    "/api/scheduler/bulk/pause",
    role=OPERATOR,
    body=json_body("Text", many=True),
    answers=json_answer("BulkResponse"),
)
async def pause_schedules(call: Call) -> Reply:
    """Pause many schedules."""
    return await _steered(call, is_paused=True)


@routes.put(
    "/api/scheduler/bulk/resume",
    role=OPERATOR,
    body=json_body("Text", many=True),
    answers=json_answer("BulkResponse"),
)
async def resume_schedules(call: Call) -> Reply:
    """Resume many schedules."""
    return await _steered(call, is_paused=False)


@routes.get(
    "/api/scheduler/nextFewSchedules",
    role=VIEWER,
    query=(
        word("cronExpression", required=True, about="Six fields, seconds first, or a macro."),
        word("zoneId", default="UTC"),
        number("scheduleStartTime", about="Milliseconds; no time before it counts."),
        number("scheduleEndTime", about="Milliseconds; no time after it counts."),
        number("limit", default=MOST_NEXT, minimum=0, about="At most five are given."),
    ),
    answers=json_answer("Number", many=True),
)
async def list_next_times(call: Call) -> Reply:
    """The next moments at which an expression is due."""
    found = call.services.schedules.next_times(
        call.word("cronExpression"),
        zone=call.word("zoneId"),
        start_ms=call.number("scheduleStartTime"),
        end_ms=call.number("scheduleEndTime"),
        limit=call.integer("limit"),
    )
    return reply_json(found)


@routes.get(
    "/api/scheduler/search/executions",
    role=VIEWER,
    query=(
        word("query", about="`scheduleName`, `state`, `scheduledTime` and others, as in other searches."),
        *_PAGE,
    ),
    answers=json_answer("WorkflowScheduleExecutionSearchResult"),
)
async def search_schedule_executions(call: Call) -> Reply:
    """What came of the times of schedules, the latest first."""
    total, found = await call.services.schedules.history.find(
        call.word("query"),
        call.word("freeText"),
        start=call.integer("start"),
        size=call.integer("size"),
        sort=_sort(call),
    )
    return reply_json({"totalHits": total, "results": found})


@routes.get("/api/scheduler/admin/pause", role=ADMIN, answers=json_answer("Map"), changes=True)
async def hold_scheduler(call: Call) -> Reply:
    """Fire nothing until told to go on, or until the server is started again."""
    call.services.schedules.firing.hold(is_held=True)
    return reply_json({"paused": True})


@routes.get("/api/scheduler/admin/resume", role=ADMIN, answers=json_answer("Map"), changes=True)
async def release_scheduler(call: Call) -> Reply:
    """Fire again."""
    call.services.schedules.firing.hold(is_held=False)
    return reply_json({"paused": False})


@routes.get("/api/scheduler/admin/requeue", role=ADMIN, answers=json_answer("Map"))
async def requeue_schedules(call: Call) -> Reply:
    """Look again when each schedule is due; it never needs to be told."""
    return reply_json({"schedules": call.services.schedules.firing.plan_anew()})
