"""`asyncflow plugin`: what is installed here or at a server, a new package, and whether a plugin will do.

Findings are the result and go to stdout. What a plugin is looked at for is in `app/plugin_review`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from asyncflow.cli.exits import DONE, USAGE
from asyncflow.cli.late import Late
from asyncflow.cli.output import (
    Format,
    cell,
    format_option,
    styled,
    write_object,
    write_rows,
)
from asyncflow.cli.remote import as_object, as_rows, fetch, said
from asyncflow.model.values import JsonObject

if TYPE_CHECKING:
    from asyncflow.app import plugin_catalogue as catalogue
    from asyncflow.app import plugin_review as reviewing
    from asyncflow.plugins import registry, scaffold
else:
    catalogue = Late("asyncflow.app.plugin_catalogue")
    reviewing = Late("asyncflow.app.plugin_review")
    registry = Late("asyncflow.plugins.registry")
    scaffold = Late("asyncflow.plugins.scaffold")

_COLUMNS = {
    "kind": "KIND",
    "name": "NAME",
    "state": "STATE",
    "taskTypes": "TASK TYPES",
    "package": "PACKAGE",
    "reason": "REASON",
}
_COLOURS = {"error": "red", "warning": "yellow", "ok": "green"}

_server = click.option("--server", metavar="URL", help="Those of a server; by default those installed here.")


@click.group(short_help="List, make and check plugins.")
def plugin() -> None:
    """List plugins, begin a new one, and find out whether one will do."""


@plugin.command(name="list")
@_server
@format_option
def list_(*, server: str | None, output: Format) -> None:
    """List plugins: what each brings, and why it cannot be used if it cannot."""
    if server is None:
        rows = catalogue.PluginCatalogue(registry.Registry.load()).all()
    else:
        rows = as_rows(fetch(server, "api", "asyncflow", "plugins"), "plugins")
    write_rows([_row(row) for row in rows] if output == "table" else rows, _COLUMNS, output)


def _row(row: JsonObject) -> dict[str, object]:
    types = row.get("taskTypes")
    listed = ", ".join(map(str, types)) if isinstance(types, list) else ""
    return {**row, "taskTypes": listed, "package": f"{row.get('distribution')} {row.get('version')}".strip()}


@plugin.command()
@click.argument("kind", type=click.Choice(["resource", "task", "listener"]))
@click.argument("name")
@_server
@format_option
def get(*, kind: str, name: str, server: str | None, output: Format) -> None:
    """Show a plugin, with the JSON schemas of its settings and of the inputs of its types of task."""
    if server is None:
        found = catalogue.PluginCatalogue(registry.Registry.load()).get(kind, name)
    else:
        found = as_object(fetch(server, "api", "asyncflow", "plugins", kind, name))
    write_object(found, output)


@plugin.command()
@click.argument("name")
@click.option(
    "--kind",
    type=click.Choice(["resource", "task", "listener"]),
    required=True,
    help="A manager of resources, a type of task, or a listener to events.",
)
@click.option(
    "--out",
    "folder",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path(),
    metavar="DIR",
    help="Where the folder of the package is made; by default here.",
)
def new(*, name: str, kind: registry.Kind, folder: Path) -> None:
    """Write a package for a new plugin, whose tests pass as it is; prints the files."""
    for path in scaffold.write_package(name, kind, folder):
        click.echo(path)
    said(f"next: cd {folder / f'asyncflow-{name}'} && python -m pytest && asyncflow plugin check .")


@plugin.command()
@click.argument("wanted", metavar="NAME|FOLDER")
@format_option
def check(*, wanted: str, output: Format) -> int:
    """Find what is wrong with a plugin that is installed, or with the package in a folder.

    It is imported, measured, held against its contract, and looked through for secrets that show and
    calls that block; of a folder the tests are run. Exit code 2 if anything is an error.
    """
    found = [(each, remark) for each in reviewing.targets_of(wanted) for remark in reviewing.review(each)]
    if output == "table":
        for target, remark in found:
            level = styled(remark.level, colour=_COLOURS[remark.level])
            click.echo(f"{target.kind} {target.name}: {level}: {remark.subject}: {cell(remark.message)}")
    else:
        rows = [{"kind": target.kind, "name": target.name, **remark._asdict()} for target, remark in found]
        write_rows(rows, {}, output)
    return USAGE if any(remark.level == "error" for _, remark in found) else DONE
