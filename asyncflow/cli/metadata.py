"""`asyncflow definition`: what a server has registered, workflows and tasks.

A file says by its shape which of the two it holds: a workflow has tasks. What is sound is the server's to
say; `asyncflow lint` says it without one.
"""

from __future__ import annotations

import click

from asyncflow.cli.completion import workflow_names
from asyncflow.cli.exits import CommandFailed
from asyncflow.cli.output import Format, format_option, write_facts, write_json, write_rows
from asyncflow.cli.remote import (
    as_object,
    as_rows,
    ask,
    fetch,
    objects_of,
    said,
    send,
    server_option,
    when,
    yes_option,
)
from asyncflow.model.values import JsonObject

_WORKFLOWS = {
    "name": "WORKFLOW",
    "version": "VERSION",
    "count": "TASKS",
    "made": "REGISTERED (UTC)",
    "description": "ABOUT",
}
_TASKS = {
    "name": "TASK",
    "retryCount": "RETRIES",
    "timeoutSeconds": "TIMEOUT (s)",
    "concurrentExecLimit": "AT ONCE",
    "description": "ABOUT",
}
_task = click.option("--task", "is_task", is_flag=True, help="A task definition, not a workflow.")


@click.group(short_help="Register, list, show and delete definitions of a server.")
def definition() -> None:
    """Register, list, show and delete definitions of a server."""


@definition.command(name="list")
@click.option("--tasks", "is_task", is_flag=True, help="Task definitions, not workflows.")
@click.option("--all-versions", is_flag=True, help="Not only the highest version of each workflow.")
@server_option
@format_option
def list_(*, is_task: bool, all_versions: bool, server: str, output: Format) -> None:
    """List definitions; with -o json whole."""
    if is_task:
        write_rows(as_rows(fetch(server, "api", "metadata", "taskdefs")), _TASKS, output)
        return
    parts = () if all_versions else ("latest-versions",)
    rows = as_rows(fetch(server, "api", "metadata", "workflow", *parts))
    write_rows([_row(row) for row in rows] if output == "table" else rows, _WORKFLOWS, output)


def _row(row: JsonObject) -> dict[str, object]:
    tasks = row.get("tasks")
    return {
        **row,
        "count": len(tasks) if isinstance(tasks, list) else "",
        "made": when(row.get("updateTime") or row.get("createTime")),
    }


@definition.command()
@click.argument("name", shell_complete=workflow_names)
@click.option("--version", type=int, metavar="N", help="By default the highest.")
@_task
@server_option
@format_option
def get(*, name: str, version: int | None, is_task: bool, server: str, output: Format) -> None:
    """Show one definition; -o json gives what can be registered again."""
    if is_task:
        found = as_object(fetch(server, "api", "metadata", "taskdefs", name))
    else:
        found = as_object(fetch(server, "api", "metadata", "workflow", name, version=version))
    if output == "table":
        write_facts((name, value) for name, value in _row(found).items() if name != "tasks")
    else:
        write_json(found, lines=output == "jsonl")


@definition.command()
@click.argument("name", shell_complete=workflow_names)
@server_option
@format_option
def versions(*, name: str, server: str, output: Format) -> None:
    """List the versions of a workflow."""
    rows = as_rows(fetch(server, "api", "metadata", "workflow", name, "versions"))
    write_rows([_row(row) for row in rows] if output == "table" else rows, _WORKFLOWS, output)


@definition.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@server_option
def create(*, files: tuple[str, ...], server: str) -> None:
    """Register the workflow and task definitions in JSON or YAML files, or replace those that are there.

    Tasks go first. One that is invalid refuses all of its kind.
    """
    found = objects_of(files)
    tasks = [each for each in found if "tasks" not in each]
    workflows = [each for each in found if "tasks" in each]
    if tasks:
        send(server, "POST", "api", "metadata", "taskdefs", body=tasks)
        said(f"tasks registered: {', '.join(str(each.get('name')) for each in tasks)}")
    if workflows:
        answer = as_object(send(server, "PUT", "api", "metadata", "workflow", body=workflows).json)
        failed = answer.get("bulkErrorResults")
        if isinstance(failed, dict) and failed:
            raise CommandFailed("; ".join(f"{name}: {reason}" for name, reason in failed.items()))
        said(f"workflows registered: {', '.join(str(each.get('name')) for each in workflows)}")


@definition.command()
@click.argument("name", shell_complete=workflow_names)
@click.option("--version", type=int, metavar="N", help="Of a workflow; needed.")
@_task
@yes_option
@server_option
def delete(*, name: str, version: int | None, is_task: bool, yes: bool, server: str) -> None:
    """Delete a definition; executions of it go on."""
    if is_task:
        ask(f"delete the task definition {name}?", is_sure=yes)
        send(server, "DELETE", "api", "metadata", "taskdefs", name)
        said(f"task definition {name} is deleted")
        return
    if version is None:
        raise CommandFailed("say --version N: one version of a workflow is deleted at a time")
    ask(f"delete version {version} of the workflow {name}?", is_sure=yes)
    send(server, "DELETE", "api", "metadata", "workflow", name, str(version))
    said(f"{name} version {version} is deleted")
