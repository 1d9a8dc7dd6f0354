"""`asyncflow routing`: which version of a workflow starts get that name none, and how versions do.

Rules are read from a file and shown as they are; what they mean is the server's to say.
"""

from __future__ import annotations

import click

from asyncflow.cli.completion import workflow_names
from asyncflow.cli.executions import number_of
from asyncflow.cli.exits import CommandFailed
from asyncflow.cli.output import Format, cell, duration, format_option, write_facts, write_json, write_rows
from asyncflow.cli.remote import (
    as_object,
    as_rows,
    ask,
    fetch,
    objects_of,
    said,
    send,
    server_option,
    yes_option,
)
from asyncflow.model.values import JsonObject

_RULES = {"name": "WORKFLOW", "shown": "RULES", "default": "DEFAULT"}
_VERSIONS = {
    "version": "VERSION",
    "starts": "STARTS",
    "open": "OPEN",
    "completed": "COMPLETED",
    "failed": "FAILED",
    "p50": "HALF WITHIN",
    "p95": "95 % WITHIN",
    "state": "STATE",
}

_name = click.argument("name", shell_complete=workflow_names)


@click.group(short_help="Spread starts over versions, and take that back.")
def routing() -> None:
    """Spread starts of a workflow over its versions, compare them, and take that back."""


@routing.command(name="list")
@server_option
@format_option
def list_(*, server: str, output: Format) -> None:
    """List the rules of every workflow that has any."""
    rows = as_rows(fetch(server, "api", "asyncflow", "routing"))
    write_rows([_row(row) for row in rows] if output == "table" else rows, _RULES, output)


def _row(row: JsonObject) -> dict[str, object]:
    return {**row, "shown": "; ".join(_rule(each) for each in as_rows(row, "rules")) or "none"}


def _rule(rule: JsonObject) -> str:
    share = f" for {rule['percentage']} %" if rule.get("percentage") is not None else ""
    condition = f" when {cell(rule['when'])}" if rule.get("when") else ""
    return f"{rule.get('version')}{share}{condition}"


@routing.command()
@_name
@server_option
@format_option
def get(*, name: str, server: str, output: Format) -> None:
    """Show the rules of one workflow; -o json gives what `set` takes."""
    _write(as_object(fetch(server, "api", "asyncflow", "routing", name)), output)


def _write(found: JsonObject, output: Format) -> None:
    if output == "table":
        write_facts((key, value) for key, value in _row(found).items() if key != "rules")
    else:
        write_json(found, lines=output == "jsonl")


@routing.command(name="set")
@_name
@click.option("--file", metavar="FILE", help="Rules in JSON or YAML; - is stdin.")
@click.option(
    "--canary", metavar="VERSION:PERCENT", help="Instead of a file: this version for so many starts."
)
@click.option("--default", type=int, metavar="N", help="With --canary: the version of all others.")
@server_option
@format_option
def set_(
    *, name: str, file: str | None, canary: str | None, default: int | None, server: str, output: Format
) -> None:
    """Say which version starts get that name none: the first rule that holds, else the default."""
    if (file is None) == (canary is None):
        raise CommandFailed("give the rules with --file, or one version with --canary")
    if file is not None:
        body, *more = objects_of([file])
        if more or default is not None:
            raise CommandFailed(f"{file}: one object of rules is expected, and no --default beside it")
    else:
        body = {"rules": [_canary(canary or "")]}
        if default is not None:
            body["default"] = default
    _write(as_object(send(server, "PUT", "api", "asyncflow", "routing", name, body=body).json), output)


def _canary(given: str) -> JsonObject:
    version, _, share = given.partition(":")
    try:
        return {"version": int(version), "percentage": float(share)}
    except ValueError as error:
        raise CommandFailed(f"--canary {given}: VERSION:PERCENT is expected, such as 3:10") from error


@routing.command()
@_name
@server_option
@format_option
def rollback(*, name: str, server: str, output: Format) -> None:
    """Send every start to the default version again, at once; what the rules were is kept."""
    _write(as_object(send(server, "POST", "api", "asyncflow", "routing", name, "rollback").json), output)


@routing.command()
@_name
@yes_option
@server_option
def delete(*, name: str, yes: bool, server: str) -> None:
    """Forget the rules: starts get the highest version again."""
    ask(f"forget the rules of {name}?", is_sure=yes)
    send(server, "DELETE", "api", "asyncflow", "routing", name)
    said(f"{name} has no rules")


@routing.command()
@_name
@server_option
@format_option
def compare(*, name: str, server: str, output: Format) -> None:
    """Show how the versions of a workflow do, side by side: starts, ends, durations."""
    rows = as_rows(fetch(server, "api", "asyncflow", "workflow", name, "versions"), "versions")
    write_rows([_counted(row) for row in rows] if output == "table" else rows, _VERSIONS, output)


def _counted(row: JsonObject) -> dict[str, object]:
    times = {
        key: duration(number_of(row, f"{key}Ms")) for key in ("p50", "p95") if row.get(f"{key}Ms") is not None
    }
    return {**row, **times, "state": "registered" if row.get("registered") else "gone"}
