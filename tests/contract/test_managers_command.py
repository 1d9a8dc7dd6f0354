"""Commands as jobs keep the contract: real processes, run once for a token, whoever dies."""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

import pytest

from asyncflow.ids import attempt_token
from asyncflow.managers import command_child
from asyncflow.managers.command import CommandConfig, CommandManager
from asyncflow.model.values import JsonObject
from asyncflow.plugins.errors import OutcomeOpen, Rejected
from asyncflow.plugins.jobs import Job, JobWord
from asyncflow.plugins.resources import ResourceContext
from asyncflow.plugins.surroundings import CommandRules
from asyncflow.testing.faults import Call, FakeService, Fault
from asyncflow.testing.resource_contract import ResourceManagerContract

_UNTIL_TOLD = 'echo out; echo err >&2; while [ ! -e go ]; do sleep 0.02; done; exit "$(cat go)"'
_CODES: dict[JobWord, str] = {"succeeded": "0", "failed": "3"}

_KEEPER = """
import os, pathlib, runpy, signal, sys
plan = pathlib.Path({plan!r})
fault = plan.read_text() if plan.exists() else ""
plan.unlink(missing_ok=True)
killed = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
if fault == "cut_before":
    killed()
elif fault == "broken":
    sys.exit(1)
elif fault == "cut_after":
    os._exit = killed  # with what it would have told that the command is begun
runpy.run_path({program!r}, run_name="__main__")
"""


class LocalCommands:
    """The folder of commands, as a service that is asked what it did.

    Who keeps a command is killed by the kernel as planned: before it has noted that it begins, or after.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.keeper = root / "keeper.py"
        self.keeper.write_text(_KEEPER.format(plan=str(root / "fault"), program=command_child.__file__))

    def jobs(self, token: str) -> int:
        started = self.root / "jobs" / token / "started"
        return started.read_text().count("\n") if started.exists() else 0

    def instances(self, token: str) -> int:
        return 0

    def fail(self, call: Call, fault: Fault, *, skip: int = 0) -> None:
        assert (call, skip) == ("submit", 0)
        (self.root / "fault").write_text(fault)

    def end_job(self, handle: str, word: JobWord) -> None:
        folder = self.root / "jobs" / handle
        if word == "cancelled":
            (folder / "cancel").touch()
        else:
            (folder / "work").mkdir(exist_ok=True)
            (folder / "work" / "go.new").write_text(_CODES[word])
            (folder / "work" / "go.new").replace(folder / "work" / "go")
        wait_for(folder)

    def end_all(self) -> None:
        for folder in (self.root / "jobs").glob("*"):
            (folder / "cancel").touch()
            wait_for(folder)

    def settle(self) -> None:
        pass


def wait_for(folder: Path) -> None:
    """Until nobody holds the lock: its end is written."""
    with (folder / "lock").open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)


def manager_at(root: Path, **settings: object) -> CommandManager:
    config = CommandConfig.model_validate({"grace_s": 1.0, **settings})
    return CommandManager(config, ResourceContext("local", commands=CommandRules(root)))


@pytest.fixture
def service(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LocalCommands]:
    commands = LocalCommands(tmp_path)
    monkeypatch.setattr(command_child, "__file__", str(commands.keeper))
    yield commands
    commands.end_all()


class TestCommand(ResourceManagerContract):
    faults: ClassVar[frozenset[Fault]] = frozenset(("cut_before", "cut_after", "broken"))
    offline: ClassVar[frozenset[Call]] = frozenset(("poll", "cancel"))
    input: ClassVar[JsonObject] = {"command": ["sh", "-c", _UNTIL_TOLD]}
    task_type = "COMMAND_JOB"
    many = 8

    def make(self, service: FakeService) -> CommandManager:
        assert isinstance(service, LocalCommands)
        return manager_at(service.root)


def a_job(*command: str, number: int = 1, **given: object) -> Job:
    token = attempt_token("i", "e", "r", attempt=number, epoch=0)
    return Job(token, "01234567", {"command": list(command), **given}, "COMMAND_JOB")


async def ended(manager: CommandManager, service: LocalCommands, job: Job) -> tuple[str, JsonObject, str]:
    handle = await manager.submit(job)
    await asyncio.to_thread(wait_for, service.root / "jobs" / handle)
    status = (await manager.poll("", [handle]))[handle]
    return status.word, status.output, status.reason


async def test_command_tells_output_and_exit_code(service: LocalCommands) -> None:
    told = await ended(manager_at(service.root), service, a_job("sh", "-c", "echo hi; echo no >&2; exit 3"))

    assert told == ("failed", {"exitCode": 3, "stdout": "hi\n", "stderr": "no\n"}, "exit code 3")


async def test_arguments_meet_no_shell(service: LocalCommands) -> None:
    _, output, _ = await ended(manager_at(service.root), service, a_job("echo", "$(id); `id`", "&& id"))

    assert output["stdout"] == "$(id); `id` && id\n"


@pytest.mark.parametrize(
    ("settings", "command", "reason"),
    [
        ({"wall_s": 0.2}, ["sleep", "60"], "timed out after 0.2 s"),
        ({"cpu_s": 1}, ["sh", "-c", "while :; do :; done"], "ended by signal 24"),
        ({}, ["no-such-program-anywhere"], "cannot start"),
    ],
)
async def test_bounds_and_faults_end_a_command(
    service: LocalCommands, settings: JsonObject, command: list[str], reason: str
) -> None:
    word, _, told = await ended(manager_at(service.root, **settings), service, a_job(*command))

    assert word == "failed"
    assert reason in told


async def test_environment_is_what_is_given_and_little_more(
    service: LocalCommands, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("A_SECRET_OF_THE_ENGINE", "x")
    _, output, _ = await ended(manager_at(service.root), service, a_job("env", env={"A": "1"}))

    assert "A=1\n" in str(output["stdout"])
    assert "A_SECRET_OF_THE_ENGINE" not in str(output["stdout"])


async def test_folder_made_by_an_engine_that_died_is_used(service: LocalCommands) -> None:
    """Killed after the folder, before the start: the same token starts it, once."""
    job = a_job("true")
    (service.root / "jobs" / job.token).mkdir(parents=True)
    word, _, _ = await ended(manager_at(service.root), service, job)

    assert (word, service.jobs(job.token)) == ("succeeded", 1)


async def test_command_whose_keeper_died_is_not_known_and_not_run_again(service: LocalCommands) -> None:
    """Nobody holds the lock and nobody told an end: the engine judges; it is no reason to repeat."""
    job = a_job("true")
    folder = service.root / "jobs" / job.token
    folder.mkdir(parents=True)
    (folder / "started").write_text("started\n")
    manager = manager_at(service.root)

    assert await manager.submit(job) == job.token
    assert service.jobs(job.token) == 1
    assert await manager.poll("", [job.token]) == {}


async def test_command_that_is_being_started_is_open(service: LocalCommands) -> None:
    job = a_job("true")
    folder = service.root / "jobs" / job.token
    folder.mkdir(parents=True)
    with (folder / "lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with pytest.raises(OutcomeOpen):
            await manager_at(service.root).submit(job)


async def test_commands_have_to_be_allowed() -> None:
    manager = CommandManager(CommandConfig(), ResourceContext("local"))
    with pytest.raises(Rejected, match="not allowed"):
        await manager.open()


async def test_handles_are_no_paths(service: LocalCommands) -> None:
    manager = manager_at(service.root)
    (service.root / "ended.json").write_text("{}")

    assert await manager.poll("", ["..", "../..", "/etc"]) == {}
    await manager.cancel("", "..")
    assert not (service.root / "cancel").exists()


async def test_what_ended_long_ago_is_still_known_and_never_run_again(service: LocalCommands) -> None:
    """An engine that was down for weeks hears how its command ended, and starts none twice."""
    config = CommandConfig.model_validate({"keep_s": 60.0})
    job = a_job("sh", "-c", "echo out; echo x > file")
    await ended(manager_at(service.root), service, job)
    folder = service.root / "jobs" / job.token
    later_s = [0.0]

    async def after(seconds: float) -> CommandManager:
        later_s[0] = (folder / "ended.json").stat().st_mtime + seconds
        context = ResourceContext(
            "local", commands=CommandRules(service.root), now_ms=lambda: int(later_s[0] * 1000)
        )
        manager = CommandManager(config, context)
        await manager.open()
        return manager

    await after(30)
    assert (folder / "work" / "file").exists()
    manager = await after(30 * 86_400)
    assert not (folder / "work").exists()
    await manager.submit(job)
    assert service.jobs(job.token) == 1
    assert (await manager.poll("", [job.token]))[job.token].word == "succeeded"
    await after(manager.token_life + 120)
    assert not folder.exists()


async def test_what_a_runner_left_that_was_killed_goes_in_time(service: LocalCommands) -> None:
    folder = service.root / "jobs" / ("a" * 32)
    folder.mkdir(parents=True)
    (folder / "lock").touch()
    (folder / "started").touch()
    far_ms = int((folder.stat().st_mtime + 400 * 86_400) * 1000)
    context = ResourceContext("local", commands=CommandRules(service.root), now_ms=lambda: far_ms)
    await CommandManager(CommandConfig(), context).open()

    assert not folder.exists()
