"""Clocks that are moved, machines that sleep, engines that were down: what fires, and how often.

The law: durations follow the elapsed clock and dates the calendar; nothing fires twice, and
nothing times out because a clock was set (R60, R61, R62).
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from asyncflow.model.events import TaskEnded
from asyncflow.model.values import JsonObject
from asyncflow.testing.kit import VirtualEngine
from asyncflow.testing.outcomes import Outcome
from asyncflow.testing.runs import TestRun

HOUR, DAY = 3600, 86_400


def wait(ref: str, **given: object) -> JsonObject:
    return {"name": ref, "taskReferenceName": ref, "type": "WAIT", "inputParameters": given}


def simple(ref: str, **definition: object) -> JsonObject:
    shared: JsonObject = {"name": ref, "retryCount": 0, "responseTimeoutSeconds": 0, **definition}
    return {"name": ref, "taskReferenceName": ref, "type": "SIMPLE", "taskDefinition": shared}


def side_by_side(*tasks: JsonObject) -> JsonObject:
    refs = [task["taskReferenceName"] for task in tasks]
    fork: JsonObject = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN"}
    fork["forkTasks"] = [[task] for task in tasks]
    join: JsonObject = {"name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": refs}
    return {"name": "moved", "version": 1, "schemaVersion": 2, "tasks": [fork, join]}


def ends(run: TestRun) -> dict[str, tuple[str, float | None]]:
    return {task.ref: (task.status, task.ended) for task in run.tasks if task.ref not in ("f", "j")}


def ended_once(run: TestRun) -> bool:
    counted = Counter(each.event.number for each in run.events if isinstance(each.event, TaskEnded))
    return set(counted.values()) == {1}


MOVED = side_by_side(
    wait("short", duration="10 minutes"),
    wait("dated", until="2030-01-01 01:00"),
    simple("work", timeoutSeconds=1800, timeoutPolicy="TIME_OUT_WF"),
)


@pytest.mark.scenario("R60", "R61")
@pytest.mark.parametrize(
    ("forward", "dated"),
    [(0, HOUR), (-HOUR, 2 * HOUR), (DAY, 300), (HOUR - 300 - 60, 360), (-DAY, HOUR + DAY)],
)
async def test_wall_clock_set_while_running_moves_dates_only(forward: float, dated: float) -> None:
    async with VirtualEngine(outcomes={"work": Outcome.delayed(1799)}) as engine:
        execution = await engine.begin(MOVED)
        await engine.clock.advance(300)
        engine.clock.set_wall_forward(forward)
        run = await engine.finish(execution)

    assert ends(run) == {
        "short": ("COMPLETED", 600), "dated": ("COMPLETED", dated), "work": ("COMPLETED", 1799),
    }  # fmt: skip
    assert run.status == "COMPLETED"
    assert ended_once(run)


@pytest.mark.scenario("R60")
async def test_wall_clock_set_back_and_forth_fires_a_date_once() -> None:
    async with VirtualEngine() as engine:
        execution = await engine.begin(side_by_side(wait("dated", until="2030-01-01 01:00")))
        for forward in (DAY, -2 * DAY, DAY):
            await engine.clock.advance(1)
            engine.clock.set_wall_forward(forward)
        run = await engine.finish(execution)

    assert ends(run) == {"dated": ("COMPLETED", 1)}
    assert ended_once(run)


@pytest.mark.scenario("R62")
async def test_what_was_due_while_the_machine_slept_fires_once_and_in_order() -> None:
    waits = [wait(f"w{minutes}", duration=f"{minutes} minutes") for minutes in (9, 3, 6, 20)]
    async with VirtualEngine() as engine:
        execution = await engine.begin(side_by_side(*waits))
        await engine.clock.rest()
        engine.clock.suspend(600)
        await engine.clock.rest()
        woken = await engine.picture(execution)
        run = await engine.finish(execution)
    order = [each.event.number for each in run.events if isinstance(each.event, TaskEnded)]
    refs = {index: task.ref for index, task in enumerate(run.tasks, 1)}

    assert [task.ref for task in woken.tasks if task.status == "IN_PROGRESS"] == ["w20", "j"]
    assert [ref for number in order if (ref := refs[number]).startswith("w")] == ["w3", "w6", "w9", "w20"]
    assert ended_once(run)


@pytest.mark.scenario("R60")
@pytest.mark.parametrize("forward", [0, -HOUR, DAY])
async def test_wait_goes_on_over_a_restart_whatever_the_wall_clock_says(
    tmp_path: Path, forward: float
) -> None:
    file = tmp_path / "engine.db"
    async with VirtualEngine(file) as engine:
        clock = engine.clock
        execution = await engine.begin(side_by_side(wait("long", duration="1 hours")))
        await clock.advance(600)
    clock.set_wall_forward(forward)
    clock.suspend(1200)
    async with VirtualEngine(file, clock=clock) as engine:
        run = await engine.finish(execution.id)

    assert ends(run) == {"long": ("COMPLETED", HOUR)}
    assert ended_once(run)


@pytest.mark.scenario("R34")
async def test_wait_that_came_due_while_the_engine_was_down_ends_at_its_start(tmp_path: Path) -> None:
    file = tmp_path / "engine.db"
    async with VirtualEngine(file) as engine:
        clock = engine.clock
        execution = await engine.begin(side_by_side(wait("long", duration="1 hours")))
        await clock.advance(600)
    clock.suspend(DAY)
    async with VirtualEngine(file, clock=clock) as engine:
        run = await engine.finish(execution.id)

    assert ends(run) == {"long": ("COMPLETED", 600 + DAY)}
    assert ended_once(run)


@pytest.mark.scenario("R36", "R60")
async def test_retry_that_was_waited_for_comes_at_its_time_over_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "engine.db"
    work = simple("work", retryCount=1, retryDelaySeconds=1000)
    async with VirtualEngine(file, outcomes={"work": Outcome.fail()}) as engine:
        clock = engine.clock
        execution = await engine.begin(side_by_side(work))
        await clock.advance(600)
    async with VirtualEngine(file, clock=clock, outcomes={"work": {}}) as engine:
        run = await engine.finish(execution.id)

    assert [(task.status, task.started) for task in run.attempts("work")] == [
        ("FAILED", 0),
        ("COMPLETED", 1000),
    ]
