"""`asyncflow config`: what is set, and where each value comes from; whether a file is sound.

It reads what `serve` would read and starts nothing. Values of secrets are shown nowhere.
"""

from __future__ import annotations

import os
from pathlib import Path

import click

from asyncflow.app.config_sources import configure
from asyncflow.cli.exits import DONE
from asyncflow.cli.output import Format, format_option, write_rows

_COLUMNS = {"setting": "SETTING", "value": "VALUE", "source": "SOURCE"}

_config_option = click.option(
    "--config",
    "file",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="By default asyncflow.toml in the current folder, if it is there.",
)


@click.group(short_help="Show and check settings.")
def config() -> None:
    """Show and check settings: those of a file, of the environment, and the defaults."""


@config.command()
@_config_option
@click.option("--changed", is_flag=True, help="Leave defaults out.")
@format_option
def show(file: Path | None, output: Format, *, changed: bool) -> int:
    """Every setting with its value and where it comes from; of secrets only where they are."""
    configured = configure(file, os.environ)
    rows = [
        {"setting": name, "value": _shown(value), "source": source}
        for name, value, source in configured.values()
        if not changed or source != "default"
    ]
    write_rows(rows, _COLUMNS, output)
    return DONE


@config.command()
@_config_option
def check(file: Path | None) -> int:
    """Whether settings are sound and secrets are where they should be; exit code 2 if not."""
    configured = configure(file, os.environ)
    configured.config.engine_settings(os.environ)
    changed = sum(source != "default" for _, _, source in configured.values())
    click.echo(f"{changed} settings, all sound", err=True)
    return DONE


def _shown(value: object) -> object:
    if isinstance(value, tuple):
        return list(value)
    return str(value) if isinstance(value, Path) else value
