"""`asyncflow log`: what tasks, workers and resources logged, searched together at a server.

The log of one task alone is shown by `task log`, too.
"""

from __future__ import annotations

import click

from asyncflow.cli.output import Format, format_option, write_rows
from asyncflow.cli.remote import as_rows, fetch, server_option, tell_of_more, when

_COLUMNS = {"at": "TIME (UTC)", "level": "LEVEL", "of": "OF", "line": "LINE"}


@click.command(short_help="Search the logs of tasks and resources.")
@click.option("--resource", default="", metavar="NAME", help="What became of this resource.")
@click.option("--execution", default="", metavar="ID", help="Lines about this execution.")
@click.option("--task", default="", metavar="ID", help="Lines about this task.")
@click.option("--text", default="", metavar="TEXT", help="Lines that hold this text.")
@click.option("--from", "from_ms", type=click.IntRange(0), metavar="MS", help="Not before this time.")
@click.option("--to", "to_ms", type=click.IntRange(0), metavar="MS", help="Not after this time.")
@click.option(
    "--limit", type=click.IntRange(1, 5_000), default=100, show_default=True, help="At most this many."
)
@click.option("--offset", type=click.IntRange(0), default=0, help="Leave out the newest ones.")
@server_option
@format_option
def log(  # noqa: PLR0913 - one parameter per option
    *,
    resource: str,
    execution: str,
    task: str,
    text: str,
    from_ms: int | None,
    to_ms: int | None,
    limit: int,
    offset: int,
    server: str,
    output: Format,
) -> None:
    """Search what tasks, workers and resources logged, newest first: who destroyed it, when, and why."""
    wanted = {"resource": resource, "execution": execution, "task": task, "text": text}
    times = {"from": from_ms, "to": to_ms, "start": offset, "size": limit}
    found = fetch(server, "api", "asyncflow", "log", **wanted, **times)
    rows = as_rows(found)
    shown: list[dict[str, object]] = [
        {
            **row,
            "at": when(row.get("time")),
            "of": row.get("resource") or row.get("taskId") or row.get("workflowId"),
        }
        for row in rows
    ]
    write_rows(shown if output == "table" else rows, _COLUMNS, output)
    tell_of_more(found, offset + len(rows), what="lines")
