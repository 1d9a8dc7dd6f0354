"""What a command task may ask for, checked and resolved before anything starts.

Paths are resolved and compared here; nothing is opened, created or run. Read `command_task`
next, which runs the plan.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, cast

from asyncflow.errors import Refused
from asyncflow.model.values import JsonObject, JsonValue

_PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR")


class CommandRefused(Refused):
    """Correct the input of the command task, or allow commands; the message says which."""

    code = "command_refused"


@dataclass(frozen=True, slots=True)
class CommandPolicy:
    """Whether commands may run, where, and within which bounds.

    Attributes:
        enabled: only whoever starts the engine can say so.
        root: working directories must lie in it; None leaves them free.
        wall_seconds: at most, also for a `timeoutSeconds` that asks for more.
        cpu_seconds: of each process; None for no bound. Held on Linux only.
        grace_seconds: between SIGTERM and SIGKILL.
    """

    enabled: bool
    root: Path | None = None
    wall_seconds: float = 24 * 3600.0
    cpu_seconds: int | None = None
    grace_seconds: float = 5.0


class Plan(NamedTuple):
    """A command that may be started.

    Attributes:
        command: the executable and its arguments.
        workdir: absolute and existing.
        environment: complete.
        stdout: the file it goes to, None to keep its tail.
        stderr: likewise.
        wall_seconds: after which it is ended.
        cpu_seconds: of the policy.
        grace_seconds: of the policy.
    """

    command: list[str]
    workdir: Path
    environment: dict[str, str]
    stdout: Path | None
    stderr: Path | None
    wall_seconds: float
    cpu_seconds: int | None
    grace_seconds: float


def planned(given: JsonObject, policy: CommandPolicy) -> Plan:
    """The plan for the task's input.

    Raises:
        CommandRefused: commands are not allowed, or the input names what cannot be done.
    """
    if not policy.enabled:
        raise CommandRefused("commands are not allowed here; start the engine with --allow-commands")
    executable = given.get("executable")
    if not isinstance(executable, str) or not executable or "\0" in executable:
        raise CommandRefused("'executable' must be the name or path of a program")
    workdir = _workdir(given.get("workdir"), policy.root)
    return Plan(
        command=[executable, *_arguments(given.get("args"))],
        workdir=workdir,
        environment=_environment(given.get("env")),
        stdout=_inside(given.get("stdout"), workdir, "stdout"),
        stderr=_inside(given.get("stderr"), workdir, "stderr"),
        wall_seconds=_wall(given.get("timeoutSeconds"), policy.wall_seconds),
        cpu_seconds=policy.cpu_seconds,
        grace_seconds=policy.grace_seconds,
    )


def _arguments(given: JsonValue) -> list[str]:
    if given is None:
        return []
    if not isinstance(given, list):
        raise CommandRefused("'args' must be a list of texts and numbers, never one command line")
    return [_text(value, f"args[{index}]") for index, value in enumerate(given)]


def _environment(given: JsonValue) -> dict[str, str]:
    """The few variables programs need of ours, and what the task gives."""
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    if given is None:
        return environment
    if not isinstance(given, dict):
        raise CommandRefused("'env' must be an object of names and values")
    for name, value in given.items():
        if not name or "=" in name or "\0" in name:
            raise CommandRefused(f"'env' has a name that cannot be set: {name[:40]!r}")
        environment[name] = _text(value, f"env.{name}")
    return environment


def _workdir(given: JsonValue, root: Path | None) -> Path:
    """The directory with all links resolved, so that none leads out of the root."""
    if given is not None and (not isinstance(given, str) or "\0" in given):
        raise CommandRefused("'workdir' must be a path")
    base = (root or Path.cwd()).resolve()
    workdir = (base / (given or "")).resolve()
    if root is not None and not workdir.is_relative_to(base):
        raise CommandRefused(f"'workdir' lies outside of the directory for commands: {str(given)[:200]!r}")
    if not workdir.is_dir():
        raise CommandRefused(f"'workdir' is not a directory: {str(given)[:200]!r}")
    return workdir


def _inside(given: JsonValue, workdir: Path, key: str) -> Path | None:
    """A file in the working directory or below, reached through no link that leads out."""
    if given is None:
        return None
    if not isinstance(given, str) or not given or "\0" in given:
        raise CommandRefused(f"{key!r} must be a file name")
    folder = (workdir / given).parent.resolve()
    name = Path(given).name
    if Path(given).is_absolute() or name in ("", "..") or not folder.is_relative_to(workdir):
        raise CommandRefused(f"{key!r} must lie in the working directory: {given[:200]!r}")
    path = folder / name
    if path.is_symlink() or path.is_dir():
        raise CommandRefused(f"{key!r} must be a plain file: {given[:200]!r}")
    return path


def _wall(given: JsonValue, most: float) -> float:
    if given is None:
        return most
    if isinstance(given, bool) or not isinstance(given, int | float) or not given > 0:
        raise CommandRefused("'timeoutSeconds' must be a number above 0")
    return min(cast("float", given), most)


def _text(value: JsonValue, where: str) -> str:
    """A text or number as an argument; anything else is a mistake better told than guessed."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise CommandRefused(f"{where!r} must be a text or a number")
    text = str(value)
    if "\0" in text:
        raise CommandRefused(f"{where!r} holds a NUL character")
    return text
