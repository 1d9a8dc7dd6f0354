"""Listeners over REST: who is told, how far each is, what was skipped, and what events look like."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.conftest import serving
from tests.integration.listener_support import Ear, ran, settings_of, shown
from tests.integration.waiting import until
from tests.listeners.support import NOTES, NOTING, SETTINGS, notes_of

ENDS = ("execution.completed",)


@pytest.mark.route("GET /api/asyncflow/listeners")
@pytest.mark.route("GET /api/asyncflow/listeners/{name}/skipped")
async def test_listeners_are_shown_with_what_they_did_not_take() -> None:
    deaf, ear = Ear("deaf"), Ear("ear")
    deaf.refuses = {"execution.completed"}
    async with serving(engine=settings_of(deaf, ear, patterns=ENDS)) as server:
        execution = await ran(server.services)
        await until(lambda: ear.heard and deaf.tries == 3)
        await until(lambda: server.services.listeners.all()[0]["skipped"] == 1)
        listed: Any = (await server.get("/api/asyncflow/listeners")).json
        skipped: Any = (await server.get("/api/asyncflow/listeners/deaf/skipped")).json
        unknown = await server.get("/api/asyncflow/listeners/nobody/skipped")
        metrics = (await server.get("/metrics")).text

    told = {each["name"]: (each["told"], each["retried"], each["skipped"]) for each in listed["listeners"]}
    assert told == {"deaf": (0, 2, 1), "ear": (1, 0, 0)}
    assert skipped["totalHits"] == 1
    assert skipped["results"][0]["id"] == f"{execution}:5"
    assert unknown.status == 404
    assert 'asyncflow_listener_events_total{listener="deaf",outcome="skipped"} 1' in metrics
    assert 'asyncflow_listener_lag_turns{listener="ear"}' in metrics


@pytest.mark.route("GET /api/asyncflow/event-catalogue")
async def test_the_catalogue_of_events_is_served_with_schemas() -> None:
    async with serving() as server:
        found: Any = (await server.get("/api/asyncflow/event-catalogue")).json

    events = {each["name"]: each["schema"] for each in found["events"]}
    assert {"task.timed_out", "execution.completed", "resource.destroyed", "listener.gap"} <= events.keys()
    assert events["task.timed_out"]["properties"]["ref"] == {"type": "string"}
    assert "executionId" in events["task.timed_out"]["required"]


@pytest.fixture(autouse=True)
def _fresh_notes() -> None:
    NOTES.clear()


@pytest.mark.route("PUT /api/asyncflow/listeners/{name}")
@pytest.mark.route("GET /api/asyncflow/listeners/{name}")
@pytest.mark.route("DELETE /api/asyncflow/listeners/{name}")
async def test_a_listener_is_made_shown_and_deleted_while_the_engine_runs() -> None:
    notes = notes_of("ops")
    async with serving(engine=SETTINGS) as server:
        made: Any = (await server.put("/api/asyncflow/listeners/ops", json=NOTING)).json
        execution = await ran(server.services)
        await until(lambda: len(notes.heard) == 2)
        found: Any = (await server.get("/api/asyncflow/listeners/ops")).json
        gone = await server.delete("/api/asyncflow/listeners/ops")
        again = await server.delete("/api/asyncflow/listeners/ops")
        after = await server.get("/api/asyncflow/listeners/ops")

    assert (made["source"], made["settings"]["patterns"]) == ("document", ["execution.*ed"])
    assert (found["told"], notes.subjects) == (2, [execution, execution])
    assert (gone.status, again.status, after.status) == (200, 404, 404)


async def test_settings_that_do_not_fit_are_400_and_those_of_the_file_409() -> None:
    async with serving(engine=settings_of(Ear("ear"))) as server:
        odd = await server.put("/api/asyncflow/listeners/ops", json={"type": "webhook", "url": "x"})
        name = await server.put("/api/asyncflow/listeners/o%20s", json=NOTING)
        inside = {"type": "webhook", "url": "http://10.0.0.1/", "allow": ["10.0.0.0/8"]}
        allowed = await server.put("/api/asyncflow/listeners/ops", json=inside)
        ours = await server.put("/api/asyncflow/listeners/ear", json=NOTING)
        kept = await server.delete("/api/asyncflow/listeners/ear")

    assert (odd.status, name.status, allowed.status) == (400, 400, 400)
    assert "listeners.ops.url" in odd.message
    assert "only the configuration file" in allowed.message
    assert (ours.status, kept.status) == (409, 409)


@pytest.mark.route("POST /api/asyncflow/listeners/{name}/rewind")
async def test_a_listener_is_told_again_from_a_turn_or_an_event_on() -> None:
    notes = notes_of("ops")
    async with serving(engine=SETTINGS) as server:
        await server.put("/api/asyncflow/listeners/ops", json=NOTING)
        await ran(server.services)
        await until(lambda: len(notes.heard) == 2)
        path = "/api/asyncflow/listeners/ops/rewind"
        found = await server.post(path, json={"event": notes.heard[1].id})
        await until(lambda: len(notes.heard) >= 3)
        first = await server.post(path, json={"turn": 1})
        await until(lambda: len(notes.heard) >= 6)
        bodies: list[object] = [{}, {"turn": 0}, {"turn": "x"}, {"event": 1}, {"turn": 1, "event": "e:1"}]
        odd = [(await server.post(path, json=body)).status for body in bodies]
        late = await server.post(path, json={"turn": 10_000})
        strange = await server.post(path, json={"event": "e:1"})
        nobody = await server.post("/api/asyncflow/listeners/nobody/rewind", json={"turn": 1})

    assert (found.status, first.status) == (200, 200)
    assert odd == [400] * 5
    assert (late.status, strange.status, nobody.status) == (409, 404, 404)
    assert "are kept" in late.message


@pytest.mark.route("POST /api/asyncflow/listeners/{name}/skipped")
async def test_what_was_skipped_is_told_again_by_request() -> None:
    notes = notes_of("ops")
    notes.refuses = {"execution.completed"}
    async with serving(engine=SETTINGS) as server:
        await server.put("/api/asyncflow/listeners/ops", json=NOTING)
        execution = await ran(server.services)
        await until(lambda: shown(server.services, "ops")["skipped"] == 1)
        path = "/api/asyncflow/listeners/ops/skipped"
        refused: Any = (await server.post(path, json={})).json
        notes.refuses = set()
        told: Any = (await server.post(path, json={"events": [f"{execution}:5"]})).json
        listed: Any = (await server.get(path)).json
        statuses = [(await server.post(path, json={"events": given})).status for given in ("x", [1], ["e:1"])]
        audit: Any = (await server.get("/api/asyncflow/audit", params={"kind": "listener_retold"})).json

    assert (refused["told"], refused["failed"]["id"]) == (0, f"{execution}:5")
    assert told == {"told": 1, "gone": [], "left": 0}
    assert listed["results"][0]["toldAt"] >= listed["results"][0]["at"]
    assert statuses == [400, 400, 404]
    assert audit["totalHits"] == 1
