"""Law: what a start sets aside keeps from others what it holds outside, until it is released or deleted."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from asyncflow.app.service import StartRequest
from asyncflow.app.services import open_services
from asyncflow.errors import StoreError
from asyncflow.model.definition import parse_workflow
from asyncflow.model.quarantine import Quarantined
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resources import ResourceLimit
from asyncflow.runtime import quarantine
from asyncflow.store.sqlite import SqliteStore
from tests.integration.engine_support import waiting, workflow
from tests.integration.job_support import job
from tests.integration.resource_support import ClusterBench


@pytest.mark.parametrize("way", ["release", "delete"])
async def test_job_of_one_that_a_start_set_aside_keeps_its_slot_and_its_cluster(
    tmp_path: Path, way: str
) -> None:
    path = tmp_path / "a.db"
    bench = ClusterBench(path, ResourceSettings("cluster", ResourceLimit(1), idle_after_s=60))
    bench.service.duration_s = 600
    async with bench.engine() as service:
        first = await bench.start(service, workflow("w", [job()]))
        await bench.clock.run(lambda: len(bench.service.made) == 1, seconds=60)
    async with SqliteStore.open(path) as store:
        await store.hold(first, Quarantined("crash", "died of it", 7))
    async with bench.engine() as service:
        engine = service.engine
        second = await bench.start(service, workflow("w", [job()]))
        await bench.clock.run(lambda: False, seconds=300)
        meanwhile = len(bench.service.made), list(bench.clusters.destroyed)
        if way == "release":
            await quarantine.release(engine, engine._store, first)
            assert (await bench.end(service, first)).status == "COMPLETED"
        else:
            await quarantine.delete(engine, engine._store, first, parent_id="", reason="")
        end = (await bench.end(service, second)).status
        left = engine.admission.held_by(first)

    assert meanwhile == (1, [])
    assert (end, left, len(bench.service.made)) == ("COMPLETED", [], 2)


async def test_unreadable_execution_keeps_its_slot_among_those_of_its_workflow(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    limited = {
        **workflow("w", [waiting()]),
        "rateLimitConfig": {"rateLimitKey": "k", "concurrentExecLimit": 1},
    }
    definition = parse_workflow(limited)
    async with open_services(path) as services:
        first = await services.executions.start(StartRequest(definition=definition))
        await services.executions.engine.compaction.compact()
        await services.executions.set_variables(first, {"a": 1})
        await services.executions.engine.compaction.compact()
    flip_last(path, first)
    async with open_services(path) as services:
        with pytest.raises(StoreError, match="quarantined"):
            await services.executions.get(first)
        second = await services.executions.start(StartRequest(definition=definition))
        before = (await services.executions.engine.state(second)).awaits_slot
        await services.quarantine.delete(first)
        await services.executions.signal(second, "wait")

        assert (await services.executions.ended(second)).status == "COMPLETED"
    assert before


def flip_last(path: Path, stream: str) -> None:
    """Damage the newest segment: the slot was taken in an older one, which can be read."""
    with sqlite3.connect(path) as db:
        count = db.execute("SELECT count(*) FROM segment WHERE stream = ?", (stream,)).fetchone()[0]
        assert count > 1
        db.execute(
            "UPDATE segment SET crc = crc + 1 WHERE stream = ?1 AND from_seq = "
            "(SELECT max(from_seq) FROM segment WHERE stream = ?1)",
            (stream,),
        )
