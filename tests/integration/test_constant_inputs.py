"""Inputs without expressions: the process that stored the definition and later ones hand on the same."""

from __future__ import annotations

import asyncio
from pathlib import Path

from aiohttp import web
from aiohttp.test_utils import TestServer

import asyncflow as af
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import EngineSettings
from tests.integration.engine_support import workflow

BODY: JsonObject = {"z": [{"y": 1, "b": 2}], "a": {"d": 1, "c": 2}, "m": None}


class Asked:
    """A service that answers nobody who asks for the first time under a key."""

    def __init__(self) -> None:
        self.requests: list[tuple[str, bytes]] = []
        self.came = asyncio.Event()

    async def answer(self, request: web.Request) -> web.Response:
        asked = request.headers["Idempotency-Key"], await request.read()
        is_known = asked[0] in dict(self.requests)
        self.requests.append(asked)
        self.came.set()
        if not is_known:
            await asyncio.Event().wait()
        return web.json_response({})


async def test_the_next_process_sends_the_very_same_under_the_same_key(tmp_path: Path) -> None:
    service, app = Asked(), web.Application()
    app.router.add_post("/", service.answer)
    settings = EngineSettings(http_allow=("127.0.0.1",))
    async with TestServer(app) as server:
        request: JsonObject = {"uri": str(server.make_url("/")), "method": "POST", "body": BODY}
        task: JsonObject = {"name": "h", "taskReferenceName": "h", "type": "HTTP"}
        task["inputParameters"] = {"http_request": request}
        async with af.Engine(tmp_path / "a.db", settings=settings) as engine:
            execution = await engine.start(workflow("w", [task]))
            await service.came.wait()
        async with af.Engine(tmp_path / "a.db", settings=settings) as engine:
            await engine.execution(execution.id).result()

    first, again = service.requests
    assert first == again
