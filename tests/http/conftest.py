"""A real server on a free port in the test's own loop, and a client for it.

Every test that uses `server` also checks that no route gave an answer that it does not document.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from json import dumps, loads
from pathlib import Path

import aiohttp
import pytest
from yarl import URL

from asyncflow.app.options import Clock, EngineSettings
from asyncflow.app.services import Services, open_services
from asyncflow.http.routing import Routes
from asyncflow.http.server import HttpServer, HttpSettings

Params = Mapping[str, str | int] | Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Answer:
    """What a server answered, read whole."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> object:
        return loads(self.body)

    @property
    def message(self) -> str:
        """The message of an error in Conductor's shape."""
        body = self.json
        assert isinstance(body, dict)
        assert {"status", "message", "instance", "retryable"} <= set(body)
        assert body["status"] == self.status
        return str(body["message"])


class Server:
    """A server under test and a client for it."""

    def __init__(self, http: HttpServer, services: Services, session: aiohttp.ClientSession) -> None:
        self.http, self.services, self.session = http, services, session
        self.url = http.url

    async def call(
        self,
        method: str,
        path: str,
        *,
        json: object = ...,
        data: bytes | str | None = None,
        params: Params | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send a request; `json` may be None, which is sent as null."""
        fields = dict(headers or {})
        if json is not ...:
            data = dumps(json)
            fields.setdefault("Content-Type", "application/json")
        async with self.session.request(
            method,
            self.url + path,
            params=params,
            headers=fields,
            data=data,
            allow_redirects=False,
        ) as response:
            return Answer(response.status, await response.read(), response.headers)

    async def raw(self, method: str, target: str, *, headers: Mapping[str, str] | None = None) -> Answer:
        """Send a request whose target is not touched on its way."""
        url = URL(self.url + target, encoded=True)
        async with self.session.request(method, url, headers=headers, allow_redirects=False) as response:
            return Answer(response.status, await response.read(), response.headers)

    async def get(self, path: str, **more: object) -> Answer:
        return await self.call("GET", path, **more)  # type: ignore[arg-type]

    async def post(self, path: str, **more: object) -> Answer:
        return await self.call("POST", path, **more)  # type: ignore[arg-type]

    async def put(self, path: str, **more: object) -> Answer:
        return await self.call("PUT", path, **more)  # type: ignore[arg-type]

    async def delete(self, path: str, **more: object) -> Answer:
        return await self.call("DELETE", path, **more)  # type: ignore[arg-type]


@asynccontextmanager
async def serving(
    *subjects: Routes,
    settings: HttpSettings | None = None,
    engine: EngineSettings | None = None,
    database: str | Path = ":memory:",
    clock: Clock | None = None,
    checked: bool = True,
) -> AsyncIterator[Server]:
    """A server with these routes, or with all there are, by default on an engine in memory."""
    routes = [route for each in subjects for route in each] if subjects else None
    async with (
        open_services(database, settings=engine, clock=clock) as services,
        HttpServer(settings or HttpSettings(port=0), routes) as http,
        aiohttp.ClientSession() as session,
    ):
        http.open_for(services)
        yield Server(http, services, session)
        assert not (checked and http.door.traffic.undocumented)


@pytest.fixture
def engine_settings() -> EngineSettings:
    """The engine's settings; a test module overrides it."""
    return EngineSettings()


@pytest.fixture
def http_settings() -> HttpSettings:
    """The server's settings; a test module overrides it."""
    return HttpSettings(port=0)


@pytest.fixture
async def server(engine_settings: EngineSettings, http_settings: HttpSettings) -> AsyncIterator[Server]:
    """A server with all routes on an engine in memory, and a client."""
    async with serving(settings=http_settings, engine=engine_settings) as served:
        yield served
