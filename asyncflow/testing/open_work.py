"""What executions wait for, read from their states alone: attempts, timers, scripts.

It changes nothing and knows no clock; a `World` of `testing/pure` asks it what could happen next,
and says what does.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from asyncflow.decide.wanted import LOCAL_EXECUTORS
from asyncflow.model.effects import Admit, RunScript, Timer
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import IN_PROGRESS, SCHEDULED

_ENDED_BY_HAND = LOCAL_EXECUTORS | {"remote", "external"}


def newest_task(state: ExecutionState, ref: str) -> TaskState:
    """The newest record of a full or plain reference name."""
    found = state.by_ref.get(ref) or state.latest.get(ref)
    assert found is not None, f"no task {ref} in {list(state.by_ref)}"
    return found


def child_id(state: ExecutionState, ref: str) -> str:
    """The id of the execution that a SUB_WORKFLOW task started."""
    more = newest_task(state, ref).more
    assert more is not None, f"{ref} has no child"
    assert more.child_id is not None, f"{ref} has no child"
    return more.child_id


def open_attempts(states: Iterable[ExecutionState]) -> Iterator[tuple[ExecutionState, TaskState]]:
    """Every task whose attempt could end, here or at a worker, in order of numbers; not due ones alone."""
    for state in list(states):
        if state.is_ended:
            continue
        for task in list(state.tasks.values()):
            if task.status in {SCHEDULED, IN_PROGRESS} and task.executor in _ENDED_BY_HAND:
                yield state, task


def open_timers(states: Iterable[ExecutionState]) -> Iterator[tuple[ExecutionState, Timer]]:
    """Every timer that is wanted."""
    for state in list(states):
        for effects in list(state.wanted.values()):
            for effect in effects:
                if isinstance(effect, Timer):
                    yield state, effect


def next_script(states: Iterable[ExecutionState]) -> tuple[ExecutionState, RunScript] | None:
    """The first script that is wanted."""
    for state in states:
        for effects in state.wanted.values():
            for effect in effects:
                if isinstance(effect, RunScript):
                    return state, effect
    return None


def next_due_ms(states: Iterable[ExecutionState], now_ms: int) -> int | None:
    """When, after now, a timer is due or an attempt that is held back may begin; None if nothing is."""
    states = list(states)
    timers = [timer.due_ms for _, timer in open_timers(states)]
    held_back = [task.due_ms for _, task in open_attempts(states)]
    admitted = [
        effect.due_ms
        for state in states
        for effects in state.wanted.values()
        for effect in effects
        if isinstance(effect, Admit)  # of jobs too, whose attempts nobody ends by hand
    ]
    return min((due for due in (*timers, *held_back, *admitted) if due > now_ms), default=None)
