"""Exit codes: one table from families of errors to codes, and the one line that tells of an error.

Nothing else in the command line chooses a code for an error; bugs, and only they, show a traceback.
"""

from __future__ import annotations

import sys
import traceback

import click

from asyncflow.errors import (
    AsyncflowError,
    Conflict,
    DefinitionError,
    ExecutionFailed,
    ServerRefused,
    ServerUnreachable,
    ShuttingDown,
    StoreError,
    TaskFailed,
)

DONE = 0
WORKFLOW_FAILED = 1
USAGE = 2
STORAGE = 3
NO_SERVER = 4
BUG = 70
FORCED = 130
BROKEN_PIPE = 141

EXIT_CODES: tuple[tuple[type[BaseException], int], ...] = (
    (StoreError, STORAGE),
    (ShuttingDown, STORAGE),
    (ExecutionFailed, WORKFLOW_FAILED),
    (TaskFailed, WORKFLOW_FAILED),
    (ServerUnreachable, NO_SERVER),
    (AsyncflowError, USAGE),
    (click.ClickException, USAGE),
    (OSError, USAGE),
)
"""The first family that an error belongs to counts; an error of none is a bug."""

_MOST_LINES = 20


class CommandFailed(click.ClickException):
    """Something the user has to mend, said in the message."""

    exit_code = USAGE


def exit_for(error: BaseException) -> int:
    """The exit code for an error, after telling of it on stderr."""
    leaf = _worst(error)
    if isinstance(leaf, click.exceptions.Exit):
        return leaf.exit_code
    code = _code(leaf)
    if isinstance(leaf, ServerRefused):
        click.echo(f"asyncflow: {_said(leaf)}", err=True)
        return BUG if leaf.status == 500 else code
    if code == BUG:
        _tell_of_bug(leaf)
    elif isinstance(leaf, click.ClickException):
        leaf.show()
    elif isinstance(leaf, DefinitionError):
        _tell_of_violations(leaf)
    else:
        click.echo(f"asyncflow: {_said(leaf)}", err=True)
    return code


def _worst(error: BaseException) -> BaseException:
    """The error that counts among those that task groups gathered: a bug before all others."""
    if not isinstance(error, BaseExceptionGroup):
        return error
    return max((_worst(each) for each in error.exceptions), key=_code)


def _code(error: BaseException) -> int:
    return next((code for family, code in EXIT_CODES if isinstance(error, family)), BUG)


def _said(error: BaseException) -> str:
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error)
    code = getattr(error, "code", type(error).__name__)
    advice = "" if isinstance(error, StoreError | Conflict | ServerRefused) else _advice(error)
    return f"{code}: {error}{advice}"


def _advice(error: BaseException) -> str:
    """What the class of the error says to do, in brackets."""
    first = (type(error).__doc__ or "").strip().splitlines()
    return f" ({first[0].rstrip('.')})" if first else ""


def _tell_of_violations(error: DefinitionError) -> None:
    for violation in error.violations[:_MOST_LINES]:
        click.echo(f"asyncflow: {error.code}: {violation}", err=True)
    rest = len(error.violations) - _MOST_LINES
    if rest > 0:
        click.echo(f"asyncflow: {error.code}: and {rest} more; `asyncflow lint FILE` shows all", err=True)


def _tell_of_bug(error: BaseException) -> None:
    traceback.print_exception(error, file=sys.stderr)
    click.echo("asyncflow: this is a bug in asyncflow; please report it with the lines above", err=True)
