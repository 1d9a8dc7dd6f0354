"""`asyncflow resource` and `asyncflow worker`: what is limited and who holds it, and who takes tasks.

It only reads.
"""

from __future__ import annotations

import click

from asyncflow.cli.output import Format, format_option, write_facts, write_json, write_rows
from asyncflow.cli.remote import as_rows, fetch, server_option, when
from asyncflow.errors import NotFound
from asyncflow.model.values import JsonObject

_RESOURCES = {"name": "RESOURCE", "facts": "FACTS"}
_WORKERS = {"workerId": "WORKER", "queueName": "QUEUE", "domain": "DOMAIN", "polled": "LAST POLL (UTC)"}


@click.group(short_help="Look at what is limited, and who holds and awaits it.")
def resource() -> None:
    """Look at what is limited, and who holds and awaits it."""


def _resources(server: str) -> list[JsonObject]:
    """All resources, each with its name; the server answers a list of them, or an object by names."""
    found = fetch(server, "api", "asyncflow", "resources")
    if isinstance(found, dict) and "results" not in found:
        return [{"name": name, **facts} for name, facts in found.items() if isinstance(facts, dict)]
    return as_rows(found)


@resource.command(name="list")
@server_option
@format_option
def list_(*, server: str, output: Format) -> None:
    """List the resources of the server: how much there is, is held, and is waited for."""
    rows = _resources(server)
    if output == "table":
        rows = [{"name": row.get("name"), "facts": _facts(row)} for row in rows]
    write_rows(rows, _RESOURCES, output)


def _facts(row: JsonObject) -> str:
    plain = {key: value for key, value in row.items() if key != "name" and not isinstance(value, dict | list)}
    lists = {key: len(value) for key, value in row.items() if isinstance(value, dict | list)}
    return ", ".join(f"{key} {value}" for key, value in {**plain, **lists}.items() if value not in (None, ""))


@resource.command()
@click.argument("name")
@server_option
@format_option
def get(*, name: str, server: str, output: Format) -> None:
    """Show one resource, with those who hold it and those who wait for it."""
    found = next((row for row in _resources(server) if row.get("name") == name), None)
    if found is None:
        raise NotFound("resource", name)
    if output == "table":
        write_facts(found.items())
    else:
        write_json(found, lines=output == "jsonl")


@click.group(short_help="Look at who takes tasks from the server.")
def worker() -> None:
    """Look at who takes tasks from the server."""


@worker.command(name="list")
@click.option("--queue", default="", metavar="TYPE", help="Only those that poll for this task type.")
@server_option
@format_option
def list_workers(*, queue: str, server: str, output: Format) -> None:
    """List the workers that have polled, and when they did last."""
    if queue:
        found = fetch(server, "api", "tasks", "queue", "polldata", taskType=queue)
    else:
        found = fetch(server, "api", "tasks", "queue", "polldata", "all")
    rows = as_rows(found)
    if output == "table":
        rows = [{**row, "polled": when(row.get("lastPollTime"))} for row in rows]
    write_rows(rows, _WORKERS, output)
