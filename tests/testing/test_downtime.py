"""Engines that were down: timeouts that stood still meanwhile, and durations that did not (R36)."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncflow.model.events import EngineStarted
from asyncflow.model.values import JsonObject
from asyncflow.runtime.recovery import CATALOG_STREAM
from asyncflow.testing.clock import VirtualClock
from asyncflow.testing.kit import VirtualEngine
from asyncflow.testing.outcomes import Outcome
from asyncflow.testing.runs import TestRun

HOUR = 3600
STAYS_OPEN: dict[str, object] = {"retryCount": 0, "timeoutPolicy": "TIME_OUT_WF"}
TASK: dict[str, object] = {"timeoutSeconds": 60, "responseTimeoutSeconds": 60}


def wait(ref: str, seconds: float) -> JsonObject:
    given = {"duration": f"{seconds} seconds"}
    return {"name": ref, "taskReferenceName": ref, "type": "WAIT", "inputParameters": given}


def simple(ref: str, **definition: object) -> JsonObject:
    shared: JsonObject = {"name": ref, "responseTimeoutSeconds": 0, **STAYS_OPEN, **definition}
    return {"name": ref, "taskReferenceName": ref, "type": "SIMPLE", "taskDefinition": shared}


def side_by_side(*tasks: JsonObject, **more: object) -> JsonObject:
    """Waits among them make the engine record something at known moments."""
    refs = [task["taskReferenceName"] for task in tasks]
    fork: JsonObject = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN"}
    fork["forkTasks"] = [[task] for task in tasks]
    join: JsonObject = {"name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": refs}
    return {"name": "down", "version": 1, "schemaVersion": 2, "tasks": [fork, join], **more}


class Machine:
    """One database and one clock; engines come and go on them."""

    def __init__(self, folder: Path, **outcomes: Outcome | list[Outcome]) -> None:
        self.file, self.outcomes = folder / "engine.db", outcomes
        self.clock = VirtualClock(auto=False)
        self.execution = ""

    def engine(self) -> VirtualEngine:
        return VirtualEngine(self.file, clock=self.clock, outcomes=dict(self.outcomes))

    async def begin(self, definition: JsonObject, seconds: float) -> None:
        async with self.engine() as engine:
            self.execution = (await engine.begin(definition)).id
            await self.clock.advance(seconds)

    async def again(self, down: float, up: float) -> TestRun:
        """Down for so long, then up for so long: how it stood then."""
        _, run = await self.around(down, up)
        return run

    async def around(self, down: float, up: float) -> tuple[TestRun, TestRun]:
        """Down for so long, then up for so long: how it stood a millisecond before that, and then."""
        self.clock.suspend(down)
        async with self.engine() as engine:
            engine.answering.expect_silence()
            if up:
                await self.clock.advance(up - 0.001)
            before = await engine.picture(self.execution)
            await self.clock.advance(0.001 if up else 0)
            return before, await engine.picture(self.execution)


LIMITED: list[tuple[str, dict[str, object], Outcome]] = [
    ("timeout", TASK, Outcome.never()),
    ("responseTimeout", {"responseTimeoutSeconds": 60}, Outcome.never()),
    ("pollTimeout", {"pollTimeoutSeconds": 60}, Outcome.not_taken()),
]
IDS = [name for name, *_ in LIMITED]


@pytest.mark.parametrize(("name", "limits", "outcome"), LIMITED, ids=IDS)
async def test_timeout_goes_on_after_downtime_with_what_was_left_of_it(
    tmp_path: Path, name: str, limits: dict[str, object], outcome: Outcome
) -> None:
    machine = Machine(tmp_path, work=outcome)
    await machine.begin(side_by_side(simple("work", **limits), wait("mark", 30)), 30)
    before, after = await machine.around(down=HOUR, up=30)

    assert before.status == "RUNNING"
    assert (after.task("work").status, after.task("work").ended) == ("TIMED_OUT", HOUR + 60)
    assert (after.task("work").reason or "").startswith(f"{name}: 60 exceeded")


@pytest.mark.parametrize(("name", "limits", "outcome"), LIMITED, ids=IDS)
async def test_timeout_stands_still_in_every_downtime(
    tmp_path: Path, name: str, limits: dict[str, object], outcome: Outcome
) -> None:
    machine = Machine(tmp_path, work=outcome)
    marks = [wait("first", 20), wait("second", 20 + HOUR + 20)]
    await machine.begin(side_by_side(simple("work", **limits), *marks), 20)
    await machine.again(down=HOUR, up=20)
    before, after = await machine.around(down=2 * HOUR, up=20)

    assert (before.status, before.task("second").status) == ("RUNNING", "COMPLETED")
    assert (after.task("work").status, after.task("work").ended) == ("TIMED_OUT", 3 * HOUR + 60)


@pytest.mark.parametrize(("name", "limits", "outcome"), LIMITED, ids=IDS)
async def test_downtime_begins_at_the_stop_however_long_nothing_was_recorded(
    tmp_path: Path, name: str, limits: dict[str, object], outcome: Outcome
) -> None:
    machine = Machine(tmp_path, work=outcome)
    await machine.begin(side_by_side(simple("work", **limits)), 30)
    await machine.again(down=HOUR, up=10)
    before, after = await machine.around(down=HOUR, up=20)

    assert before.status == "RUNNING"
    assert (after.task("work").status, after.task("work").ended) == ("TIMED_OUT", 2 * HOUR + 60)
    assert (after.task("work").reason or "").startswith(f"{name}: 60 exceeded")


async def test_worker_that_answers_after_the_downtime_is_in_time(tmp_path: Path) -> None:
    machine = Machine(tmp_path, work=Outcome.never())
    await machine.begin(side_by_side(simple("work", **TASK), wait("mark", 30)), 30)
    machine.clock.suspend(HOUR)
    async with machine.engine() as engine:
        await machine.clock.advance(20)
        await engine.service.signal(machine.execution, "work", {"late": False})
        run = await engine.finish(machine.execution)

    assert (run.status, run.output) == ("COMPLETED", {"work": {"late": False}})


@pytest.mark.scenario("R34", "R36")
async def test_wait_and_retry_delay_run_on_while_the_engine_is_down(tmp_path: Path) -> None:
    machine = Machine(tmp_path, work=[Outcome.fail(), Outcome.fail()])
    delayed = simple("work", retryCount=1, retryDelaySeconds=1000)
    await machine.begin(side_by_side(delayed, wait("long", 900)), 300)
    run = await machine.again(down=300, up=HOUR)

    assert (run.task("long").status, run.task("long").ended) == ("COMPLETED", 900)
    assert [attempt.started for attempt in run.attempts("work")] == [0, 1000]


@pytest.mark.scenario("R36")
async def test_retry_that_came_due_while_the_engine_was_down_begins_at_its_start(tmp_path: Path) -> None:
    machine = Machine(tmp_path, work=[Outcome.fail(), Outcome.complete()])
    await machine.begin(side_by_side(simple("work", retryCount=1, retryDelaySeconds=1000)), 300)
    run = await machine.again(down=HOUR, up=0)

    assert [attempt.started for attempt in run.attempts("work")] == [0, HOUR + 300]


@pytest.mark.parametrize(
    ("work", "whole"),
    [({}, {"timeoutSeconds": 600, "timeoutPolicy": "TIME_OUT_WF"}), ({"totalTimeoutSeconds": 600}, {})],
    ids=["workflow", "total"],
)
async def test_timeouts_of_the_whole_count_downtime(
    tmp_path: Path, work: dict[str, object], whole: dict[str, object]
) -> None:
    machine = Machine(tmp_path, work=Outcome.never())
    await machine.begin(side_by_side(simple("work", **work), wait("mark", 30), **whole), 30)
    run = await machine.again(down=HOUR, up=0)

    assert (run.status, run.duration) == ("TIMED_OUT", HOUR + 30)


async def starts(machine: Machine) -> list[tuple[float, float]]:
    """Seconds of the downtimes recorded, since the clock began."""
    async with machine.engine() as engine:
        begin_ms = machine.clock.now().elapsed_ms - round(machine.clock.seconds * 1000)
        history = (await engine.service.engine._store.read_streams([CATALOG_STREAM]))[CATALOG_STREAM]
        events = [recorded.event for recorded in history if isinstance(recorded.event, EngineStarted)]
    return [((e.down_from_ms - begin_ms) / 1000, (e.down_to_ms - begin_ms) / 1000) for e in events]


async def test_downtime_is_recorded_where_something_was_open(tmp_path: Path) -> None:
    machine = Machine(tmp_path, work=Outcome.never())
    await machine.begin(side_by_side(simple("work"), wait("mark", 30)), 30)
    await machine.again(down=HOUR, up=5)
    await machine.again(down=HOUR, up=0)

    assert await starts(machine) == [(30, 30 + HOUR), (35 + HOUR, 35 + 2 * HOUR)]


async def test_downtime_of_an_engine_with_nothing_open_is_not_recorded(tmp_path: Path) -> None:
    machine = Machine(tmp_path)
    await machine.begin(side_by_side(wait("mark", 30)), 30)
    await machine.again(down=HOUR, up=5)

    assert await starts(machine) == []
