"""How long a record waits for its cancelled job is what its resource says: at the start, and changed live."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from asyncflow.app.service import Service
from asyncflow.model.resource_settings import ResourceSettings
from tests.integration.engine_support import workflow
from tests.integration.job_support import job
from tests.integration.resource_support import ClusterBench

ONCE = {"name": "job", "retryCount": 0, "timeoutSeconds": 60, "responseTimeoutSeconds": 1}


async def a_stubborn_job(bench: ClusterBench, service: Service) -> str:
    """An execution whose job runs for ever and is never cancelled, however often it is asked."""
    bench.service.duration_s, bench.service.ignores_cancel = 10_000_000, True
    return await bench.start(service, workflow("w", [job(taskDefinition=ONCE)]))


async def ended_between(bench: ClusterBench, service: Service, execution: str, seconds: int) -> None:
    """The record's time is up after a minute, and its grace this many seconds later."""
    state = service.engine.turns.states[execution]
    while not state.jobs:
        await bench.clock.advance(1)
    await bench.clock.advance(60 + seconds - 10)
    assert state.jobs[1].cancel
    assert not state.is_ended
    await bench.clock.advance(20)
    assert state.is_ended


@pytest.mark.parametrize("grace_s", [40, 200])
async def test_the_grace_of_the_configuration_holds_from_the_start(tmp_path: Path, grace_s: int) -> None:
    bench = ClusterBench(tmp_path / "f.db", ResourceSettings("cluster", cancel_grace_s=grace_s))
    async with bench.engine() as service:
        assert service.engine.catalog.cancel_graces == {"emr": grace_s}
        await ended_between(bench, service, await a_stubborn_job(bench, service), grace_s)


async def test_a_grace_that_is_changed_holds_for_jobs_that_run(tmp_path: Path) -> None:
    bench = ClusterBench(tmp_path / "f.db", ResourceSettings("cluster", cancel_grace_s=40))
    async with bench.engine() as service:
        execution = await a_stubborn_job(bench, service)
        await bench.clock.advance(5)
        kept = service.engine.kept_resources
        assert kept is not None
        kept.configure("emr", replace(bench.resource, cancel_grace_s=200), by="me")
        await kept.durable("emr")
        await ended_between(bench, service, execution, 195)
