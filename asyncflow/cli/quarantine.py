"""`asyncflow quarantine`: executions that were set aside, why, how they are let go on, or deleted.

It asks a server; what each kind means is in `app/quarantine`.
"""

from __future__ import annotations

import click

from asyncflow.cli.completion import execution_ids
from asyncflow.cli.output import Format, cell, format_option, write_rows
from asyncflow.cli.remote import (
    as_object,
    as_rows,
    ask,
    fetch,
    limit_option,
    offset_option,
    said,
    send,
    server_option,
    tell_of_more,
    when,
    yes_option,
)

_LISTED = {
    "workflowId": "EXECUTION",
    "workflow": "WORKFLOW",
    "kind": "KIND",
    "since": "SINCE (UTC)",
    "reason": "REASON",
}


@click.group(short_help="List executions that were set aside, release or delete them.")
def quarantine() -> None:
    """Look at executions that were set aside as something is wrong with them alone; release or delete."""


@quarantine.command(name="list")
@limit_option
@offset_option
@server_option
@format_option
def list_(*, limit: int, offset: int, server: str, output: Format) -> None:
    """List executions that were set aside, the latest first; `why ID` says what can be done."""
    write_quarantined(server, output, limit=limit, offset=offset)


def write_quarantined(server: str, output: Format, *, limit: int, offset: int) -> None:
    """Write what a server has set aside."""
    found = fetch(server, "api", "asyncflow", "quarantine", start=offset, count=limit)
    rows = as_rows(found)
    if output == "table":
        shown = [
            {
                **row,
                "workflow": f"{row['workflowName']} v{row['version']}" if row.get("workflowName") else "",
                "since": when(row.get("since")),
                "reason": cell(row.get("reason")),
            }
            for row in rows
        ]
        write_rows(shown, _LISTED, output)
    else:
        write_rows(rows, _LISTED, output)
    tell_of_more(found, len(rows) + offset, what="executions")


@quarantine.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True, shell_complete=execution_ids)
@server_option
def release(*, ids: tuple[str, ...], server: str) -> None:
    """Let executions go on from what is recorded of them; one that cannot be read still stays set aside."""
    for identity in ids:
        answer = send(server, "POST", "api", "asyncflow", "quarantine", identity, "release")
        said(f"{identity} was released, it is {as_object(answer.json).get('status')}")


@quarantine.command()
@click.argument("ids", metavar="ID...", nargs=-1, required=True, shell_complete=execution_ids)
@click.option("--reason", default="", help="Why; it stands in the audit and in the log.")
@yes_option
@server_option
def delete(*, ids: tuple[str, ...], reason: str, yes: bool, server: str) -> None:
    """Delete executions for good that were set aside, whatever is wrong with them.

    What their open tasks began elsewhere goes on there, and nobody watches it any more: such tasks are named.
    """
    ask(f"Delete {len(ids)} quarantined executions for good?", is_sure=yes)
    for identity in ids:
        answer = send(server, "DELETE", "api", "asyncflow", "quarantine", identity, reason=reason or None)
        said(f"{identity} was deleted")
        left = as_object(answer.json).get("openTasks")
        for task in left if isinstance(left, list) else ():
            said(f"  its {task.get('taskType')} task {task.get('referenceTaskName')} was open")
