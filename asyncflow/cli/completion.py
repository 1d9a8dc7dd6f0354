"""`asyncflow completion`: scripts for shells, and the ids and names that a server has for them.

A key press must not wait: the server is asked once and for a second at most, and any trouble means that
there is nothing to offer. Nothing is ever written to stderr here.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import TYPE_CHECKING

import click
from click.shell_completion import CompletionItem, get_completion_class

from asyncflow.cli.late import Late
from asyncflow.errors import AsyncflowError

if TYPE_CHECKING:
    from asyncflow.sdk import client as sdk
else:
    sdk = Late("asyncflow.sdk.client")

_PATIENCE_S = 1.0
_MOST = 50


@click.command(short_help="Print what lets a shell complete commands.")
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(*, shell: str) -> None:
    """Print the script that lets a shell complete commands, ids and names.

    Put `eval "$(asyncflow completion bash)"` into ~/.bashrc, the same with zsh into ~/.zshrc, or write what
    fish gets to ~/.config/fish/completions/asyncflow.fish. Ids and names are those of the server that
    ASYNCFLOW_SERVER names, as long as it answers within a second.
    """
    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(click.Group("asyncflow"), {}, "asyncflow", "_ASYNCFLOW_COMPLETE").source())


def execution_ids(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Executions that began last, with workflow and status."""
    found = _asked(ctx, "/api/workflow/search", {"size": _MOST, "sort": "startTime:DESC"})
    rows = found.get("results") if isinstance(found, dict) else None
    return [
        CompletionItem(str(row["workflowId"]), help=f"{row.get('workflowType')} {row.get('status')}")
        for row in (rows if isinstance(rows, list) else [])
        if isinstance(row, dict) and str(row.get("workflowId", "")).startswith(incomplete)
    ]


def workflow_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of registered workflows."""
    return _names(_asked(ctx, "/api/metadata/workflow/names"), incomplete)


def schedule_names(ctx: click.Context, _: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Names of schedules."""
    return _names(_asked(ctx, "/api/scheduler/schedules"), incomplete)


def _names(found: object, incomplete: str) -> list[CompletionItem]:
    listed = found if isinstance(found, list) else []
    names = [each.get("name") if isinstance(each, dict) else each for each in listed]
    return [CompletionItem(name) for name in names if isinstance(name, str) and name.startswith(incomplete)]


def _asked(ctx: click.Context, path: str, query: dict[str, object] | None = None) -> object:
    """What the server says, None if it cannot be asked."""
    server = ctx.params.get("server") or ""
    with suppress(AsyncflowError):
        address = sdk.Address.found(os.environ, server if isinstance(server, str) else "")
        with sdk.Client(address, timeout_s=_PATIENCE_S) as client:
            return client.send("GET", path, query, repeatable=False).json
    return None
