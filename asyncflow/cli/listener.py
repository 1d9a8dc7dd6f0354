"""`asyncflow listener`: who is told of a server's events, how far each is, and what it did not take.

Listeners are configured in `[listeners.NAME]`; nothing is changed here.
"""

from __future__ import annotations

import click

from asyncflow.cli.output import Format, format_option, write_json, write_rows
from asyncflow.cli.remote import as_object, as_rows, fetch, server_option, tell_of_more, when

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
_SKIPPED = {"time": "TIME (UTC)", "name": "EVENT", "id": "ID", "reason": "REASON"}
_EVENTS = {"name": "EVENT", "subject": "ABOUT", "about": "SAYS"}


@click.group(short_help="Look at who is told of events.")
def listener() -> None:
    """Look at listeners, and at the events that they are told of."""


@listener.command(name="list")
@server_option
@format_option
def list_(*, server: str, output: Format) -> None:
    """List listeners: how many turns each is behind, and what it was told since the start."""
    found = as_object(fetch(server, "api", "asyncflow", "listeners"))
    write_rows(as_rows(found, "listeners"), _LISTED, output)


@listener.command()
@click.argument("name")
@click.option(
    "--limit", type=click.IntRange(1, 5_000), default=50, show_default=True, help="At most this many."
)
@click.option("--offset", type=click.IntRange(0), default=0, help="Leave out the first ones.")
@server_option
@format_option
def skipped(*, name: str, limit: int, offset: int, server: str, output: Format) -> None:
    """List events that a listener did not take after all retries; newest first."""
    path = ("api", "asyncflow", "listeners", name, "skipped")
    found = fetch(server, *path, start=offset, count=limit)
    rows = as_rows(found)
    if output == "table":
        rows = [{**row, "time": when(row.get("at"))} for row in rows]
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
