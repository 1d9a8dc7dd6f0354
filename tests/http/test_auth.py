"""Who may do what: keys, roles, and the end of both; every route is walked (R105, R106)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asyncflow.app.callers import Role
from asyncflow.app.key_records import ROLES
from asyncflow.app.services import open_services
from asyncflow.errors import Conflict, InvalidInput, LimitExceeded, Refused
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
    stored_bytes,
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


# --- keys -------------------------------------------------------------------------------------------


@pytest.mark.route("POST /api/asyncflow/keys")
async def test_the_first_key_is_an_admins_and_closes_the_server(server: Server) -> None:
    assert (await server.get("/api/secrets")).status == 200
    refused = await server.post("/api/asyncflow/keys", json={"name": "ci", "role": "viewer"})
    made = await server.post("/api/asyncflow/keys", json={"name": "root", "role": "admin"})

    assert (refused.status, made.status) == (400, 200)
    assert (await server.get("/api/secrets")).status == 401
    assert isinstance(made.json, dict)
    headers = {"Authorization": f"Bearer {made.json['key']}"}
    assert (await server.get("/api/secrets", headers=headers)).status == 200


@pytest.mark.route("GET /api/asyncflow/keys")
@pytest.mark.route("GET /api/asyncflow/keys/{id}")
async def test_keys_are_listed_without_their_secrets(guarded: Server, ring: KeyRing) -> None:
    listed = await guarded.get("/api/asyncflow/keys", headers=ring.headers("admin"))

    assert isinstance(listed.json, list)
    assert [each["role"] for each in listed.json] == [*reversed(ROLES)]
    for made in ring.by_role.values():
        assert made.secret not in listed.text
        assert made.record.digest not in listed.text
        assert made.record.salt not in listed.text
    one = await guarded.get(f"/api/asyncflow/keys/{listed.json[0]['id']}", headers=ring.headers("admin"))
    assert one.json == listed.json[0] | {"lastUseTime": one.json["lastUseTime"]}  # type: ignore[index]
    assert (await guarded.get("/api/asyncflow/keys/afk_x", headers=ring.headers("admin"))).status == 404


@pytest.mark.route("DELETE /api/asyncflow/keys/{id}")
async def test_a_revoked_key_and_its_tokens_are_refused_at_once(guarded: Server, ring: KeyRing) -> None:
    viewer = ring.by_role["viewer"]
    token = {"X-Authorization": await token_for(guarded, viewer)}
    place = f"/api/asyncflow/keys/{viewer.record.key_id}"
    for _ in range(2):  # also when it is revoked already
        assert (await guarded.delete(place, headers=ring.headers("admin"))).status == 200

    for headers in (bearer(viewer), token):
        assert (await guarded.get("/api/token/userInfo", headers=headers)).status == 401
    body = {"keyId": viewer.record.key_id, "keySecret": viewer.secret}
    assert (await guarded.post("/api/token", json=body)).status == 401
    assert (await guarded.delete("/api/asyncflow/keys/no", headers=ring.headers("admin"))).status == 404


@pytest.mark.route("DELETE /api/asyncflow/keys/{id}")
async def test_the_last_admin_cannot_be_revoked(guarded: Server, ring: KeyRing) -> None:
    admin = ring.by_role["admin"]

    refused = await guarded.delete(f"/api/asyncflow/keys/{admin.record.key_id}", headers=bearer(admin))

    assert refused.status == 409
    assert (await guarded.get("/api/asyncflow/keys", headers=bearer(admin))).status == 200


@pytest.mark.route("POST /api/asyncflow/keys")
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"name": "x"},
        {"name": "x", "role": "root"},
        {"name": "x", "role": "open"},
        {"name": "x", "role": ["admin"]},
        {"name": "", "role": "admin"},
        {"name": "a\nb", "role": "admin"},
        {"name": " a", "role": "admin"},
        {"name": "x" * 101, "role": "admin"},
        {"name": "anonymous", "role": "admin"},
        {"name": "x", "role": "admin", "expireTime": 1},
        {"name": "x", "role": "admin", "expireTime": "tomorrow"},
        {"name": "x", "role": "admin", "expireTime": True},
    ],
)
async def test_what_is_no_key_is_not_made(guarded: Server, ring: KeyRing, body: dict[str, object]) -> None:
    answer = await guarded.post("/api/asyncflow/keys", json=body, headers=ring.headers("admin"))

    assert answer.status == 400
    assert len(await guarded.services.keys.shown_all()) == len(ROLES)


async def test_a_name_belongs_to_one_key_at_a_time(guarded: Server, ring: KeyRing, clock: MovedClock) -> None:
    keys = guarded.services.keys
    soon = await keys.create("soon", "viewer", expires_ms=clock.now().wall_ms + 1_000)
    with pytest.raises(Conflict):
        await keys.create("soon", "viewer")
    clock.moved_ms += 1_000
    again = await keys.create("soon", "viewer")

    assert again.record.key_id != soon.record.key_id
    with pytest.raises(Refused):
        await keys.revoke(ring.by_role["admin"].record.key_id)


async def test_keys_have_a_bound_and_the_ended_ones_make_room(
    guarded: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncflow.app.keys._MOST_KEYS", 3)
    keys = guarded.services.keys
    made = [await keys.create(f"k{number}", "admin") for number in range(3)]
    with pytest.raises(LimitExceeded):
        await keys.create("k3", "admin")
    await keys.revoke(made[1].record.key_id)
    await keys.create("k3", "admin")

    assert [each["name"] for each in await keys.shown_all()] == ["k0", "k2", "k3"]


async def test_only_a_hash_of_a_key_is_in_the_file(tmp_path: Path) -> None:
    """A copy of the database lets nobody in; a restart forgets no key, and when it was used."""
    file = tmp_path / "a.db"
    async with open_services(file) as services:
        made = await services.keys.create("root", "admin")
        with pytest.raises(InvalidInput):
            await services.keys.create("x", "viewer", expires_ms=1)
        services.keys.authenticate(bearer(made))
        used_ms = await services.keys.last_used_ms(made.record.key_id)
    stored = stored_bytes(tmp_path)
    async with open_services(file) as services:
        caller = services.keys.authenticate(bearer(made))
        assert (caller.name, caller.role) == ("root", Role.ADMIN)
        services.keys._used_ms.clear()
        assert abs(await services.keys.last_used_ms(made.record.key_id) - used_ms) < 3_600_000

    assert made.secret.encode() not in stored
    assert made.record.key_id.encode() in stored


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
