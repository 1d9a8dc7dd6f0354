"""Keys: made, listed, revoked, bounded, and what of them lies in the file."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asyncflow.app.callers import Role
from asyncflow.app.config import Config, ServerSection
from asyncflow.app.key_records import ROLES
from asyncflow.app.services import open_services
from asyncflow.cli.serve import check_exposure
from asyncflow.errors import ConfigurationError, Conflict, InvalidInput, LimitExceeded, Refused
from tests.http.conftest import Server, serving
from tests.http.credentials import KeyRing, MovedClock, bearer, key_ring, stored_bytes, token_for


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


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.org"])
async def test_only_with_keys_it_may_listen_beyond_this_machine(server: Server, host: str) -> None:
    """R114: without, it refuses to start; also once every key is revoked it asks for one."""
    config = Config(server=ServerSection(host=host))
    with pytest.raises(ConfigurationError):
        check_exposure(config, server.services)
    await server.services.keys.create("root", "admin")
    check_exposure(config, server.services)


@pytest.mark.route("POST /api/asyncflow/keys")
async def test_the_first_key_is_an_admins_and_closes_the_server(server: Server) -> None:
    for role in ROLES[:-1]:
        refused = await server.post("/api/asyncflow/keys", json={"name": "ci", "role": role})
        assert (refused.status, refused.message.partition(":")[0]) == (400, "role")
        assert "the first key has to be an admin's" in refused.message
    assert (await server.get("/api/secrets")).status == 200  # nobody is shut out by a refusal
    made = await server.post("/api/asyncflow/keys", json={"name": "root", "role": "admin"})

    assert made.status == 200
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


async def test_keys_that_are_made_at_once_keep_to_the_bound_and_to_one_of_a_name(
    guarded: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also while the one that makes room is on its way out."""
    monkeypatch.setattr("asyncflow.app.keys._MOST_KEYS", 3)
    keys = guarded.services.keys
    made = [await keys.create(f"k{number}", "admin") for number in range(3)]
    await keys.revoke(made[0].record.key_id)

    names = ("k3", "k3", "k4")
    outcomes = await asyncio.gather(*(keys.create(name, "viewer") for name in names), return_exceptions=True)

    assert [each["name"] for each in await keys.shown_all()] == ["k1", "k2", "k3"]
    refused = [type(each) for each in outcomes if isinstance(each, Exception)]
    assert refused == [Conflict, LimitExceeded]


async def test_admins_who_revoke_each_other_at_once_leave_one(guarded: Server) -> None:
    keys = guarded.services.keys
    made = [await keys.create(f"k{number}", "admin") for number in range(2)]

    revoking = (keys.revoke(each.record.key_id) for each in made)
    outcomes = await asyncio.gather(*revoking, return_exceptions=True)

    assert [type(each) for each in outcomes if isinstance(each, Exception)] == [Refused]
    assert [each["state"] for each in await keys.shown_all()].count("active") == 1


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
