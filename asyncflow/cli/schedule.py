"""`asyncflow schedule`: when a server starts what by itself, and what came of it.

A schedule is Conductor's WorkflowSchedule, read from a file and shown as it is.
"""

from __future__ import annotations

import click

from asyncflow.cli.completion import schedule_names
from asyncflow.cli.exits import DONE, USAGE, CommandFailed
from asyncflow.cli.output import Format, format_option, moment, write_facts, write_json, write_rows
from asyncflow.cli.remote import (
    as_object,
    as_rows,
    ask,
    fetch,
    joined,
    objects_of,
    offset_option,
    quoted,
    said,
    send,
    server_option,
    tell_of_more,
    when,
    yes_option,
)
from asyncflow.model.values import JsonObject

_LISTED = {
    "name": "SCHEDULE",
    "cron": "CRON",
    "workflow": "STARTS",
    "paused": "PAUSED",
    "next": "NEXT (UTC)",
}
_RUNS = {
    "scheduled": "DUE (UTC)",
    "scheduleName": "SCHEDULE",
    "state": "STATE",
    "workflowId": "EXECUTION",
    "reason": "REASON",
}
_TIMES = {"time": "TIME", "utc": "UTC"}
_ZONE = "UTC"

_names = click.argument("names", metavar="NAME...", nargs=-1, required=True, shell_complete=schedule_names)


@click.group(short_help="Make, list, pause and delete schedules.")
def schedule() -> None:
    """Start workflows at times: make schedules, look at them, pause them."""


@schedule.command(name="list")
@click.option("--workflow", default="", metavar="NAME", help="Only those that start this workflow.")
@server_option
@format_option
def list_(*, workflow: str, server: str, output: Format) -> None:
    """List schedules, with the next time at which each is due."""
    rows = as_rows(fetch(server, "api", "scheduler", "schedules", workflowName=workflow))
    write_rows([_row(row) for row in rows] if output == "table" else rows, _LISTED, output)


def _row(row: JsonObject) -> dict[str, object]:
    request = row.get("startWorkflowRequest")
    crons = row.get("cronSchedules")
    several = (
        [each.get("cronExpression") for each in crons if isinstance(each, dict)]
        if isinstance(crons, list)
        else []
    )
    return {
        "name": row.get("name"),
        "cron": row.get("cronExpression") or "; ".join(map(str, several)),
        "workflow": request.get("name") if isinstance(request, dict) else None,
        "paused": (row.get("pausedReason") or "yes") if row.get("paused") else "",
        "next": when(row.get("nextRunTime")),
    }


@schedule.command()
@click.argument("name", shell_complete=schedule_names)
@server_option
@format_option
def get(*, name: str, server: str, output: Format) -> None:
    """Show one schedule."""
    found = as_object(fetch(server, "api", "scheduler", "schedules", name))
    if output == "table":
        write_facts(
            [
                *_row(found).items(),
                ("zone", found.get("zoneId")),
                ("request", found.get("startWorkflowRequest")),
            ]
        )
    else:
        write_json(found, lines=output == "jsonl")


@schedule.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@server_option
def create(*, files: tuple[str, ...], server: str) -> None:
    """Make the schedules in JSON or YAML files, or replace those of their names; `-` is stdin."""
    for body in objects_of(files):
        made = as_object(send(server, "POST", "api", "scheduler", "schedules", body=body).json)
        said(f"schedule {made.get('name')} is due next at {when(made.get('nextRunTime')) or 'no time'} (UTC)")


@schedule.command()
@_names
@click.option("--reason", default="", metavar="TEXT", help="Kept with a single schedule.")
@server_option
def pause(*, names: tuple[str, ...], reason: str, server: str) -> int:
    """Fire schedules no more; what comes due until they are resumed is not made up for."""
    if len(names) > 1 and reason:
        raise CommandFailed("--reason goes with one schedule")
    return _steer(server, "pause", names, reason)


@schedule.command()
@_names
@server_option
def resume(*, names: tuple[str, ...], server: str) -> int:
    """Fire paused schedules again, from now on."""
    return _steer(server, "resume", names, "")


def _steer(server: str, verb: str, names: tuple[str, ...], reason: str) -> int:
    if len(names) == 1:
        send(server, "PUT", "api", "scheduler", "schedules", names[0], verb, reason=reason)
        said(f"{verb}d {names[0]}")
        return DONE
    answer = as_object(send(server, "PUT", "api", "scheduler", "bulk", verb, body=list(names)).json)
    failed = answer.get("bulkErrorResults")
    refused = failed if isinstance(failed, dict) else {}
    for name, reason_given in refused.items():
        said(f"{name}: {reason_given}")
    said(f"{verb}d {len(set(names)) - len(refused)} of {len(set(names))} schedules")
    return USAGE if refused else DONE


@schedule.command()
@_names
@yes_option
@server_option
def delete(*, names: tuple[str, ...], yes: bool, server: str) -> None:
    """Delete schedules; what they started goes on."""
    ask(f"delete {', '.join(names)}?", is_sure=yes)
    for name in names:
        fetch(server, "api", "scheduler", "schedules", name)  # deleting what is not there is no error there
        send(server, "DELETE", "api", "scheduler", "schedules", name)
        said(f"deleted {name}")


@schedule.command(name="next")
@click.argument("name", required=False, default="", shell_complete=schedule_names)
@click.option(
    "--cron", default="", metavar="EXPRESSION", help="Instead of a schedule: six fields, seconds first."
)
@click.option("--zone", default="", metavar="ZONE", help="With --cron, such as Europe/Berlin; UTC otherwise.")
@server_option
@format_option
def next_(*, name: str, cron: str, zone: str, server: str, output: Format) -> None:
    """Show the next times at which a schedule or an expression is due."""
    if bool(name) == bool(cron):
        raise CommandFailed("name a schedule, or give an expression with --cron")
    found = as_object(fetch(server, "api", "scheduler", "schedules", name)) if name else {}
    crons = found.get("cronSchedules") if name else None
    pairs = (
        crons if isinstance(crons, list) and crons else [found or {"cronExpression": cron, "zoneId": zone}]
    )
    times: set[int] = set()
    for pair in pairs:
        asked = {
            "cronExpression": pair.get("cronExpression"),
            "zoneId": pair.get("zoneId") or _ZONE,
            "scheduleStartTime": found.get("scheduleStartTime") or None,
            "scheduleEndTime": found.get("scheduleEndTime") or None,
        }
        given = fetch(server, "api", "scheduler", "nextFewSchedules", **asked)
        times |= {each for each in given if isinstance(each, int)} if isinstance(given, list) else set()
    write_rows([{"time": each, "utc": moment(each)} for each in sorted(times)[:5]], _TIMES, output)


@schedule.command()
@click.argument("name", required=False, default="", shell_complete=schedule_names)
@click.option("--query", default="", metavar="QUERY", help="Such as `state = FAILED`.")
@click.option(
    "--limit", type=click.IntRange(1, 5_000), default=50, show_default=True, help="At most this many."
)
@offset_option
@server_option
@format_option
def runs(*, name: str, query: str, limit: int, offset: int, server: str, output: Format) -> None:
    """List what came of the times of schedules, the latest first."""
    asked = joined(f"scheduleName = {quoted(name)}" if name else "", query)
    found = fetch(server, "api", "scheduler", "search", "executions", query=asked, start=offset, size=limit)
    rows = as_rows(found)
    if output == "table":
        rows = [{**row, "scheduled": when(row.get("scheduledTime"))} for row in rows]
    write_rows(rows, _RUNS, output)
    tell_of_more(found, offset + len(rows), what="times")


@schedule.command()
@server_option
def hold(*, server: str) -> None:
    """Fire no schedule at all until `go-on`, or until the server is started again."""
    fetch(server, "api", "scheduler", "admin", "pause")
    said("no schedule is fired until `asyncflow schedule go-on`")


@schedule.command(name="go-on")
@server_option
def go_on(*, server: str) -> None:
    """Fire schedules again after `hold`."""
    fetch(server, "api", "scheduler", "admin", "resume")
    said("schedules are fired again")
