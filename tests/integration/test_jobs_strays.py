"""Jobs in odd places: an instance that is lost, or not known, a service that makes up words or breaks off."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from asyncflow.model.limits import DEFAULT_LIMITS
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.plugins.errors import InstanceGone
from asyncflow.plugins.jobs import Found, JobStatus
from tests.integration.engine_support import workflow
from tests.integration.job_support import RESOURCE, Bench, OnePool, job, noted, notes


async def test_an_undecided_job_without_a_handle_goes_with_its_instance(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", "none")
    bench.pool.instances = {RESOURCE: ["fake/1"]}
    bench.service.fail("submit", "cut_after")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(120)
        state = service.engine.turns.states[execution]
        assert state.jobs[1].phase == "undecided"
        bench.pool.instances[RESOURCE] = ["fake/2"]
        service.engine.jobs.instance_lost(RESOURCE, "fake/1", "shut down")
        state = await bench.end(service, execution)
        assert not service.engine.jobs.desks[RESOURCE].undecided
    assert state.status == "COMPLETED"
    assert [each.instance for each in state.past_jobs.values()] == ["fake/1", "fake/2"]


async def test_nothing_is_kept_of_instances_that_have_no_jobs_any_more(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    async with bench.engine() as service:
        for number in range(5):
            bench.pool.instances = {RESOURCE: [f"fake/{number}"]}
            execution = await bench.start(service, workflow("w", [job()]))
            await bench.end(service, execution)
        known = service.engine.jobs.desks[RESOURCE].polling.instances
    assert known == ["fake/4"]


class _Unknown(OnePool):
    """Does not know what the service calls an instance, until a test says so."""

    is_known = True

    def handle_of(self, name: str, instance: str) -> str:
        return super().handle_of(name, instance) if self.is_known else ""


async def test_no_job_is_cancelled_at_an_instance_whose_handle_is_not_known(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.service.duration_s = 100_000
    bench.pool.instances = {RESOURCE: ["fake/1"]}
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.rest()
        pool = _Unknown(bench.pool.managers, bench.pool.settings, bench.pool.instances)
        pool.is_known = False
        service.engine.jobs.desks[RESOURCE].around.pool = pool
        await service.terminate(execution, "enough")
        await bench.clock.advance(60)
        assert service.engine.jobs.desks[RESOURCE].tally.cancels == 0
        pool.is_known = True
        state = await bench.end(service, execution)
    assert next(iter(bench.service.made.values())).word == "cancelled"
    assert not state.jobs


async def test_a_listing_without_usable_times_is_no_listing(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", "tag")
    bench.service.fail("submit", "cut_after")
    async with bench.engine() as service:
        manager = bench.pool.managers[RESOURCE]
        found = manager.find
        answers = [[Found("a", "", None), Found("b", "", 3)], [Found(7, "")]]  # type: ignore[arg-type]

        async def odd(*given: object) -> object:
            return answers.pop() if answers else await found(*given)  # type: ignore[arg-type]

        manager.find = odd  # type: ignore[method-assign, assignment]
        execution = await bench.start(service, workflow("w", [job()]))
        state = await bench.end(service, execution)
    assert state.status == "COMPLETED"
    assert not answers
    assert len(bench.service.made) == 1


async def test_a_second_look_ends_where_the_instance_is_gone(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", "tag", submit_timeout=5.0)
    bench.service.fail("submit", "silent")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        desk = service.engine.jobs.desks

        async def gone(*given: object) -> object:
            raise InstanceGone("shut down")

        await bench.clock.run(lambda: bool(bench.service.made), seconds=300)
        bench.pool.managers[RESOURCE].find = gone  # type: ignore[method-assign, assignment]
        await bench.end(service, execution)
        await bench.clock.advance(600)
        assert desk[RESOURCE].resolving.second.next_due() is None


async def test_second_looks_end_when_the_service_is_silent_for_good(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db", "tag", submit_timeout=5.0)
    bench.resource = ResourceSettings("fake", poll_blackout_s=3_600)
    bench.service.fail("submit", "silent")
    async with bench.engine() as service:
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.run(lambda: bool(bench.service.made), seconds=300)
        bench.service.fail("find", "broken", times=10_000)
        await bench.end(service, execution)
        await bench.clock.advance(5_000)
        assert service.engine.jobs.desks[RESOURCE].resolving.second.next_due() is None


async def test_words_that_a_service_makes_up_are_noted_a_few_times_only(tmp_path: Path) -> None:
    bench = Bench(tmp_path / "f.db")
    bench.resource = ResourceSettings("fake", poll_first_s=2, poll_max_s=2)
    bench.service.duration_s = 100_000
    events: list[object] = []
    async with bench.engine() as service:
        service.engine.turns.listeners.append(
            lambda _, turn: events.extend(event for entry in turn.entries for event in entry.events)
        )
        await bench.start(service, workflow("w", [job()]))
        await bench.clock.rest()
        for percent in range(60):
            bench.service.say["job-1"] = JobStatus(f"running {percent} %")  # type: ignore[arg-type]
            await bench.clock.advance(3)
    assert 1 < noted(events).count("unknown_word") <= 20


async def test_a_success_whose_output_finds_no_room_is_asked_for_again(tmp_path: Path) -> None:
    """A full disk is no failure of the job: it has succeeded, and will say so again."""
    bench = Bench(tmp_path / "f.db")
    limits = replace(DEFAULT_LIMITS, payload_bytes=1_000)
    folder = tmp_path / "payloads"
    bench.settings = replace(bench.settings, limits=limits, payload_folder=folder)
    bench.service.outputs["job"] = {"text": "x" * 2_000}
    async with bench.engine() as service:
        folder.rename(tmp_path / "aside")
        folder.write_text("no folder")
        execution = await bench.start(service, workflow("w", [job()]))
        await bench.clock.advance(60)
        state = service.engine.turns.states[execution]
        assert not state.is_ended
        assert "output_not_stored" in notes(state)
        folder.unlink()
        (tmp_path / "aside").rename(folder)
        state = await bench.end(service, execution)
    assert state.status == "COMPLETED"
