"""The root: help, exit codes, and what every command has to keep to."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from asyncflow import errors
from asyncflow.cli import cli
from asyncflow.cli.exits import (
    BUG,
    NO_SERVER,
    STORAGE,
    USAGE,
    WORKFLOW_FAILED,
    CommandFailed,
    _code,
    exit_for,
)
from asyncflow.cli.root import COMMANDS
from tests.cli.making import call, environment

HEAVY = {"aiohttp", "aiosqlite", "jq", "pydantic", "quickjs", "rich", "uvloop", "yaml"}


def commands(group: click.Group = cli, path: str = "asyncflow") -> Iterator[tuple[str, click.Command]]:
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield f"{path} {name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{path} {name}")


def test_help_names_every_command_with_its_own_line() -> None:
    shown = call("--help")

    assert shown.exit_code == 0
    for name, (_, line) in COMMANDS.items():
        command = cli.get_command(click.Context(cli), name)
        assert command is not None
        assert command.short_help == line
        assert f"  {name} " in shown.stdout
        assert line in shown.stdout


def test_help_imports_no_heavy_library() -> None:
    script = (
        "import sys\nfrom asyncflow.cli import cli\n"
        "try: cli.main(['--help'])\nexcept SystemExit: pass\n"
        f"print('>', *sys.modules.keys() & {HEAVY!r})"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True
    )

    assert done.stdout.splitlines()[-1] == ">"


@pytest.mark.parametrize(
    "command",
    [
        ["run"],
        ["demo"],
        ["lint"],
        ["import"],
        ["export"],
        ["workflow", "get"],
        ["workflow", "pause"],
        ["task"],
        ["schedule", "next"],
        ["db", "check"],
        ["doctor"],
    ],
    ids=" ".join,
)
def test_help_of_a_command_imports_no_engine(command: list[str]) -> None:
    script = (
        "import sys\nfrom asyncflow.cli import cli\n"
        f"try: cli.main([*{command!r}, '--help'])\nexcept SystemExit: pass\n"
        "engine = ('asyncflow.runtime', 'asyncflow.model.definition')\n"
        "print('>', *(name for name in sys.modules if name.startswith(engine)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment(), capture_output=True, text=True, check=True
    )

    assert "Usage: asyncflow" in done.stdout
    assert done.stdout.splitlines()[-1] == ">"


def test_no_command_is_a_coroutine_function() -> None:
    """click calls such a command, drops the coroutine and exits with 0."""
    asynchronous = [path for path, command in commands() if inspect.iscoroutinefunction(command.callback)]

    assert len(list(commands())) > 15
    assert asynchronous == []


def test_every_command_and_option_is_explained() -> None:
    silent = [path for path, command in commands() if not command.help]
    silent += [
        f"{path} {option.name}"
        for path, command in commands()
        for option in command.params
        if isinstance(option, click.Option) and not option.help
    ]

    assert silent == []


def test_version_is_told() -> None:
    shown = call("--version")

    assert shown.exit_code == 0
    assert shown.stdout.startswith("asyncflow ")


@pytest.mark.parametrize(
    "arguments", [["nonsense"], ["run"], ["run", "--nonsense"], ["import", "x"], ["workflow", "get"]]
)
def test_usage_errors_exit_2_without_a_traceback(arguments: list[str]) -> None:
    done = call(*arguments)

    assert done.exit_code == USAGE
    assert done.stdout == ""
    assert "Error" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.StoreError("gone"), STORAGE),
        (errors.StoreLocked("held"), STORAGE),
        (errors.NotCommitted("full", code="storage_full"), STORAGE),
        (errors.OutcomeUnknown("?"), STORAGE),
        (errors.ExecutionFailed("1", "FAILED", None), WORKFLOW_FAILED),
        (errors.DefinitionError([errors.Violation("tasks", "empty")]), USAGE),
        (errors.InvalidInput("bad"), USAGE),
        (errors.NotFound("workflow", "x"), USAGE),
        (errors.PluginError("missing"), USAGE),
        (errors.ConfigurationError("scripts"), USAGE),
        (errors.ServerUnreachable("http://h", "refused"), NO_SERVER),
        (errors.ServerRefused(409, "it has ended"), USAGE),
        (errors.ServerRefused(500, "internal error"), BUG),
        (CommandFailed("no file"), USAGE),
        (ExceptionGroup("group", [errors.StoreLocked("held")]), STORAGE),
        (ExceptionGroup("group", [errors.InvalidInput("bad"), errors.StoreError("gone")]), STORAGE),
    ],
)
def test_errors_of_ours_are_one_line_and_a_code(
    error: BaseException, code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert exit_for(error) == code

    said = capsys.readouterr().err
    assert len(said.splitlines()) == 1
    assert "Traceback" not in said


def test_every_error_of_ours_has_an_exit_code() -> None:
    classes = [
        value
        for value in vars(errors).values()
        if isinstance(value, type) and issubclass(value, errors.AsyncflowError)
    ]

    assert len(classes) > 10
    for kind in classes:
        assert _code(kind.__new__(kind)) in {WORKFLOW_FAILED, USAGE, STORAGE, NO_SERVER}


def test_bugs_show_where_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    assert exit_for(KeyError("oops")) == BUG

    said = capsys.readouterr().err
    assert "KeyError" in said
    assert "bug" in said


def test_many_violations_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    found = [errors.Violation(f"tasks[{index}]", "bad") for index in range(30)]

    assert exit_for(errors.DefinitionError(found)) == USAGE
    assert "and 10 more" in capsys.readouterr().err
