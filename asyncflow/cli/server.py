"""`asyncflow server`, `asyncflow audit` and `asyncflow api`: a server itself, who did what, any other route.

It only reads, but for `api`, which sends what it is told to.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import click

from asyncflow.cli.exits import DONE, USAGE, CommandFailed
from asyncflow.cli.late import Late
from asyncflow.cli.output import Format, format_option, write_facts, write_json, write_object, write_rows
from asyncflow.cli.remote import (
    as_object,
    as_rows,
    connected,
    fetch,
    input_option,
    offset_option,
    server_option,
    tell_of_more,
    when,
)

if TYPE_CHECKING:
    from asyncflow.cli import loading
else:
    loading = Late("asyncflow.cli.loading")

_AUDIT = {
    "at": "TIME (UTC)",
    "caller": "CALLER",
    "role": "ROLE",
    "action": "ACTION",
    "objectId": "OBJECT",
    "outcome": "OUTCOME",
    "reason": "REASON",
}
_METHODS = ("GET", "POST", "PUT", "DELETE")


@click.group(short_help="Look at a server itself.")
def server() -> None:
    """Look at a server itself: its health, configuration and names."""


@server.command()
@server_option
@format_option
def health(*, server: str, output: Format) -> int:
    """Show whether the server is well, and its version; exit code 2 if it is not."""
    with connected(server) as client:
        found = as_object(client.get("/health").json)
        found["version"] = client.get("/api/version").text.strip()
    write_object(found, output)
    return DONE if found.get("healthy") else USAGE


def _show(found: object, output: Format) -> None:
    if output == "table":
        write_facts(as_object(found).items())
    else:
        write_json(found, lines=output == "jsonl")


@server.command()
@server_option
@format_option
def config(*, server: str, output: Format) -> None:
    """Show what the server runs with; no secrets."""
    _show(fetch(server, "api", "admin", "config"), output)


@server.command()
@server_option
@format_option
def whoami(*, server: str, output: Format) -> None:
    """Show who one is to the server, by the credentials of the environment."""
    _show(fetch(server, "api", "token", "userInfo"), output)


@server.command()
@server_option
@format_option
def environment(*, server: str, output: Format) -> None:
    """List the variables that definitions can name."""
    write_rows(as_rows(fetch(server, "api", "environment")), {"name": "NAME", "value": "VALUE"}, output)


@server.command()
@server_option
@format_option
def secrets(*, server: str, output: Format) -> None:
    """List the names of secrets that definitions can name; values are shown by nothing."""
    found = fetch(server, "api", "secrets")
    write_rows(
        [{"name": each} for each in found] if isinstance(found, list) else [], {"name": "NAME"}, output
    )


@click.command(short_help="List who changed what on a server, and who was refused.")
@click.option("--caller", default="", help="Only this key, by its name.")
@click.option("--role", default="", help="Only keys of this role.")
@click.option("--action", default="", help="Only this route, as in `DELETE /api/workflow/{id}`.")
@click.option("--kind", default="", help="Only what was asked of this kind of thing, such as workflow.")
@click.option("--id", "identity", default="", help="Only what was asked of this one.")
@click.option("--outcome", default="", help="`done`, or the code of an error.")
@click.option(
    "--limit", type=click.IntRange(1, 5_000), default=50, show_default=True, help="At most this many."
)
@offset_option
@server_option
@format_option
def audit(*, limit: int, offset: int, server: str, output: Format, identity: str, **chosen: str) -> None:
    """List who changed what on a server, and who was refused; newest first."""
    asked: dict[str, object] = {**chosen, "id": identity, "start": offset, "size": limit}
    found = fetch(server, "api", "asyncflow", "audit", **asked)
    rows = as_rows(found)
    if output == "table":
        rows = [{**row, "at": when(row.get("time"))} for row in rows]
    write_rows(rows, _AUDIT, output)
    tell_of_more(found, offset + len(rows), what="entries")


@click.command(short_help="Send any request to a server.")
@click.argument("method", type=click.Choice(_METHODS, case_sensitive=False))
@click.argument("path")
@click.option(
    "--query", "pairs", multiple=True, metavar="NAME=VALUE", help="A parameter; may be given several times."
)
@input_option
@server_option
def api(*, method: str, path: str, pairs: tuple[str, ...], given: str | None, server: str) -> None:
    """Send any request to a server with one's credentials, and print what it answers.

    PATH begins with /; --input is the body, any JSON.
    """
    if (
        not path.startswith("/")
        or path.startswith("//")
        or not path.isascii()
        or not path.isprintable()
        or " " in path
    ):
        raise CommandFailed("PATH is such as /api/version, with escapes for what is not ASCII")
    query: dict[str, list[str]] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        query.setdefault(name, []).append(value)
    body = ... if given is None else _body(given)
    with connected(server) as client:
        answer = client.send(method, path, query, body=body)
    try:
        write_json(json.loads(answer.body))
    except ValueError:
        sys.stdout.buffer.write(answer.body)
        sys.stdout.buffer.flush()


def _body(given: str) -> object:
    content = loading.read_text(given[1:]) if given.startswith("@") else given
    try:
        return json.loads(content)
    except ValueError as error:
        raise CommandFailed(f"--input: no JSON: {error}") from error
