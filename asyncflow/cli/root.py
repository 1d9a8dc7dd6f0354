"""The root of all commands: their names and one line each, imported when one is used.

It holds no command itself; errors that reach it become one line and an exit code, see `exits`.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import click
from click.shell_completion import CompletionItem

from asyncflow.cli.exits import BROKEN_PIPE, FORCED, exit_for
from asyncflow.cli.streams import prepare_streams

COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("asyncflow.cli.demo:demo", "Run a workflow on the files of a folder, and see what it did."),
    "run": ("asyncflow.cli.run:run", "Run one definition in this process to its end."),
    "recover": ("asyncflow.cli.recover:recover", "Take up an execution from its journal file."),
    "serve": ("asyncflow.cli.serve:serve", "Serve Conductor's REST API on one database file."),
    "lint": ("asyncflow.cli.lint:lint", "Check definitions without running them."),
    "import": ("asyncflow.cli.convert:import_", "Turn a file of another system into a definition."),
    "export": ("asyncflow.cli.convert:export", "Turn a definition into what another system runs."),
    "workflow": ("asyncflow.cli.workflow:workflow", "Start executions, look at them and steer them."),
    "task": ("asyncflow.cli.task:task", "Look at tasks and their queues, end tasks by hand."),
    "definition": (
        "asyncflow.cli.metadata:definition",
        "Register, list, show and delete definitions of a server.",
    ),
    "routing": ("asyncflow.cli.routing:routing", "Spread starts over versions, and take that back."),
    "schedule": ("asyncflow.cli.schedule:schedule", "Make, list, pause and delete schedules."),
    "event": ("asyncflow.cli.event:event", "Make and list event handlers, publish messages."),
    "listener": ("asyncflow.cli.listener:listener", "Say who is told of events, and tell them again."),
    "overview": ("asyncflow.cli.resource:overview", "Show what runs, what waits and for what."),
    "why": ("asyncflow.cli.why:why", "Say what a task or an execution waits for."),
    "quarantine": (
        "asyncflow.cli.quarantine:quarantine",
        "List executions that were set aside, release or delete them.",
    ),
    "resource": (
        "asyncflow.cli.resource:resource",
        "Look at what is shared and limited; drain and resize it.",
    ),
    "worker": ("asyncflow.cli.resource:worker", "Look at who takes tasks from the server."),
    "server": (
        "asyncflow.cli.server:server",
        "Look at a server itself.",
    ),
    "apply": ("asyncflow.cli.apply:apply", "Make a server have the definitions and documents in a folder."),
    "audit": ("asyncflow.cli.server:audit", "List who changed what on a server, and who was refused."),
    "api": ("asyncflow.cli.server:api", "Send any request to a server."),
    "key": ("asyncflow.cli.keys:key", "Make, list and revoke API keys."),
    "journal": ("asyncflow.cli.journal:journal", "Write journal files, and say what one holds."),
    "db": ("asyncflow.cli.db:db", "Look after a database file."),
    "plugin": ("asyncflow.cli.plugin:plugin", "List, make and check plugins."),
    "log": ("asyncflow.cli.log:log", "Search the logs of tasks and resources."),
    "config": ("asyncflow.cli.config:config", "Show and check settings."),
    "completion": ("asyncflow.cli.completion:completion", "Print what lets a shell complete commands."),
    "doctor": ("asyncflow.cli.doctor:doctor", "Say whether this installation is complete and sound."),
}
"""Every command: where it is, and its line in the help (a test compares the two)."""


class ReaderGone(Exception):
    """Whoever read stdout went away; click would turn an OSError into the code of a failed workflow."""


@contextmanager
def _naming_broken_pipes() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as error:
        raise ReaderGone from error


class Root(click.Group):
    """A group that imports a command when it is used, and turns errors into exit codes."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's name
        """The names, in the order in which a newcomer meets them."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's name
        """The command, imported now."""
        if cmd_name not in COMMANDS:
            return None
        module, _, attribute = COMMANDS[cmd_name][0].partition(":")
        command = getattr(import_module(module), attribute)
        assert isinstance(command, click.Command)
        return command

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Commands that begin so, without importing one; options as click does it."""
        if incomplete and not incomplete[0].isalnum():
            return super().shell_complete(ctx, incomplete)
        return [
            CompletionItem(name, help=line)
            for name, (_, line) in COMMANDS.items()
            if name.startswith(incomplete)
        ]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 - click's name
        """The list of commands, without importing one."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """As click does it; help texts are written here."""
        with _naming_broken_pipes():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        """As click does it."""
        with _naming_broken_pipes():
            return super().invoke(ctx)

    def main(  # type: ignore[override]  # the overloads of click tell standalone mode apart; here it is always on
        self,
        args: Sequence[str] | None = None,
        prog_name: str | None = None,
        complete_var: str | None = None,
        **extra: Any,
    ) -> None:
        """Run a command and leave the process with its exit code."""
        extra.pop("standalone_mode", None)
        try:
            code = super().main(args, prog_name or "asyncflow", complete_var, standalone_mode=False, **extra)
            sys.stdout.flush()
        except (BrokenPipeError, ReaderGone):
            # Whoever read stdout went away; without this, Python complains once more at its end.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            code = BROKEN_PIPE
        except (KeyboardInterrupt, click.Abort):
            click.echo("asyncflow: stopped", err=True)
            code = FORCED
        except Exception as error:  # noqa: BLE001 - the last one to know what an error means
            code = exit_for(error)
        sys.exit(code if isinstance(code, int) else 0)


def _version() -> str:
    # A quarter of what a help text costs, which never asks.
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415

    try:
        return version("asyncflow")
    except PackageNotFoundError:
        return "not installed"


def _show_version(ctx: click.Context, _: click.Parameter, value: bool) -> None:  # noqa: FBT001 - click calls it
    if value and not ctx.resilient_parsing:
        click.echo(f"asyncflow {_version()}")
        ctx.exit()


@click.group(cls=Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show_version,
    help="Show the version and exit.",
)
def cli() -> None:
    """A durable workflow engine in one process.

    Exit codes: 0 done, 1 the workflow failed, 2 usage or configuration, 3 storage or a lock held,
    4 no server answers, 70 a bug in asyncflow, 130 stopped by a signal.
    """


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line with these arguments, by default those of the process, and exit."""
    prepare_streams()
    cli.main(arguments)
