"""Questions of those who run the engine: what waits and why, who works, what is in use.

What is found out is in `app/overview`.
"""

from __future__ import annotations

from asyncflow.app.overview import MOST_EXECUTIONS, MOST_EXPLAINED, MOST_LISTED, MOST_WAITS
from asyncflow.http.routing import VIEWER, Call, Reply, Routes, flag, json_answer, number, reply_json, word

routes = Routes("Overview")

_START = number("start", default=0, minimum=0, about="How many to leave out.")
_COUNT = number("count", default=100, minimum=1, maximum=MOST_LISTED, about="How many to show.")


@routes.get(
    "/api/asyncflow/workflow/{id}/why",
    role=VIEWER,
    query=(
        number(
            "count", default=MOST_EXPLAINED, minimum=1, maximum=MOST_LISTED, about="How many tasks at most."
        ),
    ),
    answers=json_answer(),
    errors=(404,),
)
async def get_why(call: Call) -> Reply:
    """What open tasks of an execution wait for, and since when; `openTasks` says how many there are.

    `kind` says for what: `admission` (a slot or lease, with who holds it), `job`, `decision`, `worker`,
    `report`, `attempt`, `time`, `members`, `child`, `update`, `script`, `body`, `resume` or `turn`.
    """
    return reply_json(await call.services.overview.why(call.path["id"], most=call.integer("count")))


@routes.get("/api/asyncflow/tasks/{id}/why", role=VIEWER, answers=json_answer(), errors=(404,))
async def get_task_why(call: Call) -> Reply:
    """What one task waits for, and since when; see the same of an execution."""
    execution, number = await call.services.workers.locate(call.path["id"])
    return reply_json(await call.services.overview.why_task(execution, number))


@routes.get(
    "/api/asyncflow/overview",
    role=VIEWER,
    query=(
        _START,
        number("count", default=20, minimum=1, maximum=MOST_EXECUTIONS, about="How many executions."),
        number("waits", default=5, minimum=0, maximum=MOST_WAITS, about="How many tasks of each."),
        word("workflow", about="Only executions of this workflow."),
    ),
    answers=json_answer(),
)
async def get_overview(call: Call) -> Reply:
    """What runs, what waits and for what, since when: open executions, the oldest first."""
    found = await call.services.overview.open_executions(
        start=call.integer("start"),
        count=call.integer("count"),
        workflow=call.word("workflow"),
        waits=call.integer("waits"),
    )
    return reply_json(found)


@routes.get(
    "/api/asyncflow/workers",
    role=VIEWER,
    query=(_START, _COUNT, flag("lost", about="Only those that are lost.")),
    answers=json_answer(),
)
async def get_workers(call: Call) -> Reply:
    """Workers that were seen since the start: when, with which tasks, of which version, and who is lost."""
    found = call.services.overview.workers(
        start=call.integer("start"), count=call.integer("count"), lost_only=call.flag("lost")
    )
    return reply_json(found)
