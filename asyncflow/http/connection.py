"""Connections with bounds: how many, how slow, and errors of the protocol in our own shape.

aiohttp parses and writes; what it has no limit for is counted and timed here, by one look a second
at those that are late instead of a timer for each. Requests are answered in `middleware`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import cast

from aiohttp import StreamReader, http_exceptions, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http import RawRequestMessage

from asyncflow.http.errors import ErrorBody
from asyncflow.http.limits import HttpLimits
from asyncflow.http.wire import raw, respond

log = logging.getLogger("asyncflow.http")

_LOOK_EVERY_S = 1.0
_LINGER_S = 2.0  # for what is left of a body that nobody reads; after that the connection is closed


class Connection(web.RequestHandler):
    """One connection of a client."""

    __slots__ = ("_gate", "_gone", "_is_busy")

    def __init__(self, gate: Gate, loop: asyncio.AbstractEventLoop) -> None:
        """Made by the gate, for each connection that is accepted."""
        limits = gate.limits
        super().__init__(
            gate,
            loop=loop,
            keepalive_timeout=limits.idle_timeout_s,
            access_log=None,  # type: ignore[arg-type]  # the documented way to have none
            max_line_size=limits.line_bytes,
            max_field_size=limits.line_bytes,
            max_headers=limits.header_fields,
            lingering_time=_LINGER_S,
            auto_decompress=False,
        )
        self._gate = gate
        self._gone: asyncio.Event | None = None
        self._is_busy = False

    @property
    def gone(self) -> asyncio.Event:
        """Set when the client has gone."""
        if self._gone is None:
            self._gone = asyncio.Event()
            if not self.connected:
                self._gone.set()
        return self._gone

    @contextmanager
    def streaming(self) -> Iterator[None]:
        """What runs in it is cancelled when the client goes or has gone, or when streams are ended."""
        task = asyncio.current_task()
        assert task is not None
        self._gate.streams[self] = task
        if not self.connected:
            task.cancel()
        try:
            yield
        finally:
            self._gate.streams.pop(self, None)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take it in, or say that there are too many."""
        gate = self._gate
        transport = cast("asyncio.Transport", transport)  # uvloop's is one by its methods only
        if len(gate.open) >= gate.limits.connections:
            gate.refused += 1
            transport.write(gate.too_many)
            transport.close()
            self.force_close()
            return
        gate.open[self] = transport
        gate.awaiting_head[self] = gate.now()
        super().connection_made(transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget it."""
        gate = self._gate
        gate.open.pop(self, None)
        gate.awaiting_head.pop(self, None)
        gate.not_reading.pop(self, None)
        if self._gone is not None:
            self._gone.set()
        super().connection_lost(exc)
        stream = gate.streams.pop(self, None)
        if stream is not None:
            stream.cancel()

    def data_received(self, data: bytes) -> None:
        """Parse what came; the time for the headers runs from their first byte."""
        if not self._is_busy:
            self._gate.awaiting_head.setdefault(self, self._gate.now())
        super().data_received(data)

    def begun(self) -> None:
        """The headers of a request are complete."""
        self._is_busy = True
        self._gate.awaiting_head.pop(self, None)

    async def finish_response(
        self, request: web.BaseRequest, resp: web.StreamResponse, start_time: float | None
    ) -> tuple[web.StreamResponse, bool]:
        """Send the answer; from here on, what comes is the next request."""
        try:
            return await super().finish_response(request, resp, start_time)
        finally:
            self._is_busy = False

    def pause_writing(self) -> None:
        """The client does not read what is ready for it; it has some time to do so."""
        self._gate.not_reading[self] = self._gate.now()
        super().pause_writing()

    def resume_writing(self) -> None:
        """The client reads again."""
        self._gate.not_reading.pop(self, None)
        super().resume_writing()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """The answer to what is no HTTP, or too much of it; the connection is closed after it."""
        if isinstance(exc, ConnectionError) or request.writer.output_size > 0:
            raise ConnectionError("the client has gone, or has a part of the answer already")
        log.debug("not a request", exc_info=exc)
        if isinstance(exc, http_exceptions.LineTooLong):
            status, said = 431, f"line_bytes: at most {self._gate.limits.line_bytes}"
        elif status == 400:
            said = f"not HTTP: {(message or 'malformed').splitlines()[0][:200]}"
            if "oo many headers" in said:
                status, said = 431, f"header_fields: at most {self._gate.limits.header_fields}"
        else:
            log.error("error while answering a request", exc_info=exc)
            said = "internal error"
        response = respond(request, ErrorBody(status, said, self._gate.instance).reply())
        response.force_close()
        return response


class Gate(web.Server):
    """All connections of a server: makes them, counts them, cuts those that are too slow.

    Attributes:
        open: the connections and their transports.
        awaiting_head: those that owe us the rest of a request's headers, and since when.
        streams: those that send a stream or hold a poll, and the asyncio tasks that do.
        not_reading: those that do not read what is ready for them, and since when.
        refused: how many were turned away because there were too many.
        cut: how many were cut because they were too slow.
    """

    def __init__(
        self,
        answer: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        limits: HttpLimits,
        instance: str,
    ) -> None:
        """Requests go to `answer`; `instance` names the server in errors."""
        super().__init__(answer, request_factory=self._make)
        self.limits, self.instance = limits, instance
        self.open: dict[Connection, asyncio.Transport] = {}
        self.awaiting_head: dict[Connection, float] = {}
        self.not_reading: dict[Connection, float] = {}
        self.streams: dict[Connection, asyncio.Task[object]] = {}
        self.refused = self.cut = 0
        self.too_many = raw(ErrorBody(503, f"connections: at most {limits.connections}", instance).reply())
        self._running = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._every_s = min(_LOOK_EVERY_S, limits.header_timeout_s / 4, limits.write_timeout_s / 4)

    def __call__(self) -> web.RequestHandler:
        """A connection to be."""
        return Connection(self, self._running)

    def now(self) -> float:
        """The loop's time, in seconds."""
        return self._running.time()

    def _make(
        self,
        message: RawRequestMessage,
        payload: StreamReader,
        protocol: web.RequestHandler,
        writer: AbstractStreamWriter,
        task: asyncio.Task[None],
    ) -> web.BaseRequest:
        assert isinstance(protocol, Connection)
        protocol.begun()
        return web.BaseRequest(message, payload, protocol, writer, task, self._running)

    def watch(self) -> None:
        """Look for those that are too slow, from here on."""
        self._look()

    def unwatch(self) -> None:
        """Look no more."""
        if self._timer is not None:
            self._timer.cancel()

    def end_streams(self) -> None:
        """Break off every stream."""
        for stream in self.streams.values():
            stream.cancel()

    def _look(self) -> None:
        now = self.now()
        self._cut(self.awaiting_head, now - self.limits.header_timeout_s)
        self._cut(self.not_reading, now - self.limits.write_timeout_s)
        self._timer = self._running.call_later(self._every_s, self._look)

    def _cut(self, late: dict[Connection, float], before: float) -> None:
        """Cut those that are in the table since before this time; the oldest stand first."""
        while late:
            connection, since = next(iter(late.items()))
            if since > before:
                return
            del late[connection]
            transport = self.open.get(connection)
            if transport is not None:
                self.cut += 1
                transport.abort()
