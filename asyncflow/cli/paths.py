"""How files are named on the command line: the type of what takes one, and how long to wait for one.

It opens nothing; `loading` reads files, `app/database` those of an engine.
"""

from __future__ import annotations

import os
from pathlib import Path

import click


class FilePath(click.Path):
    """The type of options and arguments that name a file."""

    def __init__(self) -> None:
        """A path of a file, which may be there or not."""
        super().__init__(dir_okay=False, path_type=Path)

    def convert(
        self, value: str | os.PathLike[str], param: click.Parameter | None, ctx: click.Context | None
    ) -> str | bytes | os.PathLike[str]:
        """The path; an empty text would mean the current folder."""
        if not os.fspath(value):
            self.fail("the name of a file is empty", param, ctx)
        return super().convert(value, param, ctx)


lock_wait_option = click.option(
    "--lock-wait",
    type=click.FloatRange(0, 3_600),
    metavar="SECONDS",
    help="How long to wait for another process to let go of the database file.",
)
