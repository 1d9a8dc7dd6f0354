"""`asyncflow demo`: a workflow that does real work on a folder, and what to try after it.

The workflow is in `asyncflow.demo`, written with the public names; it is loaded here as any module
named with `--load` is. Everything written goes into one folder.
"""

from __future__ import annotations

import os
import shlex
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

import click

from asyncflow.cli.exits import CommandFailed
from asyncflow.cli.late import Late
from asyncflow.cli.loop import in_loop, with_signals
from asyncflow.cli.output import Format, format_option
from asyncflow.cli.progress import Mode, progress_option
from asyncflow.cli.run import tell_end, write_finished
from asyncflow.model.statuses import COMPLETED

if TYPE_CHECKING:
    from asyncflow.app import local
    from asyncflow.cli import loading, running
    from asyncflow.model import definition as definitions
else:
    local = Late("asyncflow.app.local")
    loading = Late("asyncflow.cli.loading")
    running = Late("asyncflow.cli.running")
    definitions = Late("asyncflow.model.definition")

_MODULE = "asyncflow.demo"
_FOLDER = "asyncflow-demo"
_OWN_SOURCE = Path(__file__).resolve().parents[1]


@click.command(short_help="Run a workflow on the files of a folder, and see what it did.")
@click.argument("folder", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option(
    "--dir",
    "place",
    type=click.Path(file_okay=False, path_type=Path),
    help=f"Where the report and the database go.  [default: {_FOLDER} in the current folder]",
)
@click.option(
    "--files",
    "most",
    type=click.IntRange(1, 5_000),
    default=2_000,
    show_default=True,
    help="At most this many files.",
)
@click.option("--new", "anew", is_flag=True, help="Start another execution, even if one is unfinished.")
@progress_option
@format_option
def demo(
    *, folder: Path | None, place: Path | None, most: int, anew: bool, progress: str, output: Format
) -> int:
    """Hash and count the files of FOLDER, eight at a time, and write a report.

    FOLDER is asyncflow's own source unless given; links are not followed. If the process is killed, the
    same command goes on where it was.
    """
    source = (folder or _OWN_SOURCE).resolve()
    kept = _made(place)
    bundle = loading.read_bundle([], [_MODULE])
    report, database = kept / "report.md", kept / "demo.db"
    given = {"folder": str(source), "most": most, "report": str(report), "except_folder": str(kept)}
    click.echo(f"asyncflow: the files of {source}, with everything kept in {kept}", err=True)
    job = running.Job(
        definition=bundle.choose("demo"),
        bundle=bundle,
        given=given,
        options=local.LocalOptions(),
        database=database,
        anew=anew,
        progress=cast("Mode", progress),
    )
    finished = in_loop(partial(with_signals, partial(running.perform, job)))
    write_finished(finished, output)
    if finished.status == COMPLETED:
        _suggest(finished, kept, bundle)
    return tell_end(finished, database)


def _made(place: Path | None) -> Path:
    """The folder for what is written, made if need be; a temporary one where we may not write here."""
    if place is None:
        place = Path(_FOLDER) if os.access(".", os.W_OK) else Path(tempfile.mkdtemp(prefix=f"{_FOLDER}-"))
    try:
        place.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CommandFailed(f"{place}: {error.strerror}; choose another one with --dir") from error
    return place.resolve()


def _suggest(finished: running.Finished, kept: Path, bundle: loading.Bundle) -> None:
    """Say where things are and what to try next."""
    definition = kept / "demo.yaml"
    _write_definition(definition, bundle)
    here = Path.cwd()
    shown = {path: shlex.quote(os.path.relpath(path, here)) for path in (kept / "demo.db", definition)}
    database = shown[kept / "demo.db"]
    identity = finished.execution["workflowId"]
    click.echo(
        f"\nThe report is in {os.path.relpath(kept / 'report.md', here)}. What to try next:\n\n"
        f"  asyncflow workflow list --db {database} --children\n"
        f"  asyncflow workflow get {identity} --tasks --db {database}\n"
        f"  asyncflow lint {shown[definition]}\n",
        err=True,
    )


def _write_definition(target: Path, bundle: loading.Bundle) -> None:
    # YAML costs 20 ms at import, and only the end of the demo writes it.
    import yaml  # noqa: PLC0415

    document = {
        "workflows": [definitions.to_json(each) for each in bundle.workflows],
        "tasks": [definitions.to_json(each) for each in bundle.tasks],
    }
    target.write_text(yaml.safe_dump(document, sort_keys=False, allow_unicode=True), encoding="utf-8")
