"""Two services over HTTP that take jobs, scripted: a plain one and a workflow server in Conductor's words.

They listen on the loopback address and keep what they were asked; which answer fails is `testing/faults`.
"""

from __future__ import annotations

import asyncio
import json
from types import TracebackType
from typing import Self

from aiohttp import web

from asyncflow.model.values import JsonObject
from asyncflow.plugins.jobs import JobWord
from asyncflow.plugins.resources import ResourceContext
from asyncflow.runtime.addresses import AddressPolicy
from asyncflow.runtime.lent_http import LentHttp
from asyncflow.runtime.outbound import OutboundClient
from asyncflow.testing.faults import Call, Fault, FaultPlan

SECRET = "a-secret-that-nobody-sees"
_WORDS = {"running": "RUNNING", "succeeded": "COMPLETED", "failed": "FAILED", "cancelled": "TERMINATED"}
_STATUSES: dict[Fault, int] = {"throttled": 429, "denied": 403, "refused": 422, "broken": 500}


class LocalService:
    """What both have in common: a socket, faults, jobs by handle."""

    def __init__(self) -> None:
        self.faults = FaultPlan()
        self.made: dict[str, JsonObject] = {}
        self.seen: list[web.Request] = []
        self.url = ""
        self._closing = asyncio.Event()
        self._outbound = OutboundClient(AddressPolicy(("127.0.0.0/8",)))

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", self._answer)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        await self._outbound.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        await self._outbound.__aexit__(kind, error, trace)
        await self._runner.cleanup()

    def context(self) -> ResourceContext:
        return ResourceContext("remote", installation="contract", http=LentHttp(lambda: self._outbound))

    async def _answer(self, request: web.Request) -> web.Response:
        self.seen.append(request)
        body = json.loads(await request.read() or b"null")
        call = self.call_of(request)
        fault = self.faults.take(call)
        if fault in _STATUSES:
            return web.Response(
                status=_STATUSES[fault], text=f"{fault} {SECRET}" if fault == "denied" else fault
            )
        if fault == "silent":
            await self._closing.wait()
        if fault in ("cut_before", "silent"):
            return _cut(request)
        answer = self.perform(call, request, body)
        if fault == "cut_after":
            return _cut(request)
        if fault == "garbage":
            return web.Response(text="<html>It works!</html>", content_type="text/html")
        return answer

    def call_of(self, request: web.Request) -> Call:
        raise NotImplementedError

    def perform(self, call: Call, request: web.Request, body: object) -> web.Response:
        raise NotImplementedError

    def jobs(self, token: str) -> int:
        return sum(job["token"] == token for job in self.made.values())

    def instances(self, token: str) -> int:
        return 0

    def fail(self, call: Call, fault: Fault, *, skip: int = 0) -> None:
        is_repeated = fault.startswith("cut") and call in ("poll", "find")
        self.faults.plan(call, fault, skip=skip, times=2 if is_repeated else 1)  # aiohttp reads again, once

    def end_job(self, handle: str, word: JobWord) -> None:
        self.made[handle]["word"] = word

    def settle(self) -> None:
        pass


class PlainService(LocalService):
    """POST /jobs with an idempotency key, GET and DELETE /jobs/ID."""

    conflicts = 0
    """So many submits are told that the key is being worked on."""

    def call_of(self, request: web.Request) -> Call:
        calls: dict[str, Call] = {"POST": "submit", "GET": "poll", "DELETE": "cancel"}
        return calls[request.method]

    def perform(self, call: Call, request: web.Request, body: object) -> web.Response:
        handle = request.path.rpartition("/")[2]
        if call == "submit" and self.conflicts:
            self.conflicts -= 1
            return web.json_response({"title": "A request is outstanding for this key"}, status=409)
        if call == "submit":
            token = request.headers["Idempotency-Key"]
            known = [each for each, job in self.made.items() if job["token"] == token]
            handle = known[0] if known else f"job {len(self.made) + 1}/x"
            self.made.setdefault(handle, {"token": token, "word": "running", "body": body})
            return web.json_response({"job": {"id": handle}}, status=202)
        handle = request.match_info["path"].removeprefix("jobs/")
        if handle not in self.made:
            return web.json_response({"error": "unknown"}, status=404)
        job = self.made[handle]
        if call == "cancel":
            if job["word"] != "running":
                return web.json_response({"error": "over"}, status=409)
            job["word"] = "cancelled"
        return web.json_response({"state": str(job["word"]).upper(), "result": {"sum": 3}})


class WorkflowServer(LocalService):
    """Conductor's way: it knows no token, and finds by correlation id."""

    def call_of(self, request: web.Request) -> Call:
        if request.method == "GET":
            return "find" if "/correlated/" in request.path else "poll"
        return "submit" if request.method == "POST" else "cancel"

    def perform(self, call: Call, request: web.Request, body: object) -> web.Response:
        last = request.path.rpartition("/")[2]
        if call == "submit":
            assert isinstance(body, dict)
            handle = f"00000000-0000-4000-8000-{len(self.made) + 1:012d}"
            mark = str(body["correlationId"])
            self.made[handle] = {"token": mark[:32], "mark": mark, "word": "running"}
            return web.Response(text=handle)
        if call == "find":
            return web.json_response([self._shown(h) for h, job in self.made.items() if job["mark"] == last])
        if last not in self.made:
            return web.json_response({"message": "no such workflow"}, status=404)
        if call == "cancel":
            if self.made[last]["word"] != "running":
                return web.json_response({"message": "it has ended"}, status=409)
            self.made[last]["word"] = "cancelled"
        return web.json_response(self._shown(last))

    def _shown(self, handle: str) -> JsonObject:
        job = self.made[handle]
        status = _WORDS[str(job["word"])]
        return {"workflowId": handle, "correlationId": job["mark"], "status": status, "createTime": 5}


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
