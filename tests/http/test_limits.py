"""What is too large, too slow or too much is refused by name, and nobody else is the worse for it."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from asyncflow.http.limits import HttpLimits
from asyncflow.http.routing import (
    OPEN,
    Call,
    Reply,
    Routes,
    json_answer,
    json_body,
    reply_json,
    reply_stream,
    stream_answer,
)
from asyncflow.http.server import HttpSettings
from tests.http.conftest import Server, serving
from tests.http.sockets import WITHIN_S, request, wire

LIMITS = HttpLimits(
    request_bytes=100_000,
    bodies_bytes=300_000,
    header_timeout_s=0.3,
    body_timeout_s=0.3,
    write_timeout_s=0.3,
    idle_timeout_s=1.0,
    connections=20,
    in_flight=2,
    held=2,
)


class Gatekeeper:
    """Routes that wait until the test lets them go on."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.entered = asyncio.Semaphore(0)
        self.gone = asyncio.Event()
        self.closed = asyncio.Event()
        self.routes = Routes("Limited")
        self.routes.post("/size", role=OPEN, body=json_body(), answers=json_answer())(self.size)
        self.routes.post("/deep", role=OPEN, body=json_body(deep=True), answers=json_answer())(self.size)
        self.routes.get("/wait", role=OPEN, answers=json_answer())(self.wait)
        self.routes.get("/hold", role=OPEN, held=True, answers=json_answer())(self.wait)
        self.routes.get("/flood", role=OPEN, held=True, answers=stream_answer("text/plain"))(self.flood)
        self.routes.get("/silence", role=OPEN, held=True, answers=stream_answer("text/plain"))(self.silence)

    async def size(self, call: Call) -> Reply:
        """The size of a body that is well-formed JSON."""
        self.entered.release()
        await call.json()
        return reply_json(len(await call.content()))

    async def wait(self, call: Call) -> Reply:
        """Wait until told to go on, or until the client has gone."""
        self.entered.release()
        waits = [asyncio.create_task(event.wait()) for event in (self.go, call.gone)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        for each in waits:
            each.cancel()
        if call.gone.is_set():
            self.gone.set()
        return reply_json("went on")

    async def flood(self, call: Call) -> Reply:
        """More than anybody reads."""
        assert not call.gone.is_set()
        return reply_stream(self._pieces(b"x" * 65_536), "text/plain")

    async def silence(self, call: Call) -> Reply:
        """One piece, and then nothing."""
        assert not call.gone.is_set()
        return reply_stream(self._pieces(b""), "text/plain")

    async def _pieces(self, piece: bytes) -> AsyncIterator[bytes]:
        try:
            yield b"begun\n"
            while piece:
                yield piece
            await asyncio.Event().wait()
        finally:
            self.closed.set()


@pytest.fixture
async def keeper() -> Gatekeeper:
    return Gatekeeper()


@pytest.fixture
async def limited(keeper: Gatekeeper) -> AsyncIterator[Server]:
    async with serving(keeper.routes, settings=HttpSettings(port=0, limits=LIMITS)) as server:
        yield server
        keeper.go.set()


# --- bodies -----------------------------------------------------------------------------------


def _text(size: int) -> bytes:
    return b'"' + b"x" * (size - 2) + b'"'


async def test_a_body_may_be_as_large_as_the_limit(limited: Server) -> None:
    assert (await limited.post("/size", data=_text(100_000))).json == 100_000
    assert limited.http.door.budget.taken == 0


@pytest.mark.parametrize("size", [100_001, 50_000_000])
async def test_a_larger_body_is_refused_before_it_is_read(limited: Server, size: int) -> None:
    async with wire(limited.url) as raw:
        await raw.send(request("POST", "/size", f"Content-Length: {size}"))
        head = await raw.head()

    assert head.startswith(b"HTTP/1.1 413 ")


async def test_chunks_are_counted(limited: Server) -> None:
    """The endless body of a client that never stops is refused once it is too large."""
    async with wire(limited.url) as raw:
        await raw.send(request("POST", "/size", "Transfer-Encoding: chunked"))
        await raw.send(b"2710\r\n" + b" " * 10_000 + b"\r\n")
        for _ in range(10):
            await raw.send(b"2710\r\n" + b" " * 10_000 + b"\r\n")
        answer = await raw.head()

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert limited.http.door.budget.taken == 0


async def test_tiny_chunks_give_the_body_they_are(limited: Server) -> None:
    async with wire(limited.url) as raw:
        await raw.send(request("POST", "/size", "Transfer-Encoding: chunked", "Connection: close"))
        await raw.send(b"1\r\n[\r\n" + b"1\r\n \r\n" * 20_000 + b"1\r\n]\r\n0\r\n\r\n")
        answer = await raw.rest()

    assert answer.endswith(b"\r\n\r\n20002")


async def test_large_bodies_together_have_a_bound(limited: Server) -> None:
    """Three bodies of the limit fit; a fourth that is declared is told to come again."""
    limited.http.door.budget.take(250_000)
    answer = await limited.post("/size", data=_text(100_000))
    limited.http.door.budget.give_back(250_000)

    assert (answer.status, answer.headers["Retry-After"]) == (503, "1")
    assert answer.message.startswith("bodies_bytes: ")
    assert (await limited.post("/size", data=_text(100_000))).status == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "zstd", "gzip, identity"])
async def test_encoded_bodies_are_refused(limited: Server, encoding: str) -> None:
    bomb = gzip.compress(b"0" * 10_000_000)

    answer = await limited.post("/size", data=bomb, headers={"Content-Encoding": encoding})

    assert answer.status == 415


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 65 + b"]" * 65,
        b"[" * 50_000,
        b'{"a":' * 16_000,
        b"9" * 5_000,
        b"[NaN]",
        b"[1e999]",
        b"[-Infinity]",
        b'{"a": 1, "a": 2}',
        b'["\\ud800"]',
        b'["\xed\xa0\x80"]',
        b"\x00",
    ],
)
async def test_hostile_json_is_refused(limited: Server, body: bytes) -> None:
    answer = await limited.post("/size", data=body)

    assert answer.status == 400
    assert answer.message


async def test_json_may_be_as_deep_as_the_limit(limited: Server) -> None:
    assert (await limited.post("/size", data=b"[" * 64 + b"]" * 64)).status == 200
    assert (await limited.post("/deep", data=b"[" * 256 + b"]" * 256)).status == 200
    assert (await limited.post("/deep", data=b"[" * 257 + b"]" * 257)).status == 400


# --- slowness ---------------------------------------------------------------------------------


@pytest.mark.parametrize("sent", [b"", b"GET /wait HTTP/1.1\r\nHost: 127", b"\r\n"])
async def test_slow_headers_are_cut(limited: Server, sent: bytes) -> None:
    async with wire(limited.url) as raw:
        await raw.send(sent)

        assert await raw.rest() == b""
    assert limited.http.gate.cut == 1


async def test_dripping_headers_are_cut(limited: Server) -> None:
    """Each byte is in time; all of them are not."""
    async with wire(limited.url) as raw:

        async def drip() -> None:
            for byte in b"GET /wait HTTP/1.1\r\nX: " + b"y" * 1_000_000:
                await raw.send(bytes([byte]))
                await asyncio.wait([ended], timeout=0.02)
                if ended.done():
                    return

        ended = asyncio.create_task(raw.rest())
        with contextlib.suppress(ConnectionError):
            await drip()

        assert await ended == b""


async def test_a_slow_body_is_told_so(limited: Server) -> None:
    async with wire(limited.url) as raw:
        await raw.send(request("POST", "/size", "Content-Length: 100", body=b"[1,"))
        answer = await raw.rest()

    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"body_timeout_s" in answer


async def test_an_idle_connection_is_closed(limited: Server) -> None:
    async with wire(limited.url) as raw:
        await raw.send(request("POST", "/size", "Content-Length: 2", body=b"[]"))

        assert (await raw.rest()).startswith(b"HTTP/1.1 200 ")


async def test_a_client_that_does_not_read_is_cut(limited: Server, keeper: Gatekeeper) -> None:
    async with wire(limited.url) as raw:
        await raw.send(request("GET", "/flood"))
        await raw.head()
        async with asyncio.timeout(WITHIN_S):
            await keeper.closed.wait()

    assert limited.http.gate.cut == 1
    assert limited.http.door.traffic.held == 0


# --- too much at once -------------------------------------------------------------------------


async def test_requests_at_work_have_a_bound(limited: Server, keeper: Gatekeeper) -> None:
    waiting = [asyncio.create_task(limited.get("/wait")) for _ in range(2)]
    await _entered(keeper, 2)

    refused = await limited.get("/wait")
    held = asyncio.create_task(limited.get("/hold"))
    await _entered(keeper, 1)
    keeper.go.set()

    assert (refused.status, refused.headers["Retry-After"]) == (503, "1")
    assert refused.message.startswith("in_flight: ")
    assert [(await each).status for each in [*waiting, held]] == [200, 200, 200]
    assert (await limited.get("/wait")).status == 200


async def test_held_requests_have_a_bound_of_their_own(limited: Server, keeper: Gatekeeper) -> None:
    waiting = [asyncio.create_task(limited.get("/hold")) for _ in range(2)]
    await _entered(keeper, 2)

    refused = await limited.get("/hold")
    keeper.go.set()

    assert refused.message.startswith("held: ")
    assert [(await each).status for each in waiting] == [200, 200]


async def _entered(keeper: Gatekeeper, count: int) -> None:
    async with asyncio.timeout(WITHIN_S):
        for _ in range(count):
            await keeper.entered.acquire()


async def test_connections_have_a_bound() -> None:
    keeper = Gatekeeper()
    settings = HttpSettings(port=0, limits=replace(LIMITS, connections=1, header_timeout_s=30.0))
    async with serving(keeper.routes, settings=settings) as server:
        async with wire(server.url) as first:
            await first.send(request("POST", "/size", "Content-Length: 2", body=b"[]"))
            await first.head()
            async with wire(server.url) as second:
                refused = await second.rest()

        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b"connections: at most 1" in refused
        assert server.http.gate.refused == 1


async def test_a_client_that_goes_is_seen(limited: Server, keeper: Gatekeeper) -> None:
    async with wire(limited.url) as raw:
        await raw.send(request("GET", "/hold"))
        await _entered(keeper, 1)
    async with asyncio.timeout(WITHIN_S):
        await keeper.gone.wait()
        await limited.http.door.traffic.rested()

    assert limited.http.door.traffic.held == 0


async def test_a_silent_stream_ends_with_its_client(limited: Server, keeper: Gatekeeper) -> None:
    async with wire(limited.url) as raw:
        await raw.send(request("GET", "/silence"))
        await raw.head()
    async with asyncio.timeout(WITHIN_S):
        await keeper.closed.wait()
        await limited.http.door.traffic.rested()

    assert not limited.http.gate.streams


# --- what is no HTTP --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"hello\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
        (b"GET / HTTP/9.9\r\n\r\n", 400),
        (b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 20_000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"GET / HTTP/1.1\r\nbad header\r\n\r\n", 400),
        (b"POST /size HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST /size HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: -5\r\n\r\n", 400),
        (b"POST /size HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400),
        (b"POST /size HTTP/1.1\r\nHost: 127.0.0.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", 400),
    ],
)
async def test_what_is_no_request_is_answered_in_our_shape(limited: Server, sent: bytes, status: int) -> None:
    async with wire(limited.url) as raw:
        await raw.send(sent)
        answer = await raw.rest()

    assert answer.split(b" ", 2)[1] == str(status).encode()
    assert b'"instance":"asyncflow"' in answer


async def test_a_body_that_breaks_off_in_nonsense_is_ended_in_its_time(
    limited: Server, keeper: Gatekeeper
) -> None:
    async with wire(limited.url) as raw:
        await raw.send(request("POST", "/size", "Transfer-Encoding: chunked", body=b"2\r\n[]\r\n"))
        await _entered(keeper, 1)
        await raw.send(b"no chunk\r\n")
        answer = await raw.rest()

    assert answer.startswith((b"HTTP/1.1 400 ", b"HTTP/1.1 408 "))
    assert limited.http.door.traffic.at_work == 0


async def test_pipelined_requests_are_answered_in_order(limited: Server) -> None:
    async with wire(limited.url) as raw:
        one = request("POST", "/size", "Content-Length: 2", body=b"[]")
        last = request("POST", "/size", "Content-Length: 3", "Connection: close", body=b"[1]")
        await raw.send(one * 40 + last)
        answers = await raw.rest()

    assert answers.count(b"HTTP/1.1 200 OK") == 41
    assert answers.endswith(b"\r\n\r\n3")
