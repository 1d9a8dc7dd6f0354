"""Parts of a resource that jobs take: each limited by itself, over all workflows and restarts."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

from asyncflow.app.service import Service
from asyncflow.decide.admission import Admission
from asyncflow.model.resource_settings import ResourceSettings, settings_from_json, settings_to_json
from asyncflow.model.resources import ResourceLimit
from asyncflow.model.state import ExecutionState
from asyncflow.model.values import JsonObject
from asyncflow.runtime.known_limits import KnownLimits
from asyncflow.testing.clock import VirtualClock
from tests.integration.job_support import Bench, job
from tests.integration.resource_support import ClusterBench

WINDOW_MS = 600_000
RATE = ResourceLimit(0, 2, WINDOW_MS)
ONE = ResourceLimit(1)


def told(_kind: object, given: JsonObject) -> Iterable[str]:
    """As the plugin says it; what is no text has it fail, as a plugin may."""
    return str(given["to"]).upper().split(",")


parts: object = classmethod(told)


def to(domains: object) -> JsonObject:
    """A workflow with a job that takes these parts."""
    body = job(inputParameters={"name": "job", "to": domains})
    return {"name": "w", "version": 1, "schemaVersion": 2, "tasks": [body]}


def bench_of(folder: Path, limit: ResourceLimit, **more: object) -> Bench:
    bench = Bench(folder / "a.db", parts=parts)
    bench.resource = ResourceSettings("fake", per_part=limit, **more)  # type: ignore[arg-type]  # as it takes
    return bench


def began(states: Iterable[ExecutionState]) -> list[int]:
    return sorted(task.started_ms for each in states for task in each.tasks.values())


async def test_starts_count_for_their_part_after_a_restart(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, RATE)
    async with bench.engine() as service:
        started = [await bench.start(service, to("a")) for _ in range(4)]
        states = [await bench.end(service, each) for each in started[:2]]
    early_ms = [each.created_ms for each in bench.service.made.values()]
    async with bench.engine() as service:
        now_ms = bench.clock.now().elapsed_ms
        await bench.clock.advance((early_ms[0] + WINDOW_MS - now_ms) / 1_000 - 30)
        assert len(bench.service.made) == 2
        (why,) = await service.why(started[-1])
        other = await bench.end(service, await bench.start(service, to("b")))
        states += [await bench.end(service, each) for each in started[2:]]
    granted = began(states)

    assert (why["reason"], why["resource"]) == ("rate_reached", "fake/A")
    assert other.status == "COMPLETED"
    assert granted[2] - granted[0] >= WINDOW_MS
    assert granted[3] - granted[1] >= WINDOW_MS


async def test_a_part_that_is_full_holds_up_no_other(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, ONE)
    bench.service.duration_s = 60
    async with bench.engine() as service:
        first, second, both, other = [await bench.start(service, to(each)) for each in ("a", "a", "a,b", "c")]
        await bench.clock.advance(1)
        assert await running(service, first, second, both, other) == [True, False, False, True]
        for each in (first, second, both, other):
            assert (await bench.end(service, each)).status == "COMPLETED"


async def running(service: Service, *executions: str) -> list[bool]:
    return [bool((await service.engine.state(each)).jobs) for each in executions]


async def test_open_jobs_hold_their_parts_after_a_restart(tmp_path: Path) -> None:
    bench = bench_of(tmp_path, ONE)
    bench.service.duration_s = 600
    async with bench.engine() as service:
        await bench.start(service, to("a"))
        await bench.clock.advance(1)
    async with bench.engine() as service:
        second = await bench.start(service, to("a"))
        await bench.clock.advance(10)
        assert await running(service, second) == [False]
        assert (await bench.end(service, second)).status == "COMPLETED"


async def test_a_plugin_that_cannot_tell_parts_has_none(tmp_path: Path) -> None:
    bench = ClusterBench(tmp_path / "a.db", ResourceSettings("cluster", per_part=ONE))
    bench.constants["parts"] = classmethod(lambda _cls, given: [given["missing"]])
    async with bench.engine() as service:
        state = await bench.end(service, await bench.start(service, to("a")))

    assert state.status == "COMPLETED"


async def test_a_limit_of_parts_that_is_changed_holds_at_once_for_those_that_wait(tmp_path: Path) -> None:
    settings = ResourceSettings("cluster", per_part=ONE)
    bench = ClusterBench(tmp_path / "a.db", settings)
    bench.constants["parts"] = parts
    bench.service.duration_s = 600
    async with bench.engine() as service:
        executions = [await bench.start(service, to("a")) for _ in range(3)]
        await bench.clock.advance(30)
        before = await running(service, *executions)
        kept = service.engine.kept_resources
        assert kept is not None
        kept.configure("emr", replace(settings, per_part=ResourceLimit(2)))
        await bench.clock.advance(30)
        after = await running(service, *executions)

    assert (sum(before), sum(after)) == (1, 2)


def test_parts_that_nobody_takes_any_more_are_forgotten() -> None:
    admission, clock = Admission(), VirtualClock(auto=False)
    known = KnownLimits(clock, admission)
    for number in range(5_000):
        known.limit_parts([(f"mail/{number}", RATE)])

    assert len(known.parts_of("mail")) <= 1_001
    assert known.parts_of("printer") == []


def test_limits_of_parts_survive_being_stored() -> None:
    settings = ResourceSettings("email", limit=ResourceLimit(8), per_part=RATE)

    assert settings_from_json(settings_to_json(settings)) == settings
    assert settings_from_json({"type": "email"}) == ResourceSettings("email")
