"""`asyncflow recover`: executions taken up from their journal files, in a database or in this process.

What is checked and put where is in `app/recovering`; from there on it is a run like any other.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from asyncflow.cli.exits import DONE, CommandFailed
from asyncflow.cli.journal import journal_option, tell_of
from asyncflow.cli.late import Late
from asyncflow.cli.loop import in_loop, with_signals
from asyncflow.cli.output import Format, format_option
from asyncflow.cli.paths import FilePath
from asyncflow.cli.payloads import payloads_option

if TYPE_CHECKING:
    from asyncflow.app import local, recovering
    from asyncflow.app.service import Service
    from asyncflow.cli import loading, run, running
else:
    local = Late("asyncflow.app.local")
    recovering = Late("asyncflow.app.recovering")
    loading = Late("asyncflow.cli.loading")
    run = Late("asyncflow.cli.run")
    running = Late("asyncflow.cli.running")


@click.command(short_help="Take up an execution from its journal file.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=FilePath())
@click.option(
    "--db", "database", type=FilePath(), metavar="NEW.db", help="Into this database file, empty or not."
)
@click.option(
    "--new-id", is_flag=True, help="As an execution of its own, beside the one that wrote the file."
)
@click.option("--no-run", is_flag=True, help="Only put it into --db, and leave it to the next engine there.")
@click.option("--until-damage", is_flag=True, help="Take what stands before damage in the middle of a file.")
@click.option(
    "--load",
    "modules",
    multiple=True,
    metavar="MODULE|FILE.py",
    help="Python with @task functions or workflows.",
)
@journal_option
@payloads_option
@format_option
def recover(  # noqa: PLR0913 - one parameter per option
    *,
    files: tuple[Path, ...],
    database: Path | None,
    modules: tuple[str, ...],
    journal: Path | None,
    payloads: Path | None,
    output: Format,
    new_id: bool,
    no_run: bool,
    until_damage: bool,
) -> int:
    """Take up executions from their journal files, here or on another machine, and run each to its end.

    What a file holds is not done again. Without --db the journal goes on in the file itself; with it in
    the database, and in files only with --journal.
    """
    if no_run and database is None:
        raise CommandFailed("--no-run needs --db, for there is nothing else to leave it in")
    bundle = loading.read_bundle((), modules)
    with ExitStack() as stack:
        for file in files:
            stack.enter_context(recovering.alone(file))
        found = [in_loop(partial(_read, file, until_damage=until_damage, new_id=new_id)) for file in files]
        passing = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="asyncflow-")))
        worst = DONE
        for number, each in enumerate(found):
            if database is None and journal is None and recovering.is_over(each):
                ended = running.Finished(running.End.ENDED, recovering.shown(each), 0)
                worst = max(worst, _tell(ended, output, None))
                continue
            place = database or passing / f"{number}.db"
            in_loop(partial(recovering.put_in, place, each))
            if no_run:
                click.echo(each.execution_id)
                continue
            options = local.LocalOptions(
                durability="normal" if database is None else "full",
                payloads=payloads,
                journal=journal or (each.path.parent if database is None else None),
                journal_names={} if journal or new_id else {each.execution_id: each.path.name},
            )
            worst = max(worst, _run(each.execution_id, _Run(place, bundle, options, output), database))
        return worst


async def _read(file: Path, *, until_damage: bool, new_id: bool) -> recovering.Journaled:
    found = await recovering.read_file(file, until_damage=until_damage)
    tell_of(found)
    return await recovering.renamed(found) if new_id else found


class _Run:
    """Where an execution goes on, with what, and how it is shown."""

    def __init__(
        self, place: Path, bundle: loading.Bundle, options: local.LocalOptions, output: Format
    ) -> None:
        self.place, self.bundle, self.options, self.output = place, bundle, options, output


def _run(execution_id: str, how: _Run, database: Path | None) -> int:
    """Run an execution that a database file has to its end, and tell."""

    async def begin(service: Service) -> str:
        await service.get(execution_id)
        return execution_id

    job = running.Job(
        definition=None,
        bundle=how.bundle,
        given={},
        options=how.options,
        database=how.place,
        begin=begin,
    )
    return _tell(in_loop(partial(with_signals, partial(running.perform, job))), how.output, database)


def _tell(finished: running.Finished, output: Format, database: Path | None) -> int:
    run.write_finished(finished, output)
    return run.tell_end(finished, database)
