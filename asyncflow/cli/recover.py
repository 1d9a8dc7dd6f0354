"""`asyncflow recover`: executions taken up from their journal files, in a database or in this process.

What is checked and put where is in `app/recovering`; from there on it is a run like any other.
"""

from __future__ import annotations

import tempfile
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import click

from asyncflow.cli.executions import counted, head_of, took
from asyncflow.cli.exits import DONE, CommandFailed
from asyncflow.cli.journal import journal_option, tell_of
from asyncflow.cli.late import Late
from asyncflow.cli.loop import in_loop, with_signals
from asyncflow.cli.output import Format, format_option, write_facts
from asyncflow.cli.paths import FilePath
from asyncflow.cli.payloads import payloads_option
from asyncflow.cli.rerun import tell_counts, write_plan
from asyncflow.model.statuses import COMPLETED

if TYPE_CHECKING:
    from asyncflow.app import journal_ends, local, recover_changed, recovering, recovery_shown
    from asyncflow.app.service import Service
    from asyncflow.cli import loading, run, running
    from asyncflow.model import definition as definitions
    from asyncflow.model.values import JsonObject
else:
    journal_ends = Late("asyncflow.app.journal_ends")
    local = Late("asyncflow.app.local")
    recover_changed = Late("asyncflow.app.recover_changed")
    recovering = Late("asyncflow.app.recovering")
    recovery_shown = Late("asyncflow.app.recovery_shown")
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
@click.option(
    "--changed",
    multiple=True,
    metavar="SELECTOR",
    help="Redo what this concerns, as `workflow rerun --changed`; other results are reused.",
)
@click.option(
    "--definition", "newer", type=FilePath(), metavar="FILE", help="Go on under the workflow in this file."
)
@click.option(
    "--code",
    type=click.Choice(["keep", "redo"]),
    help="What becomes of results of functions whose code is another by now; without it they are named and "
    "nothing runs.",
)
@click.option("--plan", "is_plan", is_flag=True, help="Show what would be redone, and why; run nothing.")
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
    changed: tuple[str, ...],
    newer: Path | None,
    code: str | None,
    is_plan: bool,
) -> int:
    """Take up executions from their journal files, here or on another machine, and run each to its end.

    What a file holds is not done again. Without --db the journal goes on in the file itself; with it in
    the database, and in files only with --journal.
    """
    if no_run and database is None:
        raise CommandFailed("--no-run needs --db, for there is nothing else to leave it in")
    bundle = loading.read_bundle(() if newer is None else (str(newer),), modules)
    wish = _Wish(changed, code, newer is not None, is_plan, bundle)
    asks_more = any((database, journal, changed, newer, code, is_plan, new_id, until_damage))
    is_plain = output == "table" and not asks_more
    with ExitStack() as stack:
        for file in files:
            stack.enter_context(recovering.alone(file))
        how = _Reading(until_damage=until_damage, new_id=new_id, is_plain=is_plain)
        found = [in_loop(partial(_read, file, how)) for file in files]
        passing = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="asyncflow-")))
        worst = DONE
        plans = [in_loop(partial(_planned, each, wish)) for each in found]
        if is_plan:
            for _, plan in plans:
                write_plan(plan, output)
            return DONE
        for number, (each, _) in enumerate(plans):
            if isinstance(each, journal_ends.Outcome):
                _tell_outcome(each)
                continue
            if database is None and journal is None and recovery_shown.is_over(each):
                ended = running.Finished(running.End.ENDED, recovery_shown.shown(each), 0)
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


def _tell_outcome(outcome: journal_ends.Outcome) -> None:
    write_facts(
        [
            *head_of(outcome.shown),
            ("tasks", counted(outcome.tasks)),
            ("took", took(outcome.shown)),
            ("output", outcome.shown["output"]),
        ]
    )


class _Reading(NamedTuple):
    """How files are read; `is_plain` where it is enough to learn what became of an execution that is over."""

    until_damage: bool
    new_id: bool
    is_plain: bool


async def _read(file: Path, how: _Reading) -> recovering.Journaled | journal_ends.Outcome:
    seen = await recovering.look_at(file, until_damage=how.until_damage)
    outcome = journal_ends.outcome(seen) if how.is_plain else None
    if outcome is not None:
        tell_of(seen, COMPLETED)
        return outcome
    found = await recovering.folded(seen)
    tell_of(found, found.state.status)
    return await recovering.renamed(found) if how.new_id else found


class _Wish(NamedTuple):
    """What changed since a file was written, and what there is to run now."""

    changed: tuple[str, ...]
    code: str | None
    is_newer: bool
    is_plan: bool
    bundle: loading.Bundle

    def definition(self, name: str) -> definitions.WorkflowDefinition | None:
        """The definition to go on under, the one of this name if there are several."""
        if not self.is_newer:
            return None
        found = self.bundle.workflows
        named = [each for each in found if each.name == name] or found[:1]
        if not named:
            raise CommandFailed("--definition: the file holds no workflow")
        return named[0]


async def _planned(
    found: recovering.Journaled | journal_ends.Outcome, wish: _Wish
) -> tuple[recovering.Journaled | journal_ends.Outcome, JsonObject]:
    """The execution as what changed leaves it, and what becomes of its tasks.

    Raises:
        CommandFailed: code changed, and nobody said what becomes of its results.
    """
    if isinstance(found, journal_ends.Outcome):
        return found, {}
    functions = wish.bundle.functions
    changed = [*wish.changed]
    if not recovery_shown.is_over(found) or wish.code == "redo":
        other = recover_changed.code_changed(found, {name: each.function for name, each in functions.items()})
        for name, count in other.items():
            click.echo(
                f"asyncflow: {found.path}: the code of {name} changed since it gave {count} results", err=True
            )
        if other and wish.code is None:
            raise CommandFailed("say --code keep to use these results, or --code redo; nothing was run")
        changed += [f"name:{name}" for name in other if wish.code == "redo"]
    definition = wish.definition(found.name)
    if not changed and definition is None:
        return found, {"tasks": list(recovery_shown.plan_of(found))} if wish.is_plan else {}
    executors = {name: each.executor for name, each in functions.items()}
    change = recover_changed.Change(tuple(changed), definition, executors)
    after, plan = await recover_changed.changed(found, change)
    tell_counts(plan)
    return after, plan


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
