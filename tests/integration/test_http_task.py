from __future__ import annotations

import asyncio
import gzip
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from asyncflow.runtime.addresses import AddressPolicy
from asyncflow.runtime.http_task import HttpOutcome, run_http
from asyncflow.runtime.outbound import OutboundClient
from asyncflow.runtime.outbound_exchange import OutboundSettings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Serve = Callable[[Handler], Awaitable[str]]
SMALL = OutboundSettings(response_bytes=3 << 20, total_seconds=0.5)


@pytest.fixture
async def serve() -> AsyncIterator[Serve]:
    servers: list[TestServer] = []

    async def start(handler: Handler) -> str:
        app = web.Application()
        app.router.add_route("*", "/{path:.*}", handler)
        server = TestServer(app)
        await server.start_server()
        servers.append(server)
        return f"http://127.0.0.1:{server.port}"

    yield start
    for server in servers:
        await server.close()


@pytest.fixture
async def client() -> AsyncIterator[OutboundClient]:
    async with OutboundClient(AddressPolicy(("127.0.0.1",))) as client:
        yield client


def answering(body: bytes, *, status: int = 200, **headers: str) -> Handler:
    async def handler(_request: web.Request) -> web.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return web.Response(body=body, status=status, headers=named)

    return handler


def body_of(outcome: HttpOutcome) -> object:
    response = outcome.output["response"]
    assert isinstance(response, dict)
    return response["body"]


@pytest.mark.parametrize(
    ("body", "parsed"),
    [
        (b'{"a": [1, null]}', {"a": [1, None]}),
        (b"[1, 2.5]", [1, 2.5]),
        (b"5", 5.0),
        (b'"text"', "text"),
        (b"true", "true"),
        (b"null", "null"),
        (b"", None),
        (b"<html>", "<html>"),
        (b'{"a":', '{"a":'),
        (b"NaN", "NaN"),
        (b"1e999", "1e999"),
        (b"[" * 500 + b"]" * 500, "[" * 500 + "]" * 500),
        (b"1" * 400, "1" * 400),
    ],
)
async def test_http_body_is_parsed_as_conductor_does(
    serve: Serve, client: OutboundClient, body: bytes, parsed: object
) -> None:
    outcome = await run_http({"uri": await serve(answering(body)), "method": "GET"}, client=client)

    assert outcome.ok
    assert outcome.reason is None
    assert repr(body_of(outcome)) == repr(parsed)


async def test_http_large_json_is_parsed(serve: Serve, client: OutboundClient) -> None:
    value = ["x" * 100] * 5000
    outcome = await run_http(
        {"uri": await serve(answering(json.dumps(value).encode())), "method": "GET"}, client=client
    )

    assert body_of(outcome) == value


async def test_http_response_has_conductors_form(serve: Serve, client: OutboundClient) -> None:
    url = await serve(answering(b"{}", status=201, X_One="1"))
    outcome = await run_http(
        {"http_request": {"uri": url, "method": "post"}, "uri": "not this"}, client=client
    )

    response = outcome.output["response"]
    assert isinstance(response, dict)
    assert (response["statusCode"], response["reasonPhrase"], response["body"]) == (201, "Created", {})
    assert response["headers"]["X-One"] == ["1"]


async def echo(request: web.Request) -> web.Response:
    headers = {name.lower(): value for name, value in request.headers.items()}
    return web.json_response({"method": request.method, "headers": headers, "body": await request.text()})


@pytest.mark.parametrize(
    ("extra", "body", "headers"),
    [
        ({"body": {"a": 1}}, '{"a":1}', {"accept": "application/json", "content-type": "application/json"}),
        ({"body": "raw é"}, "raw é", {}),
        ({"body": [True, None]}, "[true,null]", {"idempotency-key": "key-1"}),
        ({"accept": ["text/a", "text/b"]}, "", {"accept": "text/a, text/b"}),
        ({"headers": {"x-n": 5, "x-b": True, "x-none": None}}, "", {"x-n": "5", "x-b": "true"}),
        ({"headers": {"CONTENT-TYPE": "text/x", "idempotency-key": "own"}}, "", {"content-type": "text/x"}),
        ({"headers": {"Content-Length": "99", "Transfer-Encoding": "chunked"}, "body": "ab"}, "ab", {}),
        (
            {"contentType": "application/x-www-form-urlencoded", "body": {"a b": "ü", "n": [1, 2]}},
            "a+b=%C3%BC&n=1&n=2",
            {"content-type": "application/x-www-form-urlencoded"},
        ),
    ],
)
async def test_http_request_is_written_as_given(
    serve: Serve, client: OutboundClient, extra: dict[str, object], body: str, headers: dict[str, str]
) -> None:
    request = {"uri": await serve(echo), "method": "POST", **extra}
    outcome = await run_http(request, client=client, idempotency_key="key-1")

    got = body_of(outcome)
    assert isinstance(got, dict)
    assert got["body"] == body
    assert headers.items() <= got["headers"].items()
    assert "x-none" not in got["headers"]


@pytest.mark.parametrize("method", ["GET", "PUT", "POST", "DELETE", "OPTIONS", "PATCH"])
async def test_http_method_reaches_the_server(serve: Serve, client: OutboundClient, method: str) -> None:
    got = body_of(await run_http({"uri": await serve(echo), "method": method}, client=client))

    assert isinstance(got, dict)
    assert got["method"] == method


async def test_http_head_has_no_body(serve: Serve, client: OutboundClient) -> None:
    outcome = await run_http({"uri": await serve(echo), "method": "HEAD"}, client=client)

    assert (outcome.ok, body_of(outcome)) == (True, None)


@pytest.mark.parametrize(
    ("request_", "reason"),
    [
        ({}, "Missing HTTP URI"),
        ({"http_request": {"method": "GET"}}, "Missing HTTP URI"),
        ({"http_request": "x"}, "Missing HTTP request"),
        ({"uri": "http://x.example"}, "No HTTP method specified"),
        ({"uri": "http://x.example", "method": "TRACE"}, "Unknown HTTP method"),
        ({"uri": "http://x.example", "method": "GET", "headers": []}, None),
        ({"uri": "http://x.example", "method": "GET", "headers": [1]}, "'headers' must be an object"),
        (
            {"uri": "http://x.example", "method": "GET", "readTimeOut": "soon"},
            "'readTimeOut' must be a number",
        ),
    ],
)
async def test_http_request_without_sense_fails_with_reason(
    client: OutboundClient, request_: dict[str, object], reason: str | None
) -> None:
    outcome = await run_http(request_, client=client)

    assert not outcome.ok
    assert (reason or "Failed to invoke") in str(outcome.reason)


@pytest.mark.parametrize("status", [400, 404, 429, 500, 503])
async def test_http_error_status_fails_with_text(serve: Serve, client: OutboundClient, status: int) -> None:
    outcome = await run_http(
        {"uri": await serve(answering(b"why", status=status)), "method": "GET"}, client=client
    )

    assert not outcome.ok
    assert str(outcome.reason).startswith(f"Failed to invoke HTTP task due to: {status} ")
    assert f"Failed to invoke HTTP task due to: {outcome.output['response']}" == outcome.reason
    assert '"why"' in str(outcome.reason)


async def test_http_redirect_is_not_followed(serve: Serve, client: OutboundClient) -> None:
    url = await serve(answering(b"x", status=302, Location="http://169.254.169.254/"))
    outcome = await run_http({"uri": url, "method": "GET"}, client=client)

    response = outcome.output["response"]
    assert isinstance(response, dict)
    assert (outcome.ok, response["statusCode"], response["body"]) == (False, 302, None)


async def test_http_followed_redirect_is_checked_and_loses_credentials(serve: Serve) -> None:
    there = await serve(echo)

    async def redirect(request: web.Request) -> web.Response:
        target = there if request.path == "/ok" else "http://169.254.169.254/"
        return web.Response(status=303, headers={"Location": target})

    here = await serve(redirect)
    settings = OutboundSettings(redirects=2)
    request: dict[str, object] = {
        "method": "POST",
        "body": "b",
        "headers": {"Authorization": "s", "X-Key": "s"},
    }
    async with OutboundClient(AddressPolicy(("127.0.0.1",)), settings) as client:
        good = await run_http({**request, "uri": f"{here}/ok"}, client=client)
        bad = await run_http({**request, "uri": f"{here}/bad"}, client=client)

    got = body_of(good)
    assert isinstance(got, dict)
    assert (got["method"], got["body"]) == ("GET", "")
    assert not {"authorization", "x-key"} & got["headers"].keys()
    assert "link-local" in str(bad.reason)


async def test_http_refused_address_gets_no_packet() -> None:
    """The listening socket sees no connection: the refusal comes before any packet."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/x?secret=1"
        async with OutboundClient(AddressPolicy()) as client:
            outcome = await run_http({"uri": url, "method": "GET"}, client=client)

        assert "loopback address; allow it with --http-allow" in str(outcome.reason)
        assert "secret" not in str(outcome.reason)
        with pytest.raises(BlockingIOError):
            listener.accept()


async def test_http_rebinding_name_is_connected_where_it_was_checked(serve: Serve) -> None:
    """A name that turns local after the check gains nothing: each lookup is checked itself."""
    url = await serve(echo)
    answers = iter([["127.0.0.1"], ["169.254.169.254"], ["10.0.0.1"]])

    async def rebinding(_host: str, _port: int) -> list[str]:
        return next(answers)

    port = url.rpartition(":")[2]
    async with OutboundClient(AddressPolicy(("127.0.0.1",)), lookup=rebinding) as client:
        first = await run_http({"uri": f"http://a.example:{port}/", "method": "GET"}, client=client)
        second = await run_http({"uri": f"http://b.example:{port}/", "method": "GET"}, client=client)

    assert first.ok
    assert "link-local" in str(second.reason)


async def test_http_connection_refused_fails() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    async with OutboundClient(AddressPolicy(("127.0.0.1",))) as client:
        outcome = await run_http({"uri": f"http://127.0.0.1:{port}/", "method": "GET"}, client=client)

    assert str(outcome.reason).startswith("Failed to invoke HTTP task due to: I/O error on GET")
    assert "cannot connect to 127.0.0.1" in str(outcome.reason)


async def forever(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse()
    await response.prepare(request)
    part, pause = (b"x", 0.02) if request.path == "/slow" else (b"x" * 65536, 0.0)
    stopped = asyncio.Event()
    while True:
        await response.write(part)
        try:
            await asyncio.wait_for(stopped.wait(), pause)
        except TimeoutError:
            continue


@pytest.mark.scenario("R79")
@pytest.mark.parametrize(
    ("path", "reason"), [("/fast", "http_response_bytes"), ("/slow", "no complete answer in time")]
)
async def test_http_endless_body_is_cut(serve: Serve, path: str, reason: str) -> None:
    url = await serve(forever)
    request: dict[str, object] = {
        "uri": url + path,
        "method": "GET",
        "readTimeOut": 200,
        "connectionTimeOut": 200,
    }
    async with OutboundClient(AddressPolicy(("127.0.0.1",)), SMALL) as client:
        outcome = await run_http(request, client=client)

    assert reason in str(outcome.reason)


async def test_http_silent_server_meets_the_read_timeout(serve: Serve, client: OutboundClient) -> None:
    async def silent(_request: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    outcome = await run_http(
        {"uri": await serve(silent), "method": "GET", "readTimeOut": None}, client=client
    )

    assert "no complete answer in time" in str(outcome.reason)


@pytest.mark.parametrize(
    ("size", "reason"), [(2 << 20, "http_decompression_ratio"), (1 << 19, None), (64 << 20, "http_")]
)
async def test_http_compressed_body_is_bounded(serve: Serve, size: int, reason: str | None) -> None:
    url = await serve(answering(gzip.compress(b"a" * size), Content_Encoding="gzip"))
    async with OutboundClient(AddressPolicy(("127.0.0.1",)), SMALL) as client:
        outcome = await run_http({"uri": url, "method": "GET"}, client=client)

    assert outcome.ok is (reason is None)
    if reason is None:
        assert body_of(outcome) == "a" * size
    else:
        assert reason in str(outcome.reason)


@pytest.mark.parametrize(
    ("body", "encoding"),
    [(gzip.compress(b"abc" * 99, mtime=0)[:-9], "gzip"), (b"plain", "gzip"), (b"x", "br")],
)
async def test_http_broken_encoding_fails(
    serve: Serve, client: OutboundClient, body: bytes, encoding: str
) -> None:
    url = await serve(answering(body, Content_Encoding=encoding))
    outcome = await run_http({"uri": url, "method": "GET"}, client=client)

    assert str(outcome.reason).startswith("Failed to invoke HTTP task due to: I/O error")


async def test_http_header_with_line_break_is_not_sent(serve: Serve, client: OutboundClient) -> None:
    request: dict[str, object] = {"uri": await serve(echo), "method": "GET", "headers": {"X": "a\r\nY: b"}}

    assert "cannot be sent" in str((await run_http(request, client=client)).reason)


async def test_http_cookies_are_not_kept(serve: Serve, client: OutboundClient) -> None:
    async def cookies(request: web.Request) -> web.Response:
        return web.json_response(dict(request.cookies), headers={"Set-Cookie": "a=1"})

    request: dict[str, object] = {"uri": await serve(cookies), "method": "GET"}
    await run_http(request, client=client)

    assert body_of(await run_http(request, client=client)) == {}
