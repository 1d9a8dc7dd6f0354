"""`asyncflow workflow pause|resume|…`: what is asked of executions that are there, one or many.

Each verb is one row of what `selection` needs; verbs that make sense for one execution alone send their
request themselves. What they do is the server's.
"""

from __future__ import annotations

from typing import cast

import click

from asyncflow.cli.exits import DONE, USAGE, CommandFailed
from asyncflow.cli.output import Format, format_option, write_json, write_object
from asyncflow.cli.remote import (
    as_object,
    id_argument,
    input_option,
    object_of,
    said,
    send,
    send_and_wait,
    server_option,
)
from asyncflow.cli.rerun import Wish, changing, request_of, rerun, retry_changed
from asyncflow.cli.selection import Verb, carry_out, selecting

_reason = click.option("--reason", default="", metavar="TEXT", help="Kept with the execution.")


@click.command()
@selecting
def pause(**options: object) -> int:
    """Let executions schedule nothing new; what runs goes on."""
    return carry_out(Verb("pause", "PUT", ("pause",), ("PUT", "pause")), options)


@click.command()
@selecting
def resume(**options: object) -> int:
    """Let paused executions go on."""
    return carry_out(Verb("resume", "PUT", ("resume",), ("PUT", "resume")), options)


@click.command()
@selecting
@_reason
@click.option("--failure-workflow", is_flag=True, help="Start the failure workflow too.")
def terminate(*, reason: str, failure_workflow: bool, **options: object) -> int:
    """End executions TERMINATED, with their children."""
    verb = Verb(
        "terminate",
        "DELETE",
        (),
        ("POST", "terminate"),
        query={"reason": reason},
        one_query={"triggerFailureWorkflow": failure_workflow or None},
    )
    return carry_out(verb, options)


@click.command()
@selecting
@click.option("--children", is_flag=True, help="Inside the sub-workflows that failed, instead of anew.")
@click.option(
    "--set",
    "changes",
    multiple=True,
    metavar="KEY=VALUE",
    help="Of one execution: change its input, and redo what reads that key as well.",
)
@changing
def retry(
    *,
    children: bool,
    changes: tuple[str, ...],
    completed: str | None,
    cut_off: str | None,
    chosen: tuple[str, ...],
    is_plan: bool,
    **options: object,
) -> int:
    """Try again what was unsuccessful in ended executions.

    With --set, --completed or --plan it is planned first, as in `rerun`: what has no result is redone, and
    what the change concerns.
    """
    if not (changes or completed or cut_off or chosen or is_plan):
        one_query = {"resumeSubworkflowTasks": children or None}
        return carry_out(Verb("retry", "POST", ("retry",), ("POST", "retry"), one_query=one_query), options)
    identities = cast("tuple[str, ...]", options["ids"])
    if len(identities) != 1 or children or options["query"] or options["free_text"]:
        raise CommandFailed(
            "--set, --completed, --cut-off, --choose and --plan are for one execution, by its id"
        )
    if not all("=" in each for each in changes):
        raise CommandFailed("--set: KEY=VALUE is expected")
    body = request_of([f"input:{each}" for each in changes], completed, cut_off)
    wish = Wish(cast("Format", options["output"]), is_plan or bool(options["dry"]), None, chosen)
    return retry_changed(str(options["server"]), identities[0], body, wish)


@click.command()
@selecting
@click.option("--latest", is_flag=True, help="On the newest definitions.")
def restart(*, latest: bool, **options: object) -> int:
    """Begin ended executions again."""
    query = {"useLatestDefinitions": latest or None}
    return carry_out(Verb("restart", "POST", ("restart",), ("POST", "restart"), query=query), options)


@click.command()
@selecting
@_reason
@click.option("--terminate", "ends", is_flag=True, help="End first those that go on; else they are refused.")
def delete(*, reason: str, ends: bool, **options: object) -> int:
    """Delete executions for good, from all that is shown."""
    last = "terminate-remove" if ends else "remove"
    verb = Verb(
        "delete", "DELETE", (last,), ("DELETE", last), query={"reason": reason if ends else ""}, is_final=True
    )
    return carry_out(verb, options)


@click.command()
@selecting
def release(**options: object) -> int:
    """Offer at once what workers asked to be called back for later."""
    return carry_out(Verb("release", "POST", ("resetcallbacks",)), options)


@click.command()
@selecting
def decide(**options: object) -> int:
    """Look again whether executions can go on; they always do so by themselves."""
    return carry_out(Verb("decide", "PUT", before=("decide",)), options)


# --- one execution --------------------------------------------------------------------------------


@click.command()
@id_argument
@click.argument("reference", metavar="REF")
@input_option
@click.option("--result", metavar="JSON|@FILE", help="The output it counts as done with.")
@server_option
def skip(*, execution_id: str, reference: str, given: str | None, result: str | None, server: str) -> None:
    """Count the task REF as done before it is scheduled."""
    body = {"taskInput": object_of(given), "taskOutput": object_of(result, "--result")}
    send(server, "PUT", "api", "workflow", execution_id, "skiptask", reference, body=body)
    said(f"{reference} will be skipped in {execution_id}")


@click.command(name="set")
@id_argument
@click.argument("variables", metavar="JSON|@FILE")
@server_option
def set_(*, execution_id: str, variables: str, server: str) -> None:
    """Merge VARIABLES into those of an execution that goes on, key by key."""
    body = object_of(variables, "VARIABLES")
    send(server, "POST", "api", "workflow", execution_id, "variables", body=body)
    said(f"{', '.join(body) or 'nothing'} set in {execution_id}")


@click.command()
@id_argument
@input_option
@click.option("--fail", is_flag=True, help="End the task FAILED instead of COMPLETED.")
@click.option(
    "--wait", type=click.FloatRange(0, 3_600), metavar="S", help="Wait so long for what comes next."
)
@server_option
@format_option
def signal(
    *, execution_id: str, given: str | None, fail: bool, wait: float | None, server: str, output: Format
) -> None:
    """End the task that an execution stands at, or one below it, with the output given by --input."""
    parts = ("api", "tasks", execution_id, "FAILED" if fail else "COMPLETED", "signal")
    body = object_of(given)
    if wait is None:
        send(server, "POST", *parts, body=body)
        said(f"{execution_id} was given the signal")
        return
    answer = send_and_wait(server, (*parts, "sync"), body, wait, {"timeoutMillis": round(wait * 1000)})
    write_json(answer.json, lines=output == "jsonl")


@click.command()
@id_argument
@click.option("--version", type=int, metavar="N", help="By default the highest.")
@click.option(
    "--map", "renamed", multiple=True, metavar="OLD=NEW", help="A task that has another reference there."
)
@click.option("--dry-run", "dry", is_flag=True, help="Say what would become of it, and do nothing.")
@server_option
@format_option
def migrate(
    *,
    execution_id: str,
    version: int | None,
    renamed: tuple[str, ...],
    dry: bool,
    server: str,
    output: Format,
) -> int:
    """Let an execution go on under another registered version; with --dry-run exit code 2 if it cannot."""
    pairs = [each.partition("=") for each in renamed]
    if not all(old and new for old, _, new in pairs):
        raise CommandFailed("--map: OLD=NEW is expected")
    body = {"version": version, "mapping": {old: new for old, _, new in pairs}, "dryRun": dry}
    sent = {name: value for name, value in body.items() if value is not None}
    found = as_object(send(server, "POST", "api", "workflow", execution_id, "migrate", body=sent).json)
    write_object(found, output)
    return DONE if found.get("possible") else USAGE


VERBS = (
    migrate,
    pause,
    resume,
    terminate,
    retry,
    restart,
    rerun,
    skip,
    release,
    decide,
    delete,
    set_,
    signal,
)
