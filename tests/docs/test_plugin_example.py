"""The manager that the page on plugins shows is a whole one: it passes the suite that the page tells of."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar

import pytest
from aiohttp import web

from asyncflow.model.values import JsonObject
from asyncflow.plugins.jobs import JobWord
from asyncflow.plugins.resources import ResourceContext, ResourceManager
from asyncflow.testing.faults import Call, FakeService, Fault, FaultPlan
from asyncflow.testing.resource_contract import ResourceManagerContract
from tests.docs.test_plugin_pages import blocks

CALLS: dict[str, Call] = {"POST": "submit", "GET": "poll", "DELETE": "cancel"}
STATUSES: dict[Fault | None, int] = {"throttled": 429, "denied": 403, "refused": 422, "broken": 500}
WORDS = {"succeeded": "DONE", "failed": "FAILED", "cancelled": "STOPPED"}


class FakePrinter:
    """POST /jobs, GET /jobs?ids=, DELETE /jobs/ID."""

    def __init__(self) -> None:
        self.faults = FaultPlan()
        self.made: dict[str, tuple[str, str]] = {}
        self.closing = asyncio.Event()
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        call = CALLS[request.method]
        fault = self.faults.take(call)
        if fault in STATUSES:
            return web.json_response({}, status=STATUSES[fault])
        if fault == "silent":
            await self.closing.wait()
        told = {} if fault in ("cut_before", "silent") else self.perform(call, request)
        if fault in ("cut_before", "silent", "cut_after"):
            assert request.transport is not None
            request.transport.abort()
        return web.Response(text="<html>") if fault == "garbage" else web.json_response(told)

    def perform(self, call: Call, request: web.Request) -> JsonObject:
        if call == "submit":
            token = request.headers["Idempotency-Key"]
            known = [handle for handle, (whose, _) in self.made.items() if whose == token]
            handle = known[0] if known else f"job-{len(self.made)}"
            self.made.setdefault(handle, (token, "PRINTING"))
            return {"id": handle}
        if call == "poll":
            return {each: self.made[each][1] for each in request.query["ids"].split(",") if each in self.made}
        handle = request.path.rpartition("/")[2]
        if self.made[handle][1] == "PRINTING":
            self.end_job(handle, "cancelled")
        return {}

    def jobs(self, token: str) -> int:
        return sum(whose == token for whose, _ in self.made.values())

    def instances(self, token: str) -> int:
        return 0

    def fail(self, call: Call, fault: Fault, *, skip: int = 0) -> None:
        is_repeated = fault.startswith("cut") and call != "submit"  # by aiohttp, as the page says
        self.faults.plan(call, fault, skip=skip, times=2 if is_repeated else 1)

    def end_job(self, handle: str, word: JobWord) -> None:
        self.made[handle] = self.made[handle][0], WORDS[word]

    def settle(self) -> None:
        pass


class TestThePrinterOfThePage(ResourceManagerContract):
    task_type = "PRINT_LABEL"
    input: ClassVar[JsonObject] = {"text": "fragile"}

    @pytest.fixture(autouse=True)
    def of_the_page(self, checkout: Path) -> None:
        self.names: dict[str, Any] = {}
        exec(blocks(checkout, "plugins.md", "python")[0], self.names)

    @pytest.fixture
    async def service(self) -> AsyncIterator[FakePrinter]:
        fake, app = FakePrinter(), web.Application()
        app.router.add_route("*", "/{path:.*}", fake.answer)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        fake.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield fake
        fake.closing.set()
        await runner.cleanup()

    def make(self, service: FakeService) -> ResourceManager:
        assert isinstance(service, FakePrinter)
        settings = self.names["Settings"](url=service.url)
        manager: ResourceManager = self.names["PrinterManager"](settings, ResourceContext("test"))
        return manager
