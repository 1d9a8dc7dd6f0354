"""Local processes as jobs: they survive a restart of the engine, and a token is never run twice.

A job is a folder named by its token. Whoever holds the lock in it runs it; `command_child` does so in a
process of its own, and leaves the exit status behind. Nothing of a task's input becomes part of a path.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from pydantic import Field, SecretStr, field_validator

from asyncflow.managers import command_child
from asyncflow.plugins.errors import OutcomeOpen, Rejected
from asyncflow.plugins.jobs import Job, JobStatus, Tier
from asyncflow.plugins.resources import JobInput, PluginConfig, ResourceContext, ResourceManager

_TOKEN = re.compile(r"[a-z2-7]{32}")
_TAIL_BYTES = 64 * 1024
_REMEMBERED_S = 180 * 86_400.0  # a token that was forgotten would be run again
_PASSED_ON = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR")


class CommandConfig(PluginConfig):
    """Settings of a resource of type `command`: bounds of every process, 0 for none.

    What a command printed and wrote is kept for `keep_s` after its end; how it ended for half a year more.
    """

    wall_s: float = Field(default=24 * 3600.0, gt=0)
    cpu_s: int = Field(default=0, ge=0)
    memory_mb: int = Field(default=0, ge=0)
    grace_s: float = Field(default=5.0, ge=0)
    keep_s: float = Field(default=7 * 24 * 3600.0, ge=0)
    env: dict[str, SecretStr] = Field(default_factory=dict)


class CommandJob(JobInput):
    """The input of a COMMAND_JOB task: a program and its arguments, never a command line."""

    command: list[str] = Field(min_length=1)
    env: dict[str, str] = Field(default_factory=dict)
    timeout_s: float = Field(default=0.0, ge=0)

    @field_validator("command")
    @classmethod
    def _can_be_passed(cls, command: list[str]) -> list[str]:
        if not command[0] or any("\0" in part for part in command):
            raise ValueError("holds an empty program or a NUL character")
        return command


class CommandManager(ResourceManager):
    """Processes of this machine."""

    Config: ClassVar[type[PluginConfig]] = CommandConfig
    tasks: ClassVar[Mapping[str, type[JobInput]]] = {"COMMAND_JOB": CommandJob}
    tier: ClassVar[Tier] = "token"
    token_life: ClassVar[float] = _REMEMBERED_S

    config: CommandConfig

    def __init__(self, config: PluginConfig, context: ResourceContext) -> None:
        """Keep the settings."""
        super().__init__(config, context)
        rules = context.commands
        self._folder = rules and (rules.root or context.folder)

    async def open(self) -> None:
        """Remove what ended long ago.

        Raises:
            Rejected: commands are not allowed here.
        """
        await asyncio.to_thread(self._sweep, self._root())

    async def submit(self, job: Job) -> str:
        """See `ResourceManager.submit`; the handle is the token."""
        given = CommandJob.model_validate(job.input)
        if not _TOKEN.fullmatch(job.token):
            raise Rejected("not a token", is_final=True)
        wall_s = min(given.timeout_s or self.config.wall_s, self.config.wall_s)
        environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
        environment |= {name: value.get_secret_value() for name, value in self.config.env.items()}
        plan = command_child.Plan(
            given.command, {**environment, **given.env}, wall_s, self.config.grace_s,
            self.config.cpu_s, self.config.memory_mb,
        )  # fmt: skip
        await asyncio.to_thread(self._start, self._root() / job.token, plan)
        return job.token

    async def poll(self, instance: str, handles: Sequence[str]) -> Mapping[str, JobStatus]:
        """See `ResourceManager.poll`; a process that died without a word is not known."""
        del instance
        folders = {each: self._root() / each for each in handles if _TOKEN.fullmatch(each)}
        told = await asyncio.to_thread(lambda: {each: _look(path) for each, path in folders.items()})
        return {handle: status for handle, status in told.items() if status is not None}

    async def cancel(self, instance: str, handle: str) -> None:
        """See `ResourceManager.cancel`: who runs it sees the mark, ends the group, and says so."""
        del instance
        folder = self._root() / handle
        if _TOKEN.fullmatch(handle) and folder.is_dir():
            (folder / command_child.CANCEL).touch()

    # --- within -------------------------------------------------------------------------------------

    def _root(self) -> Path:
        if self._folder is None:
            raise Rejected(
                "commands are not allowed here; start the engine with --allow-commands", is_final=True
            )
        return self._folder / "jobs"

    def _start(self, folder: Path, plan: command_child.Plan) -> None:
        """Have it run, unless it runs or ran: who gets the lock and finds no trace of a start begins."""
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            with (folder / command_child.LOCK).open("ab") as lock:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if not (folder / command_child.STARTED).exists():
                        raise OutcomeOpen("the command is being started") from None
                    return
                if (folder / command_child.STARTED).exists():
                    return
                environment = {"PATH": os.environ.get("PATH", ""), "PYTHONDONTWRITEBYTECODE": "1"}
                subprocess.run(
                    [sys.executable, "-I", "-S", command_child.__file__, str(folder), str(lock.fileno())],
                    input=json.dumps(plan).encode(),  # by a pipe: it may hold secrets
                    pass_fds=(lock.fileno(),),
                    env=environment,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                    check=True,
                    timeout=20.0,
                )
        except (OSError, subprocess.SubprocessError) as error:
            raise OutcomeOpen(f"the command could not be handed over: {type(error).__name__}") from None

    def _sweep(self, root: Path) -> None:
        """Remove what commands that are over left behind; how they ended is kept for much longer."""
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        now_s = self.context.now_ms() / 1000
        for folder in root.iterdir():
            if not _TOKEN.fullmatch(folder.name) or _is_held(folder / command_child.LOCK):
                continue
            age_s = now_s - _last_s(folder)
            if age_s > self.config.keep_s + _REMEMBERED_S:
                shutil.rmtree(folder, ignore_errors=True)
            elif age_s > self.config.keep_s:
                shutil.rmtree(folder / "work", ignore_errors=True)
                for name in (command_child.STDOUT, command_child.STDERR):
                    (folder / name).unlink(missing_ok=True)


def _look(folder: Path) -> JobStatus | None:
    """How the job of a folder stands; None where nobody runs it and nobody told an end."""
    runs = _is_held(folder / command_child.LOCK)  # first: who ends writes the end, then lets go
    try:
        told = json.loads((folder / command_child.ENDED).read_bytes())
    except FileNotFoundError:
        return JobStatus("running") if runs else None
    output = {
        "exitCode": told["exitCode"],
        "stdout": _tail(folder / command_child.STDOUT),
        "stderr": _tail(folder / command_child.STDERR),
    }
    return JobStatus(told["word"], output, told["reason"], started_ms=told["startedMs"],
                     ended_ms=told["endedMs"], raw=told["word"])  # fmt: skip


def _last_s(folder: Path) -> float:
    """When something last became of a job."""
    for path in (folder / command_child.ENDED, folder / command_child.STARTED):
        if path.exists():
            return path.stat().st_mtime
    return folder.stat().st_mtime


def _is_held(lock: Path) -> bool:
    try:
        with lock.open("rb") as opened:
            fcntl.flock(opened, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        pass
    return False


def _tail(path: Path) -> str:
    if not path.exists():
        return ""
    with path.open("rb") as opened:
        opened.seek(max(0, path.stat().st_size - _TAIL_BYTES))
        return opened.read().decode("utf-8", "replace")
