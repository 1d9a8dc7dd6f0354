"""What is done about a submit whose outcome nobody knows: by token, by mark, or by asking a person."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from asyncflow.app.service import Service
from asyncflow.model.inputs import DecideJob
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.plugins.jobs import Tier
from asyncflow.plugins.resources import JobInput
from asyncflow.runtime import points
from asyncflow.testing.faults import Fault
from asyncflow.testing.services import TASK_TYPE
from tests.integration.engine_support import workflow
from tests.integration.job_support import Bench, job, notes

OPEN: tuple[Fault, ...] = ("cut_before", "cut_after", "broken", "silent", "garbage")


@pytest.mark.scenario("R21", "R76")
@pytest.mark.parametrize("fault", OPEN)
@pytest.mark.parametrize("tier", ["token", "tag"])
async def test_an_open_outcome_never_makes_a_second_job(tmp_path: Path, tier: Tier, fault: Fault) -> None:
    bench = Bench(tmp_path / "f.db", tier, listing_lag=3.0)
    bench.service.listing_lag_s = 3.0
    bench.service.fail("submit", fault)
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        state = await bench.end(service, execution)
        assert service.engine.jobs.desks["fake"].tally.outcome_open == 1
    assert state.status == "COMPLETED"
    assert len(bench.service.made) == 1


async def test_a_job_that_is_not_listed_is_handed_in_again_only_after_patience(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", "tag", listing_lag=20.0, submit_timeout=30.0)
    bench.service.fail("submit", "cut_before")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(59)
        assert not bench.service.made
        await bench.clock.advance(5)
        assert len(bench.service.made) == 1
        state = await bench.end(service, execution)
    assert state.status == "COMPLETED"
    assert "resubmitted" in notes(state)


@pytest.mark.scenario("R77")
async def test_a_listing_that_fails_is_no_evidence_of_absence(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", "tag")
    bench.service.fail("submit", "cut_after")
    bench.service.fail("find", "broken", times=12)
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(120)
        state = await bench.end(service, execution)
    assert state.status == "COMPLETED"
    assert len(bench.service.made) == 1


@pytest.mark.scenario("R76")
async def test_a_submit_that_lands_late_is_found_and_cancelled_as_one_too_many(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", "tag", submit_timeout=5.0)
    bench.service.duration_s, bench.service.lands_after_s = 300, 30.0
    bench.service.fail("submit", "silent")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        state = await bench.end(service, execution)
        assert service.engine.jobs.desks["fake"].tally.duplicates == 1
    assert state.status == "COMPLETED"
    words = sorted(made.word for made in bench.service.made.values())
    assert words == ["cancelled", "succeeded"]
    assert not bench.service.doubled()
    assert "duplicate_cancelled" in notes(state)


async def test_the_second_look_is_made_by_the_next_process_if_this_one_is_killed(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", "tag", submit_timeout=5.0)
    bench.service.duration_s = 300
    bench.service.fail("submit", "silent")

    def is_there_again(service: Service, execution: str) -> bool:
        return service.engine.turns.states[execution].jobs[1].phase == "submitted"

    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.run(lambda: is_there_again(service, execution), seconds=120)
        (known,) = bench.service.made.values()  # the first delivery is still on its way
    late = replace(known, handle="late")
    async with bench.engine() as service:
        due_ms = bench.clock.now().elapsed_ms + 5_000
        bench.clock.call_at(due_ms, lambda: bench.service.made.update(late=late))
        state = await bench.end(service, execution)
        assert service.engine.jobs.desks["fake"].tally.duplicates == 1
    assert state.status == "COMPLETED"
    assert sorted(made.word for made in bench.service.made.values()) == ["cancelled", "succeeded"]


async def test_a_job_is_handed_in_again_only_when_that_is_recorded(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", "tag", submit_timeout=5.0)
    bench.service.fail("submit", "silent")
    found: list[bool] = []

    def look(point: str) -> None:
        if point == points.BEFORE_SEND:
            found.append("resubmitted" in notes(service.engine.turns.states[execution]))

    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(1)
        points.install(look)
        try:
            state = await bench.end(service, execution)
        finally:
            points.install(None)
    assert state.status == "COMPLETED"
    assert found == [True]


async def test_another_payload_under_our_token_is_never_adopted(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", "tag")
    bench.service.fail("submit", "cut_after")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.rest()
        made = next(iter(bench.service.made.values()))
        made.mark = f"{made.token}-00000000"
        await bench.clock.advance(120)
        state = service.engine.turns.states[execution]
        assert state.jobs[1].phase == "undecided"
        assert "another payload" in state.jobs[1].reason


@pytest.mark.scenario("R19", "R87")
async def test_without_token_or_mark_a_person_is_asked(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", "none")
    bench.service.fail("submit", "cut_after")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(120)
        state = service.engine.turns.states[execution]
        assert state.jobs[1].phase == "undecided"
        told = service.engine.jobs.why(execution, 1)
        assert told is not None
        assert told["state"] == "needs_decision"
        await service.engine.submit(execution, DecideJob(1, "adopt", handle="job-1", by="me"))
        state = await bench.end(service, execution)
    assert state.status == "COMPLETED"
    assert len(bench.service.made) == 1


async def test_a_decision_to_hand_in_again_is_carried_out(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", "none")
    bench.service.fail("submit", "cut_before")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(120)
        await service.engine.submit(execution, DecideJob(1, "resubmit", by="me"))
        state = await bench.end(service, execution)
    assert state.status == "COMPLETED"
    assert len(bench.service.made) == 1


async def test_at_least_once_is_handed_in_again_without_asking(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", "none")
    bench.resource = ResourceSettings("fake", at_least_once=True)
    bench.service.fail("submit", "cut_after")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        state = await bench.end(service, execution)
    assert state.status == "COMPLETED"
    assert len(bench.service.made) == 2


async def test_a_token_older_than_the_service_remembers_is_not_sent_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", "token", token_life=20.0, submit_timeout=30.0)
    bench.service.fail("submit", "silent")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(120)
        assert service.engine.turns.states[execution].jobs[1].phase == "undecided"
    assert not bench.service.made


async def test_a_refusal_fails_the_task_and_a_throttle_does_not(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", "none")
    bench.service.fail("submit", "throttled", times=3)
    bench.service.fail("submit", "refused")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        state = await bench.end(service, execution)
    assert state.status == "FAILED"
    assert state.by_ref["job"].reason == "no such thing"
    assert bench.service.faults.calls["submit"] == 4


@pytest.mark.scenario("R81")
async def test_a_handle_that_another_open_job_has_is_never_shared(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", "none")
    bench.service.duration_s = 100
    async with bench.engine() as service:
        first = await bench.start(service, workflow("w", [job()]))
        await bench.clock.rest()
        shared = bench.service.made.pop("job-1")
        second = await bench.start(service, workflow("v", [job()]))
        await bench.clock.rest()
        bench.service.made["job-1"] = shared
        await bench.clock.advance(3)
        states = service.engine.turns.states
        assert states[first].jobs[1].phase == "submitted"
        assert states[second].jobs[1].phase == "undecided"
        assert "handle_shared" in notes(states[second])


@pytest.mark.scenario("R19", "R21")
@pytest.mark.parametrize("tier", ["token", "tag"])
async def test_an_intent_of_an_earlier_process_is_resolved(tmp_path: Path, tier: Tier) -> None:
    bench = Bench(tmp_path / "f.db", tier)
    bench.service.duration_s = 300
    bench.service.fail("submit", "silent")
    bench.service.lands_after_s = 0.1
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(1)
        assert service.engine.turns.states[execution].jobs[1].phase == "intent"
    async with bench.engine() as service:
        state = await bench.end(service, execution)
    assert state.status == "COMPLETED"
    assert len(bench.service.made) == 1


async def test_an_intent_of_an_earlier_process_that_nobody_can_find_needs_a_person(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", "none")
    bench.service.fail("submit", "silent")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(1)
    async with bench.engine() as service:
        await bench.clock.advance(60)
        assert service.engine.turns.states[execution].jobs[1].phase == "undecided"
    assert bench.service.faults.calls["submit"] == 1


class Strict(JobInput):
    """An input with one key."""

    name: str


@pytest.mark.parametrize("tier", ["token", "tag", "none"])
async def test_an_input_that_does_not_fit_is_refused_before_anything_is_sent(
    tmp_path: Path, tier: Tier
) -> None:
    bench = Bench(tmp_path / "f.db", tier, tasks={TASK_TYPE: Strict})
    body = job(inputParameters={"nmae": "hush"}, taskDefinition={"name": "job", "retryCount": 3})
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [body]))
        state = await bench.end(service, execution)
    (task,) = state.tasks.values()

    assert (state.status, task.status) == ("FAILED", "FAILED_WITH_TERMINAL_ERROR")
    assert "input of FAKE_JOB: name: Field required; nmae: Extra inputs" in str(task.reason)
    assert "hush" not in str(task.reason)
    assert not bench.service.made


async def test_the_next_process_asks_for_the_very_same(tmp_path: Path) -> None:
    """Definitions are kept with their keys in order; the input was resolved before it was kept."""
    bench = Bench(tmp_path / "a.db")
    bench.service.fail("submit", "cut_after")
    task = job(inputParameters={"name": "job", "b": {"d": 1, "c": [{"z": 1, "y": 2}]}, "a": 3})
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [task]))
        await bench.clock.run(lambda: bool(bench.service.made), seconds=5)
    async with bench.engine() as service:
        state = await bench.end(service, execution)

    assert state.status == "COMPLETED"
    assert len(bench.service.made) == 1
