"""One view of what was logged: lines of tasks and what became of resources, searched together.

Lines of workers elsewhere are among those of their tasks. They are kept by `app/logbook`.
"""

from __future__ import annotations

from asyncflow.app.logbook import FARTHEST_LINE, LogFilter
from asyncflow.http.routing import VIEWER, Call, Reply, Routes, json_answer, number, reply_json, word
from asyncflow.http.schemas import MOMENT, NUMBER, TEXT, listed, one_of, ref, shape

_LINE = {
    "time": MOMENT,
    "source": one_of("task", "resource"),
    "workflowId": TEXT,
    "taskId": TEXT,
    "resource": TEXT,
    "level": TEXT,
    "line": TEXT,
}

routes = Routes(
    "Logs",
    schemas={
        "LogLine": shape(_LINE, *_LINE),
        "Log": shape({"totalHits": NUMBER, "results": listed(ref("LogLine"))}, "totalHits", "results"),
    },
)


@routes.get(
    "/api/asyncflow/log",
    role=VIEWER,
    query=(
        word("resource", about="Name of the resource."),
        word("execution", about="Id of the execution."),
        word("task", about="Id of the task."),
        word("text", about="What the line holds, letter by letter."),
        number("from", default=0, minimum=0, about="Not before this time, in ms."),
        number("to", default=0, minimum=0, about="Not after this time, in ms; 0 means any."),
        number("start", default=0, minimum=0, maximum=FARTHEST_LINE, about="How many to leave out."),
        number("size", default=100, minimum=0, maximum=5_000, about="How many at most."),
    ),
    answers=json_answer("Log"),
)
async def get_log(call: Call) -> Reply:
    """Search what tasks, workers and resources logged, newest first: who destroyed it, when, and why."""
    chosen = LogFilter(
        resource=call.word("resource"),
        execution_id=call.word("execution"),
        task_id=call.word("task"),
        text=call.word("text"),
        from_ms=call.integer("from"),
        to_ms=call.integer("to"),
    )
    page = {"start": call.integer("start"), "size": call.integer("size")}
    found = await call.services.logbook.entries(chosen, **page)
    rows = [dict(zip(_LINE, row, strict=True)) for row in found.rows]
    return reply_json({"totalHits": found.total, "results": rows})
