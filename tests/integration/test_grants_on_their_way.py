"""Grants that were given back before they were decided: who asked again meanwhile waits like everybody."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from asyncflow.model.inputs import JobOver, PauseExecution, ResumeExecution
from asyncflow.model.resources import ResourceLimit
from asyncflow.model.values import JsonObject
from tests.integration.engine_support import workflow
from tests.integration.job_support import RESOURCE, Bench, job


@pytest.mark.parametrize("is_exclusive", [False, True])
async def test_a_grant_given_back_by_a_pause_begins_nothing_after_the_resume(
    tmp_path: Path, *, is_exclusive: bool
) -> None:
    """The slot went to the next in line; the older grant, decided last, must not count as a second one."""
    bench = Bench(tmp_path / "f.db")
    bench.service.duration_s = 1_000
    use: JsonObject = {"name": RESOURCE, **({"mode": "exclusive", "key": "k"} if is_exclusive else {})}
    bench.settings = replace(bench.settings, resources={RESOURCE: ResourceLimit(0 if is_exclusive else 1)})
    body = workflow("w", [job(asyncflow={"resources": [use]})])
    async with bench.engine() as service:
        first, paused, last = [await bench.start(service, body) for _ in range(3)]
        await bench.clock.rest()
        turns = service.engine.turns
        turns.report(first, JobOver(1, "succeeded", {}))
        turns.report(paused, PauseExecution())
        turns.report(paused, ResumeExecution())
        await bench.clock.rest()

        begun = [stream for stream in (paused, last) if turns.states[stream].jobs]
        fences = [state.jobs[1].fence for state in turns.states.values() if state.jobs]

    assert begun == [last]
    assert len(fences) == 1
