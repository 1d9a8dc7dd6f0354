"""`asyncflow workflow list|get|why|watch|tasks|status`: executions of a server, or in a database file.

It only reads. With `--db` lists come from the views of the file and a whole execution from its journal,
also while an engine runs on it; else a server is asked. Starting is in `workflow_starting`, what is asked
of executions in `workflow_verbs`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asyncflow.cli.executions import head_of, number_of, summary_of, tasks_of, took
from asyncflow.cli.exits import CommandFailed
from asyncflow.cli.late import Late
from asyncflow.cli.loop import in_loop
from asyncflow.cli.output import (
    Format,
    cell,
    duration,
    format_option,
    moment,
    write_facts,
    write_json,
    write_object,
    write_rows,
)
from asyncflow.cli.paths import FilePath
from asyncflow.cli.quarantine import write_quarantined
from asyncflow.cli.remote import (
    as_object,
    as_rows,
    connected,
    fetch,
    fetch_execution,
    id_argument,
    joined,
    offset_option,
    quoted,
    server_option,
    tell_of_more,
    when,
)
from asyncflow.cli.watch import follow
from asyncflow.cli.why import write_waits
from asyncflow.cli.workflow_starting import STARTING
from asyncflow.cli.workflow_verbs import VERBS
from asyncflow.ids import parse_execution_id
from asyncflow.model.statuses import EXECUTION_TRANSITIONS
from asyncflow.model.values import JsonObject

if TYPE_CHECKING:
    from asyncflow.app import database as files
else:
    files = Late("asyncflow.app.database")

_LISTED = {
    "workflowId": "EXECUTION",
    "workflow": "WORKFLOW",
    "status": "STATUS",
    "started": "STARTED (UTC)",
    "took": "TOOK",
    "reason": "REASON",
}
_TASKS = {
    "seq": "#",
    "reference": "REFERENCE",
    "type": "TYPE",
    "status": "STATUS",
    "attempt": "ATTEMPT",
    "took": "TOOK",
    "reason": "REASON",
}

_database = click.option(
    "--db",
    "database",
    type=FilePath(),
    metavar="FILE",
    help="Read this database file instead of asking a server; an engine may be running on it.",
)


@click.group(short_help="Start executions, look at them and steer them.")
def workflow() -> None:
    """Start executions of a server, look at them and steer them; list and get also read a database file."""


for _command in (*STARTING, *VERBS):
    workflow.add_command(_command)


# --- lists ----------------------------------------------------------------------------------------


@workflow.command(name="list")
@_database
@click.option(
    "--status",
    "statuses",
    multiple=True,
    type=click.Choice(list(EXECUTION_TRANSITIONS), case_sensitive=False),
    help="Only this status; may be given several times.",
)
@click.option("--name", default="", help="Only executions of this workflow.")
@click.option("--correlation-id", default="", help="Only with this correlation id.")
@click.option("--children", is_flag=True, help="Sub-workflows' executions as well.")
@click.option("--query", default="", metavar="QUERY", help="Only those that it finds; asks a server.")
@click.option("--free-text", default="", metavar="WORDS", help="Only with these words; asks a server.")
@click.option(
    "--sort", default="startTime:DESC", metavar="FIELD:ASC|DESC", help="In this order; asks a server."
)
@click.option("--quarantined", is_flag=True, help="Those that were set aside; asks a server.")
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most this many."
)
@offset_option
@server_option
@format_option
def list_(*, database: Path | None, server: str, output: Format, quarantined: bool, **chosen: object) -> None:
    """List executions, the newest start first.

    A QUERY compares fields, as in `workflowType = mail AND status IN (FAILED, TIMED_OUT)`.
    """
    if quarantined:
        if database is not None:
            raise CommandFailed("--quarantined asks a server, which alone knows what it set aside")
        limit, offset = min(1_000, int(str(chosen["limit"]))), int(str(chosen["offset"]))
        write_quarantined(server, output, limit=limit, offset=offset)
        return
    if database is None:
        _list_of_server(server, output, chosen)
        return
    if server or chosen["query"] or chosen["free_text"]:
        raise CommandFailed("--db reads a file; --server, --query and --free-text ask a server")
    _list_of_file(database, output, chosen)


def _list_of_server(server: str, output: Format, chosen: dict[str, object]) -> None:
    statuses = chosen["statuses"]
    assert isinstance(statuses, tuple)
    query = joined(
        f"status IN ({', '.join(statuses)})" if statuses else "",
        f"workflowType = {quoted(str(chosen['name']))}" if chosen["name"] else "",
        f"correlationId = {quoted(str(chosen['correlation_id']))}" if chosen["correlation_id"] else "",
        str(chosen["query"]),
    )
    asked = {
        "query": query,
        "freeText": chosen["free_text"],
        "sort": chosen["sort"],
        "topLevelOnly": not chosen["children"],
        "start": chosen["offset"],
        "size": min(int(str(chosen["limit"])), 5_000),
    }
    found = fetch(server, "api", "workflow", "search", **asked)
    rows = as_rows(found)
    if output == "table":
        write_rows([_shown(row) for row in rows], _LISTED, output)
    else:
        write_rows(rows, _LISTED, output)
    tell_of_more(found, len(rows) + int(str(chosen["offset"])), what="executions")


def _shown(row: JsonObject) -> dict[str, object]:
    """A summary as a row of the table."""
    return {
        **row,
        "workflow": f"{row.get('workflowType')} v{row.get('version')}",
        "started": when(row.get("startTime")),
        "took": duration(number_of(row, "executionTime")) if row.get("endTime") else "",
        "reason": row.get("reasonForIncompletion"),
    }


def _list_of_file(database: Path, output: Format, chosen: dict[str, object]) -> None:
    statuses, limit, offset = chosen["statuses"], int(str(chosen["limit"])), int(str(chosen["offset"]))
    assert isinstance(statuses, tuple)
    wanted = files.ExecutionFilter(
        str(chosen["name"]), statuses, str(chosen["correlation_id"]), bool(chosen["children"])
    )
    rows, total = in_loop(partial(files.list_executions, database, wanted, limit=limit, offset=offset))
    shown: list[dict[str, object]] = [
        {
            "workflowId": row.execution_id,
            "workflow": f"{row.name} v{row.version}",
            "workflowName": row.name,
            "version": row.version,
            "status": row.status,
            "started": moment(row.started_at_ms),
            "took": duration((row.ended_at_ms or row.updated_at_ms) - row.started_at_ms),
            "startTime": row.started_at_ms,
            "endTime": row.ended_at_ms,
            "correlationId": row.correlation_id,
            "reason": row.reason,
        }
        for row in rows
    ]
    write_rows(shown, _LISTED, output)
    tell_of_more({"totalHits": total}, offset + len(rows), what="executions")


# --- one execution --------------------------------------------------------------------------------


@workflow.command(name="get")
@id_argument
@_database
@click.option("--tasks", "with_tasks", is_flag=True, help="List the tasks as well.")
@server_option
@format_option
def get(*, execution_id: str, database: Path | None, with_tasks: bool, server: str, output: Format) -> None:
    """Show one execution; with -o json in Conductor's Workflow shape, tasks and definition included."""
    if database is None:
        with connected(server) as client:
            execution = fetch_execution(client, execution_id)
    elif server:
        raise CommandFailed("--db reads a file; --server asks a server")
    else:
        execution = in_loop(partial(files.read_execution, database, _checked(execution_id)))
    if output != "table":
        write_json(execution, lines=output == "jsonl")
        return
    _write_execution(execution)
    if with_tasks:
        click.echo()
        write_rows(task_rows(execution), _TASKS, output)


@workflow.command()
@id_argument
@click.option("--result", "with_result", is_flag=True, help="With output and variables.")
@server_option
@format_option
def status(*, execution_id: str, with_result: bool, server: str, output: Format) -> None:
    """Show how one execution stands, in brief."""
    asked = {"includeOutput": with_result, "includeVariables": with_result}
    found = as_object(fetch(server, "api", "workflow", execution_id, "status", **asked))
    write_object(found, output)


@workflow.command()
@id_argument
@server_option
@format_option
def watch(*, execution_id: str, server: str, output: Format) -> int:
    """Follow one execution until it has ended; exit code 1 if it did not end well.

    Every change of a task is a line; with -o jsonl an object. Ctrl-C ends the watching alone.
    """
    return follow(server, execution_id, output)


@workflow.command()
@id_argument
@server_option
@format_option
def why(*, execution_id: str, server: str, output: Format) -> None:
    """Say what each open task of an execution waits for: slots with their holders, workers, times."""
    found = fetch(server, "api", "asyncflow", "workflow", execution_id, "why")
    write_waits(as_object(found), execution_id, output)


def _checked(text: str) -> str:
    try:
        return parse_execution_id(text)
    except ValueError as error:
        raise CommandFailed(
            f"{text!r} is not an execution id; `asyncflow workflow list` shows them"
        ) from error


def _write_execution(execution: JsonObject) -> None:
    write_facts(
        [
            *head_of(execution),
            ("correlation id", execution.get("correlationId")),
            ("parent", execution.get("parentWorkflowId")),
            ("started (UTC)", moment(number_of(execution, "startTime"))),
            ("took", took(execution)),
            ("tasks", summary_of(execution)),
            ("failed tasks", execution.get("failedReferenceTaskNames")),
            ("input", execution.get("input")),
            ("output", execution.get("output")),
        ]
    )


def task_rows(execution: JsonObject) -> list[dict[str, object]]:
    """The tasks of an execution as rows of a table."""
    return [
        {
            "seq": task.get("seq"),
            "reference": task.get("referenceTaskName"),
            "type": task.get("taskType"),
            "status": task.get("status"),
            "attempt": number_of(task, "retryCount") + 1,
            "took": took(task),
            "reason": cell(task.get("reasonForIncompletion")),
        }
        for task in tasks_of(execution)
    ]
