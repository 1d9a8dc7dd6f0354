"""A server of the REST surface: opened on a port, given services, stopped in order.

It puts the parts together and owns their lifetimes. What happens to a request is in `middleware`,
to a connection in `connection`; the command line is in `cli/serve`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from aiohttp import web

from asyncflow.app.meters import Requests
from asyncflow.app.services import Services
from asyncflow.http.addressing import Addressing, is_loopback
from asyncflow.http.connection import Gate
from asyncflow.http.limits import HttpLimits
from asyncflow.http.middleware import Door
from asyncflow.http.routing import Route
from asyncflow.http.tables import all_routes

__all__ = ["HttpLimits", "HttpServer", "HttpSettings", "is_loopback"]

_ANSWER_WITHIN_S = 1.0
_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class HttpSettings:
    """Where a server listens and whom it believes.

    Attributes:
        port: 0 picks a free one.
        hosts: names it is called by besides loopback's.
        origins: pages of other origins that may call, such as `https://ops.example.org`.
        instance: names this server in errors.
        audit_workers: whether what workers say of their tasks is audited too.
    """

    host: str = "127.0.0.1"
    port: int = 8080
    hosts: tuple[str, ...] = ()
    origins: tuple[str, ...] = ()
    instance: str = "asyncflow"
    audit_workers: bool = False
    limits: HttpLimits = field(default_factory=HttpLimits)


class HttpServer:
    """A listening server; an async context manager.

    Until `open_for` it answers 503 to everything but probes. Leaving the context cuts what is left.

    Attributes:
        door: what answers requests, with counts of them.
        gate: the connections, with counts of them.
    """

    def __init__(self, settings: HttpSettings, routes: Sequence[Route] | None = None) -> None:
        """Listen to nothing yet; by default with all routes there are."""
        self.settings = settings
        addressing = Addressing(
            local_only=is_loopback(settings.host), hosts=settings.hosts, origins=settings.origins
        )
        self.door = Door(
            all_routes() if routes is None else routes,
            addressing,
            settings.limits,
            instance=settings.instance,
            audit_workers=settings.audit_workers,
        )

    async def __aenter__(self) -> Self:
        """Listen.

        Raises:
            OSError: the port is taken, or the address is not ours.
        """
        settings = self.settings
        self.gate = Gate(self.door.answer, settings.limits, settings.instance)
        self._runner = web.ServerRunner(self.gate, shutdown_timeout=_ANSWER_WITHIN_S)
        await self._runner.setup()
        self._site = web.TCPSite(self._runner, settings.host, settings.port, backlog=_BACKLOG)
        try:
            await self._site.start()
        except BaseException:
            await self._runner.cleanup()
            raise
        self.gate.watch()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Listen no more, give answers under way a second, close every connection."""
        self.door.closing.set()
        self.gate.unwatch()
        self.door.sentry.close()
        await self._runner.cleanup()

    @property
    def url(self) -> str:
        """The address of this server, with the port that it got."""
        host = self.settings.host
        return f"http://{f'[{host}]' if ':' in host else host}:{self._site.port}"

    def open_for(self, services: Services) -> None:
        """Let requests in: the engine is open."""
        self.door.services = services
        services.meters.requests.look = self._tell

    def _tell(self, requests: Requests) -> None:
        """What is under way now, for whoever measures."""
        traffic, gate = self.door.traffic, self.gate
        requests.at_work, requests.held = traffic.at_work, traffic.held
        services = self.door.services
        if services is not None:
            requests.streams, requests.streams_cut = services.streams.count, services.streams.cut
        requests.connections, requests.refused, requests.cut = len(gate.open), gate.refused, gate.cut

    def close_for_new(self) -> None:
        """Refuse what begins new work, and have everything that waits for news answered."""
        self.door.closing.set()

    def close_for_all(self) -> None:
        """Refuse everything from here on: the engine is about to close."""
        self.door.closing.set()
        self.door.services = None
        self.gate.end_streams()

    async def answered(self, timeout_s: float) -> bool:
        """Wait until every request under way is answered, no longer than this; whether all are."""
        try:
            async with asyncio.timeout(timeout_s):
                await self.door.traffic.rested()
        except TimeoutError:
            return False
        return True
