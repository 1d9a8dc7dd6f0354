"""Jobs of a small real service over HTTP: polled or called back, the line cut before and after it acts."""

from __future__ import annotations

import asyncio
import json
import socket
import urllib.request
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import anyio
import pytest
from aiohttp import web

import asyncflow as af
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import EngineSettings
from tests.cli.making import task, workflow
from tests.http.test_processes import serve

KEY = "a-key-that-is-long-enough"
WORK = task(
    "work", "HTTP_JOB",
    inputParameters={"body": {"n": "${workflow.input.n}"}},
    taskDefinition={"name": "work", "retryCount": 0},
)  # fmt: skip
DOUBLES = workflow(WORK, name="doubles", outputParameters={"n": "${work.output.n}"})


class Doubling:
    """Doubles numbers, each once for a key; what is asked for is done when it is first looked at, or told.

    Attributes:
        cuts: what happens to the next requests: "before" or "after" they are done, or "" for nothing.
    """

    def __init__(self) -> None:
        self.made: dict[str, JsonObject] = {}
        self.told: list[int] = []
        self.polls = 0
        self.cuts: list[str] = []
        self.url = ""

    async def take(self, request: web.Request) -> web.Response:
        body = await request.read()
        cut = self.cuts.pop(0) if self.cuts else ""
        if cut != "before":
            self.made.setdefault(request.headers["Idempotency-Key"], json.loads(body))
        if cut:
            assert request.transport is not None
            request.transport.abort()
        return web.json_response({"id": request.headers["Idempotency-Key"]}, status=202)

    async def look(self, request: web.Request) -> web.Response:
        self.polls += 1
        made = self.made.get(request.match_info["key"])
        if made is None:
            return web.json_response({}, status=404)
        return web.json_response({"status": "done", "result": {"n": 2 * int(str(made["n"]))}})

    async def tell(self) -> None:
        """Call whoever asked to be called."""
        async with aiohttp.ClientSession() as session:
            for made in self.made.values():
                async with session.post(str(made["notify"])) as answer:
                    self.told.append(answer.status)


@pytest.fixture
async def service() -> AsyncIterator[Doubling]:
    service = Doubling()
    app = web.Application()
    app.router.add_post("/jobs", service.take)
    app.router.add_get("/jobs/{key}", service.look)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}/jobs"
    yield service
    await runner.cleanup()


def section(service: Doubling, **more: object) -> JsonObject:
    return {
        "type": "http-service",
        "submit_url": service.url,
        "status_url": f"{service.url}/{{handle}}",
        "output_path": "result",
        **more,
    }


@pytest.mark.parametrize("cuts", [[], ["before"], ["after"], ["after", "before", "after"]])
async def test_service_is_asked_again_and_does_it_once(service: Doubling, cuts: list[str]) -> None:
    service.cuts = [*cuts]
    poll = {"first": "50ms", "max": "200ms"}
    settings = EngineSettings(http_allow=("127.0.0.0/8",))
    resource = af.Resource("doubling", **section(service, poll=poll))  # type: ignore[arg-type]  # by keyword
    async with af.Engine(resources=[resource], settings=settings) as engine:
        with anyio.fail_after(60):
            runs = [await engine.start(DOUBLES, {"n": n}) for n in (1, 2)]
            outputs = [await run.result() for run in runs]

    assert outputs == [{"n": 2}, {"n": 4}]
    assert len(service.made) == 2
    assert not service.cuts


def a_port() -> int:
    """One that is free now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def config(service: Doubling, port: int) -> str:
    lines = [f"{key} = {json.dumps(value)}" for key, value in section(service).items()]
    return "\n".join([
        "[server]", f'callback_url = "http://127.0.0.1:{port}"',
        "[http]", 'allow = ["127.0.0.0/8"]',
        "[secrets.callback_key]", 'env = "CALLBACK_KEY"',
        "[resources.doubling]", *lines, 'callback_key = "notify"', 'poll = { first = "1h", max = "1h" }',
    ])  # fmt: skip


async def ask(url: str, body: object) -> str:
    data, headers = json.dumps(body).encode(), {"Content-Type": "application/json"}
    request = urllib.request.Request(url, data, headers)

    def send() -> str:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return str(answer.read().decode())

    return await asyncio.to_thread(send)


@pytest.mark.parametrize("cuts", [[], ["before"], ["after"]])
async def test_server_is_called_back_over_http(service: Doubling, tmp_path: Path, cuts: list[str]) -> None:
    """Polls are an hour apart: it is the call that has the job asked for, once it is known to be there."""
    service.cuts, port = [*cuts], a_port()
    (tmp_path / "asyncflow.toml").write_text(config(service, port))
    with serve(tmp_path, "--port", str(port), CALLBACK_KEY=KEY) as (_, url):
        await ask(f"{url}/api/metadata/workflow", DOUBLES)
        started = asyncio.create_task(ask(f"{url}/api/workflow/execute/doubles/1?waitForSeconds=30", {
            "name": "doubles", "version": 1, "input": {"n": 4},
        }))  # fmt: skip
        with anyio.fail_after(60):
            while not service.made or service.cuts:
                await anyio.lowlevel.checkpoint()
            await service.tell()
            told = json.loads(await started)

    assert told["output"] == {"n": 8}
    assert service.told == [200]
    assert len(service.made) == 1
