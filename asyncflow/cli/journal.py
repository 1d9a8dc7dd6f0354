"""The option `--journal`, and `asyncflow journal`: files written from a database, and what one holds.

Which commands write such files while they run is said by the option; taking one up is `recover`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asyncflow.cli.late import Late
from asyncflow.cli.loop import in_loop
from asyncflow.cli.output import Format, format_option, write_rows
from asyncflow.cli.paths import FilePath
from asyncflow.cli.payloads import FolderPath

if TYPE_CHECKING:
    from asyncflow.app import recovering
else:
    recovering = Late("asyncflow.app.recovering")

journal_option = click.option(
    "--journal",
    type=FolderPath(),
    metavar="[DIR]",
    is_flag=False,
    flag_value=".",
    help="Write a journal file for each execution into DIR (by default the current folder); see `recover`.",
)

_COLUMNS = {
    "action": "ACTION",
    "taskReferenceName": "TASK",
    "type": "TYPE",
    "status": "STATUS",
    "reason": "REASON",
}


@click.group(short_help="Write journal files, and say what one holds.")
def journal() -> None:
    """Write journal files from a database, and say what one holds."""


@journal.command()
@click.argument("execution_id", metavar="ID")
@click.option("--db", "database", type=FilePath(), required=True, metavar="FILE", help="The database file.")
@click.option("--to", "folder", type=FolderPath(), default=".", metavar="DIR", help="Into this folder.")
def export(execution_id: str, database: Path, folder: Path) -> None:
    """Write the journal file of execution ID, with its sub-workflows; an older one is continued."""
    written = in_loop(partial(recovering.export, database, execution_id, Path(folder)))
    click.echo(written)


@journal.command()
@click.argument("file", type=FilePath())
@click.option("--until-damage", is_flag=True, help="Take what stands before damage in the middle.")
@format_option
def plan(*, file: Path, until_damage: bool, output: Format) -> None:
    """Print what `recover FILE` would reuse, and what would run again; run nothing."""
    found = in_loop(partial(recovering.read_file, file, until_damage=until_damage))
    tell_of(found)
    write_rows(recovering.plan_of(found), _COLUMNS, output)


def tell_of(found: recovering.Journaled) -> None:
    """Say what a file is of, and what is wrong with its end."""
    if found.torn:
        click.echo(f"asyncflow: {found.path}: not used from {found.torn}", err=True)
    click.echo(f"asyncflow: {found.path}: {found.name} {found.execution_id}, {found.state.status}", err=True)
