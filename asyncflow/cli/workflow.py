"""`asyncflow workflow list|get`: the executions in a database file, also while an engine runs on it.

It only reads. Lists come from the views, a whole execution from the journal itself.
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
    write_rows,
)
from asyncflow.cli.paths import FilePath
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
    required=True,
    metavar="FILE",
    help="The database file; an engine may be running on it.",
)


@click.group(short_help="Look at the executions in a database file.")
def workflow() -> None:
    """Look at the executions in a database file."""


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
@click.option(
    "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="At most this many."
)
@click.option("--offset", type=click.IntRange(0), default=0, help="Leave out the first ones.")
@format_option
def list_(  # noqa: PLR0913 - one parameter per option
    *,
    database: Path,
    statuses: tuple[str, ...],
    name: str,
    correlation_id: str,
    children: bool,
    limit: int,
    offset: int,
    output: Format,
) -> None:
    """List executions, the newest start first."""
    chosen = files.ExecutionFilter(name, statuses, correlation_id, children)
    rows, total = in_loop(partial(files.list_executions, database, chosen, limit=limit, offset=offset))
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
    if total > offset + len(rows):
        click.echo(
            f"asyncflow: {len(rows)} of {total} executions; --limit and --offset show others", err=True
        )


@workflow.command(name="get")
@click.argument("execution_id", metavar="ID")
@_database
@click.option("--tasks", "with_tasks", is_flag=True, help="List the tasks as well.")
@format_option
def get(*, execution_id: str, database: Path, with_tasks: bool, output: Format) -> None:
    """Show one execution; with -o json in Conductor's Workflow shape, tasks and definition included."""
    identity = _checked(execution_id)
    execution = in_loop(partial(files.read_execution, database, identity))
    if output != "table":
        write_json(execution, lines=output == "jsonl")
        return
    _write_execution(execution)
    if with_tasks:
        click.echo()
        write_rows(_task_rows(execution), _TASKS, output)


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


def _task_rows(execution: JsonObject) -> list[dict[str, object]]:
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
