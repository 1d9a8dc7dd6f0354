"""State of a recovery: which finished tasks are performed again before an execution goes on, in which order.

Only `evolve` and its handlers call what changes anything here. Which tasks those are, and when each is
opened, is decided in `decide/recovering`; what waits meanwhile is said in `decide/wanted`.
"""

from __future__ import annotations

from asyncflow.decide.wanted import refresh, refresh_execution
from asyncflow.model import events as ev
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import COMPLETED
from asyncflow.model.values import JsonObject

# `state.recovering` holds records in the order in which they are performed again, each with the output that
# it had. Only the first of them may be under way; the rest of the execution waits until none is left.


def recovery_begun(state: ExecutionState, event: ev.RecoveryBegun, at_ms: int) -> None:  # noqa: ARG001 - as every handler
    """These records are to be performed again; one that was being performed keeps what it had before."""
    before = state.recovering
    found: dict[int, JsonObject | None] = {}
    for number in event.numbers:
        found[number] = before[number] if number in before else state.tasks[number].output
    state.recovering = found
    _refresh_open(state)


def opened(state: ExecutionState, task: TaskState, output: JsonObject) -> None:
    """A record was opened; while it is performed again, who reads its output is given the one it had."""
    task.output = state.recovering.get(task.number, output)


def moved(state: ExecutionState, old: TaskState, to: TaskState) -> None:
    """Another attempt took the place of a record; what it had before is the same."""
    if old.number not in state.recovering:
        return
    state.recovering = {to.number if n == old.number else n: out for n, out in state.recovering.items()}
    to.output = state.recovering[to.number]


def over(state: ExecutionState, number: int) -> None:
    """A record was performed again, or is gone; behind the last one the execution goes on."""
    if number not in state.recovering:
        return
    del state.recovering[number]
    if not state.recovering:
        _refresh_open(state)
        return
    first = state.tasks[next(iter(state.recovering))]
    if not first.is_ended:
        refresh(state, first)


def given_up(state: ExecutionState) -> None:
    """The execution is done, or begins from nothing: nothing is to be performed again."""
    state.recovering.clear()


def _refresh_open(state: ExecutionState) -> None:
    for task in state.tasks.values():
        if not task.is_ended:
            refresh(state, task)
    refresh_execution(state)


def earlier_output(state: ExecutionState, task: TaskState) -> JsonObject | None:
    """The result that a record, or the one it takes the place of, had before it is performed again.

    None where it had none: the first time, after a failure, and after an ordinary rerun, which forgets.
    """
    if task.number in state.recovering:
        return state.recovering[task.number]
    memo = state.memo
    if memo is None:
        return None
    former = memo.former.get(task.ref) or memo.records.get(memo.newest.get(task.ref, 0))
    return former.output if former is not None and former.status == COMPLETED else None
