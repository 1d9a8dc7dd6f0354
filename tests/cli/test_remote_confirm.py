"""Whether one is sure, asked on a terminal."""

from __future__ import annotations

import asyncio
import os
import pty
import subprocess
import sys

import pytest

from tests.cli.making import environment
from tests.cli.remote_calls import Shell


def on_terminal(answer: str, *arguments: str) -> tuple[int, str]:
    """The exit code and stderr of a command whose user types this at the question."""
    ours, theirs = pty.openpty()
    try:
        with subprocess.Popen(
            [sys.executable, "-m", "asyncflow", *arguments],
            env=environment(),
            stdin=theirs,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            os.write(ours, f"{answer}\n".encode())
            _, err = process.communicate(timeout=60)
            return process.returncode, err
    finally:
        os.close(ours)
        os.close(theirs)


@pytest.mark.parametrize(("answer", "code", "left"), [("y", 0, 404), ("n", 130, 200), ("", 130, 200)])
async def test_what_is_final_is_asked_about(shell: Shell, answer: str, code: int, left: int) -> None:
    identity = await shell.started("quick")
    arguments = ("workflow", "delete", identity, "--server", shell.server.url)
    ended, said = await asyncio.to_thread(on_terminal, answer, *arguments)

    assert ended == code
    assert "delete 1 execution? [y/N]" in said
    assert (await shell.server.get(f"/api/workflow/{identity}")).status == left
