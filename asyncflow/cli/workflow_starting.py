"""`asyncflow workflow create|start|execute|test`: definitions registered, and executions begun.

It reads files and options into Conductor's requests. A start with an idempotency key may be sent again when
the connection breaks; without one it is sent once.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, TypeVar

import click

from asyncflow.cli.completion import workflow_names
from asyncflow.cli.executions import head_of, summary_of, tasks_of
from asyncflow.cli.exits import DONE, WORKFLOW_FAILED, CommandFailed
from asyncflow.cli.late import Late
from asyncflow.cli.output import Format, format_option, write_facts, write_json
from asyncflow.cli.remote import (
    as_object,
    connected,
    input_option,
    object_of,
    objects_of,
    said,
    send,
    send_and_wait,
    server_option,
)
from asyncflow.cli.watch import follow
from asyncflow.model.statuses import EXECUTION_ENDED

if TYPE_CHECKING:
    from asyncflow.sdk import client as sdk
else:
    sdk = Late("asyncflow.sdk.client")

F = TypeVar("F", bound="Callable[..., object]")

_RETURNED = ("TARGET_WORKFLOW", "BLOCKING_WORKFLOW", "BLOCKING_TASK", "BLOCKING_TASK_INPUT")


@click.command(short_help="Register workflow definitions.")
@click.argument("files", metavar="FILE...", nargs=-1, required=True)
@click.option("--overwrite", is_flag=True, help="Replace versions that are registered already.")
@click.option("--check", is_flag=True, help="Have the server check them, and register nothing.")
@server_option
def create(*, files: tuple[str, ...], overwrite: bool, check: bool, server: str) -> None:
    """Register the workflow definitions in JSON or YAML files; `-` is stdin."""
    for definition in objects_of(files):
        named = f"{definition.get('name')} version {definition.get('version', 1)}"
        if check:
            send(server, "POST", "api", "metadata", "workflow", "validate", body=definition)
            said(f"{named} is sound")
        else:
            send(server, "POST", "api", "metadata", "workflow", body=definition, overwrite=overwrite or None)
            said(f"{named} is registered")


def _starting(function: F) -> F:
    options: Sequence[Callable[[F], F]] = (
        click.argument("name", required=False, default="", shell_complete=workflow_names),
        click.option("--version", type=int, metavar="N", help="By default the highest."),
        input_option,
        click.option("--file", metavar="FILE", help="A whole start request, which options add to."),
        click.option("--correlation-id", default="", metavar="ID", help="Yours, to find it by."),
        click.option("--priority", type=int, metavar="N", help="0 to 99."),
        click.option(
            "--domain",
            "domains",
            multiple=True,
            metavar="TASK=DOMAIN",
            help="Which workers get a task; `*` is all.",
        ),
        click.option("--idempotency-key", default="", metavar="KEY", help="The same key starts it once."),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _request(options: Mapping[str, object]) -> dict[str, object]:
    """The start request that options say."""
    file = options["file"]
    body = objects_of([str(file)])[0] if file else {}
    if "tasks" in body:
        body = {"workflowDef": body, "name": body.get("name")}
    domains = options["domains"]
    assert isinstance(domains, tuple)
    given = options["given"]
    added = {
        "name": options["name"],
        "version": options["version"],
        "input": None if given is None else object_of(str(given)),
        "correlationId": options["correlation_id"],
        "priority": options["priority"],
        "taskToDomain": dict(_domain(each) for each in domains),
        "idempotencyKey": options["idempotency_key"],
    }
    body |= {key: value for key, value in added.items() if value not in (None, "", {})}
    if given is not None:
        body["input"] = added["input"]
    if not body.get("name"):
        raise CommandFailed("name a workflow, or give a start request or a definition with --file")
    if body.get("idempotencyKey"):
        body.setdefault("idempotencyStrategy", "RETURN_EXISTING")
    return body


def _domain(given: str) -> tuple[str, str]:
    task, equals, domain = given.partition("=")
    if not (task and equals and domain):
        raise CommandFailed(f"--domain {given}: TASK=DOMAIN is expected")
    return task, domain


@click.command()
@_starting
@click.option("--watch", "watches", is_flag=True, help="Follow it until it has ended.")
@server_option
@format_option
def start(*, watches: bool, server: str, output: Format, **options: object) -> int:
    """Start an execution of the workflow NAME, and print its id.

    With --file it may also be a definition that is not registered.
    """
    body = _request(options)
    with connected(server) as client:
        answer = client.send("POST", "/api/workflow", body=body, repeatable=bool(body.get("idempotencyKey")))
    identity = answer.text.strip()
    if watches:
        said(f"{identity} is started")
        return follow(server, identity, output)
    if output == "table":
        click.echo(identity)
    else:
        write_json({"workflowId": identity}, lines=output == "jsonl")
    return DONE


@click.command()
@_starting
@click.option(
    "--wait", type=click.IntRange(1, 3_600), default=10, show_default=True, metavar="S", help="For so long."
)
@click.option("--until", "tasks", multiple=True, metavar="REF", help="Or until this task has ended.")
@click.option(
    "--return", "returned", type=click.Choice(_RETURNED), help="What to print; -o json shows all of it."
)
@server_option
@format_option
def execute(
    *, wait: int, tasks: tuple[str, ...], returned: str | None, server: str, output: Format, **options: object
) -> int:
    """Start an execution, wait until it has ended or stands at a task, and print it.

    When the time is up the execution goes on. Exit code 1 means that it has ended, and not well.
    """
    body = _request(options)
    query = {"waitForSeconds": wait, "waitUntilTaskRef": list(tasks), "returnStrategy": returned}
    parts = ("api", "workflow", "execute", str(body["name"]), str(body.get("version") or 0))
    found = send_and_wait(server, parts, body, wait, query).json
    if found is None:
        said("it stands at no task")
        return DONE
    execution = as_object(found)
    if output != "table":
        write_json(execution, lines=output == "jsonl")
    else:
        shown = {key: value for key, value in execution.items() if key not in {"tasks", "workflowDefinition"}}
        write_facts([*shown.items(), ("tasks", summary_of(execution) if tasks_of(execution) else None)])
    return _code(execution.get("status"))


@click.command(name="test")
@click.argument("file", metavar="FILE")
@server_option
@format_option
def test_(*, file: str, server: str, output: Format) -> int:
    """Play a definition with mocked outputs, in virtual time; FILE is Conductor's WorkflowTestRequest.

    Nothing is stored. Exit code 1 means that it did not end well.
    """
    (body,) = objects_of([file])[:1] or [{}]
    execution = as_object(send(server, "POST", "api", "workflow", "test", body=body).json)
    if output == "table":
        write_facts(
            [*head_of(execution), ("tasks", summary_of(execution)), ("output", execution.get("output"))]
        )
    else:
        write_json(execution, lines=output == "jsonl")
    return _code(execution.get("status"))


def _code(status: object) -> int:
    return WORKFLOW_FAILED if status in EXECUTION_ENDED and status != "COMPLETED" else DONE


STARTING = (create, start, execute, test_)
