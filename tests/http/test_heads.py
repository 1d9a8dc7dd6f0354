"""Heads of answers as they are on the wire: the usual one is sent by us, any other by aiohttp."""

from __future__ import annotations

import pytest

from tests.http.conftest import Server
from tests.http.sockets import Wire, request, wire


def fields_of(head: bytes) -> dict[str, str]:
    lines = head.decode("latin-1").split("\r\n")
    pairs = (line.partition(": ")[::2] for line in lines[1:] if line)
    return {name: value for name, value in pairs if name != "Date"}


async def answer(line: Wire, sent: bytes) -> tuple[bytes, bytes]:
    """The head and the body of the next answer."""
    await line.send(sent)
    head = await line.head()
    return head, await line.reader.readexactly(int(fields_of(head)["Content-Length"]))


async def test_usual_head_says_what_one_of_a_connection_that_ends_says(server: Server) -> None:
    async with wire(server.url) as kept, wire(server.url) as ended:
        usual, body = await answer(kept, request("GET", "/health"))
        last, _ = await answer(ended, request("GET", "/health", "Connection: close"))
        assert await ended.rest() == b""

    expected = {
        "Server": "asyncflow",
        "X-Content-Type-Options": "nosniff",
        "Cache-Control": "no-store",
        "Content-Type": "application/json",
        "Content-Length": str(len(body)),
    }
    assert usual.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"\r\nDate: " in usual
    assert b" GMT\r\n" in usual
    assert fields_of(usual) == expected
    assert {**fields_of(last), "Content-Length": str(len(body))} == {**expected, "Connection": "close"}


async def test_head_alone_has_no_body_and_the_connection_goes_on(server: Server) -> None:
    async with wire(server.url) as line:
        await line.send(request("HEAD", "/health"))
        alone = await line.head()
        head, body = await answer(line, request("GET", "/health"))

    assert b"Content-Length" in alone
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert body.startswith(b"{")


async def test_requests_sent_at_once_are_answered_one_after_the_other(server: Server) -> None:
    async with wire(server.url) as line:
        twice = request("GET", "/health") + request("GET", "/api/nowhere") + request("GET", "/ready")
        _, healthy = await answer(line, twice)
        unknown, _ = await answer(line, b"")
        ready, _ = await answer(line, b"")

    assert healthy.startswith(b"{")
    assert unknown.startswith(b"HTTP/1.1 404 ")
    assert ready.startswith(b"HTTP/1.1 200 ")


async def test_old_client_is_answered_in_its_own_version(server: Server) -> None:
    async with wire(server.url) as line:
        await line.send(b"GET /health HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n")
        head = await line.head()
        rest = await line.rest()

    assert head.startswith(b"HTTP/1.0 200 OK\r\n")
    assert rest.startswith(b"{")


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null"])
async def test_refused_page_gets_an_unusual_head(server: Server, origin: str) -> None:
    async with wire(server.url) as line:
        head, _ = await answer(line, request("GET", "/health", f"Origin: {origin}"))

    assert head.startswith(b"HTTP/1.1 403 ")
