"""Runs one command to its end, apart from the engine, and leaves behind how it ended.

It is started as a program of its own and imports nothing of asyncflow. The lock that it was handed is held
for as long as it lives, so nobody has to trust a process id. Read `command` for who starts it.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

LOCK, STARTED, CANCEL, ENDED, STDOUT, STDERR = "lock", "started", "cancel", "ended.json", "stdout", "stderr"
_LOOK_S = 0.05


class Plan(NamedTuple):
    """What to run and its bounds; 0 for none."""

    command: list[str]
    environment: dict[str, str]
    wall_s: float
    grace_s: float
    cpu_s: int
    memory_mb: int


def main() -> None:
    """Read the plan, go on in a process that nobody waits for, run."""
    folder = Path(sys.argv[1])
    plan = Plan(*json.loads(sys.stdin.buffer.read()))
    os.set_inheritable(int(sys.argv[2]), False)  # the command must not hold the lock
    with (folder / STARTED).open("a") as started:
        started.write("started\n")
        started.flush()
        os.fsync(started.fileno())
    if os.fork():
        os._exit(0)
    began_ms = _now_ms()
    try:
        word, code, reason = _run(plan, folder)
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        word, code, reason = "failed", None, f"cannot start: {error}"
    told = {"word": word, "exitCode": code, "reason": reason, "startedMs": began_ms, "endedMs": _now_ms()}
    _leave(folder, told)


def _run(plan: Plan, folder: Path) -> tuple[str, int | None, str]:
    work = folder / "work"
    work.mkdir(exist_ok=True)
    with (folder / STDOUT).open("wb") as stdout, (folder / STDERR).open("wb") as stderr:
        process = subprocess.Popen(
            plan.command, cwd=work, env=plan.environment, stdin=subprocess.DEVNULL,
            stdout=stdout, stderr=stderr, start_new_session=True,
            preexec_fn=lambda: _bound(plan),  # noqa: PLW1509  # one thread only
        )  # fmt: skip
    deadline_s = time.monotonic() + plan.wall_s
    stopped = ""
    while not _ends_within(process, _LOOK_S):
        if (folder / CANCEL).exists():
            stopped = "cancelled"
        elif time.monotonic() >= deadline_s:
            stopped = f"timed out after {plan.wall_s:g} s"
        if stopped:
            _signal(process.pid, signal.SIGTERM)
            _ends_within(process, plan.grace_s)
            break
    _signal(process.pid, signal.SIGKILL)  # also what it started and left
    code = process.wait()
    if stopped:
        return ("cancelled" if stopped == "cancelled" else "failed"), code if code >= 0 else None, stopped
    if code < 0:
        return "failed", None, f"ended by signal {-code}"
    return ("failed", code, f"exit code {code}") if code else ("succeeded", 0, "")


def _bound(plan: Plan) -> None:
    if plan.cpu_s:
        resource.setrlimit(resource.RLIMIT_CPU, (plan.cpu_s, plan.cpu_s + 1))
    if plan.memory_mb:
        resource.setrlimit(resource.RLIMIT_AS, (plan.memory_mb << 20, plan.memory_mb << 20))


def _ends_within(process: subprocess.Popen[bytes], seconds: float) -> bool:
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        return False
    return True


def _signal(group: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


def _leave(folder: Path, told: Mapping[str, object]) -> None:
    """Write the end so that it is there whole or not at all."""
    new = folder / f"{ENDED}.new"
    with new.open("w") as opened:
        json.dump(told, opened)
        opened.flush()
        os.fsync(opened.fileno())
    new.replace(folder / ENDED)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000  # noqa: TID251  # a process of its own, on its machine's clock


if __name__ == "__main__":
    main()
