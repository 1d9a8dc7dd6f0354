"""Schedules in virtual time: when they fire, what they start, and what keeps them from it."""

from __future__ import annotations

import pytest

from asyncflow.app.schedules import Wanted
from asyncflow.app.services import Services
from asyncflow.errors import NotFound
from asyncflow.model.values import JsonObject
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

WAITING = workflow("w", wait("hold"))


async def test_a_schedule_starts_its_workflow_at_every_time_with_what_conductor_says() -> None:
    clock = clock_at("2030-01-01T00:10")
    async with services_on(clock) as services:
        await services.executions.register_workflow(workflow("w"))
        request = {"name": "w", "input": {"mine": 1}, "correlationId": "c", "priority": 3}
        body = schedule("nightly", "0 30 4 * * ?", zoneId="Asia/Kolkata", startWorkflowRequest=request)
        await services.schedules.save(body, by="ann")
        await clock.advance(2 * DAY)
        _, (second, first) = await services.schedules.history.find()
        shown = await services.executions.get(str(first["workflowId"]))

    assert (first["scheduledTime"], second["scheduledTime"]) == (
        ms("2030-01-01T23:00"),
        ms("2030-01-02T23:00"),
    )
    assert first["state"] == "EXECUTED"
    assert shown["input"] == {
        "mine": 1,
        "_startedByScheduler": "nightly",
        "_scheduledTime": first["scheduledTime"],
        "_executedTime": first["executionTime"],
        "_executionId": first["executionId"],
        "_schedulerCron": "0 30 4 * * ? Asia/Kolkata",
    }
    assert (shown["correlationId"], shown["priority"], shown["createdBy"]) == ("c", 3, "ann")


async def test_several_expressions_fire_each_in_its_zone_and_once_where_they_meet() -> None:
    clock = clock_at("2030-01-01T00:00")
    async with services_on(clock) as services:
        await services.executions.register_workflow(workflow("w"))
        crons = [
            {"cronExpression": "0 0 12 * * ?", "zoneId": "America/New_York"},
            {"cronExpression": "0 0 17 * * ?", "zoneId": "UTC"},
            {"cronExpression": "0 0 6 * * ?"},
        ]
        await services.schedules.save(schedule("s", "0 * * * * ?", cronSchedules=crons))
        await clock.advance(DAY)

        assert await times(services) == ["01-01 06:00", "01-01 17:00"]
        assert await started(services) == 2


async def test_bounds_are_kept() -> None:
    clock = clock_at("2030-01-01T00:00")
    async with services_on(clock) as services:
        await services.executions.register_workflow(workflow("w"))
        bounds: JsonObject = {
            "scheduleStartTime": ms("2030-01-01T02:00"),
            "scheduleEndTime": ms("2030-01-01T04:00"),
        }
        shown = await services.schedules.save(schedule("s", "0 0 * * * ?") | bounds)
        await clock.advance(DAY)

        assert shown["nextRunTime"] == ms("2030-01-01T02:00")
        assert await times(services) == ["01-01 02:00", "01-01 03:00", "01-01 04:00"]
        assert "nextRunTime" not in services.schedules.get("s")


async def test_pausing_keeps_the_reason_and_resuming_makes_up_for_nothing() -> None:
    clock = clock_at("2030-01-01T00:00")
    async with services_on(clock) as services:
        await services.executions.register_workflow(workflow("w"))
        await services.schedules.save(schedule("s", "0 0 * * * ?", runCatchupScheduleInstances=True))
        await clock.advance(1.5 * HOUR)
        await services.schedules.pause("s", "holiday", by="ann")
        paused = services.schedules.get("s")
        await clock.advance(3 * HOUR)
        await services.schedules.resume("s")
        await clock.advance(HOUR)

        assert (paused["paused"], paused["pausedReason"], paused["updatedBy"]) == (True, "holiday", "ann")
        assert "nextRunTime" not in paused
        assert "pausedReason" not in services.schedules.get("s")
        assert await times(services) == ["01-01 01:00", "01-01 05:00"]
        with pytest.raises(NotFound):
            await services.schedules.resume("s")


async def test_a_change_counts_from_the_moment_it_is_made() -> None:
    clock = clock_at("2030-01-01T00:00")
    async with services_on(clock) as services:
        await services.executions.register_workflow(workflow("w"))
        await services.schedules.save(schedule("s", "0 0 * * * ?"), by="ann")
        await clock.advance(1.5 * HOUR)
        changed = await services.schedules.save(schedule("s", "0 15 * * * ?"), by="bob")
        await clock.advance(2 * HOUR)
        await services.schedules.delete("s")
        await services.schedules.delete("s")
        await clock.advance(2 * HOUR)

        assert (changed["createdBy"], changed["updatedBy"]) == ("ann", "bob")
        assert (changed["createTime"], changed["updatedTime"]) == (ms("2030-01-01"), ms("2030-01-01T01:30"))
        assert await times(services) == ["01-01 01:00", "01-01 02:15", "01-01 03:15"]


async def test_what_cannot_be_started_is_written_down_and_the_next_time_is_tried() -> None:
    clock = clock_at("2030-01-01T00:00")
    async with services_on(clock) as services:
        await services.schedules.save(schedule("s", "0 0 * * * ?", starts="missing"))
        await clock.advance(1.5 * HOUR)
        await services.executions.register_workflow(workflow("missing"))
        await clock.advance(HOUR)
        total, (good, bad) = await services.schedules.history.find()

    assert total == 2
    assert (bad["state"], bad["reason"]) == ("FAILED", "not_found: no such workflow: missing")
    assert "workflowId" not in bad
    assert good["state"] == "EXECUTED"
    assert services.schedules.firing.counts.failed == 1


@pytest.mark.parametrize(
    ("overlap", "expected", "running"),
    [
        ("allow", ["EXECUTED"] * 3, 3),
        ("skip", ["EXECUTED", "SKIPPED", "SKIPPED"], 1),
        ("cancel_running", ["EXECUTED"] * 3, 1),
    ],
)
async def test_an_overlap_is_dealt_with_as_the_schedule_says(
    overlap: str, expected: list[str], running: int
) -> None:
    clock = clock_at("2030-01-01T00:00")
    async with services_on(clock) as services:
        await services.executions.register_workflow(WAITING)
        await services.schedules.save(schedule("s", "0 0 * * * ?", asyncflow={"overlap": overlap}))
        await clock.advance(3 * HOUR)
        _, found = await services.schedules.history.find(sort=["scheduledTime:ASC"])
        going = await services.search.executions("status = RUNNING")
        cancelled = await services.search.executions("status = TERMINATED")

    states = [each["asyncflow"]["state"] for each in found]  # type: ignore[index]
    assert states == expected
    assert going.total == running
    assert cancelled.total == (2 if overlap == "cancel_running" else 0)
    if overlap == "skip":
        assert found[1]["state"] == "FAILED"
        assert found[1]["reason"] == f"execution {found[0]['workflowId']} of an earlier time goes on"


async def test_a_skipping_schedule_fires_again_when_its_execution_has_ended() -> None:
    clock = clock_at("2030-01-01T00:00")
    async with services_on(clock) as services:
        await services.executions.register_workflow(workflow("w", wait("hold", duration="90 minutes")))
        await services.schedules.save(schedule("s", "0 0 * * * ?", asyncflow={"overlap": "skip"}))
        await clock.advance(5 * HOUR)

        assert await times(services, state="EXECUTED") == ["01-01 01:00", "01-01 03:00", "01-01 05:00"]
        assert await times(services, "state = SKIPPED") == ["01-01 02:00", "01-01 04:00"]


@pytest.mark.parametrize(
    ("zone", "begin", "cron", "expected"),
    [
        ("Europe/Berlin", "2030-03-30T12:00", "0 30 2 * * ?", ["03-31 01:00", "04-01 00:30"]),
        ("America/New_York", "2030-03-09T12:00", "0 30 2 * * ?", ["03-10 07:00", "03-11 06:30"]),
        ("Europe/Berlin", "2030-10-26T12:00", "0 30 2 * * ?", ["10-27 00:30", "10-28 01:30"]),
        ("America/New_York", "2030-11-02T12:00", "0 30 1 * * ?", ["11-03 05:30", "11-04 06:30"]),
    ],
)
async def test_changes_of_the_clocks_fire_once(zone: str, begin: str, cron: str, expected: list[str]) -> None:
    """R63: a gap fires once at the next moment there is, an overlap fires once."""
    clock = clock_at(begin)
    async with services_on(clock) as services:
        await services.executions.register_workflow(workflow("w"))
        await services.schedules.save(schedule("s", cron, zoneId=zone))
        await clock.advance(2 * DAY)

        assert await times(services) == expected


@pytest.mark.parametrize(("forward", "expected"), [(-HOUR, 5), (DAY, 7), (-30 * DAY, 6)])
async def test_a_wall_clock_that_is_moved_fires_nothing_twice(forward: float, expected: int) -> None:
    """R60, R61: set back, it is silent until a new time comes; set forward, what it passed fires once."""
    clock = clock_at("2030-01-01T00:00")
    async with services_on(clock) as services:
        await services.executions.register_workflow(workflow("w"))
        await services.schedules.save(schedule("s", "0 0 * * * ?"))
        await clock.advance(3 * HOUR + 600)
        before = await times(services)
        clock.set_wall_forward(forward)
        await clock.advance(3 * HOUR)
        after = await times(services)

    assert len(before) == 3
    assert len(after) == len(set(after)) == expected


async def test_a_machine_that_slept_fires_the_latest_time_once() -> None:
    """R62."""
    clock = clock_at("2030-01-01T00:00")
    async with services_on(clock) as services:
        await services.executions.register_workflow(workflow("w"))
        await services.schedules.save(schedule("s", "0 * * * * ?"))
        clock.suspend(600)
        await clock.rest()

        assert await times(services) == ["01-01 00:10"]


async def many(services: Services) -> None:
    await services.executions.register_workflow(workflow("w"))
    for number in range(250):
        await services.schedules.save(schedule(f"s{number:03}", "0 0 0 * * ?", description="one of many"))


async def test_many_schedules_fire_at_one_moment() -> None:
    clock = clock_at("2030-01-01T12:00")
    async with services_on(clock) as services:
        await many(services)
        await clock.advance(DAY)

        assert await started(services) == 250
        assert services.schedules.firing.counts.executed == 250
        assert len(services.executions.engine.carry.timetable) == 1


async def test_searches_find_schedules_by_all_that_is_asked() -> None:
    clock = clock_at("2030-01-01T12:00")
    async with services_on(clock) as services:
        await many(services)
        await services.schedules.save(schedule("other", "0 0 1 * * ?", starts="v", paused=True))
        search = services.schedules.search

        assert search(Wanted(workflow="v"))[0] == 1
        assert search(Wanted(is_paused=False))[0] == 250
        assert search(Wanted(name="S00"))[0] == 10
        assert search(Wanted(free_text="many one"))[0] == 250
        total, page = search(Wanted(), start=249, size=10, sort=["name:DESC"])
        assert (total, [each["name"] for each in page]) == (251, ["s000", "other"])
        assert names(search(Wanted(), size=1, sort=["nextRunTime:ASC"])[1]) == ["s000"]
        assert len(services.schedules.all()) == 251


def names(found: list[JsonObject]) -> list[object]:
    return [each["name"] for each in found]


async def test_a_held_scheduler_fires_nothing_and_then_goes_on() -> None:
    clock = clock_at("2030-01-01T00:00")
    async with services_on(clock) as services:
        await services.executions.register_workflow(workflow("w"))
        await services.schedules.save(schedule("s", "0 0 * * * ?"))
        await services.schedules.save(schedule("all", "0 0 * * * ?", asyncflow={"catchUp": "all"}))
        services.schedules.firing.hold(is_held=True)
        await clock.advance(2.5 * HOUR)
        silent = await times(services)
        services.schedules.firing.hold(is_held=False)
        await clock.advance(HOUR)

        assert silent == []
        assert await times(services, "scheduleName = s") == ["01-01 03:00"]
        assert await times(services, "scheduleName = all") == ["01-01 01:00", "01-01 02:00", "01-01 03:00"]
