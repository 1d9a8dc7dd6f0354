"""Requests that do something arrive once, whatever the client library would do about a broken connection."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from asyncflow.plugins.errors import OutcomeOpen
from asyncflow.runtime.addresses import AddressPolicy
from asyncflow.runtime.outbound import OutboundClient
from asyncflow.runtime.outbound_exchange import OutboundFailed, OutboundRequest

PAGE = Path(__file__).resolve().parents[2] / "docs" / "plugins.md"


class Cutting:
    """A service that does what it is asked and then loses the connection."""

    def __init__(self) -> None:
        self.arrived: list[str] = []
        self.url = ""

    async def answer(self, request: web.Request) -> web.Response:
        await request.read()
        self.arrived.append(request.method)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()


@pytest.fixture
async def service() -> AsyncIterator[Cutting]:
    service = Cutting()
    app = web.Application()
    app.router.add_route("*", "/", service.answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    service.url = f"http://127.0.0.1:{runner.addresses[0][1]}/"
    yield service
    await runner.cleanup()


@pytest.mark.scenario("R85")
@pytest.mark.parametrize(
    ("method", "times"), [("POST", 1), ("PATCH", 1), ("PUT", 1), ("DELETE", 1), ("GET", 2)]
)
async def test_request_that_lost_its_answer_arrived_once_unless_it_reads(
    service: Cutting, method: str, times: int
) -> None:
    async with OutboundClient(AddressPolicy(("127.0.0.0/8",))) as client:
        with pytest.raises(OutboundFailed) as told:
            await client.send(
                OutboundRequest(method, service.url, {}, b"x" if method != "GET" else None, 5, 5)
            )

    assert told.value.may_have_arrived
    assert service.arrived == [method] * times


@pytest.mark.scenario("R85")
async def test_client_library_repeats_and_the_page_says_how_it_does_not(service: Cutting) -> None:
    """The trap that the page for authors names is there, and what the page gives avoids it."""
    async with aiohttp.ClientSession() as plain:
        with pytest.raises(aiohttp.ClientError):
            await plain.put(service.url)
    assert service.arrived == ["PUT", "PUT"]
    service.arrived.clear()
    code = next(
        each for each in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL) if "once" in each
    )
    names: dict[str, object] = {}
    exec(code, names)
    made = names["session"]
    assert callable(made)
    async with made() as session:
        with pytest.raises(OutcomeOpen):
            await session.put(service.url)

    assert service.arrived == ["PUT"]
