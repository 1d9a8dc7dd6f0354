"""The promise of the tiers: over any faults and crashes no job is lost, and none is doubled."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncflow.app.service import Service
from asyncflow.errors import StoreError
from asyncflow.plugins.jobs import Tier
from asyncflow.runtime import points
from asyncflow.runtime.points import AFTER_COMMIT, AFTER_DECIDE, JOB_POINTS
from asyncflow.testing.faults import Call, Fault
from tests.integration.engine_support import workflow
from tests.integration.job_support import Bench, job

FAULTS: list[Fault] = ["cut_before", "cut_after", "broken", "silent", "garbage", "throttled", "denied"]
CALLS: list[Call] = ["submit", "submit", "submit", "find", "poll", "cancel"]
POINTS = [*JOB_POINTS, AFTER_DECIDE, AFTER_COMMIT]

crashes = st.lists(st.tuples(st.sampled_from(POINTS), st.integers(1, 6)), max_size=4)
faults = st.lists(
    st.tuples(st.sampled_from(CALLS), st.sampled_from(FAULTS), st.integers(0, 3), st.integers(1, 3)),
    max_size=6,
)


class Crash(StoreError):
    """The process ends here: nothing that was not committed is ever known."""


def crash_at(service: Service, point: str, count: int) -> None:
    """Stop the engine at a point as a kill would: what comes after is not recorded, and not done."""
    seen: Counter[str] = Counter()

    def hook(reached: str) -> None:
        seen[reached] += 1
        if reached == point and seen[reached] == count:
            service.engine.turns.fail(Crash("killed"))

    points.install(hook)


async def live(bench: Bench, crash: tuple[str, int] | None, use: Callable[[Service], object]) -> None:
    """One life of the engine, which may end early."""
    with contextlib.suppress(StoreError):
        async with bench.engine() as service:
            if crash is not None:
                crash_at(service, *crash)
            try:
                await use(service)  # type: ignore[misc]
            finally:
                points.install(None)


async def check(
    tier: Tier,
    crashing: list[tuple[str, int]],
    failing: list[tuple[Call, Fault, int, int]],
    lag_s: float,
    *,
    at_once: bool,
) -> None:
    with TemporaryDirectory() as folder:
        bench = Bench(Path(folder) / "f.db", tier, listing_lag=lag_s, submit_timeout=10.0)
        service_ = bench.service
        service_.listing_lag_s, service_.lands_after_s, service_.duration_s = lag_s, lag_s + 5.0, 30.0
        if at_once:
            service_.tells_at_once, service_.duration_s = True, 0.0
        for call, fault, skip, times in failing:
            service_.fail(call, fault, skip=skip, times=times)
        begun: list[str] = []

        async def start(service: Service) -> None:
            for name in ("a", "b", "c"):
                execution = await bench.start(service, workflow(name, [job(name)]))
                begun.append(execution)
            await bench.clock.advance(600)

        async def go_on(service: Service) -> None:
            await bench.clock.advance(120)

        for index, crash in enumerate(crashing):
            await live(bench, crash, go_on if index else start)
        if not crashing:
            await live(bench, None, start)
        async with bench.engine() as service:
            await bench.clock.advance(7_200)
            known = [service.engine.turns.states.get(each) for each in begun]
            for state in known:
                if state is None:
                    continue  # it ended before this engine began
                stuck = [each.phase == "undecided" for each in state.jobs.values()]
                assert state.status == "COMPLETED" or (tier == "none" and all(stuck) and stuck), state.jobs
        made = Counter(each.token for each in service_.made.values())
        assert not service_.doubled()
        if tier != "tag":
            assert max(made.values(), default=0) <= 1


@settings(max_examples=40, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["token", "tag", "none"]), crashes, faults, st.sampled_from([0.0, 4.0]), st.booleans())
async def test_no_job_is_lost_and_none_is_doubled(
    tier: Tier,
    crashing: list[tuple[str, int]],
    failing: list[tuple[Call, Fault, int, int]],
    lag_s: float,
    at_once: bool,  # noqa: FBT001  # Hypothesis hands them over in order
) -> None:
    """Every job ends once, whatever fails and wherever the engine is killed; tier none may ask a person."""
    await check(tier, crashing, failing, lag_s, at_once=at_once)
