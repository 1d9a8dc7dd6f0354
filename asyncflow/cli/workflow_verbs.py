"""`asyncflow workflow pause|resume|…`: what is asked of executions that are there, one or many.

Each verb is one row of what `selection` needs; verbs that make sense for one execution alone send their
request themselves. What they do is the server's.
"""

from __future__ import annotations

import click

from asyncflow.cli.exits import DONE, USAGE, CommandFailed
from asyncflow.cli.output import Format, format_option, write_facts, write_json
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
def retry(*, children: bool, **options: object) -> int:
    """Try again what was unsuccessful in ended executions."""
    one_query = {"resumeSubworkflowTasks": children or None}
    return carry_out(Verb("retry", "POST", ("retry",), ("POST", "retry"), one_query=one_query), options)


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
@click.option(
    "--from-task", default="", metavar="TASK_ID", help="From this task on; else from the beginning."
)
@click.option("--task-input", metavar="JSON|@FILE", help="The new input of that task.")
@input_option
@click.option("--correlation-id", default="", help="The new correlation id.")
@server_option
def rerun(
    *,
    execution_id: str,
    from_task: str,
    task_input: str | None,
    given: str | None,
    correlation_id: str,
    server: str,
) -> None:
    """Run an ended execution again, whole or from a task, with other inputs if they are given."""
    body: dict[str, object] = {
        "reRunFromTaskId": from_task or None,
        "taskInput": None if task_input is None else object_of(task_input, "--task-input"),
        "workflowInput": None if given is None else object_of(given),
        "correlationId": correlation_id or None,
    }
    sent = {key: value for key, value in body.items() if value is not None}
    click.echo(send(server, "POST", "api", "workflow", execution_id, "rerun", body=sent).text)


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
    if output == "table":
        write_facts(found.items())
    else:
        write_json(found, lines=output == "jsonl")
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
