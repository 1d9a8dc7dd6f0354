"""The contract of asyncflow over the licence server, against one of this machine."""

import asyncio
from collections.abc import AsyncIterator
from typing import ClassVar

import pytest
from aiohttp import web
from license_server import LicenseManager, Settings

from asyncflow.model.values import JsonObject
from asyncflow.plugins.jobs import JobWord
from asyncflow.plugins.resources import ResourceContext
from asyncflow.testing.faults import Call, FakeService, Fault, FaultPlan
from asyncflow.testing.resource_contract import ResourceManagerContract

CALLS: dict[str, Call] = {"seats": "submit", "look": "poll", "return": "cancel"}
STATUSES: dict[str, int] = {"throttled": 429, "denied": 403, "refused": 422, "broken": 500}
WORDS = {"succeeded": "solved", "failed": "infeasible", "cancelled": "returned", "running": "taken"}


class FakeServer:
    """Seats by token, and faults as they were planned."""

    def __init__(self) -> None:
        self.faults, self.seats = FaultPlan(), dict[str, str]()
        self.closing = asyncio.Event()
        self.app = web.Application()
        self.app.router.add_route("*", "/{what}{rest:.*}", self.answer)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        what, subject = request.match_info["what"].split("/")[0], request.path.split("/")[-1]
        fault = self.faults.take(CALLS[what])
        if fault in STATUSES:
            return web.json_response({}, status=STATUSES[fault])
        if fault == "silent":
            await self.closing.wait()
        told: object = {}
        if fault not in ("cut_before", "silent"):
            if what == "seats":
                self.seats.setdefault(subject, "taken")
                told = {"seat": subject}
            elif what == "look":
                told = {each: self.seats[each] for each in await request.json() if each in self.seats}
            elif self.seats.get(subject) == "taken":
                self.seats[subject] = "returned"
        if fault in ("cut_before", "cut_after", "silent") and request.transport is not None:
            request.transport.abort()
        return web.Response(text="<html>") if fault == "garbage" else web.json_response(told)

    def jobs(self, token: str) -> int:
        return int(token in self.seats)

    def instances(self, token: str) -> int:
        return 0

    def fail(self, call: Call, fault: Fault, *, skip: int = 0) -> None:
        self.faults.plan(call, fault, skip=skip)

    def end_job(self, handle: str, word: JobWord) -> None:
        self.seats[handle] = WORDS[word]

    def settle(self) -> None:
        pass


class TestLicenseServer(ResourceManagerContract):
    task_type = "SOLVE"
    input: ClassVar[JsonObject] = {"model": "a"}
    secrets = ("a-key-that-nobody-sees",)

    @pytest.fixture
    async def service(self) -> AsyncIterator[FakeServer]:
        server = FakeServer()
        runner = web.AppRunner(server.app, access_log=None, shutdown_timeout=1.0)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
        yield server
        server.closing.set()
        await runner.cleanup()

    def make(self, service: FakeService) -> LicenseManager:
        return LicenseManager(Settings(url=self.url, key=self.secrets[0]), ResourceContext("test"))
