"""`asyncflow task`: tasks of a server's executions, what is said of them by hand, their logs and queues.

A task is named by its id, or by its execution and its reference there. Workers take tasks by the API and
not by this command.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

import click

from asyncflow.cli.completion import execution_ids
from asyncflow.cli.executions import number_of, took
from asyncflow.cli.exits import CommandFailed
from asyncflow.cli.late import Late
from asyncflow.cli.output import (
    Format,
    cell,
    duration,
    format_option,
    moment,
    write_facts,
    write_json,
    write_rows,
)
from asyncflow.cli.remote import (
    as_object,
    as_rows,
    connected,
    fetch,
    input_option,
    joined,
    object_of,
    offset_option,
    quoted,
    said,
    send,
    server_option,
    tell_of_more,
    when,
)
from asyncflow.cli.task_decide import decide
from asyncflow.cli.task_io import io
from asyncflow.errors import NotFound, ServerRefused
from asyncflow.model.statuses import TASK_ENDED
from asyncflow.model.values import JsonObject

if TYPE_CHECKING:
    from asyncflow.sdk import client as sdk
else:
    sdk = Late("asyncflow.sdk.client")

F = TypeVar("F", bound="Callable[..., object]")

_STATUSES = ("SCHEDULED", "IN_PROGRESS", *sorted(TASK_ENDED))
_LISTED = {
    "taskId": "TASK",
    "reference": "REFERENCE",
    "taskType": "TYPE",
    "status": "STATUS",
    "took": "TOOK",
    "workflowId": "EXECUTION",
    "reason": "REASON",
}
_LOG = {"time": "TIME (UTC)", "log": "LINE"}
_QUEUES = {"queue": "QUEUE", "size": "WAITING", "uacked": "WITH WORKERS"}


@click.group(short_help="Look at tasks and their queues, end tasks by hand.")
def task() -> None:
    """Look at tasks, end them by hand, read their logs and queues."""


# --- looking --------------------------------------------------------------------------------------


@task.command(name="list")
@click.argument("execution_id", metavar="[ID]", required=False, default="", shell_complete=execution_ids)
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(_STATUSES, case_sensitive=False),
    help="Only this status; may be given several times.",
)
@click.option("--state", default="", metavar="WORD", help="Only in this true state, such as NEEDS_DECISION.")
@click.option("--name", default="", help="Only tasks of this definition.")
@click.option("--query", default="", metavar="QUERY", help="Only those that it finds.")
@click.option("--free-text", default="", metavar="WORDS", help="Only with these words.")
@click.option(
    "--limit", type=click.IntRange(1, 5_000), default=100, show_default=True, help="At most this many."
)
@offset_option
@server_option
@format_option
def list_(  # noqa: PLR0913 - one parameter per option
    *,
    execution_id: str,
    statuses: tuple[str, ...],
    state: str,
    name: str,
    query: str,
    free_text: str,
    limit: int,
    offset: int,
    server: str,
    output: Format,
) -> None:
    """List the tasks of the execution ID in their order; without ID those of all, scheduled last first."""
    if execution_id and not (state or name or query or free_text):
        found = fetch(
            server, "api", "workflow", execution_id, "tasks", start=offset, count=limit, status=list(statuses)
        )
    else:
        asked = joined(
            f"workflowId = {quoted(execution_id)}" if execution_id else "",
            f"status IN ({', '.join(statuses)})" if statuses else "",
            f"state = {quoted(state)}" if state else "",
            f"taskDefName = {quoted(name)}" if name else "",
            query,
        )
        found = fetch(
            server, "api", "tasks", "search", query=asked, freeText=free_text, start=offset, size=limit
        )
    rows = as_rows(found)
    write_rows([_row(row) for row in rows] if output == "table" else rows, _LISTED, output)
    tell_of_more(found, offset + len(rows), what="tasks")


def _row(row: JsonObject) -> dict[str, object]:
    brief = duration(number_of(row, "executionTime")) if row.get("endTime") else ""
    return {
        **row,
        "status": _status(row),
        "reference": row.get("referenceTaskName") or row.get("taskReferenceName"),
        "took": took(row) or brief,
        "workflowId": row.get("workflowInstanceId") or row.get("workflowId"),
        "reason": row.get("reasonForIncompletion"),
    }


def _status(row: JsonObject) -> str:
    """Conductor's word, and the true state where that says more."""
    status, ours = str(row.get("status")), row.get("asyncflow")
    state = ours.get("state") if isinstance(ours, dict) else None
    return status if state in {None, status} else f"{status} {state}"


@task.command()
@click.argument("task_id", metavar="TASK_ID")
@server_option
@format_option
def get(*, task_id: str, server: str, output: Format) -> None:
    """Show one task; with -o json in Conductor's Task shape."""
    found = as_object(fetch(server, "api", "tasks", task_id))
    if output != "table":
        write_json(found, lines=output == "jsonl")
        return
    write_facts(
        [
            ("task", found.get("taskId")),
            ("reference", found.get("referenceTaskName")),
            ("type", found.get("taskType")),
            ("status", found.get("status")),
            ("reason", found.get("reasonForIncompletion")),
            ("execution", found.get("workflowInstanceId")),
            ("attempt", number_of(found, "retryCount") + 1),
            ("worker", found.get("workerId")),
            ("scheduled (UTC)", moment(number_of(found, "scheduledTime"))),
            ("started (UTC)", moment(number_of(found, "startTime"))),
            ("took", took(found)),
            ("input", found.get("inputData")),
            ("output", found.get("outputData")),
        ]
    )


@task.command()
@click.argument("task_id", metavar="TASK_ID")
@click.option("--add", metavar="TEXT", help="Add this line instead.")
@server_option
@format_option
def log(*, task_id: str, add: str | None, server: str, output: Format) -> None:
    """Show the log of a task, oldest line first."""
    if add is not None:
        send(server, "POST", "api", "tasks", task_id, "log", body=add)
        return
    rows = as_rows(fetch(server, "api", "tasks", task_id, "log"))
    if output == "table":
        rows = [{**row, "time": when(row.get("createdTime"))} for row in rows]
    write_rows(rows, _LOG, output)


@task.command()
@click.argument("types", metavar="[TYPE]...", nargs=-1)
@server_option
@format_option
def queues(*, types: tuple[str, ...], server: str, output: Format) -> None:
    """Show how many tasks wait for workers and how many workers have, by queue."""
    found = as_object(fetch(server, "api", "tasks", "queue", "all", "verbose"))
    rows: list[JsonObject] = [
        {"queue": name, "size": number_of(shard, "size"), "uacked": number_of(shard, "uacked")}
        for name, shards in found.items()
        for shard in (shards.values() if isinstance(shards, dict) else ())
        if isinstance(shard, dict) and (not types or name.rpartition(":")[2] in types or name in types)
    ]
    write_rows(rows, _QUEUES, output)


@task.command()
@click.argument("type_", metavar="TYPE")
@click.option(
    "--limit", type=click.IntRange(1, 5_000), default=100, show_default=True, help="At most this many."
)
@server_option
@format_option
def pending(*, type_: str, limit: int, server: str, output: Format) -> None:
    """List the open tasks of a TYPE: those that wait for a worker, and those that workers have."""
    rows = as_rows(fetch(server, "api", "admin", "task", type_, start=0, count=limit))
    write_rows([_row(row) for row in rows] if output == "table" else rows, _LISTED, output)


# --- what is said of one --------------------------------------------------------------------------


def _named(function: F) -> F:
    """The arguments that name a task, and what goes with it."""
    for option in (
        server_option,
        input_option,
        click.argument("reference", metavar="[REF]", required=False, default=""),
        click.argument("identity", metavar="TASK_ID|EXECUTION_ID"),
    ):
        function = option(function)
    return function


@task.command()
@_named
def complete(*, identity: str, reference: str, given: str | None, server: str) -> None:
    """End a task COMPLETED, with the output given by --input; named by its id, or by EXECUTION_ID and REF."""
    _say(server, (identity, reference), "COMPLETED", object_of(given), "")


@task.command()
@_named
@click.option("--reason", default="", metavar="TEXT", help="Why; only for a task named by its id.")
@click.option("--terminal", is_flag=True, help="No retry follows.")
def fail(
    *, identity: str, reference: str, given: str | None, reason: str, terminal: bool, server: str
) -> None:
    """End a task FAILED; its retries follow."""
    status = "FAILED_WITH_TERMINAL_ERROR" if terminal else "FAILED"
    _say(server, (identity, reference), status, object_of(given), reason)


@task.command()
@_named
def progress(*, identity: str, reference: str, given: str | None, server: str) -> None:
    """Say that a task goes on, with the output given by --input; its response timeout begins anew."""
    _say(server, (identity, reference), "IN_PROGRESS", object_of(given), "")


def _say(server: str, named: tuple[str, str], status: str, output: JsonObject, reason: str) -> None:
    """Say how a task stands."""
    identity, reference = named
    if reference and reason:
        raise CommandFailed("--reason goes with a task's id; a task named by EXECUTION_ID and REF has none")
    with connected(server) as client:
        if reference:
            path = sdk.path_of("api", "tasks", identity, reference, status)
            if not client.send("POST", path, body=output).text.strip():
                raise NotFound("open task", f"{reference} of execution {identity}")
        else:
            found = as_object(client.get(sdk.path_of("api", "tasks", identity)).json)
            if found.get("status") in TASK_ENDED:
                raise ServerRefused(409, f"{identity} has ended {found.get('status')} already")
            body: JsonObject = {
                "workflowInstanceId": found.get("workflowInstanceId"),
                "taskId": identity,
                "status": status,
                "outputData": output,
                "reasonForIncompletion": reason or None,
            }
            client.send("POST", "/api/tasks", body=body)
    said(f"{cell(reference or identity)} is {status}")


task.add_command(decide)
task.add_command(io)


@task.command()
@click.argument("task_id", metavar="TASK_ID")
@click.option("--reason", default="", metavar="TEXT", help="For the record.")
@server_option
def release(*, task_id: str, reason: str, server: str) -> None:
    """Take a task from the worker that has it, for another one to take; no retry is used."""
    send(server, "POST", "api", "asyncflow", "tasks", task_id, "release", reason=reason)
    said(f"{task_id} is given back")
