"""Routes of data volumes: what a task took in and gave out, run by run, and how workers tell of more.

Bytes of inputs and outputs are measured without being told. What is unusual is found out in
`app/volume_watch`.
"""

from __future__ import annotations

from asyncflow.app.volumes import MOST_RUNS
from asyncflow.http.routing import (
    OPERATOR,
    VIEWER,
    Call,
    Reply,
    Routes,
    empty_answer,
    json_answer,
    json_body,
    number,
    reply_empty,
    reply_json,
)
from asyncflow.http.schemas import MAP, NUMBER, TEXT, listed, one_of, ref, shape

_RUN = {
    "executionId": TEXT,
    "taskId": TEXT,
    "version": NUMBER,
    "status": TEXT,
    "iteration": NUMBER,
    "retryCount": NUMBER,
    "endTime": NUMBER,
    "inputBytes": NUMBER,
    "outputBytes": NUMBER,
}
_TOLD = {"rowsIn": NUMBER, "bytesIn": NUMBER, "rowsOut": NUMBER, "bytesOut": NUMBER}

routes = Routes(
    "Data volumes",
    schemas={
        "TaskVolume": shape({**_RUN, "unusual": listed(TEXT), **_TOLD}, *_RUN, "unusual"),
        "TaskVolumes": shape(
            {
                "workflow": TEXT,
                "ref": TEXT,
                "usual": MAP,
                "factor": {"type": "number"},
                "runs": listed(ref("TaskVolume")),
            },
            "usual",
            "factor",
            "runs",
        ),
        "TaskIo": shape({"direction": one_of("in", "out"), "rows": NUMBER, "bytes": NUMBER}, "direction"),
    },
)


@routes.get(
    "/api/asyncflow/io/{workflow}/{ref}",
    role=VIEWER,
    query=(number("count", default=50, minimum=1, maximum=MOST_RUNS, about="How many runs."),),
    answers=json_answer("TaskVolumes"),
    errors=(404,),
)
async def get_history(call: Call) -> Reply:
    """How much data a task took in and gave out in its newest runs, and the median of each measure.

    `ref` is the reference name in the definition; rounds of a loop are runs of their own. What is further
    from the median than by the factor is named as `unusual`.
    """
    found = await call.services.volumes.history(
        call.path["workflow"], call.path["ref"], count=call.integer("count")
    )
    return reply_json(found)


@routes.post(
    "/api/asyncflow/tasks/{id}/io", role=OPERATOR, body=json_body("TaskIo"), answers=empty_answer(204)
)
async def add_io(call: Call) -> Reply:
    """Tell of rows and bytes that a task read (`in`) or wrote (`out`), added to what was told before.

    For workers elsewhere, as `ctx.record_io` is for functions. A task that is not known is no error.
    """
    body = await call.json_object()
    await call.services.volumes.record(
        call.path["id"], body.get("direction"), rows=body.get("rows", 0), bytes=body.get("bytes", 0)
    )
    return reply_empty(204)
