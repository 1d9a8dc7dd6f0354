"""Nodes of the tasks that the engine does itself: waiting, people, requests, scripts, variables.

Each function makes one node and only writes down what it was told. `operators` has those that steer the
flow and re-exports these; `options` says what every node may be told besides.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Literal, Unpack

from asyncflow.errors import InvalidInput
from asyncflow.sdk.composition import Definable, Node
from asyncflow.sdk.options import Options, Seconds, any_seconds, whole_seconds
from asyncflow.sdk.references import Reference

Method = Literal["GET", "PUT", "POST", "DELETE", "OPTIONS", "HEAD", "PATCH"]


def simple(name: str, /, **options: Unpack[Options]) -> Node:
    """A task that a function or worker of this name does, wherever it is."""
    options["name"] = name
    return Node("SIMPLE", name, options)


def custom(task_type: str, **options: Unpack[Options]) -> Node:
    """A task of any type: a plugin's, or one of Conductor's that has no function here."""
    return Node(task_type, task_type.lower(), options)


def wait(
    *, seconds: Seconds | Reference | None = None, duration: str | None = None, **options: Unpack[Options]
) -> Node:
    """Wait for a time span, from when the task is scheduled.

    Args:
        seconds: whole seconds; a reference to their number will do.
        duration: in place of seconds, Conductor's form, such as `2 hours 30 minutes`.

    Raises:
        InvalidInput: neither or both are given, or the seconds are not whole.
    """
    if (seconds is None) == (duration is None):
        raise InvalidInput("give either seconds or duration; without end it is wait_for_signal", field="wait")
    if seconds is not None:
        duration = f"{seconds}s" if isinstance(seconds, Reference) else f"{whole_seconds(seconds, 'wait')}s"
    return Node("WAIT", "wait", options, inputs={"duration": duration})


def wait_until(when: datetime | date | str | Reference, **options: Unpack[Options]) -> Node:
    """Wait until a moment; one in the past ends at once.

    Args:
        when: an aware datetime (rounded up to the minute, which is all the format holds), a date, or
            text in Conductor's form `yyyy-MM-dd HH:mm z`.

    Raises:
        InvalidInput: no moment, or a datetime without a time zone.
    """
    return Node("WAIT", "wait", options, inputs={"until": _moment(when)})


def wait_for_signal(**options: Unpack[Options]) -> Node:
    """Wait until a signal or a task update ends it; its data is the output."""
    return Node("WAIT", "wait", options)


def human(**options: Unpack[Options]) -> Node:
    """Wait for a person; the inputs are for whoever shows the task."""
    return Node("HUMAN", "human", options)


def http(  # noqa: PLR0913 -- the parts of a request
    uri: str | Reference,
    *,
    method: Method | Reference = "GET",
    headers: Mapping[str, object] | None = None,
    body: object = None,
    accept: str | Sequence[str] | None = None,
    content_type: str | None = None,
    connect_timeout: float | None = None,
    read_timeout: float | None = None,
    **options: Unpack[Options],
) -> Node:
    """An HTTP request; `output.response` has `statusCode`, `headers` and `body`, and non-2xx fails.

    Args:
        connect_timeout: seconds, 3 by default.
        read_timeout: seconds, 3 by default.

    Raises:
        InvalidInput: a timeout is no duration.
    """
    request = {
        "uri": uri,
        "method": method,
        "headers": headers,
        "body": body,
        "accept": accept,
        "contentType": content_type,
        "connectionTimeOut": _milliseconds(connect_timeout, "connect_timeout"),
        "readTimeOut": _milliseconds(read_timeout, "read_timeout"),
    }
    said = {key: value for key, value in request.items() if value is not None}
    return Node("HTTP", "http", options, inputs={"http_request": said})


def inline(script: str, *, evaluator: str = "javascript", **options: Unpack[Options]) -> Node:
    """A script; the inputs are `$.name` in it, and its last value is `output.result`."""
    return Node("INLINE", "inline", options, inputs={"evaluatorType": evaluator, "expression": script})


def jq(query: str, **options: Unpack[Options]) -> Node:
    """A jq query over the inputs; `output.result` is the first result, `resultList` has all."""
    return Node("JSON_JQ_TRANSFORM", "jq", options, inputs={"queryExpression": query})


def set_variables(values: Mapping[str, object], **options: Unpack[Options]) -> Node:
    """Set variables of the execution; `wf.variables.name` refers to them.

    Raises:
        InvalidInput: there is no mapping of them.
    """
    if not isinstance(values, Mapping):
        raise InvalidInput(
            "variables are a mapping of names to values", field=options.get("ref", "set_variables")
        )
    return Node("SET_VARIABLE", "set_variables", options, inputs=values)


def terminate(
    status: Literal["COMPLETED", "FAILED", "TERMINATED"] = "COMPLETED",
    *,
    reason: str | Reference | None = None,
    output: object = None,
    **options: Unpack[Options],
) -> Node:
    """End the whole execution here, with this status, reason and output."""
    said = {"terminationStatus": status, "terminationReason": reason, "workflowOutput": output}
    inputs = {key: value for key, value in said.items() if value is not None}
    return Node("TERMINATE", "terminate", options, inputs=inputs)


def noop(**options: Unpack[Options]) -> Node:
    """Nothing; a place to come together or to wait with `after`."""
    return Node("NOOP", "noop", options)


def event(sink: str | Reference, **options: Unpack[Options]) -> Node:
    """Publish the inputs to a sink such as `conductor:name`; with `async_complete` wait for its answer."""
    return Node("EVENT", "event", options, fields={"sink": str(sink)})


def start_workflow(
    workflow: str | Reference | Definable,
    *,
    version: int | None = None,
    start_input: Mapping[str, object] | None = None,
    correlation_id: str | Reference | None = None,
    execution_priority: int | Reference | None = None,
    request: Mapping[str, object] | None = None,
    **options: Unpack[Options],
) -> Node:
    """Start another workflow and go on without it; `output.workflowId` is the new execution.

    Args:
        workflow: a registered name, or a whole workflow, whose definition travels in the request.
        start_input: what it is started with.
        execution_priority: of the new execution; `priority` is this task's own.
        request: more fields of Conductor's start request.
    """
    definable = workflow if isinstance(workflow, Definable) else None
    said = {
        "name": workflow if definable is None else definable.name,
        "version": version if definable is None else definable.version,
        "input": start_input,
        "correlationId": correlation_id,
        "priority": execution_priority,
        "workflowDef": definable.to_definition() if definable is not None else None,
        **(request or {}),
    }
    start = {key: value for key, value in said.items() if value is not None}
    node = Node("START_WORKFLOW", "start_workflow", options, inputs={"startWorkflow": start})
    if definable is not None:
        node.carried.append(definable)
    return node


def command(
    executable: str | Reference,
    args: Sequence[object] = (),
    *,
    workdir: str | Reference | None = None,
    **options: Unpack[Options],
) -> Node:
    """Run a program with these arguments, never through a shell; other settings go into `inputs`.

    Raises:
        InvalidInput: the arguments are one text, which only a shell would take apart.
    """
    if isinstance(args, str):
        raise InvalidInput(f"args is a list, such as {args.split()!r}", field=options.get("ref", "command"))
    inputs: dict[str, object] = {"executable": executable, "args": list(args)}
    if workdir is not None:
        inputs["workdir"] = workdir
    return Node("COMMAND", "command", options, inputs=inputs)


def _milliseconds(timeout: float | None, name: str) -> int | None:
    return None if timeout is None else round(any_seconds(timeout, f"http.{name}") * 1000)


def _moment(when: datetime | date | str | Reference) -> str | Reference:
    if isinstance(when, str | Reference):
        return when
    if not isinstance(when, date):
        raise InvalidInput(f"{when!r} is no moment", field="wait_until")
    if not isinstance(when, datetime):
        return when.isoformat()
    if when.tzinfo is None:
        raise InvalidInput("a datetime needs a time zone, such as datetime.UTC", field="wait_until")
    utc = when.astimezone(UTC)
    if utc.second or utc.microsecond:
        utc = utc.replace(second=0, microsecond=0) + timedelta(minutes=1)
    return f"{utc:%Y-%m-%d %H:%M} UTC"
