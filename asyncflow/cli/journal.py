"""The option `--journal`, and `asyncflow journal`: files written from elsewhere, and what one holds.

Which commands write such files while they run is said by the option; taking one up is `recover`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asyncflow.cli.convert import parse_variables
from asyncflow.cli.exits import CommandFailed
from asyncflow.cli.late import Late
from asyncflow.cli.loop import in_loop
from asyncflow.cli.output import Format, format_option, write_rows
from asyncflow.cli.paths import FilePath
from asyncflow.cli.payloads import FolderPath

if TYPE_CHECKING:
    from asyncflow.app import hyperflow_recovery, recovering, recovery_shown
    from asyncflow.convert import hyperflow
    from asyncflow.convert import tasks as converted
    from asyncflow.store import journal_file
else:
    hyperflow_recovery = Late("asyncflow.app.hyperflow_recovery")
    recovering = Late("asyncflow.app.recovering")
    recovery_shown = Late("asyncflow.app.recovery_shown")
    hyperflow = Late("asyncflow.convert.hyperflow")
    converted = Late("asyncflow.convert.tasks")

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
    tell_of(found, found.state.status)
    write_rows(recovery_shown.plan_of(found), _COLUMNS, output)


@journal.command(short_help="Turn a journal of HyperFlow into one of asyncflow.")
@click.argument("file", type=FilePath())
@click.option("--workflow", type=FilePath(), metavar="FILE", help="The workflow.json of the run.")
@click.option(
    "--var", "variables", multiple=True, metavar="NAME=VALUE", help="A template variable, over the recorded."
)
@click.option("--function", default="command", show_default=True, help="What {{function}} stands for.")
@click.option("--execute", is_flag=True, help="Run the real commands of what is left instead of functions.")
@click.option("--map", "maps", multiple=True, metavar="NAME=COMMAND", help="With --execute, as for `import`.")
@click.option("--workdir", metavar="DIR|EXPRESSION", help="With --execute: where commands run.")
@click.option("--to", "folder", type=FolderPath(), default=".", metavar="DIR", help="Into this folder.")
def convert(  # noqa: PLR0913 - one parameter per option
    *,
    file: Path,
    workflow: Path | None,
    variables: tuple[str, ...],
    function: str,
    execute: bool,
    maps: tuple[str, ...],
    workdir: str | None,
    folder: Path,
) -> None:
    """Make an execution of what HyperFlow journaled in FILE, and print its journal file, for `recover`.

    The workflow.json is looked for beside FILE and where it was. What the records prove is done is not done
    again.
    """
    if not execute and (maps or workdir is not None):
        raise CommandFailed("--map and --workdir say how commands are run: they need --execute")
    options = hyperflow.HyperflowOptions(
        variables=parse_variables(variables),
        function=function,
        execute=execute,
        executables=converted.parse_executable_map(maps),
        workdir=workdir,
    )
    done = in_loop(partial(hyperflow_recovery.convert, file, workflow, options, to=Path(folder)))
    for note in done.notes:
        click.echo(f"asyncflow: note: {note}", err=True)
    if done.torn:
        click.echo(f"asyncflow: {file}: not used from {done.torn}", err=True)
    for each in done.unused:
        click.echo(f"asyncflow: {file}: line {each.line}, {each.what}: not used: {each.reason}", err=True)
    click.echo(
        f"asyncflow: {file}: {done.reused} firings are done, {len(done.unused)} records not used", err=True
    )
    click.echo(done.file)


def tell_of(found: recovering.Journaled | journal_file.JournalFile, status: str) -> None:
    """Say what a file is of, and what is wrong with its end."""
    if found.torn:
        click.echo(f"asyncflow: {found.path}: not used from {found.torn}", err=True)
    click.echo(f"asyncflow: {found.path}: {found.name} {found.execution_id}, {status}", err=True)
