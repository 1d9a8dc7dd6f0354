"""Who may do what: keys, roles, and the end of both; every route is walked (R105, R106)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from asyncflow.app.callers import Role
from asyncflow.http.limits import HttpLimits
from asyncflow.http.routing import (
    VIEWER,
    Call,
    Reply,
    Route,
    Routes,
    json_answer,
    reply_json,
    reply_stream,
    stream_answer,
)
from asyncflow.http.server import HttpSettings
from asyncflow.http.tables import all_routes
from tests.http.conftest import Server, serving
from tests.http.credentials import (
    KeyRing,
    MovedClock,
    bearer,
    error_word,
    key_ring,
    token_for,
    until,
)
from tests.http.sockets import request, wire

OPEN_PATHS = {
    "GET /ready",
    "GET /health",
    "GET /api/health",
    "GET /actuator/health",
    "GET /api/version",
    "GET /api/asyncflow/openapi.json",
    "GET /api-docs",
    "POST /api/token",
    "POST /api/asyncflow/callback/{token}/{proof}",
}
ROUTES = [pytest.param(route, id=f"{route.method} {route.path}") for route in all_routes()]
GUARDED = [param for param in ROUTES if param.id not in OPEN_PATHS]


def address(route: Route) -> str:
    """A path that the route is for; its names end in what some servers let everybody see."""
    return "/".join("health" if each.startswith("{") else each for each in route.path.split("/"))


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
async def guarded(clock: MovedClock) -> AsyncIterator[Server]:
    """A server that asks for keys."""
    async with serving(clock=clock) as server:
        yield server


@pytest.fixture
async def ring(guarded: Server) -> KeyRing:
    return await key_ring(guarded.services.keys)


# --- every route ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def open_routes() -> set[str]:
    return {f"{route.method} {route.path}" for route in all_routes() if route.role is Role.OPEN}


def test_only_what_is_listed_here_is_open(open_routes: set[str]) -> None:
    assert open_routes <= OPEN_PATHS


async def test_no_route_lets_in_whoever_has_no_good_credentials(
    guarded: Server, ring: KeyRing, clock: MovedClock
) -> None:
    """R105: every route × {none, unknown, malformed, revoked, expired}; names like `health` help nobody."""
    keys = guarded.services.keys
    revoked = await keys.create("revoked", "admin")
    await keys.revoke(revoked.record.key_id)
    expired = await keys.create("expired", "admin", expires_ms=clock.now().wall_ms + 1_000)
    late = {"X-Authorization": await token_for(guarded, expired)}
    clock.moved_ms += 2_000
    admin = ring.by_role["admin"]
    tried: list[dict[str, str]] = [
        {},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic YTpi"},
        {"Authorization": f"Bearer {admin.record.key_id}.{revoked.secret}"},
        {"Authorization": f"Bearer {admin.record.key_id}"},
        {"Authorization": f"Bearer {admin.secret}"},
        {"Authorization": admin.text},
        {"X-Authorization": "None"},
        {"Cookie": f"token={admin.text}"},
        bearer(revoked),
        bearer(expired),
        late,
    ]

    let_in = [
        (param.id, headers)
        for param in GUARDED
        for headers in tried
        if (await guarded.call(_route(param).method, address(_route(param)), headers=headers)).status != 401
    ]

    assert let_in == []
    assert (await guarded.get("/api/secrets", params={"token": admin.text})).status == 401


async def test_no_route_lets_in_a_lesser_role(guarded: Server, ring: KeyRing) -> None:
    """R105: the role just below is refused with 403."""
    for param in GUARDED:
        route = _route(param)
        if route.role > Role.VIEWER:
            lesser = ring.headers(Role(route.role - 1).name.lower())
            answer = await guarded.call(route.method, address(route), headers=lesser)
            assert answer.status == 403, param.id


async def test_every_route_lets_in_its_own_role(guarded: Server, ring: KeyRing) -> None:
    for param in GUARDED:
        route = _route(param)
        if not route.held and route.path != "/api/asyncflow/keys/{id}":
            own = ring.headers(route.role.name.lower())
            answer = await guarded.call(route.method, address(route), headers=own)
            assert answer.status not in {401, 403}, param.id


@pytest.mark.parametrize(
    "path", ["/api/workflow/health", "/api/workflow/x/ready", "/api/metadata/taskdefs/health"]
)
async def test_a_name_that_ends_in_health_opens_nothing(guarded: Server, ring: KeyRing, path: str) -> None:
    assert (await guarded.get(path)).status in {401, 404}
    assert (await guarded.raw("GET", "/health/../api/secrets")).status in {401, 404}
    assert (await guarded.raw("GET", "//health")).status == 404


def _route(param: object) -> Route:
    values = param.values  # type: ignore[attr-defined]
    assert isinstance(values[0], Route)
    return values[0]


# --- what waits, and what is said -------------------------------------------------------------------


class Waiting:
    """A stream and a long poll that end by nothing but their credentials."""

    def __init__(self) -> None:
        self.begun = asyncio.Semaphore(0)
        self.closed = asyncio.Event()
        self.routes = Routes("Waiting")
        self.routes.get("/stream", role=VIEWER, held=True, answers=stream_answer("text/event-stream"))(
            self.stream
        )
        self.routes.get("/poll", role=VIEWER, held=True, answers=json_answer())(self.poll)

    async def stream(self, call: Call) -> Reply:
        """One piece and then nothing."""
        assert call.caller.key_id
        return reply_stream(self._pieces(), "text/event-stream")

    async def _pieces(self) -> AsyncIterator[bytes]:
        try:
            yield b": here\n\n"
            self.begun.release()
            await asyncio.Event().wait()
        finally:
            self.closed.set()

    async def poll(self, call: Call) -> Reply:
        """Wait for what never comes."""
        self.begun.release()
        await call.gone.wait()
        return reply_json("gone")


@pytest.mark.parametrize("ends", ["revoked", "expired"])
async def test_what_waits_is_ended_with_its_credentials(clock: MovedClock, ends: str) -> None:
    """R106: streams are cut and long polls refused once the credentials end; others go on."""
    waiting = Waiting()
    settings = HttpSettings(port=0, limits=HttpLimits(recheck_s=0.02))
    async with serving(waiting.routes, settings=settings, clock=clock) as server:
        keys = server.services.keys
        stays = await keys.create("root", "admin")
        goes = await keys.create("goes", "viewer", expires_ms=clock.now().wall_ms + 60_000)
        assert (await server.get("/stream")).status == 401
        async with wire(server.url) as cut, wire(server.url) as kept:
            await kept.send(request("GET", "/poll", f"Authorization: Bearer {stays.text}"))
            await waiting.begun.acquire()
            await cut.send(request("GET", "/stream", f"Authorization: Bearer {goes.text}"))
            polling = asyncio.create_task(server.get("/poll", headers=bearer(goes)))
            for _ in range(2):
                await waiting.begun.acquire()
            if ends == "revoked":
                await keys.revoke(goes.record.key_id)
            else:
                clock.moved_ms += 60_000
            answer = await polling
            stream = await cut.rest()

            assert (answer.status, error_word(answer)) == (401, "EXPIRED_TOKEN")
            assert b": here" in stream
            assert stream.count(b"HTTP/1.1") == 1
            await until(waiting.closed)
            assert (server.http.door.sentry.ended, server.http.door.traffic.held) == (2, 1)


async def test_refusals_say_what_sdks_look_for(guarded: Server, ring: KeyRing, clock: MovedClock) -> None:
    token = {"X-Authorization": await token_for(guarded, ring.by_role["viewer"])}
    missing = await guarded.get("/api/secrets")
    clock.moved_ms += 3_600_000
    expired = await guarded.get("/api/secrets", headers=token)
    unknown = await guarded.get("/api/secrets", headers={"Authorization": "Bearer x"})

    words = [error_word(answer) for answer in (missing, expired, unknown)]
    assert words == ["MISSING_TOKEN", "EXPIRED_TOKEN", "INVALID_TOKEN"]
    assert missing.headers["WWW-Authenticate"] == 'Bearer realm="asyncflow"'


async def test_nobody_is_told_to_send_a_body_before_it_is_let_in(guarded: Server, ring: KeyRing) -> None:
    async with wire(guarded.url) as raw:
        await raw.send(
            request("POST", "/api/workflow", "Content-Length: 9", "Expect: 100-continue", "Connection: close")
        )
        answer = await raw.rest()

    assert answer.startswith(b"HTTP/1.1 401 ")
