"""Which executions a command is for: ids, or all that a search finds, and one request for many of them.

Everything is found before anything is done, so that what is done cannot change what is found. What a verb
asks for is in `workflow_verbs`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import click

from asyncflow.cli.completion import execution_ids
from asyncflow.cli.exits import DONE, USAGE, CommandFailed
from asyncflow.cli.late import Late
from asyncflow.cli.output import Format, format_option, write_rows
from asyncflow.cli.remote import (
    as_object,
    as_rows,
    ask,
    connected,
    fetch_execution,
    server_option,
    yes_option,
)
from asyncflow.errors import DefinitionError, ServerRefused
from asyncflow.model.values import JsonObject

if TYPE_CHECKING:
    from asyncflow.sdk import client as sdk
else:
    sdk = Late("asyncflow.sdk.client")

F = TypeVar("F", bound="Callable[..., object]")

_PAGE = 1_000  # a summary may hold 32 KiB of inputs and outputs
_AT_ONCE = 1_000
_FOUND = {"workflowId": "EXECUTION", "workflowType": "WORKFLOW", "status": "STATUS"}
_DONE = {"workflowId": "EXECUTION", "outcome": "OUTCOME"}


@dataclass(frozen=True, slots=True)
class Verb:
    """One thing that can be asked of executions, one by one or many at once.

    Attributes:
        name: as it is typed, and asked about: `pause 3 executions?`.
        before, tail: what stands before and after the id in the path of one.
        bulk: method and last part of the path for many; None where there is no such route.
        query: goes with either.
        one_query: goes with one; where it says anything, each is asked for by itself.
        is_final: it cannot be undone, so it is asked about even for one.
    """

    name: str
    method: str
    tail: tuple[str, ...] = ()
    before: tuple[str, ...] = field(default=(), kw_only=True)
    bulk: tuple[str, str] | None = None
    query: Mapping[str, object] = field(default_factory=dict)
    one_query: Mapping[str, object] = field(default_factory=dict)
    is_final: bool = False


@dataclass(frozen=True, slots=True)
class Selection:
    """What was said on the command line about which executions are meant, and how to go about it."""

    ids: tuple[str, ...]
    query: str
    free_text: str
    server: str
    output: Format
    is_sure: bool
    is_dry: bool


def selecting(function: F) -> F:
    """The arguments and options of a selection; the command hands them to `selection_of`."""
    options: Sequence[Callable[[F], F]] = (
        click.argument("ids", metavar="[ID]...", nargs=-1, shell_complete=execution_ids),
        click.option(
            "--query", default="", metavar="QUERY", help="All that it finds, such as `status = FAILED`."
        ),
        click.option("--free-text", default="", metavar="WORDS", help="All that hold these words."),
        click.option("--dry-run", "dry", is_flag=True, help="List them, and do nothing."),
        yes_option,
        server_option,
        format_option,
    )
    for option in reversed(options):
        function = option(function)
    return function


def selection_of(options: Mapping[str, object]) -> Selection:
    """The selection in a command's options.

    Raises:
        CommandFailed: neither ids nor a search are given, or both.
    """
    ids, query, free_text = options["ids"], str(options["query"]), str(options["free_text"])
    assert isinstance(ids, tuple)
    if ids == ("-",):
        ids = tuple(sys.stdin.read().split())
    if bool(ids) == bool(query.strip() or free_text.strip()):
        raise CommandFailed("name executions by their ids (`-` reads them from stdin), or by --query")
    output: Format = options["output"]  # type: ignore[assignment]  # click has checked it
    return Selection(
        tuple(dict.fromkeys(ids)),
        query,
        free_text,
        str(options["server"]),
        output,
        is_sure=bool(options["yes"]),
        is_dry=bool(options["dry"]),
    )


def carry_out(verb: Verb, options: Mapping[str, object]) -> int:
    """Do it to every execution that is meant, print what came of each, and return the exit code."""
    chosen = selection_of(options)
    with connected(chosen.server) as client:
        ids = chosen.ids
        if not ids or chosen.is_dry:
            rows = _meant(client, chosen)
            if chosen.is_dry:
                write_rows(rows, _FOUND, chosen.output)
                click.echo(f"asyncflow: would {verb.name} {_counted(len(rows))}", err=True)
                return DONE
            ids = tuple(str(row["workflowId"]) for row in rows)
        if not ids:
            click.echo("asyncflow: no execution meets that", err=True)
            return DONE
        is_harmless = bool(chosen.ids) and not verb.is_final
        ask(f"{verb.name} {_counted(len(ids))}?", is_sure=chosen.is_sure or is_harmless)
        if len(ids) == 1:
            _one(client, verb, ids[0])
            failed: dict[str, str] = {}
        else:
            failed = _many(client, verb, ids)
    shown: list[JsonObject] = [{"workflowId": each, "outcome": failed.get(each, "done")} for each in ids]
    write_rows(shown, _DONE, chosen.output)
    if failed:
        click.echo(f"asyncflow: {verb.name}: {len(failed)} of {len(ids)} were refused", err=True)
    return USAGE if failed else DONE


def _counted(count: int) -> str:
    return "1 execution" if count == 1 else f"{count} executions"


def _meant(client: sdk.Client, chosen: Selection) -> list[JsonObject]:
    """All executions that a selection means, as summaries, the oldest first."""
    if chosen.ids:
        return [_summary(client, each) for each in chosen.ids]
    asked = {
        "query": chosen.query,
        "freeText": chosen.free_text,
        "size": _PAGE,
        "sort": "startTime:ASC,workflowId:ASC",
    }
    found: dict[str, JsonObject] = {}
    start = 0
    while True:
        rows = as_rows(client.get("/api/workflow/search", {**asked, "start": start}).json)
        found |= {str(row.get("workflowId")): row for row in rows}
        start += len(rows)
        if len(rows) < _PAGE:
            return list(found.values())


def _summary(client: sdk.Client, identity: str) -> JsonObject:
    execution = fetch_execution(client, identity, includeTasks=False)
    named = {"workflowId": "workflowId", "workflowType": "workflowName", "status": "status"}
    return {key: execution.get(name) for key, name in named.items()}


def _one(client: sdk.Client, verb: Verb, identity: str) -> None:
    path = sdk.path_of("api", "workflow", *verb.before, identity, *verb.tail)
    client.send(verb.method, path, {**verb.query, **verb.one_query})


def _many(client: sdk.Client, verb: Verb, ids: Sequence[str]) -> dict[str, str]:
    """Why it failed, by the ids of those that it failed for."""
    if verb.bulk is None or any(verb.one_query.values()):
        return _each(client, verb, ids)
    method, last = verb.bulk
    failed: dict[str, str] = {}
    for first in range(0, len(ids), _AT_ONCE):
        body = list(ids[first : first + _AT_ONCE])
        answer = client.send(method, sdk.path_of("api", "workflow", "bulk", last), verb.query, body=body)
        errors = as_object(answer.json).get("bulkErrorResults")
        failed |= {
            str(key): str(value) for key, value in (errors if isinstance(errors, dict) else {}).items()
        }
    return failed


def _each(client: sdk.Client, verb: Verb, ids: Sequence[str]) -> dict[str, str]:
    failed: dict[str, str] = {}
    for identity in ids:
        try:
            _one(client, verb, identity)
        except (ServerRefused, DefinitionError) as error:
            failed[identity] = str(error)
    return failed
