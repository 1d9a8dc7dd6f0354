"""The body of a request, received within limits of size, time and memory.

Every way to send too much ends in a named limit: a declared length before anything is read, chunks
as soon as they are too many. Encoded bodies are refused, so nothing can unpack to more than it is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Protocol, cast

from aiohttp import web

from asyncflow.errors import InvalidInput, LimitExceeded
from asyncflow.http.errors import HttpError
from asyncflow.http.limits import HttpLimits

_COUNTED_BYTES = 64 << 10  # what the network layer may hold of each request anyway


class Budget:
    """The memory that larger bodies may take together while they are received and answered."""

    def __init__(self, allowed: int) -> None:
        """Allow this many bytes."""
        self.allowed, self.taken = allowed, 0

    def take(self, size: int) -> None:
        """Reserve bytes; raises HttpError 503 when there are none."""
        if self.taken + size > self.allowed:
            message = f"bodies_bytes: at most {self.allowed} for all requests at once"
            raise HttpError(503, message, retryable=True)
        self.taken += size

    def give_back(self, size: int) -> None:
        """Bytes that were reserved."""
        self.taken -= size


class Leaving(Protocol):
    """A connection that says when its client has gone."""

    @property
    def gone(self) -> asyncio.Event:
        """Set when the client has gone."""

    def streaming(self) -> AbstractContextManager[None]:
        """Cancel what runs in it when the client goes."""


class Incoming:
    """The network's side of one request.

    Attributes:
        taken: bytes it has reserved, to be given back when it is answered.
    """

    __slots__ = ("_budget", "_limits", "_request", "headers", "taken")

    def __init__(self, request: web.BaseRequest, limits: HttpLimits, budget: Budget) -> None:
        """Receive nothing yet."""
        self._request, self._limits, self._budget = request, limits, budget
        self.headers: Mapping[str, str] = request.headers
        self.taken = 0

    @property
    def gone(self) -> asyncio.Event:
        """Set when the client has gone."""
        return cast("Leaving", self._request.protocol).gone

    def while_connected(self) -> AbstractContextManager[None]:
        """What runs in it is cancelled when the client goes."""
        return cast("Leaving", self._request.protocol).streaming()

    async def receive(self) -> bytes:
        """The whole body.

        Raises:
            HttpError: 408 it is too slow, 415 it is encoded, 503 too many large ones at once.
            LimitExceeded: it is larger than `request_bytes`.
            InvalidInput: its length or its chunks are malformed.
        """
        headers, limit = self.headers, self._limits.request_bytes
        encoding = headers.get("Content-Encoding", "identity")
        if encoding.strip().lower() not in {"", "identity"}:
            raise HttpError(415, f"Content-Encoding {encoding[:40]!r}: bodies are taken as they are only")
        declared = self._request.content_length
        if declared is not None and declared > limit:
            raise LimitExceeded("request_bytes", allowed=limit, actual=declared)
        content = self._request.content
        if declared == 0 or (content.is_eof() and content.total_bytes <= min(_COUNTED_BYTES, limit)):
            return self._at_hand()
        try:
            async with asyncio.timeout(self._limits.body_timeout_s):
                return await self._read(declared, limit)
        except TimeoutError:
            message = f"body_timeout_s: the body took more than {self._limits.body_timeout_s:g} s"
            raise HttpError(408, message) from None
        except web.RequestPayloadError as error:
            raise InvalidInput(f"the body is malformed: {error}"[:200]) from None

    def _at_hand(self) -> bytes:
        """What came with the headers, without waiting."""
        try:
            return self._request.content.read_nowait()
        except web.RequestPayloadError as error:
            raise InvalidInput(f"the body is malformed: {error}"[:200]) from None

    async def _read(self, declared: int | None, limit: int) -> bytes:
        if declared is not None:
            self._reserve(declared)
        content, pieces, size = self._request.content, bytearray(), 0
        while True:
            piece = await content.readany()
            if not piece:
                return bytes(pieces)
            size += len(piece)
            if size > limit:
                raise LimitExceeded("request_bytes", allowed=limit)
            if declared is None:
                self._reserve(size)
            pieces += piece

    def _reserve(self, size: int) -> None:
        more = size - self.taken
        if size > _COUNTED_BYTES and more > 0:
            self._budget.take(more)
            self.taken += more

    def done(self) -> None:
        """The request is answered."""
        if self.taken:
            self._budget.give_back(self.taken)
            self.taken = 0
