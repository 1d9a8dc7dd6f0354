"""`asyncflow event`: event handlers of a server, and events published by hand."""

from __future__ import annotations

import click

from asyncflow.cli.output import Format, format_option, write_rows
from asyncflow.cli.remote import (
    as_rows,
    ask,
    fetch,
    object_of,
    objects_of,
    said,
    send,
    server_option,
    yes_option,
)
from asyncflow.model.values import JsonObject

_LISTED = {"name": "HANDLER", "event": "EVENT", "active": "ACTIVE", "does": "DOES"}


@click.group(short_help="Make, list and delete event handlers, and publish events.")
def event() -> None:
    """Make, list and delete event handlers, and publish events."""


@event.command(name="list")
@click.option("--event", "name", default="", metavar="EVENT", help="Only those of this event, active or not.")
@server_option
@format_option
def list_(*, name: str, server: str, output: Format) -> None:
    """List event handlers."""
    if name:
        rows = as_rows(fetch(server, "api", "event", name, activeOnly=False))
    else:
        rows = as_rows(fetch(server, "api", "event"))
    write_rows([_row(row) for row in rows] if output == "table" else rows, _LISTED, output)


def _row(row: JsonObject) -> dict[str, object]:
    actions = row.get("actions")
    listed = [each for each in actions if isinstance(each, dict)] if isinstance(actions, list) else []
    return {**row, "does": ", ".join(str(each.get("action")) for each in listed)}


@event.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--overwrite", is_flag=True, help="Replace handlers that are there.")
@server_option
def create(*, files: tuple[str, ...], overwrite: bool, server: str) -> None:
    """Make the event handlers in JSON or YAML files; `-` is stdin."""
    for body in objects_of(files):
        send(server, "PUT" if overwrite else "POST", "api", "event", body=body)
        said(f"event handler {body.get('name')} is registered")


@event.command()
@click.argument("name")
@yes_option
@server_option
def delete(*, name: str, yes: bool, server: str) -> None:
    """Delete an event handler."""
    ask(f"delete the event handler {name}?", is_sure=yes)
    send(server, "DELETE", "api", "event", name)
    said(f"event handler {name} is deleted")


@event.command()
@click.argument("sink")
@click.argument("payload", metavar="JSON|@FILE")
@server_option
def publish(*, sink: str, payload: str, server: str) -> None:
    """Publish an event, such as one of the SINK `conductor:orders`, to the handlers of it."""
    send(server, "POST", "api", "asyncflow", "events", sink, body=object_of(payload, "PAYLOAD"))
    said(f"published to {sink}")
