"""What every command that talks to a server shares: where it is, what it answered, and whether one is sure.

It sends nothing of its own accord. The client is `sdk/client`; which request a command makes is said
in the module of its noun.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import click

from asyncflow.cli.completion import execution_ids
from asyncflow.cli.exits import CommandFailed
from asyncflow.cli.late import Late
from asyncflow.cli.output import moment
from asyncflow.errors import NotFound, ServerRefused
from asyncflow.model.values import JsonObject

if TYPE_CHECKING:
    from asyncflow.cli import loading
    from asyncflow.sdk import client as sdk
else:
    loading = Late("asyncflow.cli.loading")
    sdk = Late("asyncflow.sdk.client")

_LATE_S = 30.0  # what an answer may take besides what it waits for

F = TypeVar("F", bound="Callable[..., object] | click.Command")

server_option = click.option(
    "--server",
    metavar="URL",
    default="",
    help="The server; by default ASYNCFLOW_SERVER, CONDUCTOR_SERVER_URL, or http://127.0.0.1:8080.",
)
limit_option = click.option(
    "--limit", type=click.IntRange(1, 1_000), default=100, show_default=True, help="At most this many."
)
offset_option = click.option("--offset", type=click.IntRange(0), default=0, help="Leave out the first ones.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask whether one is sure.")
input_option = click.option("--input", "given", metavar="JSON|@FILE", help="An object; @- reads stdin.")
id_argument = click.argument("execution_id", metavar="ID", shell_complete=execution_ids)


@contextmanager
def connected(server: str) -> Iterator[sdk.Client]:
    """A client of the server that is meant, closed at the end.

    Raises:
        ConfigurationError: the address or the credentials of the environment are none.
    """
    with sdk.Client(sdk.Address.found(os.environ, server)) as client:
        yield client


def fetch(server: str, *parts: str, **query: object) -> object:
    """The JSON that the server answers to GET of a path in parts."""
    with connected(server) as client:
        return client.get(sdk.path_of(*parts), query).json


def fetch_execution(client: sdk.Client, identity: str, **query: object) -> JsonObject:
    """An execution in Conductor's Workflow shape.

    Raises:
        NotFound: the id is the name of something else below `/api/workflow`.
    """
    found = as_object(client.get(sdk.path_of("api", "workflow", identity), query).json)
    if found.get("workflowId") != identity:
        raise NotFound("execution", identity)
    return found


def send(server: str, method: str, *parts: str, body: object = ..., **query: object) -> sdk.Answer:
    """What the server answers to a request on a path in parts; sent once, whatever comes of it."""
    with connected(server) as client:
        return client.send(method, sdk.path_of(*parts), query, body=body)


def send_and_wait(
    server: str, parts: Sequence[str], body: object, wait_s: float, query: Mapping[str, object]
) -> sdk.Answer:
    """What a POST answers that takes up to `wait_s` seconds to be answered."""
    with connected(server) as client:
        return client.send("POST", sdk.path_of(*parts), query, body=body, timeout_s=wait_s + _LATE_S)


# --- what came back -------------------------------------------------------------------------------


def as_object(value: object) -> JsonObject:
    """The JSON object that an answer has to be."""
    if not isinstance(value, dict):
        raise ServerRefused(200, "a JSON object was expected in the answer")
    return value


def as_rows(value: object, key: str = "results") -> list[JsonObject]:
    """The list of objects that an answer has to be, or that is found in it under this key."""
    listed = value.get(key) if isinstance(value, dict) else value
    if listed is None:
        return []
    if not isinstance(listed, list):
        raise ServerRefused(200, "a list was expected in the answer")
    return [each for each in listed if isinstance(each, dict)]


def tell_of_more(value: object, shown: int, *, what: str) -> None:
    """Say on stderr how many there are besides those shown."""
    total = value.get("totalHits") if isinstance(value, dict) else None
    if isinstance(total, int) and total > shown:
        click.echo(f"asyncflow: {shown} of {total} {what}; --limit and --offset show others", err=True)


def when(value: object) -> str:
    """A time of an answer for people: milliseconds, or ISO 8601."""
    if isinstance(value, int):
        return moment(value)
    text = value if isinstance(value, str) else ""
    return text.partition(".")[0].replace("T", " ").removesuffix("Z")


# --- what is sent ---------------------------------------------------------------------------------


def object_of(given: str | None, option: str = "--input") -> JsonObject:
    """The object that an option gives in place or as @FILE; empty where it is not given."""
    return {} if given is None else loading.read_object(given, option)


def objects_of(files: Sequence[str]) -> list[JsonObject]:
    """The objects in JSON or YAML files, which hold one or a list of them; `-` is stdin.

    Raises:
        CommandFailed, InvalidInput: a file cannot be read or holds something else.
    """
    found: list[JsonObject] = []
    for file in files:
        document = loading.read_document(file)
        for entry in document if isinstance(document, list) else [document]:
            if not isinstance(entry, dict):
                raise CommandFailed(f"{file}: an object is expected, or a list of them")
            found.append(entry)
    return found


def ask(question: str, *, is_sure: bool) -> None:
    """Return if the user is sure.

    Raises:
        CommandFailed: nobody is there to be asked.
        click.Abort: no.
    """
    if is_sure:
        return
    if not sys.stdin.isatty():
        raise CommandFailed(f"{question} Nobody can be asked here; say --yes")
    click.confirm(f"asyncflow: {question}", abort=True, err=True)


def quoted(value: str) -> str:
    """A value in a search query."""
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"


def joined(*conditions: str) -> str:
    """A search query that all conditions hold in; empty ones are left out."""
    return " AND ".join(f"({each})" for each in conditions if each.strip())


def said(text: str) -> None:
    """Tell on stderr what was done."""
    click.echo(f"asyncflow: {text}", err=True)
