"""A relay before the server under test that notes every request and the status of its answer.

With it a run shows which routes an SDK really calls and that none was answered with a fault of the
server. It changes nothing on the way; `running.py` puts it between.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import aiohttp
from aiohttp import web

_OF_ONE_CONNECTION = {"connection", "content-length", "date", "host", "server", "transfer-encoding"}


class Exchange(NamedTuple):
    """One request and what it was answered."""

    method: str
    target: str
    status: int
    sent: bytes
    answered: bytes


class Relay:
    """Passes requests on to `upstream`; `exchanges` are in the order of their answers."""

    def __init__(self, upstream: str, session: aiohttp.ClientSession) -> None:
        self.upstream, self._session = upstream, session
        self.exchanges: list[Exchange] = []

    async def pass_on(self, request: web.Request) -> web.Response:
        """The server's answer, as it came."""
        sent = await request.read()
        async with self._session.request(
            request.method,
            self.upstream + request.raw_path,
            data=sent or None,
            headers=_kept(request.headers.items()),
            allow_redirects=False,
        ) as answer:
            answered = await answer.read()
        self.exchanges.append(Exchange(request.method, request.raw_path, answer.status, sent, answered))
        return web.Response(status=answer.status, body=answered, headers=_kept(answer.headers.items()))

    def faults(self) -> list[Exchange]:
        """What was answered with a fault of the server."""
        return [each for each in self.exchanges if each.status >= 500]


def _kept(headers: object) -> list[tuple[str, str]]:
    assert hasattr(headers, "__iter__")
    return [(name, value) for name, value in headers if name.lower() not in _OF_ONE_CONNECTION]


@asynccontextmanager
async def relaying(upstream: str) -> AsyncIterator[tuple[Relay, str]]:
    """A relay on a free port, and its address."""
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector, auto_decompress=False) as session:
        relay = Relay(upstream, session)
        runner = web.ServerRunner(web.Server(relay.pass_on), handle_signals=False)  # type: ignore[arg-type]
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        try:
            yield relay, f"http://{host}:{port}"
        finally:
            await asyncio.shield(runner.cleanup())
