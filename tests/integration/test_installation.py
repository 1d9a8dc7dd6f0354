"""A file of an early release has no id of its own: it gets one, and what was under way keeps its tokens."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from asyncflow.app.build import open_service
from asyncflow.app.service import Service, StartRequest
from asyncflow.model.installation import Installation
from asyncflow.model.limits import Limits
from asyncflow.model.payload_reference import STORED_KEY
from asyncflow.model.statuses import COMPLETED
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine, EngineSettings
from asyncflow.store import schema
from asyncflow.store.sqlite import SqliteStore
from tests.integration.engine_support import simple
from tests.integration.job_support import job
from tests.integration.resource_support import ClusterBench
from tests.store.released import leave_file

WORKFLOW: JsonObject = {"name": "w", "version": 1, "schemaVersion": 2, "tasks": [job()]}


def _migrate_without_id(path: Path) -> None:
    """Make it what the seventh migration makes of a file without an id, in which work is under way."""
    (script,) = (step.script for step in schema.migrations() if step.number == 7)
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE installation SET installation_id = '', since_ms = 0")
        db.execute(script[script.index("UPDATE") :])
        db.commit()


async def _drawn(path: Path) -> Installation:
    async with SqliteStore.open(path) as store:
        return (await store.facts()).installation


class _Early(ClusterBench):
    """Engines of the id that the file has."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.installation = Installation()

    def engine_settings(self) -> EngineSettings:
        return replace(
            super().engine_settings(),
            installation=self.installation.id,
            installation_since_ms=self.installation.since_ms,
        )


def _state_of_only(service: Service) -> str:
    (execution,) = service.engine.turns.states
    return execution


@pytest.mark.parametrize("tier", ["token", "tag"])
async def test_job_handed_in_under_no_installation_is_found_again(tmp_path: Path, tier: str) -> None:
    """The answer to the submit was lost; the next engine asks under the token that the service knows."""
    bench = _Early(tmp_path / "a.db")
    bench.tier = tier  # type: ignore[assignment]  # as parametrized
    bench.clusters.is_deaf = True
    async with bench.engine() as service:
        await bench.start(service, WORKFLOW)
        await bench.clock.run(lambda: bool(bench.clusters.submitted), seconds=600)
    _migrate_without_id(bench.path)
    bench.installation = await _drawn(bench.path)
    bench.clusters.is_deaf = False
    async with bench.engine() as service:
        state = await bench.end(service, _state_of_only(service))

    assert (len(bench.installation.id), state.status) == (32, COMPLETED)
    assert len(bench.service.made) == 1


async def test_id_is_drawn_once_and_is_that_of_all_that_follows(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    leave_file(path, 6, installation="")
    first, second = await _drawn(path), await _drawn(path)

    assert first == second
    assert first.of(first.since_ms - 1) == ""
    assert first.of(first.since_ms) == first.id != ""


async def test_payloads_stored_under_no_installation_are_read_and_kept(tmp_path: Path) -> None:
    path, folder = tmp_path / "a.db", tmp_path / "payloads"
    settings = EngineSettings(limits=Limits(payload_bytes=1_000), payload_folder=folder)
    body: JsonObject = {**WORKFLOW, "tasks": [simple("elsewhere")]}
    async with SqliteStore.open(path) as store, Engine(store, settings=settings) as engine:
        service = Service(engine)
        await service.register_workflow(body)
        execution = await service.start(StartRequest(name="w", input={"long": "x" * 5_000}))
        stored = (await engine.state(execution)).input
    _migrate_without_id(path)
    async with open_service(path, settings=settings) as service:
        state = await service.engine.state(execution)
        found = await service.engine.payloads.hydrate(state.input)

    assert STORED_KEY in str(stored)
    assert found == {"long": "x" * 5_000}
    assert len(list(folder.iterdir())) == 2, "of the other installations without an id nothing is taken away"
