"""Replies on the wire: headers that every answer has, whole bodies, and streams piece by piece.

It is the place that turns our replies into aiohttp's; nothing here decides what to answer.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from http import HTTPStatus
from typing import Protocol, runtime_checkable

from aiohttp import web
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


def respond(reply: Reply, more: Mapping[str, str] | None = None) -> web.Response:
    """A reply that is no stream, for aiohttp."""
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
    lines = [f"HTTP/1.1 {reply.status} {HTTPStatus(reply.status).phrase}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + reply.body
