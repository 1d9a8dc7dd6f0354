"""`asyncflow event`: event handlers of a server, what they did, and messages published by hand.

A handler is Conductor's EventHandler, read from a file and shown as it is.
"""

from __future__ import annotations

import click

from asyncflow.cli.output import Format, format_option, write_rows
from asyncflow.cli.remote import (
    as_object,
    as_rows,
    ask,
    fetch,
    object_of,
    objects_of,
    offset_option,
    said,
    send,
    server_option,
    tell_of_more,
    when,
    yes_option,
)
from asyncflow.model.values import JsonObject

_LISTED = {"name": "HANDLER", "event": "EVENT", "active": "ACTIVE", "does": "DOES"}

_RUNS = {
    "at": "TIME (UTC)",
    "name": "HANDLER",
    "action": "ACTION",
    "status": "STATUS",
    "messageId": "MESSAGE",
    "reason": "REASON",
}


@click.group(short_help="Make and list event handlers, publish messages.")
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
@click.option("--message-id", default="", metavar="ID", help="Handlers act once on all messages of one id.")
@server_option
def publish(*, sink: str, payload: str, message_id: str, server: str) -> None:
    """Publish a message to a SINK such as `conductor:orders`, for the handlers of its event."""
    body = object_of(payload, "PAYLOAD")
    answer = send(server, "POST", "api", "asyncflow", "events", sink, body=body, messageId=message_id)
    click.echo(as_object(answer.json).get("messageId"))


@event.command()
@click.argument("handler", required=False, default="")
@click.option("--state", type=click.Choice(["COMPLETED", "FAILED"]), help="Only what ended so.")
@click.option(
    "--limit", type=click.IntRange(1, 5_000), default=50, show_default=True, help="At most this many."
)
@offset_option
@server_option
@format_option
def runs(*, handler: str, state: str | None, limit: int, offset: int, server: str, output: Format) -> None:
    """List what event handlers did, and what they failed to do after all retries; newest first."""
    asked: dict[str, object] = {"handler": handler, "state": state, "start": offset, "size": limit}
    found = fetch(server, "api", "asyncflow", "event-executions", **asked)
    rows = as_rows(found)
    if output == "table":
        rows = [{**row, "at": when(row.get("created"))} for row in rows]
    write_rows(rows, _RUNS, output)
    tell_of_more(found, offset + len(rows), what="actions")
