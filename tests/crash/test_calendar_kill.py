"""Law: whatever is killed when, each time of a schedule and each message has its effect exactly once."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from asyncflow.model.events import ExecutionStarted
from asyncflow.runtime import points
from asyncflow.store.sqlite import SqliteStore
from tests.integration.event_support import all_of
from tests.integration.schedule_support import clock_at, services_on, times

AROUND_COMMITS = (points.AFTER_DECIDE, points.BEFORE_COMMIT, points.AFTER_COMMIT, points.AFTER_RELEASE)


def first_life(checkout: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.crash.calendar_life", *arguments]
    return subprocess.run(command, cwd=checkout, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.scenario("R35")
@pytest.mark.parametrize("nth", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("point", AROUND_COMMITS)
async def test_times_and_messages_count_once_whatever_is_killed(
    tmp_path: Path, checkout: Path, point: str, nth: int
) -> None:
    database = tmp_path / "flow.db"
    killed = first_life(checkout, str(database), point, str(nth))
    assert (killed.returncode, killed.stdout) == (-9, "ready"), killed.stderr[-2000:]

    clock = clock_at("2030-01-01T08:30")
    async with services_on(clock, database) as services:
        await clock.rest()
        fired = await times(services, state="EXECUTED")
        told = [str(each["workflowId"]) for each in await all_of(services, "told")]
        heard = await all_of(services, "heard")
        (holder,) = await all_of(services, "holder")
        unsettled = await times(services, "state = POLLED")

    assert fired == [f"01-01 0{hour}:00" for hour in range(1, 9)]
    assert unsettled == []
    assert len(told) == len(heard) == 8
    variables = holder["variables"]
    assert isinstance(variables, dict)
    assert sorted(variables["seen"]) == sorted(told)
    assert await starts_of_each_stream(database) == {1}


async def starts_of_each_stream(database: Path) -> set[int]:
    """How often executions began, whichever it was."""
    counted: Counter[str] = Counter()
    async with SqliteStore.open(database) as store:
        async for turns in store.read_turns(0):
            for turn in turns:
                for stream, _, events in turn.entries:
                    counted[stream] += sum(isinstance(event, ExecutionStarted) for event in events)
        assert await store.find_faults() == []
    return {count for count in counted.values() if count}
