"""The option `--payloads`, for every command that opens an engine, and `asyncflow db payloads`.

Where payloads lie and which are in use is found out in `app/stored_payloads`; this module asks and prints.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asyncflow.cli.exits import DONE, STORAGE
from asyncflow.cli.late import Late
from asyncflow.cli.loop import in_loop
from asyncflow.cli.paths import FilePath

if TYPE_CHECKING:
    from asyncflow.app import stored_payloads
else:
    stored_payloads = Late("asyncflow.app.stored_payloads")


class FolderPath(click.Path):
    """The type of what names a folder."""

    def __init__(self) -> None:
        super().__init__(file_okay=False, path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """The path; an empty text would mean the current folder."""
        if not os.fspath(value):
            self.fail("the name of a folder is empty", param, ctx)
        return super().convert(value, param, ctx)


payloads_option = click.option(
    "--payloads",
    type=FolderPath(),
    metavar="DIR",
    help="Keep inputs and outputs over the limit in this folder, by reference, instead of refusing them.",
)


@click.command()
@click.argument("file", type=FilePath())
@click.argument("folder", type=FolderPath())
@click.option("--prune", is_flag=True, help="Remove the files that nothing in FILE names.")
def payloads(file: Path, folder: Path, *, prune: bool) -> int:
    """Compare the payload FOLDER with what FILE names; exit code 3 if a named file is missing.

    Needs the lock of FILE: while an engine runs, what it has just stored is not named yet.
    """
    facts = in_loop(partial(stored_payloads.survey, file, folder, prune=prune))
    for name in facts.missing:
        click.echo(f"missing: {name}")
    done = "removed" if prune else "named by nothing"
    click.echo(
        f"asyncflow: {folder}: {facts.files} files of {facts.bytes} bytes; "
        f"{done}: {facts.unnamed} of {facts.unnamed_bytes} bytes; missing: {len(facts.missing)}",
        err=True,
    )
    return STORAGE if facts.missing else DONE
