"""Routes that show the queues of workers, and Conductor's queues that end WAIT tasks.

They read and count. Taking tasks is in `tasks`; what a message to a WAIT task does is the update by
reference name, as this server keeps no queue between the two.
"""

from __future__ import annotations

from asyncflow.app.task_views import open_wait
from asyncflow.errors import InvalidInput
from asyncflow.http.routing import (
    OPERATOR,
    VIEWER,
    Call,
    Reply,
    Routes,
    json_answer,
    json_body,
    reply_empty,
    reply_json,
    reply_text,
    text_answer,
    word,
    words,
)
from asyncflow.model.values import JsonObject

_SHARD = "a"  # there is one of each queue, and clients expect a name for it
_WAIT_STATUSES = ("COMPLETED", "FAILED")

routes = Routes(
    "Queues",
    schemas={
        "QueueDetails": {
            "type": "object",
            "description": "By queue and shard: how many wait, and how many workers have.",
            "additionalProperties": {
                "type": "object",
                "additionalProperties": {
                    "type": "object",
                    "properties": {"size": {"type": "integer"}, "uacked": {"type": "integer"}},
                },
            },
        },
        "Texts": {"type": "object", "additionalProperties": {"type": "string"}},
    },
)


# --- queues of workers ----------------------------------------------------------------------------


@routes.get(
    "/api/tasks/queue/sizes",
    role=VIEWER,
    query=(words("taskType", about="Which; none is an empty answer."),),
    answers=json_answer("Numbers"),
)
async def get_sizes(call: Call) -> Reply:
    """Count the tasks of some types that wait for workers, without those sent to a domain."""
    workers = call.services.workers
    return reply_json({each: workers.queue_size(each) for each in call.words("taskType")})


@routes.get(
    "/api/tasks/queue/size",
    role=VIEWER,
    query=(
        word("taskType", required=True, about="Which."),
        word("domain", about="Only those sent to it; absent: those sent to none."),
    ),
    answers=json_answer("Number"),
)
async def get_size(call: Call) -> Reply:
    """Count the tasks of a type that wait for workers."""
    return reply_json(call.services.workers.queue_size(call.word("taskType"), call.word("domain")))


@routes.get("/api/tasks/queue/all", role=VIEWER, answers=json_answer("Numbers"))
async def get_all_sizes(call: Call) -> Reply:
    """Count what waits in every queue, by name; a queue of a domain is called `domain:type`."""
    return reply_json(call.services.workers.queue_sizes())


@routes.get("/api/tasks/queue/all/verbose", role=VIEWER, answers=json_answer("QueueDetails"))
async def get_all_details(call: Call) -> Reply:
    """Count what waits in every queue, and what workers have of it."""
    workers = call.services.workers
    sizes, taken = workers.queue_sizes(), workers.unacknowledged()
    return reply_json(
        {
            name: {_SHARD: {"size": sizes.get(name, 0), "uacked": taken.get(name, 0)}}
            for name in sorted({**sizes, **taken})
        }
    )


@routes.get(
    "/api/tasks/queue/polldata",
    role=VIEWER,
    query=(word("taskType", required=True, about="Which."),),
    answers=json_answer("PollData", many=True),
)
async def get_poll_data(call: Call) -> Reply:
    """Show who polled for a type, and when."""
    return reply_json(_without_nulls(call.services.workers.poll_data(call.word("taskType"))))


@routes.get("/api/tasks/queue/polldata/all", role=VIEWER, answers=json_answer("PollData", many=True))
async def get_all_poll_data(call: Call) -> Reply:
    """Show who polled for what, and when."""
    return reply_json(_without_nulls(call.services.workers.poll_data()))


def _without_nulls(found: list[JsonObject]) -> list[JsonObject]:
    return [{key: value for key, value in each.items() if value is not None} for each in found]


@routes.post(
    "/api/tasks/queue/requeue/{type}",
    role=OPERATOR,
    answers=text_answer("How many tasks of the type are open."),
)
async def requeue(call: Call) -> Reply:
    """Make sure that every open task of a type is in its queue.

    Here a task is in its queue as long as it is open, so there is nothing to put back; they are counted.
    """
    return reply_text(str(call.services.workers.requeue(call.path["type"])))


# --- queues that end WAIT tasks -------------------------------------------------------------------


@routes.get("/api/queue/size", role=VIEWER, answers=json_answer("Numbers"))
async def get_wait_sizes(call: Call) -> Reply:  # noqa: ARG001 - as every handler is called
    """Count the messages that wait in the queues which end WAIT tasks.

    A message is applied before it is answered, so there are none.
    """
    return reply_json(dict.fromkeys(map(_wait_queue, _WAIT_STATUSES), 0))


@routes.get("/api/queue", role=VIEWER, answers=json_answer("Texts"))
@routes.get("/api/queue/", role=VIEWER, answers=json_answer("Texts"))
async def get_wait_queues(call: Call) -> Reply:  # noqa: ARG001 - as every handler is called
    """Name the queues which end WAIT tasks, by the status they give."""
    return reply_json({status: _wait_queue(status) for status in _WAIT_STATUSES})


def _wait_queue(status: str) -> str:
    return f"asyncflow:wait_{status.lower()}"


@routes.post("/api/queue/update/{workflowId}/{reference}/{status}", role=OPERATOR, body=json_body("Map"))
async def end_wait(call: Call) -> Reply:
    """Send a message that ends an open WAIT task, by its reference name.

    As with any queue, it is no error if nothing waits for the message.
    """
    return await _end_wait(call, ref=call.path["reference"])


@routes.post("/api/queue/update/{workflowId}/task/{task}/{status}", role=OPERATOR, body=json_body("Map"))
async def end_wait_by_id(call: Call) -> Reply:
    """Send a message that ends an open WAIT task, by its id.

    As with any queue, it is no error if nothing waits for the message.
    """
    return await _end_wait(call, task=call.path["task"])


async def _end_wait(call: Call, *, ref: str = "", task: str = "") -> Reply:
    status, workflow = call.path["status"], call.path["workflowId"]
    if status not in _WAIT_STATUSES:
        raise InvalidInput(f"there are queues for {' and '.join(_WAIT_STATUSES)} only", field="status")
    output = await call.json_object()
    found = await open_wait(call.services.executions.engine, workflow, ref=ref, task=task)
    if found is not None:
        await call.services.workers.update_by_reference(workflow, found, status, output)
    return reply_empty()
