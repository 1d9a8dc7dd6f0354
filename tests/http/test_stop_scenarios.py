"""Stops and starts of real servers, one after the other and side by side; see docs/serving.md."""

from __future__ import annotations

import json
import sqlite3
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from urllib.error import HTTPError

import pytest

from asyncflow.app.services import open_services
from asyncflow.cli.serve import stop_in_order
from tests.cli.making import begin, run_process, wait_for_line
from tests.http.conftest import Server
from tests.http.event_streams import WAITING, stream
from tests.http.test_processes import GATE, HANGING, fetch, serve

CLIENTS = 90


def begin_one(url: str) -> str:
    """Start an execution; its id, or the status of a refusal."""
    body = json.dumps({"name": "waiting", "workflowDef": WAITING}).encode()
    try:
        with urllib.request.urlopen(
            urllib.request.Request(f"{url}/api/workflow", body), timeout=60
        ) as answer:
            text: bytes = answer.read()
            return text.decode()
    except HTTPError as error:
        error.close()
        return str(error.code)
    except OSError:
        return "cut"


@pytest.mark.scenario("R13")
def test_a_new_server_takes_over_when_the_old_one_has_drained(tmp_path: Path) -> None:
    """Never two at once: the second is ready only after the first has ended."""
    (tmp_path / "hanging.py").write_text(HANGING.replace("asyncio.Event().wait()", "af_gate()") + GATE)
    with begin("run", "hanging.py", "--db", "asyncflow.db", cwd=tmp_path) as process:
        wait_for_line(process, "hanging")
        process.kill()
        process.communicate()
    limit = {"ASYNCFLOW_SERVER_DRAIN_TIMEOUT_S": "600"}
    with serve(tmp_path, "--load", "hanging.py", **limit) as (old, _):
        wait_for_line(old, "hanging")
        old.terminate()
        with begin("serve", "--port", "0", "--lock-wait", "60", cwd=tmp_path) as new:
            wait_for_line(new, f"asyncflow.db is in use by process {old.pid} on ")
            (tmp_path / "go").touch()  # what the old one waits for ends
            assert new.stdout is not None
            line = new.stdout.readline()
            was_over = old.wait(timeout=60) == 0
            new.terminate()
            new.communicate(timeout=60)
        old.communicate(timeout=60)

    assert line.startswith("asyncflow ready on ")
    assert was_over
    assert new.returncode == 0


@pytest.mark.scenario("R51")
def test_a_server_that_may_not_wait_names_who_has_the_file(tmp_path: Path) -> None:
    with serve(tmp_path) as (process, _):
        second = run_process("serve", "--port", "0", "--lock-wait", "0", cwd=tmp_path)
        third = run_process("run", "--db", "asyncflow.db", "--lock-wait", "0.1", "hello.json", cwd=tmp_path)

    assert second.returncode == 3
    assert f"asyncflow.db is in use by process {process.pid} on " in second.stderr
    assert " since " in second.stderr
    assert third.returncode == 2, "there is no such definition, and nothing is waited for"


SLOW_START = """
import asyncio, sys
import asyncflow as af
from asyncflow.runtime import recovery

real = recovery.fold

async def slow(*given, **more):
    print("folding", file=sys.stderr, flush=True)
    await asyncio.Event().wait()

recovery.fold = slow

@af.task
async def any_function() -> None:
    pass
"""


@pytest.mark.scenario("R7")
def test_a_signal_during_recovery_ends_it_and_the_next_start_completes(tmp_path: Path) -> None:
    with serve(tmp_path) as (process, url):
        identity = begin_one(url)
        process.terminate()
        process.communicate(timeout=60)
    (tmp_path / "slow.py").write_text(SLOW_START)
    with begin("serve", "--port", "0", "--load", "slow.py", cwd=tmp_path) as slow:
        wait_for_line(slow, "folding")
        slow.terminate()
        out, _ = slow.communicate(timeout=60)
    with serve(tmp_path) as (again, url):
        state = fetch(f"{url}/api/workflow/{identity}")
        again.terminate()
        again.communicate(timeout=60)

    assert (slow.returncode, out) == (0, "")
    assert isinstance(state, dict)
    assert state["status"] == "RUNNING"


@pytest.mark.scenario("R10")
async def test_a_stop_while_the_database_takes_nothing_is_no_success(tmp_path: Path) -> None:
    """What could not be written was answered to nobody, and the exit code says that something is wrong."""
    with (
        serve(tmp_path, ASYNCFLOW_SERVER_DRAIN_TIMEOUT_S="0.1") as (process, url),
        closing(sqlite3.connect(tmp_path / "asyncflow.db", isolation_level=None)) as other,
        ThreadPoolExecutor(1) as client,
    ):
        before = begin_one(url)
        other.execute("BEGIN IMMEDIATE")
        answer = client.submit(begin_one, url)
        wait_for_line(process, "turn not committed, trying again")
        process.terminate()
        _, err = process.communicate(timeout=60)
    async with open_services(tmp_path / "asyncflow.db") as services:
        found = [*services.executions.engine.turns.states]

    assert process.returncode == 3, err
    assert answer.result() in {"503", "cut"}
    assert found == [before]


@pytest.mark.scenario("R9")
async def test_every_stream_is_told_that_the_server_stops(server: Server) -> None:
    """Those that do not read neither: the stop waits for none of them."""
    readers = [stream(server, "/api/asyncflow/events") for _ in range(CLIENTS)]
    opened = [await each.__aenter__() for each in readers]
    for reader in opened:
        await reader.message()
    await stop_in_order(server.http, server.services, 60)
    last = [(await reader.message()).event for reader in opened[: CLIENTS // 2]]
    for each in readers:
        await each.__aexit__(None, None, None)

    assert last == ["closing"] * (CLIENTS // 2)
    assert server.services.streams.count == 0
