"""Workflows of another asyncflow are jobs of an engine: either side is stopped and begun again meanwhile."""

from __future__ import annotations

import json
import signal
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import anyio
import pytest

import asyncflow as af
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import EngineSettings
from tests.cli.making import task, workflow
from tests.http.test_processes import serve

POLL = {"first": "50ms", "max": "200ms"}
SETTINGS = EngineSettings(http_allow=("127.0.0.0/8",))
HERE = workflow(
    task(
        "far", "REMOTE_WORKFLOW",
        inputParameters={"name": "there", "input": {"n": "${workflow.input.n}"}},
        taskDefinition={"name": "far", "retryCount": 0},
    ),
    name="here",
    outputParameters={"far": "${far.output.output.n}", "id": "${far.output.workflowId}"},
)  # fmt: skip
THERE = workflow(
    task("wait", "WAIT", inputParameters={"duration": "1 hours"}),
    name="there",
    outputParameters={"n": "${workflow.input.n}"},
)


class There:
    """The server far away: a process, and what it is asked directly."""

    def __init__(self, process: subprocess.Popen[str], url: str) -> None:
        self.process, self.url = process, url

    def ask(self, method: str, path: str, body: object = None) -> object:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/api{path}", data, headers, method=method)
        with urllib.request.urlopen(request, timeout=30) as answer:
            told = answer.read()
        return json.loads(told) if told.startswith((b"{", b"[")) else told.decode()

    def executions(self) -> list[JsonObject]:
        found = self.ask("GET", "/workflow/search?query=workflowType%3Dthere&size=100")
        assert isinstance(found, dict)
        return list(found["results"])

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)


@contextmanager
def there(folder: Path, port: str = "0") -> Iterator[There]:
    with serve(folder, "--port", port) as (process, url):
        server = There(process, url)
        server.ask("PUT", "/metadata/workflow", [THERE])
        yield server


def engine(path: Path, url: str, kind: str) -> af.Engine:
    far = af.Resource("far", type="workflow-server", url=f"{url}/api", server=kind, poll=POLL)
    return af.Engine(path, resources=[far], settings=SETTINGS)


async def until(is_so: Callable[[], bool]) -> None:
    """Look again and again; real processes tell nobody when they are ready."""
    with anyio.fail_after(60):
        while not await anyio.to_thread.run_sync(is_so):
            await anyio.lowlevel.checkpoint()


@pytest.mark.parametrize("kind", ["asyncflow", "conductor"])
async def test_remote_workflow_outlives_the_engine_and_its_server(tmp_path: Path, kind: str) -> None:
    """Killed there and stopped here while it runs: one execution, whose output is the task's."""
    (tmp_path / "there").mkdir()
    with there(tmp_path / "there") as server:
        port = server.url.rpartition(":")[2]
        async with engine(tmp_path / "here.db", server.url, kind) as here:
            run = await here.start(HERE, {"n": 7})
            await until(lambda: len(server.executions()) == 1)
        server.kill()
    async with engine(tmp_path / "here.db", f"http://127.0.0.1:{port}", kind) as here:
        with there(tmp_path / "there", port) as server:
            (found,) = server.executions()
            server.ask("POST", f"/tasks/{found['workflowId']}/wait/COMPLETED", {})
            with anyio.fail_after(60):
                output = await here.execution(run.id).result()
            assert len(server.executions()) == 1

    assert output == {"far": 7, "id": found["workflowId"]}


@pytest.mark.parametrize("kind", ["asyncflow", "conductor"])
async def test_terminating_here_terminates_there(tmp_path: Path, kind: str) -> None:
    (tmp_path / "there").mkdir()
    with there(tmp_path / "there") as server:
        async with engine(tmp_path / "here.db", server.url, kind) as here:
            run = await here.start(HERE, {"n": 7})
            await until(lambda: len(server.executions()) == 1)
            await run.cancel("enough")
            await until(lambda: server.executions()[0]["status"] == "TERMINATED")
