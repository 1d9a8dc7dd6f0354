"""The tables of allowed transitions, arrow by arrow: what is in them happens, what is not raises."""

from __future__ import annotations

import itertools

import pytest

from asyncflow.decide.evolve import evolve
from asyncflow.model import events as ev
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import (
    CANCELED,
    COMPLETED,
    EXECUTION_ENDED,
    EXECUTION_REOPENINGS,
    EXECUTION_TRANSITIONS,
    FAILED,
    IN_PROGRESS,
    PAUSED,
    RUNNING,
    SCHEDULED,
    SKIPPED,
    TASK_ENDED,
    TASK_RESETS,
    TASK_TRANSITIONS,
    IllegalTransition,
)
from tests.decide.definitions import task, workflow, world

EXECUTION_STATUSES = sorted(EXECUTION_TRANSITIONS)
TASK_STATUSES = sorted(TASK_TRANSITIONS)


def execution_in(status: str) -> ExecutionState:
    state = world().start(workflow(task("a"), task("b")))
    if status == PAUSED:
        evolve(state, ev.ExecutionPaused(), 1)
    elif status != RUNNING:
        evolve(state, ev.ExecutionEnded(status, None, {}), 1)
    assert state.status == status
    return state


def task_in(status: str) -> tuple[ExecutionState, TaskState]:
    state = world().start(workflow(task("a"), task("b")))
    if status == SKIPPED:
        evolve(state, ev.TaskSkipped(2, "b", {}, {}), 1)
        return state, state.tasks[2]
    if status == IN_PROGRESS:
        evolve(state, ev.AttemptStarted(1), 1)
    elif status != SCHEDULED:
        evolve(state, ev.TaskEnded(1, status, {}, settled=False), 1)
    assert state.tasks[1].status == status
    return state, state.tasks[1]


def execution_event(old: str, new: str) -> ev.Event:
    """The event that would lead from one status to the other."""
    if new in EXECUTION_ENDED:
        return ev.ExecutionEnded(new, None, {})
    if new == PAUSED:
        return ev.ExecutionPaused()
    reopened = ev.ExecutionReopened("retry", clear_reason=True, clear_failures=False)
    return reopened if old in EXECUTION_ENDED else ev.ExecutionResumed()


def task_event(number: int, new: str, *, reset: bool) -> ev.Event:
    if reset:
        return ev.TaskReset(number, new, 0)
    if new in TASK_ENDED:
        return ev.TaskEnded(number, new, {})
    return ev.AttemptStarted(number) if new == IN_PROGRESS else ev.TaskUpdated(number, status=new)


@pytest.mark.parametrize(("old", "new"), [*itertools.permutations(EXECUTION_STATUSES, 2)])
def test_execution_moves_only_along_its_table(old: str, new: str) -> None:
    state = execution_in(old)
    event = execution_event(old, new)

    table = EXECUTION_REOPENINGS if isinstance(event, ev.ExecutionReopened) else EXECUTION_TRANSITIONS
    if new in table[old]:
        evolve(state, event, 2)
        assert state.status == new
    else:
        with pytest.raises(IllegalTransition, match=f"{old} to {new}"):
            evolve(state, event, 2)


@pytest.mark.parametrize("status", sorted(EXECUTION_ENDED))
def test_ended_execution_does_not_end_the_same_way_twice(status: str) -> None:
    with pytest.raises(IllegalTransition):
        evolve(execution_in(status), ev.ExecutionEnded(status, None, {}), 2)


@pytest.mark.parametrize(("old", "new"), [*itertools.permutations(TASK_STATUSES, 2)])
def test_task_moves_only_along_its_table(old: str, new: str) -> None:
    state, record = task_in(old)
    event = task_event(record.number, new, reset=old in TASK_ENDED and new not in TASK_ENDED)

    table = TASK_RESETS if isinstance(event, ev.TaskReset) else TASK_TRANSITIONS
    if new in table[old]:
        evolve(state, event, 2)
        assert record.status == new
    else:
        with pytest.raises(IllegalTransition, match=f"{old} to {new}"):
            evolve(state, event, 2)
        assert record.status == old


@pytest.mark.parametrize("status", sorted(TASK_ENDED - {SKIPPED}))
def test_ended_task_opens_again_by_a_reset_only(status: str) -> None:
    state, record = task_in(status)

    for event in (
        ev.AttemptStarted(1),
        ev.TaskUpdated(1),
        ev.TaskEnded(1, status, {}),
        ev.ChildStarted(1, "x"),
    ):
        with pytest.raises(IllegalTransition):
            evolve(state, event, 2)

    assert record.status == status


@pytest.mark.parametrize("status", [COMPLETED, FAILED, CANCELED])
def test_record_does_not_begin_at_its_end(status: str) -> None:
    state = execution_in(RUNNING)

    with pytest.raises(IllegalTransition, match="begins as"):
        evolve(state, ev.TaskScheduled(2, "b", status=status), 2)


def test_open_task_may_be_told_its_own_status_again() -> None:
    state, record = task_in(IN_PROGRESS)

    evolve(state, ev.TaskUpdated(1, {"x": 1}), 2)

    assert (record.status, record.output) == (IN_PROGRESS, {"x": 1})
