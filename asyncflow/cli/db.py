"""`asyncflow db`: looking after a database file without an engine.

Each command takes one file; what writes into it needs the file's lock, copies do not. What each
promises is in `app/database`.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asyncflow.cli.exits import DONE, STORAGE
from asyncflow.cli.late import Late
from asyncflow.cli.loop import in_loop
from asyncflow.cli.paths import FilePath
from asyncflow.cli.payloads import payloads

if TYPE_CHECKING:
    from asyncflow.app import archiving, cloning
    from asyncflow.app import database as files
else:
    archiving = Late("asyncflow.app.archiving")
    cloning = Late("asyncflow.app.cloning")
    files = Late("asyncflow.app.database")

_file = click.argument("file", type=FilePath())
_copy = click.argument("copy", type=FilePath())


@click.group(short_help="Look after a database file.")
def db() -> None:
    """Look after a database file."""


db.add_command(payloads)


@db.command()
@_file
def migrate(file: Path) -> None:
    """Bring FILE to the schema of this release; every start does it as well."""
    applied = in_loop(partial(files.migrate, file))
    done = f"applied {', '.join(f'{number:04}' for number in applied)}" if applied else "nothing to do"
    click.echo(f"asyncflow: {file}: {done}", err=True)


@db.command()
@_file
@_copy
def backup(file: Path, copy: Path) -> None:
    """Write a complete copy of FILE to COPY, also while an engine runs on it."""
    in_loop(partial(files.backup, file, copy))
    click.echo(f"asyncflow: {copy}: {copy.stat().st_size} bytes", err=True)


@db.command()
@_file
@_copy
def clone(file: Path, copy: Path) -> None:
    """Write a copy that is another installation, to try things out on.

    It leaves alone what the original has outside: open jobs are held as NEEDS_DECISION, and so are the
    instances of resources. `task decide` and `resource decide` say of one that the copy is to go on with it,
    or without it. Schedules are paused.
    """
    made = in_loop(partial(cloning.clone, file, copy))
    held = f"{made.jobs} jobs and {made.instances} instances of the original are held for a decision"
    held += f"; {made.schedules} schedules are paused"
    click.echo(f"asyncflow: {copy}: installation {made.installation_id}; {held}", err=True)
    for execution in made.unreadable:
        click.echo(f"asyncflow: {copy}: {execution} cannot be read and stays quarantined", err=True)


@db.command()
@_file
def rebuild(file: Path) -> None:
    """Make the views of FILE anew from its journal."""
    executions, tasks = in_loop(partial(files.rebuild, file))
    click.echo(f"asyncflow: {file}: {executions} executions, {tasks} tasks", err=True)


@db.command()
@_file
def vacuum(file: Path) -> None:
    """Give the free pages of FILE back to the disk."""
    freed = in_loop(partial(files.vacuum, file))
    click.echo(f"asyncflow: {file}: {freed} bytes smaller", err=True)


@db.command()
@_file
def check(file: Path) -> int:
    """Read all of FILE and print everything that is wrong with it; exit code 3 if anything is."""
    faults = in_loop(partial(files.check, file))
    for fault in faults:
        click.echo(fault)
    click.echo(f"asyncflow: {file}: {f'{len(faults)} faults' if faults else 'sound'}", err=True)
    return STORAGE if faults else DONE


@db.command()
@_file
@click.argument("archive_file", metavar="ARCHIVE", type=FilePath())
@click.option("--name", default="", help="Only executions of this workflow.")
@click.option("--days", type=click.FloatRange(0), default=0, help="Only those that ended so many days ago.")
def archive(file: Path, archive_file: Path, *, name: str, days: float) -> None:
    """Copy ended executions of FILE into ARCHIVE, a database file like any other; also while an engine runs.

    `workflow list --db ARCHIVE` and `workflow get ID --db ARCHIVE` read it. Nothing is removed from FILE:
    that is done by `[retention]` of the configuration, or by `workflow delete`.
    """
    made = in_loop(partial(archiving.archive, file, archive_file, name=name, days=days))
    click.echo(f"asyncflow: {archive_file}: {made.copied} copied, {made.there} were there", err=True)


@db.command(name="import")
@click.argument("archive_file", metavar="ARCHIVE", type=FilePath())
@_file
@click.argument("ids", metavar="[ID]...", nargs=-1)
def import_(archive_file: Path, file: Path, ids: tuple[str, ...]) -> None:
    """Copy executions of ARCHIVE back into FILE, which no engine may use; all, unless some are named."""
    made = in_loop(partial(archiving.restore, archive_file, file, executions=ids))
    click.echo(f"asyncflow: {file}: {made.copied} copied, {made.there} were there", err=True)
