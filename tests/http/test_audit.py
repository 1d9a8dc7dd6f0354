"""Who changed what, and who was turned away: what is written of it, and what never is (R117, R118)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asyncflow.app.audit import MOST_REFUSALS, printable
from asyncflow.app.options import EngineSettings
from asyncflow.http.audit import ONLY_READING, STARTS, UNAUDITED, is_audited
from asyncflow.http.server import HttpSettings
from asyncflow.http.tables import all_routes
from tests.http.conftest import Server, serving
from tests.http.credentials import KeyRing, MovedClock, bearer, key_ring, stored_bytes
from tests.http.workflow_calls import SIMPLE, WAIT, definition

SECRET = "hunter2-hunter2"


@pytest.fixture
def clock() -> MovedClock:
    return MovedClock()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "a.db"


@pytest.fixture
async def guarded(database: Path, clock: MovedClock) -> AsyncIterator[Server]:
    settings = EngineSettings(secrets={"api": SECRET})
    async with serving(engine=settings, database=database, clock=clock) as server:
        yield server


@pytest.fixture
async def ring(guarded: Server) -> KeyRing:
    return await key_ring(guarded.services.keys)


async def entries(server: Server, ring: KeyRing, **chosen: str | int) -> list[dict[str, object]]:
    """Entries but those of the use of keys, oldest first."""
    await server.services.executions.engine.logs.flushed()
    answer = await server.get("/api/asyncflow/audit", params=chosen, headers=ring.headers("admin"))
    assert answer.status == 200, answer.text
    assert isinstance(answer.json, dict)
    return [row for row in reversed(answer.json["results"]) if row["action"] != "use"]


async def begun(server: Server, ring: KeyRing, *tasks: dict[str, object], **request: object) -> str:
    body = {"name": "w", "workflowDef": definition("w", *tasks), **request}
    answer = await server.post("/api/workflow", json=body, headers=ring.headers("operator"))
    assert answer.status == 200, answer.text
    return answer.text


# --- what is written --------------------------------------------------------------------------------


@pytest.mark.route("GET /api/asyncflow/audit")
async def test_a_change_is_written_with_who_what_why_and_how(guarded: Server, ring: KeyRing) -> None:
    execution = await begun(guarded, ring, WAIT)
    await guarded.delete(
        f"/api/workflow/{execution}", params={"reason": "no longer wanted"}, headers=ring.headers("operator")
    )
    await guarded.put(f"/api/workflow/{execution}/pause", headers=ring.headers("author"))

    rows = await entries(guarded, ring, id=execution)
    found = [(row["caller"], row["role"], row["action"], row["reason"], row["outcome"]) for row in rows]
    assert found == [
        ("operator-key", "operator", "POST /api/workflow", "", "done"),
        ("operator-key", "operator", "DELETE /api/workflow/{id}", "no longer wanted", "done"),
        ("author-key", "author", "PUT /api/workflow/{id}/pause", "", "refused"),
    ]
    assert {row["objectKind"] for row in rows} == {"workflow"}


async def test_definitions_are_written_by_name_and_never_by_content(
    guarded: Server, ring: KeyRing, database: Path
) -> None:
    bodies = [definition("one", SIMPLE), definition("two", SIMPLE)]
    await guarded.put("/api/metadata/workflow", json=bodies, headers=ring.headers("author"))
    await guarded.post(
        "/api/metadata/workflow", json={"tasks": "canary-in-a-body"}, headers=ring.headers("author")
    )

    found = await entries(guarded, ring, kind="metadata")
    assert [(row["objectId"], row["outcome"]) for row in found] == [
        ("one", "done"),
        ("two", "done"),
        ("", "invalid_definition"),
    ]
    assert b"canary-in-a-body" not in stored_bytes(database.parent)


async def test_a_request_on_many_leaves_an_entry_for_each(guarded: Server, ring: KeyRing) -> None:
    ids = [await begun(guarded, ring, WAIT) for _ in range(3)]
    await guarded.put("/api/workflow/bulk/pause", json=[*ids, "no such"], headers=ring.headers("operator"))

    found = await entries(guarded, ring, action="PUT /api/workflow/bulk/pause")
    assert [row["objectId"] for row in found] == [*ids, "no such"]


async def test_a_request_that_is_broken_off_leaves_an_entry(guarded: Server, ring: KeyRing) -> None:
    """What it asked for may be done: it is written who asked."""
    asks = await guarded.services.keys.create("asks", "operator")
    guarded.http.door.sentry._every_s = 0.02
    await guarded.post("/api/metadata/workflow", json=definition("w", SIMPLE), headers=ring.headers("author"))
    waiting = asyncio.create_task(
        guarded.post("/api/workflow/execute/w/1?waitForSeconds=60", json={}, headers=bearer(asks))
    )
    while not guarded.http.door.traffic.held:
        await guarded.get("/ready")
    await guarded.services.keys.revoke(asks.record.key_id)

    assert (await waiting).status == 401
    (row,) = await entries(guarded, ring, caller="asks", outcome="cancelled")
    assert (row["action"], row["objectId"]) == ("POST /api/workflow/execute/{name}/{version}", "w/1")


@pytest.mark.route("GET /api/asyncflow/audit")
async def test_entries_are_chosen_and_paged(guarded: Server, ring: KeyRing, clock: MovedClock) -> None:
    for number in range(3):
        await guarded.delete(f"/api/workflow/w{number}", headers=ring.headers("operator"))
    clock.moved_ms += 10_000
    await guarded.delete("/api/workflow/w3", headers=ring.headers("author"))

    assert len(await entries(guarded, ring, outcome="not_found")) == 4
    assert len(await entries(guarded, ring, caller="author-key")) == 1
    assert len(await entries(guarded, ring, role="operator", outcome="not_found")) == 3
    assert len(await entries(guarded, ring, action="DELETE /api/workflow/{id}", size=2)) == 2
    assert [
        row["objectId"] for row in await entries(guarded, ring, outcome="not_found", start=1, size=1)
    ] == ["w2"]
    late = clock.now().wall_ms - 5_000
    assert [row["objectId"] for row in await entries(guarded, ring, **{"from": late})] == ["w3"]
    assert len(await entries(guarded, ring, to=late, outcome="not_found")) == 3


@pytest.mark.route("GET /api/asyncflow/audit")
@pytest.mark.parametrize("params", [{"size": "5001"}, {"size": "-1"}, {"start": "x"}, {"from": "-1"}])
async def test_a_malformed_question_is_refused(
    guarded: Server, ring: KeyRing, params: dict[str, str]
) -> None:
    answer = await guarded.get("/api/asyncflow/audit", params=params, headers=ring.headers("admin"))

    assert answer.status == 400


async def test_the_audit_is_for_admins(guarded: Server, ring: KeyRing) -> None:
    for role in ("viewer", "operator", "author"):
        assert (await guarded.get("/api/asyncflow/audit", headers=ring.headers(role))).status == 403


async def test_keys_made_and_revoked_are_in_it_without_secrets(guarded: Server, ring: KeyRing) -> None:
    made = await guarded.post(
        "/api/asyncflow/keys", json={"name": "ci", "role": "viewer"}, headers=ring.headers("admin")
    )
    assert isinstance(made.json, dict)
    await guarded.delete(f"/api/asyncflow/keys/{made.json['id']}", headers=ring.headers("admin"))

    found = await entries(guarded, ring, kind="keys")
    assert [row["objectId"] for row in found] == ["ci", made.json["id"]]
    assert made.json["secret"] not in str(found)


async def test_a_caller_cannot_name_another(guarded: Server, ring: KeyRing) -> None:
    """R116: what a request says of its author is not believed."""
    execution = await begun(guarded, ring, WAIT, createdBy="admin-key")
    headers = {**ring.headers("operator"), "X-User": "admin-key", "X-Forwarded-User": "admin-key"}
    await guarded.delete(f"/api/workflow/{execution}", headers=headers)

    shown = await guarded.get(f"/api/workflow/{execution}", headers=ring.headers("viewer"))
    assert isinstance(shown.json, dict)
    assert shown.json["createdBy"] == "operator-key"
    assert {row["caller"] for row in await entries(guarded, ring, id=execution)} == {"operator-key"}


# --- what is not ------------------------------------------------------------------------------------


def test_what_is_not_audited_is_a_short_list_of_routes_that_exist() -> None:
    every = {(route.method, route.path) for route in all_routes()}
    silent = {
        (route.method, route.path)
        for route in all_routes()
        if route.method != "GET" and not is_audited(route)
    }

    assert silent == (UNAUDITED | ONLY_READING) & every
    assert every >= STARTS
    assert not STARTS & silent


async def test_what_changes_something_by_get_is_audited_and_not_done_by_head(
    guarded: Server, ring: KeyRing
) -> None:
    paths = [
        f"/api/scheduler/{each}"
        for each in ("schedules/s/pause", "schedules/s/resume", "admin/pause", "admin/resume")
    ]
    for path in paths:
        headers = ring.headers("admin")
        assert (await guarded.call("HEAD", path, headers=headers)).status == 405
        assert (await guarded.get(path, headers=headers)).status in {200, 404}

    found = await entries(guarded, ring, kind="scheduler")
    expected = [f"GET {path.replace('/s/', '/{name}/')}" for path in paths]
    assert [row["action"] for row in found] == expected
    assert not guarded.services.schedules.firing.is_held


async def test_a_wrong_secret_for_a_token_is_a_refusal_too(guarded: Server, ring: KeyRing) -> None:
    key_id = ring.by_role["viewer"].record.key_id
    answer = await guarded.post("/api/token", json={"keyId": key_id, "keySecret": "guessed"})

    assert answer.status == 401
    rows = await entries(guarded, ring, action="POST /api/token")
    assert [(row["caller"], row["outcome"]) for row in rows] == [("nobody", "unauthenticated")]
    assert guarded.services.audit.refused == 1


async def test_what_workers_say_of_their_tasks_is_not_audited(guarded: Server, ring: KeyRing) -> None:
    execution = await begun(guarded, ring, SIMPLE)
    operator = ring.headers("operator")
    polled = await guarded.get("/api/tasks/poll/work", headers=operator)
    assert isinstance(polled.json, dict)
    task = polled.json["taskId"]
    await guarded.post(f"/api/tasks/{task}/log", data="working", headers=operator)
    body = {"taskId": task, "workflowInstanceId": execution, "status": "COMPLETED"}
    assert (await guarded.post("/api/tasks", json=body, headers=operator)).status == 200

    assert [row["action"] for row in await entries(guarded, ring)] == ["POST /api/workflow"]


async def test_what_workers_say_is_audited_when_asked_for() -> None:
    async with serving(settings=HttpSettings(port=0, audit_workers=True)) as server:
        ring = await key_ring(server.services.keys)
        body = {"taskId": "t1", "workflowInstanceId": "w1", "status": "COMPLETED"}
        await server.post("/api/tasks", json=body, headers=ring.headers("operator"))

        (row,) = await entries(server, ring)
        assert (row["action"], row["caller"], row["outcome"]) == (
            "POST /api/tasks",
            "operator-key",
            "not_found",
        )


async def test_secrets_are_cut_out_of_reasons(guarded: Server, ring: KeyRing, database: Path) -> None:
    execution = await begun(guarded, ring, WAIT)
    params = {"reason": f"leaked {SECRET} in a chat"}
    await guarded.put(f"/api/workflow/{execution}/pause", params=params, headers=ring.headers("operator"))
    await guarded.delete(f"/api/workflow/{'x' * 5_000}", params=params, headers=ring.headers("operator"))

    found = await entries(guarded, ring)
    assert {row["reason"] for row in found} <= {"", "leaked *** in a chat"}
    assert max(len(str(row["objectId"])) for row in found) == 200


async def test_control_characters_are_shown_as_escapes(
    guarded: Server, ring: KeyRing, caplog: pytest.LogCaptureFixture
) -> None:
    """R117: one line each, whatever a name holds."""
    name = "a%0d%0aFAKE%20admin%20logged%20in%1b%5b2J%e2%80%a8"
    with caplog.at_level(logging.WARNING):
        await guarded.raw("DELETE", f"/api/workflow/{name}", headers=ring.headers("operator"))
        await guarded.raw("DELETE", f"/api/workflow/{name}")

    found = await entries(guarded, ring, kind="workflow")
    assert [row["objectId"] for row in found] == ["a\\r\\nFAKE admin logged in\\x1b[2J\\u2028"] * 2
    assert all(record.getMessage().isprintable() for record in caplog.records)


def test_texts_are_cut_before_and_after_escapes() -> None:
    assert printable("abc", 3) == "abc"
    assert printable("abcd", 3) == "ab…"
    assert len(printable("\x00" * 500, 200)) == 200
    assert printable("\ud800é", 20) == "\\ud800é"


# --- who was turned away ----------------------------------------------------------------------------


async def test_refusals_tell_who_tried_what(guarded: Server, ring: KeyRing) -> None:
    gone = await guarded.services.keys.create("gone", "admin")
    await guarded.services.keys.revoke(gone.record.key_id)
    await guarded.delete("/api/workflow/w1")
    await guarded.delete("/api/workflow/w1", headers=ring.headers("viewer"))
    await guarded.delete("/api/workflow/w1", headers=bearer(gone))

    found = [
        (row["caller"], row["objectId"], row["reason"], row["outcome"])
        for row in await entries(guarded, ring)
    ]
    assert found == [
        ("nobody", "w1", "credentials are missing", "unauthenticated"),
        ("viewer-key", "w1", "the role operator is needed", "forbidden"),
        ("nobody", gone.record.key_id, "the key is revoked", "unauthenticated"),
    ]


async def test_a_flood_of_refusals_is_counted_not_written(
    guarded: Server, ring: KeyRing, clock: MovedClock, caplog: pytest.LogCaptureFixture
) -> None:
    """R118: however many fail, so many lines and entries a minute, and one that tells of the rest."""
    with caplog.at_level(logging.WARNING, "asyncflow.audit"):
        for _ in range(1_000):
            await guarded.get("/api/secrets")
        assert len(await entries(guarded, ring, outcome="unauthenticated")) == MOST_REFUSALS
        assert len(caplog.records) == MOST_REFUSALS
        clock.moved_ms += 60_000
        await guarded.get("/api/secrets")

    found = await entries(guarded, ring)
    assert len(found) == MOST_REFUSALS + 2
    assert (
        found[-2]["reason"]
        == f"{1_000 - MOST_REFUSALS} more were refused in the minute after {MOST_REFUSALS}"
    )
    assert guarded.services.audit.refused == 1_001
