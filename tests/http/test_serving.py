"""From the first request to the last: probes, readiness, and a stop in order."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asyncflow.app.service import StartRequest
from asyncflow.app.services import open_services
from asyncflow.cli.serve import stop_in_order
from asyncflow.http.health import PROBES
from asyncflow.http.routing import (
    OPEN,
    Call,
    Reply,
    Routes,
    reply_empty,
    reply_json,
    reply_stream,
    stream_answer,
)
from asyncflow.http.server import HttpServer, HttpSettings
from asyncflow.model.definition import parse_workflow
from asyncflow.sdk.tasks import task
from tests.http.conftest import Server, serving
from tests.http.sockets import WITHIN_S, request, wire

SLOW = {
    "name": "slow",
    "version": 1,
    "tasks": [{"name": "slow", "taskReferenceName": "slow", "type": "SIMPLE"}],
}


@pytest.mark.route("GET /ready")
async def test_a_server_is_ready_once_its_engine_is_open(server: Server) -> None:
    answer = await server.get("/ready")

    assert (answer.status, answer.text) == (200, "ready")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


@pytest.mark.route("GET /health")
@pytest.mark.route("GET /api/health")
async def test_health_has_conductors_shape_and_our_details(server: Server) -> None:
    body = (await server.get("/health")).json
    assert isinstance(body, dict)
    details = body.pop("asyncflow")

    assert body == {"healthResults": [], "suppressedHealthResults": [], "healthy": True}
    assert details["durability"] == "full"
    assert details["sqliteVersion"]
    assert (await server.get("/api/health")).status == 200


@pytest.mark.route("GET /actuator/health")
async def test_health_names_functions_that_tasks_wait_for(tmp_path: Path) -> None:
    """A task that was to run here waits for its function after a restart without it."""
    begun = asyncio.Event()

    @task
    async def slow() -> None:
        """A function that is under way when the engine stops."""
        begun.set()
        await asyncio.Event().wait()

    async with open_services(tmp_path / "x.db", functions={"slow": slow}) as services:
        await services.executions.start(StartRequest(definition=parse_workflow(SLOW)))
        async with asyncio.timeout(WITHIN_S):
            await begun.wait()
    async with serving(database=tmp_path / "x.db") as server:
        body = (await server.get("/health")).json
        assert isinstance(body, dict)

        assert body["healthy"] is False
        assert [each["name"] for each in body["healthResults"]] == ["functions"]
        assert "slow" in body["healthResults"][0]["message"]
        assert (await server.get("/actuator/health")).json == {"status": "UP"}
        assert (await server.get("/ready")).status == 200


@pytest.mark.route("GET /api/version")
async def test_the_version_is_text(server: Server) -> None:
    answer = await server.get("/api/version")

    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.text


async def test_unknown_paths_are_answered_as_conductor_does(server: Server) -> None:
    answer = await server.get("/api/nowhere")

    assert answer.json == {
        "status": 404,
        "message": "No static resource api/nowhere",
        "instance": "asyncflow",
        "retryable": False,
    }


async def test_before_the_engine_is_open_only_probes_are_answered() -> None:
    async with HttpServer(HttpSettings(port=0)) as http, open_services() as services:
        client = await _client(http, services)
        async with client.session:
            found = {path: (await client.get(path)).status for path in PROBES}
            other = await client.get("/api-docs")

    assert found == dict.fromkeys(PROBES, 200) | {"/ready": 503}
    assert (other.status, other.message) == (503, "the server is starting")


async def _client(http: HttpServer, services: object) -> Server:
    import aiohttp  # noqa: PLC0415 - the session is this test's own

    return Server(http, services, aiohttp.ClientSession())  # type: ignore[arg-type]


# --- stopping ---------------------------------------------------------------------------------


class Doors:
    """Routes of every kind that a stop treats in its own way."""

    def __init__(self) -> None:
        self.entered = asyncio.Semaphore(0)
        self.closed = asyncio.Event()
        self.routes = Routes("Doors")
        self.routes.post("/start", role=OPEN, begins=True)(self.update)
        self.routes.post("/update", role=OPEN)(self.update)
        self.routes.get("/poll", role=OPEN, begins=True, held=True)(self.poll)
        self.routes.get("/news", role=OPEN, held=True, answers=stream_answer("text/plain"))(self.news)

    async def update(self, call: Call) -> Reply:
        """Something that is done at once."""
        assert call.caller.name == "anonymous"
        return reply_empty()

    async def poll(self, call: Call) -> Reply:
        """Wait for what never comes, until the server stops."""
        self.entered.release()
        await call.closing.wait()
        return reply_json([])

    async def news(self, call: Call) -> Reply:
        """A stream that does not listen to anybody."""
        assert not call.closing.is_set()
        return reply_stream(self._pieces(), "text/plain")

    async def _pieces(self) -> AsyncIterator[bytes]:
        try:
            yield b"begun"
            await asyncio.Event().wait()
        finally:
            self.closed.set()


async def test_a_stop_refuses_what_begins_and_takes_what_ends() -> None:
    doors = Doors()
    async with serving(doors.routes) as server:
        held = asyncio.create_task(server.get("/poll"))
        async with asyncio.timeout(WITHIN_S):
            await doors.entered.acquire()
        server.http.close_for_new()
        answered = await held
        start, poll, update = [
            await server.post("/start"),
            await server.get("/poll"),
            await server.post("/update"),
        ]

        assert (answered.status, answered.json) == (200, [])
        assert (start.status, start.headers["Retry-After"]) == (503, "1")
        assert start.message == poll.message == "the server is stopping"
        assert update.status == 200


async def test_readiness_ends_with_the_first_signal(server: Server) -> None:
    server.http.close_for_new()
    answer = await server.get("/ready")

    assert (answer.status, answer.text) == (503, "stopping")
    assert (await server.get("/health")).status == 200


async def test_a_stop_breaks_off_streams() -> None:
    doors = Doors()
    async with serving(doors.routes) as server, wire(server.url) as raw:
        await raw.send(request("GET", "/news"))
        await raw.head()
        server.http.close_for_new()
        server.http.close_for_all()

        async with asyncio.timeout(WITHIN_S):
            await doors.closed.wait()
        assert b"begun" in await raw.rest()


async def test_a_stop_waits_for_attempts_and_records_their_end() -> None:
    begun, go = asyncio.Event(), asyncio.Event()

    @task
    async def slow() -> dict[str, object]:
        """A function that is under way when the stop comes."""
        begun.set()
        await go.wait()
        return {"done": True}

    async with open_services(functions={"slow": slow}) as services, HttpServer(HttpSettings(port=0)) as http:
        http.open_for(services)
        identity = await services.executions.start(StartRequest(definition=parse_workflow(SLOW)))
        async with asyncio.timeout(WITHIN_S):
            await begun.wait()
            stopping = asyncio.create_task(stop_in_order(http, services, WITHIN_S))
            await http.door.closing.wait()
            go.set()
            await stopping

        found = await services.executions.get(identity)
    assert found["status"] == "COMPLETED"
