"""Offers and leases: what a task for workers elsewhere wants in each state, and how it is given back."""

from __future__ import annotations

import pytest

from asyncflow.decide.wanted import attempt_start
from asyncflow.model import inputs
from asyncflow.model.effects import Effect, Lease, Offer
from asyncflow.model.state import ExecutionState
from asyncflow.testing.pure import World
from tests.decide.definitions import fork, task, workflow, world


def wants(state: ExecutionState, number: int) -> list[Effect]:
    return [each for each in state.wanted.get(number, ()) if isinstance(each, Offer | Lease)]


def take(made: World, state: ExecutionState, number: int, **more: object) -> None:
    made.send(state.execution_id, inputs.AttemptAdmitted(number, **more))  # type: ignore[arg-type]


def release(made: World, state: ExecutionState, number: int, start: int = 0) -> None:
    made.send(state.execution_id, inputs.ReleaseAttempt(number, "node restarts", start))


def test_scheduled_task_is_offered_and_taken_one_is_leased() -> None:
    made = world()
    state = made.start(workflow(task("a")))
    assert wants(state, 1) == [Offer(1, 0)]
    take(made, state, 1, worker_id="w1", grants=[["task:a", 1, None, ""]])

    assert wants(state, 1) == [Lease(1, 1)]
    assert (state.tasks[1].worker_id, state.tasks[1].grants) == ("w1", [["task:a", 1, None, ""]])


def test_pause_neither_takes_offers_nor_leases_away() -> None:
    made = world()
    state = made.start(workflow(*fork("f", [task("a")], [task("b")])))
    take(made, state, 2)
    made.pause(state)

    assert wants(state, 2) == [Lease(2, 1)]
    assert wants(state, 3) == [Offer(3, 0)]


def test_start_delay_and_callback_say_when_it_is_offered() -> None:
    made = world()
    state = made.start(workflow(task("a", startDelay=5)))
    assert wants(state, 1) == [Offer(1, made.now_ms + 5_000)]
    take(made, state, 1, grants=[["task:a", 1, None, ""]])
    update = inputs.UpdateTask(1, "IN_PROGRESS", {}, callback_after_s=7)
    made.send(state.execution_id, update)

    assert wants(state, 1) == [Offer(1, made.now_ms + 7_000)]
    assert state.tasks[1].grants is None
    take(made, state, 1)
    assert wants(state, 1) == [Lease(1, 2)]


def test_retry_is_offered_when_its_delay_is_over() -> None:
    made = world()
    made.register_task(name="a", retryCount=1, retryDelaySeconds=9)
    state = made.start(workflow(task("a")))
    made.fail(state, "a")

    assert wants(state, 1) == []
    assert wants(state, 2) == [Offer(2, made.now_ms + 9_000)]


def test_release_makes_another_record_without_using_a_retry() -> None:
    made = world()
    made.register_task(name="a", retryCount=0)
    state = made.start(workflow(task("a")))
    for number in range(1, 11):
        take(made, state, number)
        release(made, state, number)

    old, new = state.tasks[10], state.tasks[11]
    assert (old.status, old.state, old.superseded) == ("CANCELED", "RELEASED", True)
    assert (new.retry_of, new.retry_count, new.input) == (10, 0, old.input)
    assert (wants(state, 10), wants(state, 11)) == ([], [Offer(11, 0)])
    made.end(state, "a")
    assert state.status == "COMPLETED"


def test_release_while_paused_is_offered_again_at_once() -> None:
    made = world()
    state = made.start(workflow(task("a")))
    take(made, state, 1)
    made.pause(state)
    release(made, state, 1)

    assert wants(state, 2) == [Offer(2, 0)]


@pytest.mark.parametrize("case", ["waits", "ended", "another start", "not there", "here"])
def test_release_that_fits_nothing_changes_nothing(case: str) -> None:
    made = world("a") if case == "here" else world()
    state = made.start(workflow(task("a"), task("b")))
    start = 0
    if case != "waits":
        take(made, state, 1)
        start = attempt_start(state.tasks[1])
    if case == "ended":
        made.end(state, "a")
    if case == "another start":
        made.send(state.execution_id, inputs.UpdateTask(1, "IN_PROGRESS", {}, callback_after_s=1))
        take(made, state, 1)
    seen = state.seq
    release(made, state, 99 if case == "not there" else 1, start)

    assert state.seq == seen


@pytest.mark.parametrize("level", ["task", "workflow"])
def test_pinned_execution_offers_to_the_version_that_first_took_one(level: str) -> None:
    made = world()
    pin = {"asyncflow": {"pinWorkerVersion": True}}
    ours = pin if level == "task" else {}
    branches = [[task(name, **ours)] for name in "abc"]
    state = made.start(workflow(*fork("f", *branches), **(pin if level == "workflow" else {})))
    take(made, state, 2, version="7")

    assert (wants(state, 3), wants(state, 4)) == ([Offer(3, 0, "7")], [Offer(4, 0, "7")])
    take(made, state, 3, version="8")
    assert state.tasks[3].status == "SCHEDULED", "other code may not take it"
    take(made, state, 3, version="7")
    assert state.tasks[3].status == "IN_PROGRESS"
    assert made.fold(state.execution_id).wanted == state.wanted


def test_version_counts_for_nothing_where_nothing_is_pinned() -> None:
    made = world()
    state = made.start(workflow(*fork("f", [task("a")], [task("b")])))
    take(made, state, 2, version="7")
    take(made, state, 3, version="8")

    assert (state.worker_version, state.tasks[3].status) == ("", "IN_PROGRESS")


def test_restart_forgets_the_version() -> None:
    made = world()
    state = made.start(workflow(task("a"), asyncflow={"pinWorkerVersion": True}))
    take(made, state, 1, version="7")
    made.end(state, "a")
    made.restart(state)

    assert wants(state, made.task(state, "a").number) == [Offer(made.task(state, "a").number, 0)]
