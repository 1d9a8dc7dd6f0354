"""What a shell is told on a key press: commands, options, and ids and names of the server."""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.cli.making import call, environment
from tests.cli.remote_calls import Shell


def complete(words: str, **more: str) -> subprocess.CompletedProcess[str]:
    """What the command says to a bash that completes the last word."""
    parts = words.split(" ")
    asked: Mapping[str, str] = {
        "_ASYNCFLOW_COMPLETE": "bash_complete",
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(parts) - 1),
    }
    return subprocess.run(
        [sys.executable, "-m", "asyncflow"],
        env=environment(**asked, **more),
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )


def offered(done: subprocess.CompletedProcess[str]) -> list[str]:
    return [line.partition(",")[2] for line in done.stdout.splitlines() if line]


@pytest.mark.parametrize("shell_name", ["bash", "zsh", "fish"])
def test_scripts_name_the_command(shell_name: str) -> None:
    done = call("completion", shell_name)

    assert done.exit_code == 0
    assert "_ASYNCFLOW_COMPLETE" in done.stdout
    assert "complete" in done.stdout


def test_commands_and_options_are_offered_without_a_server() -> None:
    assert offered(complete("asyncflow sch")) == ["schedule"]
    assert offered(complete("asyncflow workflow ter")) == ["terminate"]
    assert "--dry-run" in offered(complete("asyncflow workflow pause --d"))


async def test_ids_and_names_come_from_the_server(shell: Shell) -> None:
    identity = await shell.started()
    url = shell.server.url
    ids = await asyncio.to_thread(complete, "asyncflow workflow get ", ASYNCFLOW_SERVER=url)
    names = await asyncio.to_thread(
        complete, "asyncflow workflow start ste", CONDUCTOR_SERVER_URL=f"{url}/api"
    )
    beyond = await asyncio.to_thread(complete, "asyncflow workflow get nope", ASYNCFLOW_SERVER=url)

    assert offered(ids) == [identity]
    assert offered(names) == ["steps"]
    assert offered(beyond) == []


def test_no_server_offers_nothing_and_says_nothing() -> None:
    done = complete("asyncflow workflow get ", ASYNCFLOW_SERVER="http://127.0.0.1:1")

    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_a_server_that_does_not_answer_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        done = complete(
            "asyncflow schedule get ", ASYNCFLOW_SERVER=f"http://127.0.0.1:{silent.getsockname()[1]}"
        )

    assert (done.stdout.strip(), done.stderr) == ("", "")


@pytest.mark.skipif(not Path("/bin/bash").exists(), reason="no bash")
def test_the_script_is_good_bash(tmp_path: Path) -> None:
    script = tmp_path / "completion.bash"
    script.write_text(call("completion", "bash").stdout)
    done = subprocess.run(["/bin/bash", "-n", script], env=dict(os.environ), capture_output=True, check=False)

    assert done.returncode == 0, done.stderr
