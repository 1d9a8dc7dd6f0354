"""`asyncflow listener`: who is told of a server's events, how far each is, and what it did not take.

Listeners of the configuration file are changed there; others are made, changed and deleted here, from files
with the keys of `[listeners.NAME]`.
"""

from __future__ import annotations

import click

from asyncflow.cli.exits import DONE, USAGE, CommandFailed
from asyncflow.cli.output import (
    Format,
    cell,
    format_option,
    write_json,
    write_object,
    write_rows,
)
from asyncflow.cli.remote import (
    as_object,
    as_rows,
    ask,
    fetch,
    limit_option,
    objects_of,
    offset_option,
    said,
    send,
    server_option,
    tell_of_more,
    when,
    yes_option,
)

_LISTED = {
    "name": "LISTENER",
    "state": "STATE",
    "lagTurns": "LAG",
    "told": "TOLD",
    "retried": "RETRIED",
    "skipped": "SKIPPED",
    "gaps": "GAPS",
    "reason": "REASON",
}
_SKIPPED = {"time": "TIME (UTC)", "name": "EVENT", "id": "ID", "reason": "REASON", "later": "TOLD (UTC)"}
_EVENTS = {"name": "EVENT", "subject": "ABOUT", "about": "SAYS"}


_name = click.argument("name")


def _path(name: str, *more: str) -> tuple[str, ...]:
    return ("api", "asyncflow", "listeners", name, *more)


@click.group(short_help="Say who is told of events, and tell them again.")
def listener() -> None:
    """Look at listeners and the events that they are told of; make and change them, tell them again."""


@listener.command(name="list")
@server_option
@format_option
def list_(*, server: str, output: Format) -> None:
    """List listeners: how many turns each is behind, and what it was told since the start."""
    found = as_object(fetch(server, "api", "asyncflow", "listeners"))
    write_rows(as_rows(found, "listeners"), _LISTED, output)


@listener.command()
@_name
@server_option
@format_option
def get(*, name: str, server: str, output: Format) -> None:
    """Show one listener with its settings."""
    found = as_object(fetch(server, *_path(name)))
    write_object(found, output)


@listener.command()
@_name
@click.argument("file", metavar="FILE")
@server_option
def apply(*, name: str, file: str, server: str) -> None:
    """Make a listener as FILE says, or change it; `-` is stdin. Keys are those of [listeners.NAME]."""
    bodies = objects_of([file])
    if len(bodies) != 1:
        raise CommandFailed(f"{file}: one object is expected, got {len(bodies)}")
    found = as_object(send(server, "PUT", *_path(name), body=bodies[0]).json)
    said(f"{name} is as {file} says, and told from turn {found.get('turn')} on")


@listener.command()
@_name
@yes_option
@server_option
def delete(*, name: str, yes: bool, server: str) -> None:
    """Delete a listener, and where it was."""
    ask(f"delete {name}?", is_sure=yes)
    send(server, "DELETE", *_path(name))
    said(f"{name} is deleted")


@listener.command()
@_name
@click.option("--turn", type=click.IntRange(1), metavar="NUMBER", help="From this turn on.")
@click.option("--event", default="", metavar="ID", help="From the turn of this event on.")
@yes_option
@server_option
def rewind(*, name: str, turn: int | None, event: str, yes: bool, server: str) -> None:
    """Tell a listener everything again, from a turn or from an event on."""
    if bool(event) == (turn is not None):
        raise CommandFailed("say either --turn or --event")
    ask(f"tell {name} everything again from {event or turn} on?", is_sure=yes)
    body: dict[str, object] = {"event": event} if event else {"turn": turn}
    found = as_object(send(server, "POST", *_path(name, "rewind"), body=body).json)
    said(f"{name} is {found.get('lagTurns')} turns behind, and told again")


@listener.command()
@_name
@click.argument("events", metavar="[EVENT_ID]...", nargs=-1)
@limit_option
@server_option
def retell(*, name: str, events: tuple[str, ...], limit: int, server: str) -> int:
    """Tell a listener once more what it skipped: these events, or the oldest that it was not told since."""
    body: dict[str, object] = {"events": list(events)} if events else {}
    found = as_object(send(server, "POST", *_path(name, "skipped"), body=body, count=limit).json)
    gone, failed = found.get("gone"), found.get("failed")
    said(f"{name} was told {found.get('told')}, {found.get('left')} are left")
    for each in gone if isinstance(gone, list) else []:
        said(f"gone with its execution: {cell(each)}")
    if failed is None:
        return DONE
    said(f"not taken: {cell(as_object(failed).get('id'))}: {cell(as_object(failed).get('reason'))}")
    return USAGE


@listener.command()
@_name
@click.option(
    "--limit", type=click.IntRange(1, 5_000), default=50, show_default=True, help="At most this many."
)
@offset_option
@server_option
@format_option
def skipped(*, name: str, limit: int, offset: int, server: str, output: Format) -> None:
    """List events that a listener did not take after all retries; newest first."""
    found = fetch(server, *_path(name, "skipped"), start=offset, count=limit)
    rows = as_rows(found)
    if output == "table":
        rows = [
            {**row, "time": when(row.get("at")), "later": when(row["toldAt"]) if "toldAt" in row else ""}
            for row in rows
        ]
    write_rows(rows, _SKIPPED, output)
    tell_of_more(found, offset + len(rows), what="events")


@listener.command()
@server_option
@format_option
def events(*, server: str, output: Format) -> None:
    """List the events that there are; with `-o json` with their schemas."""
    found = as_object(fetch(server, "api", "asyncflow", "event-catalogue"))
    if output == "table":
        write_rows(as_rows(found, "events"), _EVENTS, output)
    else:
        write_json(found["events"], lines=output == "jsonl")
