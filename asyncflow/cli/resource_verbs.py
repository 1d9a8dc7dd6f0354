"""`asyncflow resource drain|resume|resize|…`: what operators do with resources, and what became of them.

Settings are read from a JSON or YAML file with the keys of `[resources.NAME]`. What the verbs do is the
server's.
"""

from __future__ import annotations

import click

from asyncflow.cli.exits import CommandFailed
from asyncflow.cli.output import (
    Format,
    cell,
    format_option,
    write_object,
    write_rows,
)
from asyncflow.cli.remote import (
    as_object,
    as_rows,
    ask,
    fetch,
    limit_option,
    objects_of,
    offset_option,
    said,
    send,
    server_option,
    tell_of_more,
    when,
    yes_option,
)
from asyncflow.model.values import JsonObject

_EVENTS = {"seq": "NO", "time": "TIME (UTC)", "event": "EVENT", "facts": "FACTS"}
_JOBS = {
    "task": "TASK",
    "workflowId": "EXECUTION",
    "phase": "PHASE",
    "handle": "HANDLE",
    "instance": "INSTANCE",
    "reason": "REASON",
}

_name = click.argument("name")
_reason = click.option("--reason", default="", metavar="TEXT", help="Kept for those who come after.")


def _path(name: str, *more: str) -> tuple[str, ...]:
    return ("api", "asyncflow", "resources", name, *more)


def _sent(server: str, name: str, *more: str, body: object = ..., reason: str = "") -> JsonObject:
    """Have something done to a resource, and give how it is then."""
    return as_object(send(server, "POST", *_path(name, *more), body=body, reason=reason).json)


@click.command()
@_name
@server_option
@format_option
def get(*, name: str, server: str, output: Format) -> None:
    """Show one resource: its settings, its instances, those who hold it and those who wait for it."""
    found = as_object(fetch(server, *_path(name)))
    write_object(found, output)


@click.command()
@_name
@_reason
@server_option
def drain(*, name: str, reason: str, server: str) -> None:
    """Begin nothing there any more until it is resumed; what is under way ends."""
    found = _sent(server, name, "drain", reason=reason)
    said(f"{name} is {found.get('state')}, {found.get('holders', 0)} still hold it")


@click.command()
@_name
@_reason
@server_option
def resume(*, name: str, reason: str, server: str) -> None:
    """Let tasks begin again after a drain."""
    found = _sent(server, name, "resume", reason=reason)
    said(f"{name} is {found.get('state')}")


@click.command()
@_name
@click.option("--max-concurrent", type=click.IntRange(0), help="The sum of weights that may be held; 0: any.")
@click.option("--min-instances", type=click.IntRange(0), help="So many instances are kept.")
@click.option("--max-instances", type=click.IntRange(1), help="No more instances than these.")
@click.option("--per-instance", type=click.IntRange(0), help="Jobs on one instance at once; 0: any.")
@_reason
@server_option
def resize(  # noqa: PLR0913 - one parameter per option
    *,
    name: str,
    max_concurrent: int | None,
    min_instances: int | None,
    max_instances: int | None,
    per_instance: int | None,
    reason: str,
    server: str,
) -> None:
    """Change how much there is, at once; limits of one in the configuration file until the next start."""
    counts = {"min": min_instances, "max": max_instances}
    instances = {key: value for key, value in counts.items() if value is not None}
    given = {"maxConcurrent": max_concurrent, "perInstance": per_instance, "instances": instances or None}
    body = {key: value for key, value in given.items() if value is not None}
    if not body:
        raise CommandFailed("say what to change, such as --max-concurrent 4")
    found = _sent(server, name, "resize", body=body, reason=reason)
    is_kept = found.get("source") == "document" or set(body) == {"instances"}
    said(f"{name} is resized{'' if is_kept else ' until the next start'}")


@click.command()
@_name
@click.argument("number", metavar="NUMBER", type=click.IntRange(1))
@click.argument("decision", type=click.Choice(["adopt", "absent"]))
@click.argument("handle", default="")
@_reason
@server_option
def decide(*, name: str, number: int, decision: str, handle: str, reason: str, server: str) -> None:
    """Say whether an instance is there of which nobody can tell whether it was created.

    adopt HANDLE: it is there, go on with it. absent: it is not there, another one may be made.
    """
    if bool(handle) != (decision == "adopt"):
        raise CommandFailed("a handle goes with adopt, and with nothing else")
    body: dict[str, object] = {"decision": decision, "reason": reason}
    if handle:
        body["handle"] = handle
    found = _sent(server, name, "instances", str(number), "decide", body=body)
    said(f"{name} is {found.get('state')}")


@click.command()
@_name
@limit_option
@offset_option
@server_option
@format_option
def history(*, name: str, limit: int, offset: int, server: str, output: Format) -> None:
    """List what became of a resource and why, the newest first."""
    found = fetch(server, *_path(name, "history"), count=limit, start=offset)
    rows = as_rows(found, "events")
    write_rows([_event(row) for row in rows] if output == "table" else rows, _EVENTS, output)
    tell_of_more(found, offset + len(rows), what="events")


def _event(row: JsonObject) -> dict[str, object]:
    known = {"seq", "event", "atMs"}
    facts = ", ".join(f"{key} {cell(value)}" for key, value in row.items() if key not in known and value)
    return {**row, "time": when(row.get("atMs")), "facts": facts}


@click.command()
@_name
@limit_option
@offset_option
@server_option
@format_option
def jobs(*, name: str, limit: int, offset: int, server: str, output: Format) -> None:
    """List the open jobs of a resource: of which task, in which phase, under which handle."""
    found = fetch(server, *_path(name, "jobs"), count=limit, start=offset)
    rows = as_rows(found, "jobs")
    write_rows(rows, _JOBS, output)
    tell_of_more(found, offset + len(rows), what="jobs")


@click.command()
@_name
@click.argument("file", metavar="FILE")
@server_option
def apply(*, name: str, file: str, server: str) -> None:
    """Make a resource as FILE says, or change it; `-` is stdin. Keys are those of [resources.NAME]."""
    bodies = objects_of([file])
    if len(bodies) != 1:
        raise CommandFailed(f"{file}: one object is expected, got {len(bodies)}")
    send(server, "PUT", *_path(name), body=bodies[0])
    said(f"{name} is as {file} says")


@click.command()
@_name
@yes_option
@server_option
def delete(*, name: str, yes: bool, server: str) -> None:
    """Delete a resource that nobody uses."""
    ask(f"delete {name}?", is_sure=yes)
    send(server, "DELETE", *_path(name))
    said(f"{name} is deleted")


@click.command()
@_name
@click.option(
    "--next", "next_number", required=True, type=click.IntRange(1), help="The number of the next instance."
)
@click.option(
    "--instance", "instances", multiple=True, metavar="NUMBER=HANDLE", help="One that is there; repeatable."
)
@_reason
@server_option
def release(*, name: str, next_number: int, instances: tuple[str, ...], reason: str, server: str) -> None:
    """Go on with a resource whose history cannot be read.

    The next number is one that no instance ever had: the token of an instance is made of it. Jobs on
    instances that are not named go on another one.
    """
    handles = {number: handle for number, _, handle in (each.partition("=") for each in instances)}
    body: dict[str, object] = {"nextNumber": next_number, "instances": handles, "reason": reason}
    found = _sent(server, name, "release", body=body)
    said(f"{name} is {found.get('state')}")


@click.command()
@_name
@_reason
@yes_option
@server_option
def forget(*, name: str, reason: str, yes: bool, server: str) -> None:
    """Leave the instances of a resource that is not configured any more to themselves."""
    ask(f"forget {name}? Nobody here will end its instances", is_sure=yes)
    send(server, "POST", *_path(name, "forget"), reason=reason)
    said(f"{name} is forgotten")


VERBS = (get, drain, resume, resize, decide, history, jobs, apply, delete, release, forget)
"""What `asyncflow resource` does with one resource."""
