"""WAIT and HUMAN: durations, dates, updates from outside."""

from __future__ import annotations

import pytest

from asyncflow.model import inputs
from tests.decide.definitions import Json, task, workflow, world


@pytest.mark.parametrize(("duration", "ms"), [("5s", 5_000), ("1 hour 2 minutes", 3_720_000), ("", 0)])
def test_wait_ends_when_its_duration_has_passed(duration: str, ms: int) -> None:
    made = world()
    start = made.now_ms
    state = made.start(workflow(task("w", "WAIT", inputParameters={"duration": duration})))
    assert made.task(state, "w").status == "IN_PROGRESS"
    made.pass_time(start + max(ms - 1, 0))
    assert state.is_ended == (ms == 0)
    made.pass_time(start + ms)

    assert (state.status, made.task(state, "w").output) == ("COMPLETED", {})


def test_wait_until_a_date_follows_the_calendar() -> None:
    made = world()
    state = made.start(workflow(task("w", "WAIT", inputParameters={"until": "1970-01-02"})))
    [(_, timer)] = made.timers()

    assert (timer.clock, timer.due_ms) == ("wall", 86_400_000)
    made.pass_time()
    assert state.status == "COMPLETED"


def test_wait_for_a_date_that_has_passed_ends_with_the_next_look_at_time() -> None:
    made = world(now_ms=10**12)
    state = made.start(workflow(task("w", "WAIT", inputParameters={"until": "1970-01-02 00:00"})))
    made.pass_time(made.now_ms)

    assert state.status == "COMPLETED"


@pytest.mark.parametrize(
    "given",
    [{"duration": "5s", "until": "2030-01-01"}, {"duration": "ten"}, {"duration": 10}, {"until": "someday"}],
)
def test_wait_for_what_is_no_time_fails_for_good(given: Json) -> None:
    made = world()
    state = made.start(workflow(task("w", "WAIT", inputParameters=given)))

    assert made.task(state, "w").status == "FAILED_WITH_TERMINAL_ERROR"
    assert state.status == "FAILED"


@pytest.mark.parametrize("kind", ["WAIT", "HUMAN"])
def test_waiting_without_a_time_is_ended_by_an_update(kind: str) -> None:
    made = world()
    state = made.start(workflow(task("w", kind, inputParameters={"q": 1})))
    assert not made.pass_time()

    made.send(state.execution_id, inputs.UpdateTask(0, "COMPLETED", {"a": 1}, "w"))

    assert (state.status, state.output) == ("COMPLETED", {"a": 1})


def test_timer_may_be_ended_early_by_an_update() -> None:
    made = world()
    state = made.start(workflow(task("w", "WAIT", inputParameters={"duration": "1h"})))
    made.send(state.execution_id, inputs.UpdateTask(1, "COMPLETED", {"a": 1}))

    assert (state.status, state.wanted) == ("COMPLETED", {})


def test_timer_that_is_not_due_changes_nothing() -> None:
    made = world()
    state = made.start(workflow(task("w", "WAIT", inputParameters={"duration": "1h"})))
    before = state.seq
    made.send(state.execution_id, inputs.TimerDue(1, "wait"))
    made.send(state.execution_id, inputs.TimerDue(1, "unknown"))

    assert state.seq == before
