"""Laws of schedules over several lives of an engine: a time fires once, and what was missed as is asked."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from asyncflow.app.logbook import Firing
from asyncflow.app.schedule_definitions import parse_schedule
from asyncflow.app.schedule_firing import MOST_CAUGHT_UP, _Entry, _worked_out
from asyncflow.app.schedule_starts import POLLED
from asyncflow.ids import derived_id
from asyncflow.model.limits import DEFAULT_LIMITS
from asyncflow.store.sqlite import SqliteStore
from asyncflow.testing.clock import VirtualClock
from tests.integration.schedule_support import (
    DAY,
    HOUR,
    clock_at,
    ms,
    schedule,
    services_on,
    started,
    times,
    wait,
    workflow,
)


async def first_life(path: Path, clock: VirtualClock, **more: object) -> None:
    async with services_on(clock, path) as services:
        await services.executions.register_workflow(workflow("w"))
        await services.schedules.save({**schedule("s", "0 0 * * * ?"), **more})
        await clock.advance(1.5 * HOUR)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, ["01-01 01:00", "01-01 06:00"]),
        ({"asyncflow": {"catchUp": "none"}}, ["01-01 01:00", "01-01 06:00"]),
        ({"asyncflow": {"catchUp": "one"}}, ["01-01 01:00", "01-01 05:00", "01-01 06:00"]),
        ({"asyncflow": {"catchUp": "all"}}, [f"01-01 0{hour}:00" for hour in range(1, 7)]),
        ({"runCatchupScheduleInstances": True}, [f"01-01 0{hour}:00" for hour in range(1, 7)]),
        ({"paused": True}, []),
    ],
)
async def test_what_was_missed_is_made_up_for_as_the_schedule_says(
    tmp_path: Path, more: dict[str, object], expected: list[str]
) -> None:
    clock = clock_at("2030-01-01T00:00")
    await first_life(tmp_path / "a.db", clock, **more)
    clock.suspend(4 * HOUR)
    async with services_on(clock, tmp_path / "a.db") as services:
        await clock.advance(HOUR)

        assert await times(services, state="EXECUTED") == expected
        assert await started(services) == len(expected)


async def test_catching_up_is_bounded(tmp_path: Path) -> None:
    clock = clock_at("2030-01-01T00:00")
    async with services_on(clock, tmp_path / "a.db") as services:
        await services.executions.register_workflow(workflow("w"))
        await services.schedules.save(schedule("s", "0/10 * * * * ?", runCatchupScheduleInstances=True))
    clock.suspend(30 * DAY)
    async with services_on(clock, tmp_path / "a.db") as services:
        made_up_for = await started(services)
        assert (await times(services))[-1] == "01-31 00:00"

    assert MOST_CAUGHT_UP // 2 <= made_up_for <= MOST_CAUGHT_UP


@pytest.mark.parametrize(
    ("expressions", "stretch_ms", "is_on_loop"),
    [(1, 60_000, True), (1, 30 * 86_400_000, False), (100, 1, False)],
)
async def test_what_takes_long_to_work_out_does_not_hold_the_loop(
    expressions: int, stretch_ms: int, *, is_on_loop: bool
) -> None:
    crons = [{"cronExpression": "* * * * * ?"}] * expressions
    entry = _Entry(parse_schedule({**schedule("s", ""), "cronSchedules": crons}, limits=DEFAULT_LIMITS), 0)
    thread = await _worked_out(entry, lambda _begin, _end: threading.get_ident(), stretch_ms)

    assert (thread == threading.get_ident()) is is_on_loop


async def test_a_wall_clock_set_back_across_a_restart_fires_nothing_twice(tmp_path: Path) -> None:
    """R60."""
    clock = clock_at("2030-01-01T00:00")
    await first_life(tmp_path / "a.db", clock, asyncflow={"catchUp": "all"})
    clock.set_wall_forward(-HOUR)
    async with services_on(clock, tmp_path / "a.db") as services:
        await clock.advance(2 * HOUR)

        assert await times(services) == ["01-01 01:00", "01-01 02:00"]
        assert await started(services) == 2


@pytest.mark.parametrize("was_started", [False, True])
async def test_a_time_written_down_and_not_dealt_with_fires_once(
    tmp_path: Path, *, was_started: bool
) -> None:
    """An engine that ended between its note and the start, or between the start and its note."""
    clock = clock_at("2030-01-01T00:00")
    await first_life(tmp_path / "a.db", clock)
    due_ms = ms("2030-01-01T01:00") if was_started else ms("2030-01-01T02:00")
    async with services_on(clock, tmp_path / "a.db") as services:
        installation = services.executions.engine.settings.installation
        identity = derived_id(installation, "schedule", due_ms, "s")
        await services.schedules.pause("s")
        await services.logbook.record_firing(Firing("s", due_ms, identity, due_ms, POLLED))
    clock.suspend(HOUR)
    async with services_on(clock, tmp_path / "a.db") as services:
        assert await started(services) == (1 if was_started else 2)
        assert await times(services, "state = POLLED") == []
        shown = await services.executions.get(identity)
        assert shown["status"] == "COMPLETED"
        assert shown["createTime"] == (ms("2030-01-01T01:00") if was_started else ms("2030-01-01T02:30"))
    async with SqliteStore.open(tmp_path / "a.db") as store:
        assert [each.seq for each in (await store.read_streams([identity]))[identity]] == [1, 2, 3, 4, 5]


async def test_an_overlap_is_known_after_a_restart(tmp_path: Path) -> None:
    clock = clock_at("2030-01-01T00:00")
    async with services_on(clock, tmp_path / "a.db") as services:
        await services.executions.register_workflow(workflow("w", wait("hold")))
        await services.schedules.save(schedule("s", "0 0 * * * ?", asyncflow={"overlap": "skip"}))
        await clock.advance(HOUR)
    async with services_on(clock, tmp_path / "a.db") as services:
        await clock.advance(HOUR)

        assert await times(services, "state = SKIPPED") == ["01-01 02:00"]


async def test_a_draining_engine_fires_nothing(tmp_path: Path) -> None:
    clock = clock_at("2030-01-01T00:00")
    async with services_on(clock, tmp_path / "a.db") as services:
        await services.executions.register_workflow(workflow("w"))
        await services.schedules.save(schedule("s", "0 0 * * * ?", asyncflow={"catchUp": "all"}))
        await services.drain(0)
        await clock.advance(2 * HOUR)
        assert await times(services) == []
    async with services_on(clock, tmp_path / "a.db") as services:
        assert await times(services) == ["01-01 01:00", "01-01 02:00"]
