"""Looking for a job of which nobody knows whether it is there: several matches, ended ones, none any more."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from asyncflow.plugins.jobs import JobWord
from asyncflow.testing.services import Made
from tests.integration.engine_support import workflow
from tests.integration.job_support import Bench, job, notes


async def doubled(bench: Bench, *, by_ms: int) -> tuple[Made, Made]:
    """The job whose answer was lost, and one more with its token, made so much later; as it is listed."""
    await bench.clock.rest()
    (first,) = bench.service.made.values()
    second = replace(first, handle="second", created_ms=first.created_ms + by_ms)
    both = {each.handle: each for each in (second, first)}  # the listing begins with the younger one
    bench.service.made.clear()
    bench.service.made.update(both)
    return first, second


@pytest.mark.scenario("R21", "R76")
@pytest.mark.parametrize("by_ms", [200, -200])
async def test_of_several_the_earliest_is_kept_and_the_others_are_cancelled(
    tmp_path: Path, by_ms: int
) -> None:
    bench = Bench(tmp_path / "f.db", "tag")
    bench.service.duration_s = 300
    bench.service.fail("submit", "cut_after")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        first, second = await doubled(bench, by_ms=by_ms)
        state = await bench.end(service, execution)
        tally = service.engine.jobs.desks["fake"].tally
    earlier, later = (first, second) if by_ms > 0 else (second, first)

    assert state.status == "COMPLETED"
    assert (earlier.word, later.word) == ("succeeded", "cancelled")
    assert tally.duplicates == 1
    assert "duplicate_cancelled" in notes(state)


@pytest.mark.scenario("R21", "R25")
@pytest.mark.parametrize(
    ("word", "status"), [("succeeded", "COMPLETED"), ("failed", "FAILED"), ("cancelled", "FAILED")]
)
async def test_a_job_that_has_ended_already_is_a_result_and_no_absence(
    tmp_path: Path, word: JobWord, status: str
) -> None:
    bench = Bench(tmp_path / "f.db", "tag")
    bench.service.duration_s = 3_000
    bench.service.fail("submit", "cut_after")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.rest()
        (made,) = bench.service.made.values()
        bench.service.end_job(made.handle, word)
        state = await bench.end(service, execution)

    assert state.status == status
    assert len(bench.service.made) == 1


@pytest.mark.scenario("R25")
@pytest.mark.parametrize("down_s", [60, 3 * 86_400])
async def test_a_job_that_ended_while_no_engine_ran_is_collected_once(tmp_path: Path, down_s: int) -> None:
    bench = Bench(tmp_path / "f.db", "token")
    bench.service.duration_s = 30
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job(), job("after")]))
        await bench.clock.advance(1)
    bench.clock.suspend(down_s)
    async with bench.engine() as service:
        state = await bench.end(service, execution)
        ends = [each.word for each in state.past_jobs.values()]

    assert state.status == "COMPLETED"
    assert ends == ["succeeded", "succeeded"]
    assert len(bench.service.made) == 2


@pytest.mark.scenario("R26")
async def test_a_job_that_the_service_forgot_meanwhile_is_lost_and_not_done_again(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", "tag")
    bench.service.duration_s = 30
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(1)
    bench.clock.suspend(3 * 86_400)
    (made,) = bench.service.made.values()
    bench.service.lose(made.handle)
    async with bench.engine() as service:
        state = await bench.end(service, execution)
    (task,) = state.tasks.values()

    assert state.status == "FAILED"
    assert [each.word for each in state.past_jobs.values()] == ["lost"]
    assert task.reason
    assert len(bench.service.made) == 1
