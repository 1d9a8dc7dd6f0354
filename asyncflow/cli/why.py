"""`asyncflow why`: what a task, or every open task of an execution, waits for, and since when.

What a wait is called in a phrase is in `waits`; what is known of it is the server's.
"""

from __future__ import annotations

import click

from asyncflow.cli.completion import execution_ids
from asyncflow.cli.output import Format, format_option, write_json, write_rows
from asyncflow.cli.remote import as_object, as_rows, fetch, server_option, when
from asyncflow.cli.waits import task_of, wait_of
from asyncflow.errors import ServerRefused
from asyncflow.model.values import JsonObject

_WAITS = {"task": "TASK", "since": "SINCE (UTC)", "waits": "WAITS FOR"}


@click.command(short_help="Say what a task or an execution waits for.")
@click.argument("id_", metavar="TASK_ID|EXECUTION_ID", shell_complete=execution_ids)
@click.option(
    "--limit", type=click.IntRange(1, 1_000), default=200, show_default=True, help="At most this many tasks."
)
@server_option
@format_option
def why(*, id_: str, limit: int, server: str, output: Format) -> None:
    """Say what a task, or each open task of an execution, waits for, and since when.

    Who holds the slot and what they wait for, the place in the line, the gate that is closed, the next poll
    of a job, workers that were never seen, times, signals, decisions.
    """
    try:
        found = fetch(server, "api", "asyncflow", "workflow", id_, "why", count=limit)
    except ServerRefused as error:
        if error.status != 404:
            raise
        found = fetch(server, "api", "asyncflow", "tasks", id_, "why")
    write_waits(as_object(found), id_, output)


def write_waits(found: JsonObject, identity: str, output: Format) -> None:
    """Write what is waited for; that nothing is goes to stderr."""
    rows = as_rows(found, "waitsFor")
    if not rows:
        status = found.get("taskStatus") or found.get("status")
        click.echo(f"asyncflow: {identity}: nothing waits, it is {status}", err=True)
    there = found.get("openTasks")
    if rows and isinstance(there, int) and there > len(rows):
        click.echo(f"asyncflow: {identity}: {len(rows)} of {there} open tasks are shown", err=True)
    if output == "table":
        shown = [
            {"task": task_of(row), "since": when(row.get("sinceMs")), "waits": wait_of(row)} for row in rows
        ]
        write_rows(shown, _WAITS, output)
    elif output == "json":
        write_json(rows)
    else:
        write_rows(rows, _WAITS, output)
