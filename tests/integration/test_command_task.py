from __future__ import annotations

import asyncio
import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from asyncflow.runtime.command_task import CommandPolicy, run_command

SH = shutil.which("sh") or "/bin/sh"


@pytest.fixture
def policy(tmp_path: Path) -> CommandPolicy:
    return CommandPolicy(enabled=True, root=tmp_path, grace_seconds=0.2)


def python(code: str, **more: object) -> dict[str, object]:
    return {"executable": sys.executable, "args": ["-I", "-S", "-c", code], **more}


def assert_reaped(pid: int) -> None:
    with pytest.raises(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def gone(pid: int) -> bool:
    """Wait for a process that is no child of ours; its death was ordered, not yet seen."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        await readable(descriptor)
    finally:
        os.close(descriptor)
    return True


async def test_command_disabled_names_the_switch() -> None:
    outcome = await run_command({"executable": "true"}, policy=CommandPolicy(enabled=False))

    assert not outcome.ok
    assert "--allow-commands" in str(outcome.reason)


async def test_command_gives_output_and_exit_code(policy: CommandPolicy) -> None:
    outcome = await run_command({"executable": "echo", "args": ["a  b", 1, True, 2.5]}, policy=policy)

    assert outcome == (
        True,
        {"exitCode": 0, "signal": None, "stdout": "a  b 1 true 2.5\n", "stderr": "", "timedOut": False},
        None,
    )


async def test_command_arguments_meet_no_shell(policy: CommandPolicy, tmp_path: Path) -> None:
    outcome = await run_command(
        {"executable": "echo", "args": ["$HOME; touch x", "`id`", "*"]}, policy=policy
    )

    assert outcome.output["stdout"] == "$HOME; touch x `id` *\n"
    assert os.listdir(tmp_path) == []  # noqa: PTH208  # the loop has nothing else to do


async def test_command_failure_has_code_and_last_line(policy: CommandPolicy) -> None:
    code = "import sys; print('first\\nlast', file=sys.stderr); sys.exit(3)"
    outcome = await run_command(python(code), policy=policy)

    assert (outcome.ok, outcome.output["exitCode"]) == (False, 3)
    assert outcome.reason == "exit code 3: last"


async def test_command_ended_by_signal_names_it(policy: CommandPolicy) -> None:
    outcome = await run_command(python("import os; os.kill(os.getpid(), 9)"), policy=policy)

    assert (outcome.output["exitCode"], outcome.output["signal"]) == (None, "SIGKILL")
    assert outcome.reason == "ended by SIGKILL"


async def test_command_output_is_kept_to_its_tail(policy: CommandPolicy) -> None:
    code = "import sys\nfor n in range(200000): sys.stdout.write(f'{n}\\n')\nsys.stderr.write('é' * 100000)"
    outcome = await run_command(python(code), policy=policy)

    stdout, stderr = outcome.output["stdout"], outcome.output["stderr"]
    assert isinstance(stdout, str)
    assert isinstance(stderr, str)
    assert len(stdout) == 64 * 1024
    assert stdout.endswith("\n199998\n199999\n")
    assert stderr == "é" * (32 * 1024)


async def test_command_environment_is_scrubbed(
    policy: CommandPolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_ENGINE", "x")
    outcome = await run_command({"executable": "env", "env": {"OWN": 5}}, policy=policy)

    lines = str(outcome.output["stdout"]).splitlines()
    names = {line.partition("=")[0] for line in lines}
    assert "OWN=5" in lines
    assert names <= {"OWN", "PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TZ", "TMPDIR"}


async def test_command_has_no_input_and_no_other_descriptor(policy: CommandPolicy) -> None:
    code = "import os, sys; print(repr(sys.stdin.read()), sorted(map(int, os.listdir('/proc/self/fd')))[:4])"
    outcome = await run_command(python(code), policy=policy)

    assert outcome.output["stdout"] == "'' [0, 1, 2, 3]\n"


async def test_command_writes_named_files_in_its_workdir(policy: CommandPolicy, tmp_path: Path) -> None:
    (tmp_path / "sub" / "logs").mkdir(parents=True)
    script = {"executable": SH, "args": ["-c", "pwd; echo oops >&2"], "workdir": "sub"}
    outcome = await run_command({**script, "stdout": "out.txt", "stderr": "logs/err.txt"}, policy=policy)

    assert (outcome.ok, outcome.output["stdout"], outcome.output["stderr"]) == (True, None, None)
    assert (tmp_path / "sub" / "out.txt").read_text() == f"{tmp_path}/sub\n"
    assert (tmp_path / "sub" / "logs" / "err.txt").read_text() == "oops\n"


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"workdir": ".."}, "outside"),
        ({"workdir": "/"}, "outside"),
        ({"workdir": "out"}, "outside"),
        ({"workdir": "missing"}, "not a directory"),
        ({"workdir": 5}, "must be a path"),
        ({"stdout": "../x"}, "must lie in"),
        ({"stdout": "/tmp/x"}, "must lie in"),
        ({"stdout": "out/x"}, "must lie in"),
        ({"stderr": "link"}, "plain file"),
        ({"stderr": "."}, "must"),
        ({"stderr": ""}, "file name"),
        ({"stdout": "a\0b"}, "file name"),
        ({"stdout": "nowhere/x"}, "cannot start"),
        ({"args": "rm -rf"}, "must be a list"),
        ({"args": [None]}, "args[0]"),
        ({"args": ["a\0"]}, "NUL"),
        ({"env": {"A=B": "1"}}, "cannot be set"),
        ({"env": {"A": []}}, "env.A"),
        ({"env": []}, "must be an object"),
        ({"timeoutSeconds": 0}, "above 0"),
        ({"timeoutSeconds": "1"}, "above 0"),
        ({"executable": "no-such-program-here"}, "cannot start"),
        ({"executable": None}, "'executable' must"),
        ({"executable": ["true"]}, "'executable' must"),
    ],
)
async def test_command_input_is_refused_by_name(
    policy: CommandPolicy, tmp_path: Path, more: dict[str, object], reason: str
) -> None:
    (tmp_path / "out").symlink_to("/tmp")
    (tmp_path / "link").symlink_to("/tmp/elsewhere")
    outcome = await run_command({"executable": "true", **more}, policy=policy)

    assert not outcome.ok
    assert reason in str(outcome.reason)


STUBBORN = """
import os, signal, subprocess, sys
signal.signal(signal.SIGTERM, signal.SIG_IGN)
child = subprocess.Popen([sys.executable, "-I", "-S", "-c",
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up', flush=True); signal.pause()"],
    stdout=subprocess.PIPE)
child.stdout.readline()
with open("ready", "w") as ready:
    ready.write(f"{os.getpid()} {child.pid}")
signal.pause()
"""


async def readable(descriptor: int) -> None:
    """Wait until something can be read; the deadline is only there to fail."""
    ready = asyncio.Event()
    asyncio.get_running_loop().add_reader(descriptor, ready.set)
    try:
        await asyncio.wait_for(ready.wait(), 60)
    finally:
        asyncio.get_running_loop().remove_reader(descriptor)


@pytest.fixture
def ready(tmp_path: Path) -> Iterator[int]:
    """The reading end of a named pipe, into which the stubborn command writes its process ids."""
    os.mkfifo(tmp_path / "ready")
    descriptor = os.open(tmp_path / "ready", os.O_RDONLY | os.O_NONBLOCK)
    yield descriptor
    os.close(descriptor)


async def test_command_timeout_ends_the_whole_group(policy: CommandPolicy, ready: int) -> None:
    task = asyncio.create_task(run_command(python(STUBBORN, timeoutSeconds=1.5), policy=policy))
    await readable(ready)
    leader, member = map(int, os.read(ready, 100).split())
    outcome = await task

    assert (outcome.ok, outcome.output["timedOut"], outcome.output["signal"]) == (False, True, "SIGKILL")
    assert outcome.reason == "timed out after 1.5 s"
    assert await gone(member)
    assert_reaped(leader)


@pytest.mark.parametrize("times", [1, 3])
async def test_command_cancelled_ends_the_whole_group(policy: CommandPolicy, ready: int, times: int) -> None:
    task = asyncio.create_task(run_command(python(STUBBORN), policy=policy))
    await readable(ready)
    leader, member = map(int, os.read(ready, 100).split())
    for _ in range(times):
        task.cancel()
        await asyncio.wait({task}, timeout=0.01)
    (end,) = await asyncio.gather(task, return_exceptions=True)

    assert isinstance(end, asyncio.CancelledError)
    assert await gone(member)
    assert_reaped(leader)


async def test_command_cancelled_twice_is_killed_at_once(tmp_path: Path, ready: int) -> None:
    policy = CommandPolicy(enabled=True, root=tmp_path, grace_seconds=600)
    task = asyncio.create_task(run_command(python(STUBBORN), policy=policy))
    await readable(ready)
    leader, member = map(int, os.read(ready, 100).split())
    for _ in range(2):
        task.cancel()
        await asyncio.wait({task}, timeout=0.05)
    async with asyncio.timeout(60):
        (end,) = await asyncio.gather(task, return_exceptions=True)

    assert isinstance(end, asyncio.CancelledError)
    assert await gone(member)
    assert_reaped(leader)


async def test_command_that_obeys_sigterm_ends_within_grace(tmp_path: Path, ready: int) -> None:
    policy = CommandPolicy(enabled=True, root=tmp_path, grace_seconds=60)
    code = "import signal; f = open('ready', 'w'); f.write('1'); f.close(); signal.pause()"
    task = asyncio.create_task(run_command(python(code, timeoutSeconds=1), policy=policy))
    await readable(ready)
    outcome = await task

    assert (outcome.output["timedOut"], outcome.output["signal"]) == (True, "SIGTERM")


async def test_command_leaves_no_process_behind(policy: CommandPolicy) -> None:
    """A process left in the background would hold the output open and outlive its task."""
    script: dict[str, object] = {"executable": SH, "args": ["-c", "sleep 1000 & echo $!"]}
    outcome = await run_command(script, policy=policy)

    assert outcome.ok
    assert await gone(int(str(outcome.output["stdout"])))


async def test_command_cpu_time_is_bounded(tmp_path: Path) -> None:
    policy = CommandPolicy(enabled=True, root=tmp_path, cpu_seconds=1)
    outcome = await run_command(python("while True: pass"), policy=policy)

    assert outcome.reason == "ended by SIGXCPU"


async def test_commands_run_side_by_side(policy: CommandPolicy) -> None:
    outcomes = await asyncio.gather(
        *(run_command({"executable": "echo", "args": [n]}, policy=policy) for n in range(30))
    )

    assert [outcome.output["stdout"] for outcome in outcomes] == [f"{n}\n" for n in range(30)]
