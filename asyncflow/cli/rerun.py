"""`asyncflow workflow rerun`, and `retry --set`: an ended execution run again, whole, or where it changed.

A smart rerun has two steps, the plan and carrying it out, by a server or on a database file that no engine
has open. What is reused is the engine's to say; here the plan is shown, kept, edited and given back.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, TypeVar

import click

from asyncflow.cli.exits import DONE, CommandFailed
from asyncflow.cli.late import Late
from asyncflow.cli.loop import in_loop, with_signals
from asyncflow.cli.output import Format, format_option, write_facts, write_json, write_rows
from asyncflow.cli.paths import FilePath
from asyncflow.cli.remote import (
    as_object,
    as_rows,
    id_argument,
    input_option,
    object_of,
    said,
    send,
    server_option,
)
from asyncflow.model.values import JsonObject

if TYPE_CHECKING:
    from asyncflow.app import local, reruns
    from asyncflow.app.service import Service
    from asyncflow.cli import loading, run, running
else:
    local = Late("asyncflow.app.local")
    reruns = Late("asyncflow.app.reruns")
    loading = Late("asyncflow.cli.loading")
    run = Late("asyncflow.cli.run")
    running = Late("asyncflow.cli.running")

F = TypeVar("F", bound="Callable[..., object]")

_COLUMNS = {"action": "ACTION", "taskReferenceName": "TASK", "type": "TYPE", "shown": "REASON"}
_ACTIONS = ("reuse", "redo")


class Place(NamedTuple):
    """Where the execution is: at a server, or in a database file with what can run its tasks."""

    server: str
    database: Path | None = None
    modules: tuple[str, ...] = ()


class Wish(NamedTuple):
    """What is to become of a plan: shown only, kept in a file, edited, carried out."""

    output: Format
    is_plan: bool = False
    save: Path | None = None
    chosen: tuple[str, ...] = ()


def changing(function: F) -> F:
    """The options that say what is to become of finished tasks, and of the plan."""
    options = (
        click.option(
            "--completed",
            type=click.Choice(["keep", "redo", "ask-per-task"]),
            help="What becomes of finished tasks that nothing changed; by default they are kept.",
        ),
        click.option(
            "--cut-off",
            type=click.Choice(["outputs", "inputs", "none"]),
            help="Spare what follows a redone task if its output is as before (the default), or unless the "
            "input of the task itself changes, or nothing.",
        ),
        click.option(
            "--choose", "chosen", multiple=True, metavar="TASK=reuse|redo", help="Change the plan for a task."
        ),
        click.option(
            "--plan", "is_plan", is_flag=True, help="Show what would be redone, and why; run nothing."
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


@click.command()
@id_argument
@click.option(
    "--changed",
    multiple=True,
    metavar="SELECTOR",
    help="Run again only what this concerns: ref:, name:, type:, version: or data: and a name, "
    "input:KEY[=VALUE], path:$.a.b[=VALUE]. May be given several times.",
)
@changing
@click.option(
    "--definition-version",
    "version",
    metavar="N|latest",
    help="Under this version of the workflow: what still fits is reused. --cut-off is then `inputs`.",
)
@click.option("--save", type=FilePath(), metavar="FILE", help="Write the plan to FILE, to be edited.")
@click.option("--apply", "applied", type=FilePath(), metavar="FILE", help="Carry out the plan in FILE.")
@click.option(
    "--db",
    "database",
    type=FilePath(),
    metavar="FILE",
    help="In this database file, which no engine has open, in this process.",
)
@click.option("--load", "modules", multiple=True, metavar="MODULE|FILE.py", help="With --db: task functions.")
@click.option("--from-task", default="", metavar="TASK_ID", help="From this task on, whatever changed.")
@click.option("--task-input", metavar="JSON|@FILE", help="The new input of that task.")
@input_option
@click.option("--correlation-id", default="", help="The new correlation id.")
@server_option
@format_option
def rerun(  # noqa: PLR0913 - one parameter per option
    *,
    execution_id: str,
    changed: tuple[str, ...],
    completed: str | None,
    cut_off: str | None,
    chosen: tuple[str, ...],
    is_plan: bool,
    version: str | None,
    save: Path | None,
    applied: Path | None,
    database: Path | None,
    modules: tuple[str, ...],
    from_task: str,
    task_input: str | None,
    given: str | None,
    correlation_id: str,
    server: str,
    output: Format,
) -> int:
    """Run an ended execution again: where something changed, from a task, or from its beginning.

    With --changed, --completed, --plan, --save or --apply only what is concerned is redone and all other
    results are reused; each task is shown with its reason before anything runs.
    """
    plain = {
        "reRunFromTaskId": from_task or None,
        "taskInput": None if task_input is None else object_of(task_input, "--task-input"),
        "workflowInput": None if given is None else object_of(given),
        "correlationId": correlation_id or None,
    }
    sent = {key: value for key, value in plain.items() if value is not None}
    is_smart = bool(
        changed or completed or cut_off or chosen or is_plan or save or applied or database or version
    )
    if not is_smart:
        click.echo(send(server, "POST", "api", "workflow", execution_id, "rerun", body=sent).text)
        return DONE
    if sent:
        raise CommandFailed(
            "--from-task, --task-input, --input and --correlation-id are for a rerun without a plan"
        )
    place, wish = Place(server, database, modules), Wish(output, is_plan, save, chosen)
    if applied is None:
        body = request_of(changed, completed, cut_off)
        if version is not None:
            body["version"] = _version(version)
        return go_through(place, execution_id, _plan(place, execution_id, body), wish)
    if changed or completed or cut_off or version:
        raise CommandFailed("--apply carries out a plan as it was made; what changed is said in it")
    return go_through(place, execution_id, loading.read_object(f"@{applied}", "--apply"), wish)


def _version(text: str) -> int:
    if text == "latest":
        return 0
    if not text.isascii() or not text.isdigit() or not int(text):
        raise CommandFailed(f"--definition-version {text}: a number from 1, or latest, is expected")
    return int(text)


def request_of(changed: Sequence[str], completed: str | None, cut_off: str | None) -> JsonObject:
    """The request of a plan; what is not said is left to the server."""
    body: JsonObject = {"changed": list(changed), "completed": completed, "cutOff": cut_off}
    return {key: value for key, value in body.items() if value is not None}


def retry_changed(server: str, execution_id: str, body: JsonObject, wish: Wish) -> int:
    """A retry that changes the input, or what becomes of finished tasks: planned, shown, carried out."""
    place = Place(server)
    return go_through(place, execution_id, _plan(place, execution_id, body), wish)


def go_through(place: Place, execution_id: str, plan: JsonObject, wish: Wish) -> int:
    """Show a plan and do with it what is wished."""
    _choose(plan, wish.chosen)
    only_shown = wish.is_plan or wish.save is not None
    if not only_shown:
        _answer(plan)
    if wish.save is not None:
        wish.save.write_text(json.dumps(plan, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    if only_shown or wish.output == "table":
        write_plan(plan, wish.output)
    if wish.save is not None:
        said(f"the plan is in {wish.save}; --apply {wish.save} carries it out")
    return DONE if only_shown else _apply(place, execution_id, plan, wish.output)


def write_plan(plan: JsonObject, output: Format) -> None:
    """A plan on stdout: a line for each task, or as JSON."""
    if output != "table":
        write_json(plan, lines=output == "jsonl")
        return
    rows = as_rows(plan, "tasks")
    shown = [
        {
            **row,
            "shown": f"{row.get('reason')}{', unless that is as before' if row.get('conditional') else ''}",
        }
        for row in rows
    ]
    write_rows(shown, _COLUMNS, "table")
    tell_counts(plan)


def tell_counts(plan: JsonObject) -> None:
    """Say how many tasks are redone and reused, and what is to run for the first time."""
    added = plan.get("added")
    if isinstance(added, list) and added:
        said(f"without a result, to be run where the flow comes to them: {', '.join(map(str, added))}")
    found = [str(row.get("action")) for row in as_rows(plan, "tasks")]
    said(", ".join(f"{found.count(each)} {each}" for each in dict.fromkeys((*_ACTIONS, *found))))


def _choose(plan: JsonObject, chosen: Sequence[str]) -> None:
    rows = {str(row.get("taskReferenceName")): row for row in as_rows(plan, "tasks")}
    for each in chosen:
        ref, _, action = each.rpartition("=")
        if ref not in rows or action not in _ACTIONS:
            raise CommandFailed(
                f"--choose {each}: TASK=reuse or TASK=redo is expected, of a task in the plan"
            )
        rows[ref]["action"] = action


def _answer(plan: JsonObject) -> None:
    """Ask about every task that the plan leaves open."""
    left = [row for row in as_rows(plan, "tasks") if row.get("action") == "ask"]
    if left and not sys.stdin.isatty():
        refs = ", ".join(str(row.get("taskReferenceName")) for row in left[:5])
        raise CommandFailed(
            f"{len(left)} tasks are to be answered, such as {refs}: "
            "say --choose TASK=reuse, or --save the plan and edit it"
        )
    for row in left:
        question = f"asyncflow: {row.get('taskReferenceName')} ({row.get('reason')})"
        row["action"] = click.prompt(question, type=click.Choice(_ACTIONS), default="reuse", err=True)


# --- at a server, or here ---------------------------------------------------------------------------


def _plan(place: Place, execution_id: str, body: JsonObject) -> JsonObject:
    if place.database is not None:
        return in_loop(partial(reruns.plan_in_file, place.database, execution_id, body))
    parts = ("api", "asyncflow", "workflow", execution_id, "rerun", "plan")
    return as_object(send(place.server, "POST", *parts, body=body).json)


def _apply(place: Place, execution_id: str, plan: JsonObject, output: Format) -> int:
    if place.database is not None:
        return _apply_here(place.database, execution_id, plan, place.modules, output)
    parts = ("api", "asyncflow", "workflow", execution_id, "rerun", "apply")
    found = as_object(send(place.server, "POST", *parts, body=plan).json)
    _tell(found)
    if output == "table":
        write_facts([("execution", found.get("workflowId")), ("status", found.get("status"))])
    else:
        write_json(found, lines=output == "jsonl")
    return DONE


def _tell(found: Mapping[str, object]) -> None:
    if found.get("alreadyApplied"):
        said("this plan was carried out already: nothing was changed")
    elif not found.get("applied"):
        said("nothing is to be redone: nothing was changed")


def _apply_here(
    database: Path, execution_id: str, plan: JsonObject, modules: tuple[str, ...], output: Format
) -> int:
    """Carry a plan out in a file, and run the execution to its end in this process."""

    async def begin(service: Service) -> str:
        _tell(await reruns.Reruns(service).apply(execution_id, plan))
        return execution_id

    job = running.Job(
        definition=None,
        bundle=loading.read_bundle((), modules),
        given={},
        options=local.LocalOptions(),
        database=database,
        begin=begin,
    )
    finished = in_loop(partial(with_signals, partial(running.perform, job)))
    run.write_finished(finished, output)
    return run.tell_end(finished, database)
