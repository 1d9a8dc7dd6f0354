"""State after events that begin, use or end what an execution holds of resources over several tasks.

A hold is over when the task it was to last to has settled, or the execution ended; it is given back when
nobody who began under it is under way any more, jobs outside included. Each change has those ask again
who wait for resources, since a hold may cover what they need.
"""

from __future__ import annotations

from collections.abc import Sequence

from asyncflow.decide.wanted import forget, refresh, refresh_hold
from asyncflow.model.emptiness import own
from asyncflow.model.events import AttemptStarted
from asyncflow.model.holds import HoldState
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import SCHEDULED
from asyncflow.model.values import JsonValue


def attempt_begun(state: ExecutionState, task: TaskState, event: AttemptStarted, at_ms: int) -> None:
    """The attempt brings holds that begin with it, or begins under some that are there."""
    user = -state.next_job if task.executor == "job" else task.number
    for until, suffix, *grant in event.holds or ():
        hold = _make(state, task.number, grant, event.fence, at_ms)
        hold.until, hold.suffix = str(until), str(suffix)
        hold.users[user] = None
        refresh_hold(state, hold)
    for serial in event.under or ():
        state.holds[serial].users[user] = None
    if event.holds:
        _have_others_ask(state)


def execution_begun(state: ExecutionState, rows: Sequence[list[JsonValue]], fence: int, at_ms: int) -> None:
    """The execution has what its definition names, until it ends."""
    for row in rows:
        refresh_hold(state, _make(state, 0, row, fence, at_ms))
    _have_others_ask(state)


def _make(state: ExecutionState, taker: int, grant: list[JsonValue], fence: int, at_ms: int) -> HoldState:
    hold = HoldState(state.next_hold, taker, grant, fence, since_ms=at_ms)
    state.holds = own(state.holds)
    state.holds[hold.serial] = hold
    state.next_hold += 1
    return hold


def user_gone(state: ExecutionState, user: int) -> None:
    """An attempt is over, or a job: what was only held for it is given back."""
    for hold in list(state.holds.values()):
        if user in hold.users:
            del hold.users[user]
            _look(state, hold)


def task_settled(state: ExecutionState, task: TaskState) -> None:
    """What was to last until this task is over."""
    for hold in list(state.holds.values()):
        if not hold.is_over and hold.until + hold.suffix == task.ref:
            _end(state, hold)


def execution_ended(state: ExecutionState) -> None:
    """All is over; what was begun under it outside may still use it."""
    for hold in list(state.holds.values()):
        hold.users = {user: None for user in hold.users if user < 0}
        _end(state, hold)


def renamed(state: ExecutionState, mapping: dict[str, str]) -> None:
    """A migration gave tasks other names."""
    for hold in state.holds.values():
        hold.until = mapping.get(hold.until, hold.until)


def _end(state: ExecutionState, hold: HoldState) -> None:
    hold.is_over = True
    _look(state, hold)
    _have_others_ask(state)


def _look(state: ExecutionState, hold: HoldState) -> None:
    if hold.is_over and not hold.users:
        del state.holds[hold.serial]
        forget(state, hold.key)


def _have_others_ask(state: ExecutionState) -> None:
    """Whoever waits for resources asks anew: some of it may be held now, or be held no more.

    Cost: linear in the records; holds begin and end rarely.
    """
    state.holds_round += 1
    for task in state.tasks.values():
        if task.status == SCHEDULED and "resources" in task.node.extra:
            refresh(state, task)
