"""A proxy before a real service over HTTP that loses requests and answers as they are planned.

It forwards everything else as it is, and knows nothing of the service; which request stands for which call
is told by the test.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Self

import aiohttp
from aiohttp import web

from asyncflow.plugins.resources import ResourceContext
from asyncflow.runtime.addresses import AddressPolicy
from asyncflow.runtime.lent_http import LentHttp
from asyncflow.runtime.outbound import OutboundClient
from asyncflow.testing.faults import Call, Fault, FaultPlan

_STATUSES: dict[Fault, int] = {"throttled": 429, "denied": 403, "refused": 422, "broken": 500}
_OF_THE_CONNECTION = frozenset(
    ("connection", "content-length", "transfer-encoding", "content-encoding", "host")
)


class CuttingProxy:
    """Listens on the loopback address while it is open; an async context manager."""

    def __init__(self, target: str, call_of: Callable[[str, str], Call]) -> None:
        """`target` is where requests go; `call_of` tells the call from method and path."""
        self.target, self._call_of = target, call_of
        self.faults = FaultPlan()
        self.url = ""
        self._closing = asyncio.Event()
        self._outbound = OutboundClient(AddressPolicy(("127.0.0.0/8",)))

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(auto_decompress=False)
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
        await self._session.close()

    def context(self) -> ResourceContext:
        return ResourceContext("remote", installation="contract", http=LentHttp(lambda: self._outbound))

    def fail(self, call: Call, fault: Fault, *, skip: int = 0) -> None:
        is_repeated = fault.startswith("cut") and call in ("poll", "find")
        self.faults.plan(call, fault, skip=skip, times=2 if is_repeated else 1)  # aiohttp reads again, once

    async def _answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        fault = self.faults.take(self._call_of(request.method, request.path))
        if fault in _STATUSES:
            return web.Response(status=_STATUSES[fault], text=fault)
        if fault == "silent":
            await self._closing.wait()
        if fault in ("cut_before", "silent"):
            return _cut(request)
        answer = await self._forward(request, body)
        if fault == "cut_after":
            return _cut(request)
        return web.Response(text="<html>It works!</html>") if fault == "garbage" else answer

    async def _forward(self, request: web.Request, body: bytes) -> web.Response:
        headers = {k: v for k, v in request.headers.items() if k.lower() not in _OF_THE_CONNECTION}
        url = self.target + request.raw_path
        async with self._session.request(request.method, url, data=body or None, headers=headers) as answer:
            kept = {k: v for k, v in answer.headers.items() if k.lower() in ("content-type", "retry-after")}
            return web.Response(status=answer.status, body=await answer.read(), headers=kept)


def _cut(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.abort()
    return web.Response()
