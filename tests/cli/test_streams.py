"""Standard streams that are closed, or that nobody reads: no traceback, no wrong exit code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from asyncflow.cli.exits import BROKEN_PIPE, DONE, USAGE
from tests.cli.making import HELLO, environment, task, workflow, write


def _unread() -> int:
    """The writing end of a pipe that nobody reads any more."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


def _call(
    *arguments: str, cwd: Path, stdout: int = subprocess.PIPE, stderr: int = subprocess.PIPE
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "asyncflow", *arguments],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
        timeout=60,
        check=False,
    )


def _call_without(*closed: int, arguments: tuple[str, ...], cwd: Path) -> subprocess.CompletedProcess[str]:
    """A command that is started with some of its streams closed."""
    command = (
        f"exec {sys.executable} -m asyncflow {' '.join(arguments)} {' '.join(f'{n}>&-' for n in closed)}"
    )
    return subprocess.run(
        ["sh", "-c", command],
        cwd=cwd,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["run", "hello.json"]])
def test_a_reader_that_went_away_is_not_a_failed_workflow(tmp_path: Path, arguments: list[str]) -> None:
    write(tmp_path / "hello.json", HELLO)
    unread = _unread()

    done = _call(*arguments, cwd=tmp_path, stdout=unread)
    os.close(unread)

    assert done.returncode == BROKEN_PIPE
    assert done.stderr == ""


def test_talk_that_nobody_hears_changes_nothing(tmp_path: Path) -> None:
    write(tmp_path / "stuck.json", workflow(task("stuck")))
    unread = _unread()

    done = _call("run", "stuck.json", "-o", "json", cwd=tmp_path, stderr=unread)
    os.close(unread)

    assert done.returncode == USAGE
    assert '"RUNNING"' in done.stdout


@pytest.mark.parametrize("closed", [(0,), (1,), (2,), (0, 1, 2)])
def test_streams_closed_at_the_start_change_nothing(tmp_path: Path, closed: tuple[int, ...]) -> None:
    write(tmp_path / "hello.json", HELLO)

    done = _call_without(*closed, arguments=("run", "hello.json", "--db", "x.db"), cwd=tmp_path)

    assert (done.returncode, done.stderr) == (DONE, "")
