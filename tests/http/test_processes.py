"""`asyncflow serve` as a process: its first line, its exit codes, and what signals do."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import threading
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.error import HTTPError

import pytest

from tests.cli.making import begin, run_process, wait_for_line

FUNCTIONS = '''
import asyncflow as af

@af.task
async def greet(name: str) -> str:
    """A function that is loaded."""
    return f"Hello, {name}"

with af.Workflow("hello", version=1) as hello:
    hello >> greet.node("greet", name=hello.input.name)
'''


@contextmanager
def serve(folder: Path, *options: str, **environment: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A server of its own process that is ready, and its address."""
    with begin("serve", "--port", "0", *options, cwd=folder, env=environment) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        try:
            assert line.startswith("asyncflow ready on http://127.0.0.1:"), process.communicate()
            yield process, line.rsplit(" ", 1)[1].strip()
        finally:
            process.kill()


def fetch(url: str) -> object:
    with urllib.request.urlopen(url, timeout=30) as answer:
        return json.load(answer)


@pytest.mark.scenario("R6")
@pytest.mark.parametrize("name", ["SIGTERM", "SIGINT"])
def test_a_signal_ends_it_well(tmp_path: Path, name: str) -> None:
    with serve(tmp_path) as (process, url):
        assert isinstance(fetch(f"{url}/health"), dict)
        process.send_signal(signal.Signals[name])
        out, err = process.communicate(timeout=30)

    assert process.returncode == 0, err
    assert out == ""
    assert not (tmp_path / "asyncflow.db-wal").exists()


@pytest.mark.scenario("R6")
def test_a_hangup_changes_nothing(tmp_path: Path) -> None:
    with serve(tmp_path) as (process, url):
        process.send_signal(signal.SIGHUP)
        assert isinstance(fetch(f"{url}/health"), dict)
        process.send_signal(signal.SIGTERM)
        process.communicate(timeout=30)

    assert process.returncode == 0


HANGING = '''
import asyncio, sys
import asyncflow as af

@af.task
async def hang() -> None:
    """Never ends by itself."""
    print("hanging", file=sys.stderr, flush=True)
    await asyncio.Event().wait()

with af.Workflow("hangs", version=1) as hangs:
    hangs >> hang.node("hang")
'''


GATE = '''
async def af_gate() -> None:
    """Wait until the file `go` is there."""
    from pathlib import Path
    while not Path("go").exists():
        await asyncio.sleep(0.01)
'''


def _with_an_attempt_under_way(folder: Path) -> None:
    """Leave a database whose next engine takes up an attempt that never ends."""
    (folder / "hanging.py").write_text(HANGING)
    with begin("run", "hanging.py", "--db", "asyncflow.db", cwd=folder) as process:
        wait_for_line(process, "hanging")
        process.kill()
        process.communicate()


@pytest.mark.scenario("R8")
def test_an_attempt_that_does_not_end_is_left_to_the_next_start(tmp_path: Path) -> None:
    _with_an_attempt_under_way(tmp_path)
    with serve(tmp_path, "--load", "hanging.py", ASYNCFLOW_SERVER_DRAIN_TIMEOUT_S="0.1") as (process, _):
        wait_for_line(process, "hanging")
        process.terminate()
        _, err = process.communicate(timeout=30)

    assert process.returncode == 0
    assert "did not end within 0.1 s" in err


WAITING = {
    "name": "waiting",
    "version": 1,
    "tasks": [{"name": "wait", "taskReferenceName": "wait", "type": "WAIT"}],
}


def _start_until_refused(url: str, found: list[str], some: threading.Event) -> None:
    """Start executions one after the other until the server says that it stops, or is gone."""
    body = json.dumps({"name": "waiting", "workflowDef": WAITING}).encode()
    while True:
        request = urllib.request.Request(f"{url}/api/workflow", body)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                found.append(answer.read().decode())
        except HTTPError as error:
            error.close()
            found.append(f"refused {error.code}")
            return
        except OSError:
            return
        if len(found) >= 50:
            some.set()


@pytest.mark.scenario("R15")
def test_a_stop_under_load_loses_nothing_that_was_answered(tmp_path: Path) -> None:
    """Every 2xx is durable: what was started before and while it stopped is there after the next start."""
    found: list[str] = []
    some = threading.Event()
    with serve(tmp_path) as (process, url), ThreadPoolExecutor(8) as clients:
        for _ in range(8):
            clients.submit(_start_until_refused, url, found, some)
        assert some.wait(60)
        process.terminate()
        process.communicate(timeout=30)
    refusals = {each for each in found if each.startswith("refused")}
    started = [each for each in found if each not in refusals]
    with serve(tmp_path) as (again, url):
        states = [fetch(f"{url}/api/workflow/{identity}/status") for identity in started]
        again.terminate()
        again.communicate(timeout=30)

    assert (process.returncode, again.returncode) == (0, 0)
    assert {state["status"] for state in states if isinstance(state, dict)} == {"RUNNING"}
    assert len(states) == len(set(started)) >= 49
    assert refusals <= {"refused 503"}


def test_it_stops_by_itself_when_the_database_fails(tmp_path: Path) -> None:
    """The end of an attempt cannot be written: it says so, and ends with the code of storage."""
    (tmp_path / "hanging.py").write_text(HANGING.replace("asyncio.Event().wait()", "af_gate()") + GATE)
    with begin("run", "hanging.py", "--db", "asyncflow.db", cwd=tmp_path) as process:
        wait_for_line(process, "hanging")
        process.kill()
        process.communicate()
    with serve(tmp_path, "--load", "hanging.py") as (process, _):
        wait_for_line(process, "hanging")
        with closing(sqlite3.connect(tmp_path / "asyncflow.db")) as other:
            other.execute("DROP TABLE turn")
        (tmp_path / "go").touch()
        _, err = process.communicate(timeout=30)

    assert process.returncode == 3
    assert "the engine stopped by itself" in err
    assert "Traceback" not in err


@pytest.mark.scenario("R7")
def test_a_signal_while_it_starts_ends_it(tmp_path: Path) -> None:
    """Another process has the database: the start waits for it, but not when it is told to stop."""
    with serve(tmp_path), begin("serve", "--port", "0", cwd=tmp_path) as second:
        wait_for_line(second, "opening asyncflow.db")
        second.terminate()
        second.communicate(timeout=30)

    assert second.returncode == 0


def test_a_port_that_is_taken_is_named(tmp_path: Path) -> None:
    with serve(tmp_path) as (_, url):
        port = url.rsplit(":", 1)[1]
        second = run_process("serve", "--port", port, "--db", "other.db", cwd=tmp_path)

    assert second.returncode == 2
    assert port in second.stderr
    assert "Traceback" not in second.stderr


def test_a_database_that_is_in_use_is_named(tmp_path: Path) -> None:
    with serve(tmp_path):
        (tmp_path / "quick.toml").write_text("[store]\ntakeover_wait_s = 0\n")
        second = run_process("serve", "--port", "0", "--config", "quick.toml", cwd=tmp_path)

    assert second.returncode == 3
    assert "asyncflow.db" in second.stderr


def test_beyond_this_machine_it_asks_for_keys(tmp_path: Path) -> None:
    refused = run_process("serve", "--port", "0", "--host", "0.0.0.0", cwd=tmp_path)

    assert refused.returncode == 2
    assert "--insecure-no-auth" in refused.stderr
    assert refused.stdout == ""


def test_beyond_this_machine_it_may_be_told_not_to_ask(tmp_path: Path) -> None:
    with begin("serve", "--port", "0", "--host", "0.0.0.0", "--insecure-no-auth", cwd=tmp_path) as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        process.terminate()
        _, err = process.communicate(timeout=30)

    assert line.startswith("asyncflow ready on http://0.0.0.0:")
    assert "everybody who can reach 0.0.0.0 may do everything" in err


def test_a_setting_that_is_misspelt_is_refused(tmp_path: Path) -> None:
    (tmp_path / "asyncflow.toml").write_text("[server]\nprot = 9\n")
    refused = run_process("serve", cwd=tmp_path)

    assert refused.returncode == 2
    assert "asyncflow.toml: server.prot: no such setting (did you mean port?)" in refused.stderr


def test_what_is_loaded_is_registered(tmp_path: Path) -> None:
    (tmp_path / "functions.py").write_text(FUNCTIONS)
    with serve(tmp_path, "--load", "functions.py") as (process, _):
        process.terminate()
        process.communicate(timeout=30)
    again = run_process(
        "run", "functions.py", "--input", '{"name": "you"}', "--db", "asyncflow.db", cwd=tmp_path
    )

    assert again.returncode == 0, again.stderr
