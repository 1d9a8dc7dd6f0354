"""Listeners over REST: who is told, how far each is, what was skipped, and what events look like."""

from __future__ import annotations

from typing import Any

import pytest

from tests.http.conftest import serving
from tests.integration.listener_support import Ear, ran, settings_of
from tests.integration.waiting import until

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
