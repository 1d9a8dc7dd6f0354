"""A proxy before a PostgreSQL server that cuts connections around a commit, or answers in the server's place.

It reads only as much of the protocol as it needs to know a beginning, a commit and a question. What it does
to the next of them is planned by name, see `asyncflow.testing.faults`.
"""

from __future__ import annotations

import asyncio
import struct
from asyncio import StreamReader, StreamWriter
from pathlib import Path
from types import TracebackType
from typing import Self

from asyncflow.testing.faults import Call, Fault, FaultPlan

_STATES: dict[Fault, str] = {"throttled": "53300", "denied": "28000", "refused": "23514", "broken": "57P01"}
_BEGIN, _COMMIT = b"BEGIN", b"COMMIT"


class CuttingSockets:
    """Listens on a socket of its own while it is open; an async context manager. `folder` is its `host`."""

    def __init__(self, folder: Path, server: Path) -> None:
        """`server` is the socket of the real one."""
        self.folder, self._server = folder, server
        self.faults = FaultPlan()
        self._links: set[StreamWriter] = set()
        self._pumps: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    async def __aenter__(self) -> Self:
        path = self.folder / self._server.name
        self._listening = await asyncio.start_unix_server(self._linked, str(path))
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self._listening.close()
        for each in self._links:
            each.transport.abort()
        await asyncio.gather(*self._pumps, return_exceptions=True)

    def fail(self, call: Call, fault: Fault) -> None:
        """Let the next submit or poll meet the fault; before or after is before or after its commit."""
        is_at_the_end = fault in ("cut_before", "cut_after", "garbage", "broken")
        what = "question" if call == "poll" else "COMMIT" if is_at_the_end else "BEGIN"
        self.faults.plan(what, fault)

    async def _linked(self, client: StreamReader, to_client: StreamWriter) -> None:
        server, to_server = await asyncio.open_unix_connection(str(self._server))
        link = _Link(self, to_client, to_server)
        self._links |= {to_client, to_server}
        self._pumps |= {
            asyncio.ensure_future(link.forward(client)),  # noqa: TID251  # waited for in __aexit__
            asyncio.ensure_future(link.back(server)),  # noqa: TID251  # likewise
        }

    def meets(self, chunk: bytes) -> Fault | None:
        """What happens to a message on its way to the server."""
        if chunk[:1] == b"Q":
            what = next((each for each in (_BEGIN, _COMMIT) if chunk[5:].startswith(each)), b"")
            return self.faults.take(what.decode()) if what else None
        return self.faults.take("question") if chunk[:1] in (b"P", b"B") else None

    async def silence(self) -> None:
        """Until the proxy closes."""
        await self._closing.wait()


class _Link:
    """One connection of a client, and the one to the server behind it."""

    def __init__(self, proxy: CuttingSockets, client: StreamWriter, server: StreamWriter) -> None:
        self._proxy, self._client, self._server = proxy, client, server
        self._after: Fault | None = None

    async def forward(self, client: StreamReader) -> None:
        while chunk := await client.read(65_536):
            fault = self._proxy.meets(chunk)
            if fault in _STATES:
                self._answer(_STATES[fault], is_end=fault == "broken")
            elif fault == "cut_before":
                self._end()
            elif fault == "silent":
                await self._proxy.silence()
            else:
                self._after = fault
                self._server.write(chunk)
        self._end()

    async def back(self, server: StreamReader) -> None:
        while chunk := await server.read(65_536):
            if self._after == "garbage":
                self._client.write(b"<html>It works!</html>" * 10)
                self._client.close()
                self._server.close()
            elif self._after == "cut_after":
                self._end()
            else:
                self._client.write(chunk)
        self._end()

    def _answer(self, state: str, *, is_end: bool) -> None:
        """An error in the server's place; one that ends the connection rolls back what was begun."""
        severity = b"FATAL" if is_end else b"ERROR"
        fields = b"S%b\0V%b\0C%b\0Mplanned\0\0" % (severity, severity, state.encode())
        ready = b"" if is_end else b"Z" + struct.pack("!I", 5) + b"I"
        self._client.write(b"E" + struct.pack("!I", len(fields) + 4) + fields + ready)
        if is_end:
            self._client.close()
            self._server.transport.abort()

    def _end(self) -> None:
        self._client.transport.abort()
        self._server.transport.abort()
