"""Jobs that are watched: how often a service is asked, and which of its answers are believed."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.values import JsonObject
from asyncflow.plugins.jobs import JobStatus
from asyncflow.runtime.engine import EngineSettings
from asyncflow.runtime.jobs.desk import Desk
from asyncflow.runtime.jobs.schedule import Schedule
from asyncflow.runtime.jobs.table import Row, Stage, move
from tests.integration.engine_support import workflow
from tests.integration.job_support import Bench, callback_proof, job, notes


def fork(count: int) -> JsonObject:
    """A workflow of so many jobs side by side."""
    branches = [[job(f"j{n}")] for n in range(count)]
    wide: JsonObject = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN", "forkTasks": branches}
    join: JsonObject = {
        "name": "j",
        "taskReferenceName": "j",
        "type": "JOIN",
        "joinOn": [f"j{n}" for n in range(count)],
    }
    return workflow("w", [wide, join])


async def test_the_number_of_calls_does_not_grow_with_the_number_of_jobs(tmp_path: Path) -> None:
    calls = []
    for count in (1, 300):
        bench = Bench(tmp_path / f"{count}.db", poll_batch=0)
        bench.service.duration_s = 600
        async with bench.engine() as service:
            await bench.start(service, fork(count))
            await bench.clock.advance(300)
        calls.append(len(bench.service.polls))
    assert calls[1] <= 2 * calls[0]
    assert calls[0] <= 20


async def test_no_call_asks_for_more_than_the_service_takes(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", poll_batch=7)
    bench.service.duration_s = 12
    async with bench.engine() as service:
        execution = await bench.start(service, fork(50))
        state = await bench.end(service, execution)
    assert state.status == "COMPLETED"
    assert max(len(handles) for handles in bench.service.polls) <= 7


async def test_the_time_between_polls_grows_to_the_longest(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.resource = ResourceSettings("fake", poll_first_s=2, poll_max_s=20)
    bench.service.duration_s = 10_000
    async with bench.engine() as service:
        await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(60)
        early = len(bench.service.polls)
        await bench.clock.advance(240)
        late = len(bench.service.polls) - early
    assert early >= 6
    assert 9 <= late <= 16


@pytest.mark.scenario("R24")
async def test_failed_polls_never_fail_a_job(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    for fault in ("cut_before", "broken", "garbage", "silent", "throttled"):
        bench.service.fail("poll", fault)
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        state = await bench.end(service, execution)
    assert state.status == "COMPLETED"


async def test_after_a_day_of_silence_a_person_is_asked(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.resource = ResourceSettings("fake", poll_blackout_s=3_600)
    bench.service.fail("poll", "broken", times=10_000)
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(3_500)
        assert service.engine.turns.states[execution].jobs[1].phase == "submitted"
        await bench.clock.advance(300)
        assert service.engine.turns.states[execution].jobs[1].phase == "undecided"


@pytest.mark.scenario("R82")
async def test_a_job_that_is_gone_is_lost_only_after_three_answers_over_a_minute(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.service.lose("job-1")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(50)
        assert "gone_once" in notes(service.engine.turns.states[execution])
        state = await bench.end(service, execution)
    assert state.status == "FAILED"
    assert state.by_ref["job"].state == "LOST"
    assert len(bench.service.polls) == 3
    assert bench.clock.seconds >= 60


async def test_a_job_that_is_not_listed_yet_is_not_gone(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", listing_lag=120.0)
    bench.service.duration_s = 300
    bench.service.lose("job-1")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(100)
        del bench.service.say["job-1"]
        state = await bench.end(service, execution)
    assert state.status == "COMPLETED"
    assert "gone_once" not in notes(state)


async def test_a_lost_job_is_run_again_where_the_resource_says_so(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.resource = ResourceSettings("fake", on_lost="rerun")
    bench.service.lose("job-1")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        state = await bench.end(service, execution)
    assert state.status == "COMPLETED"
    assert len(bench.service.made) == 2


@pytest.mark.scenario("R80")
async def test_an_unknown_word_is_taken_for_running_and_noted_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.service.say["job-1"] = JobStatus("dancing")  # type: ignore[arg-type]
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(60)
        state = service.engine.turns.states[execution]
        seen = state.jobs[1].notes or {}
        assert seen["unknown_word"][0] == "'dancing' is taken for running"
        del bench.service.say["job-1"]
        state = await bench.end(service, execution)
    assert state.status == "COMPLETED"


async def test_an_output_that_is_too_large_or_no_json_fails_the_task(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.service.outputs = {"big": {"text": "x" * (5 << 20)}, "odd": {"value": object()}}
    async with bench.engine() as service:
        for name in ("big", "odd"):
            execution = await bench.start(service, workflow(name, [job(name)]))
            state = await bench.end(service, execution)
            assert state.status == "FAILED"
            assert state.by_ref[name].status == "FAILED_WITH_TERMINAL_ERROR"


async def test_a_throttled_connection_waits_as_long_as_it_was_told(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.service.retry_after_s = 300
    bench.service.fail("poll", "throttled")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(290)
        assert len(bench.service.polls) == 1
        told = service.engine.jobs.why(execution, 1)
        assert told is not None
        assert told["held_by"] == "throttled"
        state = await bench.end(service, execution)
    assert state.status == "COMPLETED"


@pytest.mark.scenario("R78")
async def test_refused_credentials_hold_everything_but_a_call_a_minute(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.service.fail("submit", "denied", times=24)
    async with bench.engine() as service:
        execution = await bench.start(service, fork(30))
        await bench.clock.advance(290)
        assert bench.service.faults.calls["submit"] <= 26
        calls = bench.service.faults.calls["submit"]
        assert not bench.service.made
        state = await bench.end(service, execution)
    assert calls >= 22
    assert state.status == "COMPLETED"
    assert len(bench.service.made) == 30


async def test_secrets_reach_the_service_and_nothing_that_is_kept(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.settings = EngineSettings(installation="test", secrets={"KEY": "open-sesame"})
    body = job(inputParameters={"name": "x", "key": "${workflow.secrets.KEY}"})
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [body]))
        state = await bench.end(service, execution)
    assert bench.service.made["job-1"].input["key"] == "open-sesame"
    assert "open-sesame" not in repr(state.by_ref["job"].output)
    assert state.status == "COMPLETED"


async def test_a_callback_has_the_job_polled_at_once(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", callback=True)
    bench.settings = EngineSettings(
        installation="test", callback_address="http://here/api/jobs", callback_key=b"k"
    )
    bench.service.duration_s = 1
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(1.5)
        token = bench.service.made["job-1"].token
        proof = callback_proof(service, token)
        assert not service.engine.jobs.callback(token, "guessed")
        assert service.engine.jobs.callback(token, proof)
        state = await bench.end(service, execution)
    assert state.status == "COMPLETED"
    assert bench.clock.seconds < 2


async def test_a_callback_counts_after_a_restart_too(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", callback=True)
    bench.settings = EngineSettings(installation="test", callback_address="http://here", callback_key=b"k")
    bench.resource = ResourceSettings("fake", poll_first_s=500, poll_max_s=500)
    bench.service.duration_s = 700
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(1)
    async with bench.engine() as service:
        await bench.clock.advance(700)
        token = bench.service.made["job-1"].token
        assert service.engine.jobs.callback(token, callback_proof(service, token))
        await bench.clock.advance(1)
        state = await service.engine.state(execution)
    assert state.status == "COMPLETED"


async def test_a_job_that_nothing_was_said_of_keeps_its_state_until_a_person_is_asked(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.resource = ResourceSettings("fake", poll_blackout_s=600)
    bench.service.say["job-1"] = JobStatus("unheard", reason="HTTP 500")
    async with bench.engine() as service:
        execution = await bench.start(service, fork(2))
        await bench.clock.advance(500)
        state = await service.engine.state(execution)
        assert [each.phase for each in state.jobs.values()] == ["submitted"]
        assert [task.status for task in state.tasks.values() if task.ref == "j1"] == ["COMPLETED"]
        await bench.clock.advance(200)
        (silent,) = (await service.engine.state(execution)).jobs.values()
    assert (silent.phase, silent.handle) == ("undecided", "job-1")


async def test_a_start_asks_no_more_often_than_went_on_before_it(tmp_path: Path) -> None:
    """No herd: jobs go on with the interval that they had come to, spread over it."""
    jobs, most_s = 200, 60
    bench = Bench(tmp_path / "f.db", poll_batch=1)
    bench.service.duration_s = 100_000
    bench.resource = ResourceSettings("fake", connections=1_000, poll_first_s=5, poll_max_s=most_s)
    async with bench.engine() as service:
        await bench.start(service, fork(jobs))
        await bench.clock.advance(1_200)
        steady = await polls_in(bench, most_s)
    bench.clock.suspend(30)
    async with bench.engine():
        slots = [await polls_in(bench, 5) for _ in range(most_s // 5)]
        more = [await polls_in(bench, 10), await polls_in(bench, most_s - 10)]
        later = [handle for part in more for handle in part]
    handles = {handle for slot in [*slots, more[0]] for handle in slot}

    assert len(handles) == jobs, "each is asked for within its interval, and until the next round"
    assert sum(map(len, slots)) <= 1.5 * len(steady)
    assert max(map(len, slots)) <= 3 * len(steady) * 5 / most_s, "and they come one by one"
    assert len(later) <= 1.5 * len(steady)


async def polls_in(bench: Bench, seconds: float) -> list[str]:
    """The handles that are asked for within the next so many seconds."""
    before = len(bench.service.polls)
    await bench.clock.advance(seconds)
    return [handle for handles in bench.service.polls[before:] for handle in handles]


def test_polls_are_put_off_by_the_time_that_a_start_took() -> None:
    schedule, desk = Schedule(5_000, 60_000, random.Random(1)), Desk.__new__(Desk)
    desk.stages = Counter()
    rows = [Row("e", number, desk, "") for number in range(3)]
    for number, row in enumerate(rows):
        move(row, Stage.WATCHED)
        schedule.put_at(row, 1_000 * number)
    schedule.put_at(rows[0], 2_500)
    schedule.delay(10_000)

    assert schedule.next_due() == 11_000
    assert schedule.take(12_499, 0) == [rows[1], rows[2]]
    assert schedule.take(12_500, 0) == [rows[0]]
