"""`asyncflow apply`: make a server, or a file, have what a folder says, and show what differs.

All files are read and checked before anything is stored. The comparison is `app/applying`; a server is
reached by the routes that anybody may use.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asyncflow.cli.exits import DONE, WORKFLOW_FAILED, CommandFailed
from asyncflow.cli.late import Late
from asyncflow.cli.loop import in_loop
from asyncflow.cli.output import Format, cell, format_option, styled, write_rows
from asyncflow.cli.paths import FilePath
from asyncflow.cli.remote import as_object, as_rows, connected, said, server_option
from asyncflow.errors import ServerRefused
from asyncflow.model.values import JsonObject

if TYPE_CHECKING:
    from asyncflow.app import applied_file, applying
    from asyncflow.cli import loading
    from asyncflow.sdk import client as sdk
else:
    applied_file = Late("asyncflow.app.applied_file")
    applying = Late("asyncflow.app.applying")
    loading = Late("asyncflow.cli.loading")
    sdk = Late("asyncflow.sdk.client")

_SUFFIXES = frozenset({".json", ".yaml", ".yml"})
_BUNDLED = ("workflows", "tasks", "schedules", "eventHandlers", "routing", "listeners")
_LISTENERS = ("asyncflow", "listeners")
_MARKS = {"create": ("+", "green"), "change": ("~", "yellow"), "delete": ("-", "red")}


class _FolderPath(FilePath):
    """The type of an option that names a file or a folder."""

    def __init__(self) -> None:
        super().__init__()
        self.dir_okay = True


@click.command(short_help="Make a server have the definitions and documents in a folder.")
@click.option(
    "-f",
    "--from",
    "folder",
    type=click.Path(path_type=Path),
    metavar="DIR",
    required=True,
    help="A folder, or one file.",
)
@click.option("--check", is_flag=True, help="Change nothing; exit code 1 if anything differs.")
@click.option("--prune", is_flag=True, help="Delete what no file has.")
@click.option("--db", "database", type=FilePath(), metavar="FILE", help="A database file, not a server.")
@server_option
@format_option
def apply(
    *, folder: Path, check: bool, prune: bool, database: Path | None, server: str, output: Format
) -> int:
    """Store workflows, task definitions, schedules, event handlers, routing rules and listeners of a folder.

    Shows what differs, by field; what is there already is left alone, so that doing it again does nothing.
    A file that is wrong refuses all. Rules of routing are {"name": …, "rules": […], "default": …}, listeners
    {"name": …, "listener": {…}}; those of the server's configuration file are left alone.
    """
    if database is not None and server:
        raise CommandFailed("say either --db or --server")
    wanted = applying.check_entries(_entries(folder))
    changes = in_loop(partial(_applied, wanted, database, server, prune=prune, check=check))
    _show(changes, output)
    unchanged = len(wanted) - sum(change.action != "delete" for change in changes)
    said(f"{len(changes)} {'to change' if check else 'changed'}, {unchanged} as they should be")
    return WORKFLOW_FAILED if check and changes else DONE


async def _applied(
    wanted: applying.Objects, database: Path | None, server: str, *, prune: bool, check: bool
) -> list[applying.Change]:
    async with _place(database, server, read_only=check) as place:
        present = await place.read()
        applying.check_versions(wanted, present)
        changes = applying.changes_to(wanted, present, prune=prune)
        if not check:
            await applying.apply_changes(place, changes)
        return changes


@asynccontextmanager
async def _place(database: Path | None, server: str, *, read_only: bool) -> AsyncIterator[applying.Place]:
    if database is not None:
        async with applied_file.open_place(database, read_only=read_only) as place:
            yield place
    else:
        with connected(server) as client:
            yield ServerPlace(client)


def _show(changes: list[applying.Change], output: Format) -> None:
    if output != "table":
        rows = [
            {"action": each.action, **each.key._asdict(), "fields": list(each.fields)} for each in changes
        ]
        write_rows(rows, {}, output)
        return
    for change in changes:
        mark, colour = _MARKS[change.action]
        click.echo(styled(f"{mark} {cell(applying.said(change.key))}", colour=colour))
        for line in change.fields:
            click.echo(f"    {cell(line)}")


# --- files ----------------------------------------------------------------------------------------


def _entries(folder: Path) -> Iterator[tuple[str, object]]:
    """Every object in the files of a folder, with where it stands; what begins with a dot is left."""
    for path in _files(folder):
        document = loading.read_document(str(path))
        if isinstance(document, list):
            yield from ((f"{path}[{index}]", entry) for index, entry in enumerate(document))
        elif isinstance(document, dict) and document and document.keys() <= set(_BUNDLED):
            yield from _bundled(path, document)
        else:
            yield str(path), document


def _bundled(path: Path, document: JsonObject) -> Iterator[tuple[str, object]]:
    for name, listed in document.items():
        if not isinstance(listed, list):
            raise CommandFailed(f"{path}: {name}: a list is expected")
        yield from ((f"{path} {name}[{index}]", entry) for index, entry in enumerate(listed))


def _files(folder: Path) -> list[Path]:
    if folder.is_file():
        return [folder]
    if not folder.is_dir():
        raise CommandFailed(f"{folder}: there is no such folder")
    found = [each for each in folder.rglob("*") if each.suffix in _SUFFIXES and each.is_file()]
    visible = [each for each in found if not any(part[:1] == "." for part in each.relative_to(folder).parts)]
    if not visible:
        raise CommandFailed(f"{folder}: there is no JSON or YAML file in it")
    return sorted(visible)


# --- a server -------------------------------------------------------------------------------------


class ServerPlace:
    """A server as a place that can be applied to; its requests are sent one after the other."""

    def __init__(self, client: sdk.Client) -> None:
        """Ask by this client."""
        self._client = client
        self._handlers: set[str] = set()

    async def read(self) -> dict[applying.Key, JsonObject]:
        """Everything the server has."""
        found: dict[applying.Key, JsonObject] = {}
        for each in self._listed("metadata", "workflow"):
            version = each.get("version")
            found[applying.Key("workflow", str(each["name"]), version if isinstance(version, int) else 1)] = (
                each
            )
        found |= {
            applying.Key("task", str(each["name"])): each for each in self._listed("metadata", "taskdefs")
        }
        found |= {
            applying.Key("routing", str(each["name"])): each for each in self._listed("asyncflow", "routing")
        }
        for name in self._listeners():
            settings = as_object(self._client.get(sdk.path_of("api", *_LISTENERS, name)).json).get("settings")
            found[applying.Key("listener", name)] = {"name": name, "listener": as_object(settings)}
        schedules = self._listed("scheduler", "schedules")
        found |= {applying.Key("schedule", str(each["name"])): each for each in schedules}
        handlers = self._listed("event")
        self._handlers = {str(each["name"]) for each in handlers}
        return found | {applying.Key("event handler", str(each["name"])): each for each in handlers}

    async def put(self, key: applying.Key, body: JsonObject) -> None:
        """Store an object, or replace it."""
        if key.kind == "workflow":
            answer = self._client.send("PUT", sdk.path_of("api", "metadata", "workflow"), body=[body])
            failed = as_object(answer.json).get("bulkErrorResults")
            if failed:
                raise ServerRefused(409, f"{applying.said(key)}: {failed}")
        elif key.kind == "task":
            self._client.send("POST", sdk.path_of("api", "metadata", "taskdefs"), body=[body])
        elif key.kind == "routing":
            self._client.send("PUT", sdk.path_of("api", "asyncflow", "routing", key.name), body=body)
        elif key.kind == "listener":
            said_of_it = applying.listener_settings_of(body)
            self._client.send("PUT", sdk.path_of("api", *_LISTENERS, key.name), body=said_of_it)
        elif key.kind == "schedule":
            self._client.send("POST", sdk.path_of("api", "scheduler", "schedules"), body=body)
        else:
            method = "PUT" if key.name in self._handlers else "POST"
            self._client.send(method, sdk.path_of("api", "event"), body=body)

    async def delete(self, key: applying.Key) -> None:
        """Delete an object."""
        parts = {
            "workflow": ("metadata", "workflow", key.name, str(key.version)),
            "task": ("metadata", "taskdefs", key.name),
            "routing": ("asyncflow", "routing", key.name),
            "schedule": ("scheduler", "schedules", key.name),
            "event handler": ("event", key.name),
            "listener": (*_LISTENERS, key.name),
        }[key.kind]
        self._client.send("DELETE", sdk.path_of("api", *parts))

    def _listeners(self) -> list[str]:
        """Names of those that are not of the server's configuration; none where it is no asyncflow's."""
        try:
            answer = self._client.get(sdk.path_of("api", *_LISTENERS))
        except ServerRefused as error:
            if error.status != 404:
                raise
            return []
        rows = as_rows(as_object(answer.json), "listeners")
        return [str(each["name"]) for each in rows if each.get("source") == "document"]

    def _listed(self, *parts: str) -> list[JsonObject]:
        return as_rows(self._client.get(sdk.path_of("api", *parts)).json)
