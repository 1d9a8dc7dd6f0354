"""Replies on the wire: headers that every answer has, whole bodies, and streams piece by piece.

It is the place that turns our replies into aiohttp's; nothing here decides what to answer.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from email.utils import formatdate
from functools import lru_cache
from http import HTTPStatus
from typing import Protocol, runtime_checkable

from aiohttp import HttpVersion11, web
from multidict import CIMultiDict

from asyncflow.http.reply import Reply

log = logging.getLogger("asyncflow.http")

SERVER = "asyncflow"

_PAGE = "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'self'; object-src 'none'"
_UNREAD = frozenset({408, 413, 415, 417})  # the rest of the request is not worth waiting for
_ALWAYS = {
    "Server": SERVER,
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@runtime_checkable
class _Closable(Protocol):
    async def aclose(self) -> None:
        """End the iteration."""


@runtime_checkable
class Streaming(Protocol):
    """A connection that can be told that a stream goes over it."""

    def streaming(self) -> AbstractContextManager[None]:
        """Cancel what runs in it when the client goes."""


def headers_of(reply: Reply, more: Mapping[str, str] | None = None) -> CIMultiDict[str]:
    """The header fields of a reply; what it says itself goes before what is always said."""
    headers = CIMultiDict(_ALWAYS)
    if reply.content_type:
        headers["Content-Type"] = reply.content_type
        if reply.content_type.startswith("text/html"):
            headers["Content-Security-Policy"] = _PAGE
            headers["Referrer-Policy"] = "no-referrer"
    if more:
        headers.update(more)
    if reply.headers:
        headers.update(reply.headers)
    return headers


class _Whole(web.StreamResponse):
    """A reply with the head that most have, sent in one piece.

    aiohttp puts a head together field by field, which takes longer than most handlers do; so it is asked to
    send bytes only. Nothing of its own of a response is made, as it asks for no more than what is here.
    """

    def __init__(self, reply: Reply) -> None:
        self._keep_alive = True
        self._reply = reply

    async def prepare(self, request: web.BaseRequest) -> None:
        """Send it; nothing is left to be sent at the end."""
        reply = self._reply
        length = b"Content-Length: %d\r\n" % len(reply.body)
        head = _usual_head(reply.content_type) + length + _date_line(int(asyncio.get_running_loop().time()))
        await request.writer.write(head + reply.body)

    async def write_eof(self, data: bytes = b"") -> None:
        """It was sent."""


@lru_cache
def _usual_head(content_type: str) -> bytes:
    """The head of a reply that says nothing but its type, without its length and date."""
    return _head(200, headers_of(Reply(200, content_type=content_type)))


def _head(status: int, headers: Mapping[str, str]) -> bytes:
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, ""]).encode("latin-1")


@lru_cache(maxsize=1)
def _date_line(_second: int) -> bytes:
    """The last field of a head and its end, the same for a second of the loop's time."""
    return f"Date: {formatdate(usegmt=True)}\r\n\r\n".encode()


def _is_usual(request: web.BaseRequest, reply: Reply) -> bool:
    """Whether the answer has the usual head, and a body, to a client that goes on."""
    if reply.status != 200 or reply.headers or request.method == "HEAD":
        return False
    return request.keep_alive and request.version == HttpVersion11


def respond(
    request: web.BaseRequest, reply: Reply, more: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """A reply that is no stream, for aiohttp; `more` are header fields besides its own."""
    if not more and _is_usual(request, reply):
        return _Whole(reply)
    response = web.Response(status=reply.status, body=reply.body or None, headers=headers_of(reply, more))
    if reply.status in _UNREAD:
        response.force_close()
    return response


async def send_stream(
    request: web.BaseRequest, reply: Reply, more: Mapping[str, str] | None = None
) -> web.StreamResponse:
    """Send a stream to its end; the iterator is closed whatever happens.

    Raises:
        ConnectionError: the client has gone, or the stream broke off.

    Cancellation: when the client goes, also while nothing is being sent.
    """
    assert reply.stream is not None
    response = web.StreamResponse(status=reply.status, headers=headers_of(reply, more))
    stream, connection = reply.stream, request.protocol
    assert isinstance(connection, Streaming)
    try:
        with connection.streaming():
            await response.prepare(request)
            if request.method != "HEAD":
                async for piece in stream:
                    await response.write(piece)
            await response.write_eof()
    except ConnectionError:
        raise
    except Exception as error:
        # The status is sent already: all that is left to say is that this is not the whole.
        log.exception("a stream broke off")
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionError("the stream broke off") from error
    finally:
        if isinstance(stream, _Closable):
            await stream.aclose()
    return response


def raw(reply: Reply) -> bytes:
    """A reply as bytes, for a connection that no request is read from; it ends with the answer."""
    headers = headers_of(reply, {"Content-Length": str(len(reply.body)), "Connection": "close"})
    return _head(reply.status, headers) + b"\r\n" + reply.body
