"""`asyncflow overview`, `resource` and `worker`: what goes on, what is limited and held, who takes tasks.

Verbs for one resource are in `resource_verbs`. Workers are those that asyncflow has seen; another server
of Conductor's API knows of each when it polled last, and that is shown instead.
"""

from __future__ import annotations

import click

from asyncflow.cli.executions import number_of
from asyncflow.cli.output import (
    Format,
    cell,
    format_option,
    write_facts,
    write_json,
    write_rows,
)
from asyncflow.cli.remote import (
    as_object,
    as_rows,
    fetch,
    limit_option,
    offset_option,
    server_option,
    tell_of_more,
    when,
)
from asyncflow.cli.resource_verbs import VERBS
from asyncflow.cli.waits import task_of, wait_of
from asyncflow.errors import ServerRefused
from asyncflow.model.values import JsonObject

_MOST = 1_000
_RESOURCES = {"name": "RESOURCE", "type": "TYPE", "state": "STATE", "facts": "FACTS"}
_OWN = {"name", "type", "state", "source", "settings"}
_POLLS = {"workerId": "WORKER", "queueName": "QUEUE", "domain": "DOMAIN", "polled": "LAST POLL (UTC)"}
_WORKERS = {
    "workerId": "WORKER",
    "version": "VERSION",
    "seen": "LAST SEEN (UTC)",
    "inFlight": "TASKS",
    "polls": "QUEUES",
    "state": "STATE",
}
_OPEN = {
    "workflowId": "EXECUTION",
    "workflow": "WORKFLOW",
    "status": "STATUS",
    "started": "STARTED (UTC)",
    "openTasks": "OPEN",
    "waits": "WAITS FOR",
}


@click.command(short_help="Show what runs, what waits and for what.")
@click.option("--workflow", default="", metavar="NAME", help="Only executions of this workflow.")
@click.option(
    "--limit", type=click.IntRange(1, 100), default=20, show_default=True, help="At most this many."
)
@offset_option
@server_option
@format_option
def overview(*, workflow: str, limit: int, offset: int, server: str, output: Format) -> None:
    """Show what runs, what waits and for what: open executions, the oldest first."""
    found = as_object(
        fetch(server, "api", "asyncflow", "overview", workflow=workflow, count=limit, start=offset)
    )
    rows = as_rows(found, "executions")
    if output == "json":
        write_json(found)
    elif output == "jsonl":
        write_rows(rows, _OPEN, output)
    else:
        now = as_object(found.get("now", {}))
        write_facts((name, value) for name, value in now.items() if value)
        write_rows([_execution(row) for row in rows], _OPEN, output)
    tell_of_more(found, offset + len(rows), what="open executions")


def _execution(row: JsonObject) -> dict[str, object]:
    waits = [f"{task_of(each)}: {wait_of(each)}".removeprefix(": ") for each in as_rows(row, "waitsFor")]
    return {
        **row,
        "workflow": f"{row.get('workflowName')} v{row.get('version')}",
        "started": when(row.get("startTime")),
        "waits": "; ".join(waits) or row.get("quarantined"),
    }


# --- resources ------------------------------------------------------------------------------------


@click.group(short_help="Look at what is shared and limited; drain and resize it.")
def resource() -> None:
    """Look at what is shared and limited, who holds and awaits it; drain it, resize it, make it."""


@resource.command(name="list")
@limit_option
@offset_option
@server_option
@format_option
def list_(*, limit: int, offset: int, server: str, output: Format) -> None:
    """List everything that limits tasks: how much there is, is in use, and is waited for."""
    found = fetch(server, "api", "asyncflow", "resources", count=limit, start=offset)
    rows = as_rows(found, "resources")
    if output == "table":
        shown = [{**row, "facts": _facts(row)} for row in rows]
        write_rows(shown, _RESOURCES, output)
    else:
        write_rows(rows, _RESOURCES, output)
    tell_of_more(found, offset + len(rows), what="resources")


def _facts(row: JsonObject) -> str:
    told = {
        key: len(value) if isinstance(value, list) else value
        for key, value in row.items()
        if key not in _OWN and value not in (None, "", [], {})
    }
    return ", ".join(f"{key} {cell(value)}" for key, value in told.items())


for _verb in VERBS:
    resource.add_command(_verb)


# --- workers --------------------------------------------------------------------------------------


@click.group(short_help="Look at who takes tasks from the server.")
def worker() -> None:
    """Look at who takes tasks from the server."""


@worker.command(name="list")
@click.option("--queue", default="", metavar="TYPE", help="Who polled for this task type, and when.")
@click.option("--lost", is_flag=True, help="Only those that are lost.")
@limit_option
@offset_option
@server_option
@format_option
def list_workers(*, queue: str, lost: bool, limit: int, offset: int, server: str, output: Format) -> None:
    """List the workers that were seen since the server began: when, with how many tasks, who is lost."""
    if queue:
        _write_polls(fetch(server, "api", "tasks", "queue", "polldata", taskType=queue), output)
        return
    try:
        found = fetch(server, "api", "asyncflow", "workers", lost=lost or None, count=limit, start=offset)
    except ServerRefused as error:
        if error.status != 404:
            raise
        _write_polls(fetch(server, "api", "tasks", "queue", "polldata", "all"), output)
        return
    rows = as_rows(found, "workers")
    write_rows([_worker(row) for row in rows] if output == "table" else rows, _WORKERS, output)
    tell_of_more(found, offset + len(rows), what="workers")


def _worker(row: JsonObject) -> dict[str, object]:
    queues = [str(each.get("queueName")) for each in as_rows(row, "queues")]
    state = "lost" if row.get("lost") else "busy" if number_of(row, "inFlight") else "idle"
    return {**row, "seen": when(row.get("lastSeen")), "polls": ", ".join(queues), "state": state}


def _write_polls(found: object, output: Format) -> None:
    rows = as_rows(found)
    if output == "table":
        rows = [{**row, "polled": when(row.get("lastPollTime"))} for row in rows]
    write_rows(rows, _POLLS, output)
