"""A service over HTTP that answers with anything but an answer: nothing is believed, nothing piles up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from asyncflow.managers.http_service import HttpServiceConfig, HttpServiceManager
from asyncflow.plugins.errors import OutcomeOpen
from asyncflow.plugins.jobs import Job
from asyncflow.plugins.resources import ResourceContext
from asyncflow.runtime.addresses import AddressPolicy
from asyncflow.runtime.lent_http import LentHttp
from asyncflow.runtime.outbound import OutboundClient
from asyncflow.runtime.outbound_exchange import OutboundSettings

MEBI = 1 << 20
GOOD = b'{"id": "j", "status": "succeeded"}'


def answer(body: bytes, *, kind: str = "application/json", length: int | None = None) -> bytes:
    said = len(body) if length is None else length
    return b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n%b" % (
        kind.encode(),
        said,
        body,
    )


GARBAGE = {
    "html": answer(b"<html>proxy</html>", kind="text/html"),
    "empty": answer(b""),
    "truncated JSON": answer(b'{"id": "j", "sta'),
    "cut off": answer(GOOD[:-5], length=len(GOOD)),
    "a number": answer(b"7"),
    "wrong types": answer(b'{"id": ["j"], "status": ["succeeded"]}'),
    "neither state nor handle": answer(b'{"a": 1}'),
    "nested": answer(b"[" * 100_000),
    "no HTTP": b"\x00\xff" * 100,
    "a line without end": b"HTTP/1.1 200 " + b"x" * MEBI,
    "100 MiB": answer(b"x" * MEBI, length=100 * MEBI),
}


class Answering:
    """A server that gives these bytes to every request; it counts what anybody took of an endless answer."""

    def __init__(self, told: bytes, *, is_endless: bool) -> None:
        self._told, self._is_endless = told, is_endless
        self.taken = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(self._told)
            await writer.drain()
            while self._is_endless:
                writer.write(b"x" * 65_536)
                await writer.drain()
                self.taken += 65_536
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # whoever asked has gone
        finally:
            writer.close()


@asynccontextmanager
async def manager_of(told: bytes, *, is_endless: bool) -> AsyncIterator[tuple[HttpServiceManager, Answering]]:
    service = Answering(told, is_endless=is_endless)
    server = await asyncio.start_server(service.serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    url = f"http://127.0.0.1:{port}/jobs"
    config = HttpServiceConfig(submit_url=url, status_url=f"{url}/{{handle}}", timeout_s=2.0)
    settings = OutboundSettings(response_bytes=4 * MEBI)
    async with server, OutboundClient(AddressPolicy(("127.0.0.1",)), settings) as client:
        yield HttpServiceManager(config, ResourceContext("r", http=LentHttp(lambda: client))), service


@pytest.mark.scenario("R79")
@pytest.mark.parametrize("kind", GARBAGE)
async def test_garbage_says_nothing_of_a_job(kind: str) -> None:
    async with manager_of(GARBAGE[kind], is_endless=kind == "100 MiB") as (manager, service):
        with pytest.raises(OutcomeOpen):
            await manager.poll("", ["j"])
        with pytest.raises(OutcomeOpen):
            await manager.submit(Job("t" * 32, "0" * 8, {"body": 1}, "HTTP_JOB"))

    assert service.taken < 32 * MEBI


@pytest.mark.scenario("R79")
async def test_a_good_answer_of_such_a_server_is_believed() -> None:
    async with manager_of(answer(GOOD), is_endless=False) as (manager, _):
        told = await manager.poll("", ["j"])

    assert told["j"].word == "succeeded"
