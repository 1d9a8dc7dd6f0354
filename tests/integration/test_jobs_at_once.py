"""Jobs that are over when their service has taken them: one turn, no poll, and nothing held meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncflow.model.job_events import JobEnded, JobSubmitted
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resources import ResourceLimit
from asyncflow.plugins.jobs import JobStatus, Tier
from asyncflow.testing.faults import Fault
from tests.integration.engine_support import workflow
from tests.integration.job_support import Bench, job


def quick(tmp_path: Path, tier: Tier = "token") -> Bench:
    """A service that has done what it is asked when it answers."""
    bench = Bench(tmp_path / "f.db", tier)
    bench.service.tells_at_once, bench.service.duration_s = True, 0.0
    return bench


async def test_an_end_that_comes_with_the_handle_is_one_turn_and_needs_no_poll(tmp_path: Path) -> None:
    bench = quick(tmp_path)
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        state = await bench.end(service, execution, within_s=1)
        batches = [turns async for turns in service.engine._store.read_turns(0)]
    entries = [turn.entries for turns in batches for turn in turns]
    kinds = [{type(event) for entry in one for event in entry.events} for one in entries]

    assert state.by_ref["job"].output == {"name": "job"}
    assert bench.service.polls == []
    assert sum({JobSubmitted, JobEnded} <= each for each in kinds) == 1


async def test_an_end_that_failed_at_once_fails_the_task(tmp_path: Path) -> None:
    bench = quick(tmp_path)
    bench.service.say["job-1"] = JobStatus("failed", reason="no ink")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        state = await bench.end(service, execution, within_s=1)

    assert (state.status, state.by_ref["job"].reason) == ("FAILED", "no ink")


@pytest.mark.parametrize("word", ["running", "unheard of"])
async def test_what_is_no_end_is_left_to_the_polls(tmp_path: Path, word: str) -> None:
    bench = quick(tmp_path)
    bench.service.duration_s = 3.0
    bench.service.say["job-1"] = JobStatus(word)  # type: ignore[arg-type]  # a service says what it likes
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(1)
        bench.service.say.clear()
        state = await bench.end(service, execution)

    assert state.status == "COMPLETED"
    assert bench.service.polls == [["job-1"]]


@pytest.mark.parametrize("fault", ["cut_after", "garbage"])
@pytest.mark.parametrize("tier", ["token", "tag"])
async def test_an_end_whose_answer_was_lost_is_found_by_the_rules_of_the_tier(
    tmp_path: Path, tier: Tier, fault: Fault
) -> None:
    bench = quick(tmp_path, tier)
    bench.service.fail("submit", fault)
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        state = await bench.end(service, execution)

    assert state.status == "COMPLETED"
    assert len(bench.service.made) == 1


async def test_a_limit_of_one_lets_many_through_in_a_moment(tmp_path: Path) -> None:
    """What a job held is free as soon as the service has answered."""
    bench = quick(tmp_path)
    bench.resource = ResourceSettings("fake", limit=ResourceLimit(max_concurrent=1))
    refs = [f"job{n}" for n in range(20)]
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job(ref) for ref in refs]))
        state = await bench.end(service, execution, within_s=1)

    assert state.status == "COMPLETED"
    assert bench.service.polls == []
