"""`asyncflow task decide`: a person says what became of a job that nobody could tell about.

Such tasks are shown as NEEDS_DECISION, with the reason; what each decision does is in `decide/jobs`.
"""

from __future__ import annotations

import click

from asyncflow.cli.exits import CommandFailed
from asyncflow.cli.output import cell
from asyncflow.cli.remote import as_object, object_of, said, send, server_option


@click.command()
@click.argument("task_id", metavar="TASK_ID")
@click.argument("decision", type=click.Choice(["resubmit", "adopt", "fail", "complete"]))
@click.argument("handle", default="")
@click.option("--output", "given", metavar="JSON|@FILE", help="The output, with complete or fail.")
@click.option("--reason", default="", metavar="TEXT", help="Why, for those who come after.")
@server_option
def decide(*, task_id: str, decision: str, handle: str, given: str | None, reason: str, server: str) -> None:
    """Say what became of a job that nobody can tell about: a task that NEEDS_DECISION.

    resubmit: it is not there, hand it in again. adopt HANDLE: it is there, go on with it. fail, complete:
    it ended so.
    """
    if bool(handle) != (decision == "adopt"):
        raise CommandFailed("a handle goes with adopt, and with nothing else")
    body: dict[str, object] = {"decision": decision, "reason": reason}
    if handle:
        body["handle"] = handle
    if given is not None:
        body["output"] = object_of(given, "--output")
    answer = send(server, "POST", "api", "asyncflow", "tasks", task_id, "decide", body=body)
    found = as_object(answer.json)
    said(f"{cell(found.get('referenceTaskName'))} is {found.get('status')}")
