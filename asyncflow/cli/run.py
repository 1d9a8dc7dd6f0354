"""`asyncflow run`: one definition in this process, to its end.

Arguments become a job; `running` performs it, and what came of it is written and told here.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, cast

import click

from asyncflow.cli.executions import head_of, summary_of, tasks_of, took
from asyncflow.cli.exits import DONE, FORCED, USAGE, WORKFLOW_FAILED, CommandFailed
from asyncflow.cli.journal import journal_option
from asyncflow.cli.late import Late
from asyncflow.cli.loop import in_loop, with_signals
from asyncflow.cli.output import Format, format_option, write_facts, write_json
from asyncflow.cli.paths import FilePath, lock_wait_option
from asyncflow.cli.payloads import payloads_option
from asyncflow.cli.progress import Mode, progress_option
from asyncflow.errors import DefinitionError, Violation
from asyncflow.model.statuses import COMPLETED, TASK_UNSUCCESSFUL
from asyncflow.model.values import JsonObject

if TYPE_CHECKING:
    from asyncflow.app import checking, local, rehearsal
    from asyncflow.cli import loading, running
else:
    checking = Late("asyncflow.app.checking")
    local = Late("asyncflow.app.local")
    rehearsal = Late("asyncflow.app.rehearsal")
    loading = Late("asyncflow.cli.loading")
    running = Late("asyncflow.cli.running")

_MOST_NAMED = 10


@click.command(short_help="Run one definition in this process to its end.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--input", "given", metavar="JSON|@FILE", help="The workflow's input; @- reads stdin.")
@click.option(
    "--name", "chosen", metavar="NAME", help="Which workflow, if the first FILE's first one is not meant."
)
@click.option(
    "--db",
    "database",
    type=FilePath(),
    metavar="FILE",
    help="Keep everything in this file; the same command takes up what is unfinished there.",
)
@click.option(
    "--load",
    "modules",
    multiple=True,
    metavar="MODULE|FILE.py",
    help="Python with @task functions or workflows; may be given several times.",
)
@click.option(
    "--new", "anew", is_flag=True, help="Start another execution, even if one is unfinished in --db."
)
@click.option("--wait", "waits", is_flag=True, help="Wait where only a worker or a signal could go on.")
@click.option(
    "--outcomes", metavar="FILE", help="Rehearse: answer tasks without a function as this file says."
)
@click.option(
    "--http-allow",
    multiple=True,
    metavar="HOST|CIDR",
    help="An address that HTTP tasks may reach although it is not public.",
)
@click.option(
    "--allow-commands",
    metavar="[DIR]",
    is_flag=False,
    flag_value=".",
    help="Let COMMAND tasks run, with working directories in DIR (by default the current folder).",
)
@click.option(
    "--scripts",
    type=click.Choice(["thread", "process", "off"]),
    default="thread",
    show_default=True,
    help="Where JavaScript and jq of definitions run.",
)
@click.option(
    "--durability",
    type=click.Choice(["full", "normal"]),
    default="full",
    show_default=True,
    help="Whether --db survives a power cut, or only the end of the process.",
)
@click.option(
    "--resource",
    "resources",
    multiple=True,
    metavar="NAME=LIMIT",
    help="How much of a resource may be held at once.",
)
@lock_wait_option
@payloads_option
@journal_option
@progress_option
@format_option
def run(  # noqa: PLR0913 - one parameter per option
    *,
    files: tuple[str, ...],
    given: str | None,
    chosen: str | None,
    database: Path | None,
    modules: tuple[str, ...],
    outcomes: str | None,
    http_allow: tuple[str, ...],
    allow_commands: str | None,
    scripts: str,
    durability: str,
    resources: tuple[str, ...],
    payloads: Path | None,
    journal: Path | None,
    lock_wait: float | None,
    progress: str,
    output: Format,
    anew: bool,
    waits: bool,
) -> int:
    """Run the first workflow of the first FILE in this process, to its end, and print the execution.

    A FILE is JSON, YAML or Python. It holds one definition, a list of them, an object of "workflows" and
    "tasks", or a start request; what is not run is registered, so that sub-workflows are found. With
    -o json the execution is printed in Conductor's Workflow shape.
    """
    bundle = loading.read_bundle(files, modules)
    job = running.Job(
        definition=bundle.choose(chosen),
        bundle=bundle,
        given=_given(given, bundle),
        options=local.LocalOptions(
            durability=cast("Literal['full', 'normal']", durability),
            scripts=cast("Literal['thread', 'process', 'off']", scripts),
            http_allow=http_allow,
            command_root=None if allow_commands is None else _folder(allow_commands),
            resources=parse_resources(resources),
            payloads=payloads,
            journal=journal,
            lock_wait_s=lock_wait or 0.0,
        ),
        database=database,
        anew=anew,
        waits=waits,
        outcomes=None if outcomes is None else _outcomes(outcomes),
        outcomes_name="" if outcomes is None else f"outcomes:{Path(outcomes).name}",
        progress=cast("Mode", progress),
    )
    finished = in_loop(partial(with_signals, partial(running.perform, job)))
    write_finished(finished, output)
    return tell_end(finished, database, rehearsed_by=outcomes)


def _given(given: str | None, bundle: loading.Bundle) -> JsonObject:
    if given is not None:
        return loading.read_object(given, "--input")
    return bundle.input or {}


def _outcomes(file: str) -> rehearsal.Outcomes:
    try:
        return rehearsal.parse_outcomes(loading.read_document(file))
    except DefinitionError as error:
        found = [Violation(f"{file}: {v.path}" if v.path else file, v.message) for v in error.violations]
        raise DefinitionError(found) from error


def _folder(text: str) -> Path:
    folder = Path(text).absolute()
    if not folder.is_dir():
        raise CommandFailed(
            f"--allow-commands {text}: there is no such folder; write --allow-commands=DIR, or put it last"
        )
    return folder


def parse_resources(entries: tuple[str, ...]) -> dict[str, int]:
    """Limits by resource, of entries such as `disk=8`.

    Raises:
        CommandFailed: an entry is not of this form, or a name is given twice.
    """
    limits: dict[str, int] = {}
    for entry in entries:
        name, _, limit = entry.rpartition("=")
        if not name or not limit.isdecimal() or not int(limit):
            raise CommandFailed(f"--resource {entry}: NAME=LIMIT is expected, the limit a number from 1")
        if name in limits:
            raise CommandFailed(f"--resource {entry}: {name} has a limit already")
        limits[name] = int(limit)
    return limits


# --- what came of it --------------------------------------------------------------------------


def write_finished(finished: running.Finished, output: Format) -> None:
    """The execution on stdout: Conductor's shape as JSON, or what a person wants to know first."""
    if output != "table":
        write_json(finished.execution, lines=output == "jsonl")
        return
    execution, tasks = finished.execution, tasks_of(finished.execution)
    write_facts(
        [
            *head_of(execution),
            ("tasks", summary_of(execution)),
            ("took", took(execution)),
            ("rehearsed", _rehearsed(finished)),
            ("output", execution.get("output")),
        ]
    )
    failed = [task for task in tasks if task["status"] in TASK_UNSUCCESSFUL and not task.get("retried")]
    for task in failed[:_MOST_NAMED]:
        reason = task.get("reasonForIncompletion") or "no reason given"
        write_facts([(f"  {task['referenceTaskName']}", f"{task['status']}: {reason}")])


def _rehearsed(finished: running.Finished) -> str:
    total = sum(finished.answered.values())
    return f"{total} attempts were answered from a file, not performed" if total else ""


def tell_end(finished: running.Finished, database: Path | None, *, rehearsed_by: str | None = None) -> int:
    """Say on stderr what is left to say, and give the exit code."""
    if rehearsed_by is not None:
        total = sum(finished.answered.values())
        click.echo(f"asyncflow: a rehearsal: {total} attempts were answered from {rehearsed_by}", err=True)
    if finished.end is running.End.STOPPED:
        click.echo(f"asyncflow: stopped before the end; {_kept(finished, database)}", err=True)
        return FORCED
    if finished.end is running.End.STRANDED:
        for seen in finished.helpless[:_MOST_NAMED]:
            click.echo(f"asyncflow: task {seen.ref}: {running.who_is_missing(seen)}", err=True)
        rest = len(finished.helpless) - _MOST_NAMED
        if rest > 0:
            click.echo(f"asyncflow: and {rest} more tasks", err=True)
        click.echo(
            "asyncflow: nothing here can go on: give functions with --load, answers with --outcomes, "
            "or --wait; " + _kept(finished, database),
            err=True,
        )
        return USAGE
    return DONE if finished.status == COMPLETED else WORKFLOW_FAILED


def _kept(finished: running.Finished, database: Path | None) -> str:
    if database is None:
        return "nothing was kept, as there was no --db"
    return f"execution {finished.execution['workflowId']} is kept in {database}: the same command goes on"
