"""Which task an execution stands at, as synchronous calls see it: in itself, or below it.

It looks at states and changes nothing; who waits for such a task is in `app/executing`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

from asyncflow.decide.durations import wait_due
from asyncflow.model.state import ExecutionState, TaskState


class Standing(NamedTuple):
    """A task, and the execution that it is in."""

    state: ExecutionState
    task: TaskState


States = Callable[[str], ExecutionState | None]
"""The state of an execution in memory."""


def blocking_task(root: ExecutionState, states: States, refs: Collection[str] = ()) -> Standing | None:
    """The task that a caller is to hear of: a WAIT without a time, or one of `refs` that is over.

    Cost: linear in the records of the execution and of those below it that go on.
    """
    return _first(root, states, lambda task: _is_signalled(task) or (task.ref in refs and _is_over(task)))


def waiting_task(root: ExecutionState, states: States) -> Standing | None:
    """The task that a signal is for: the first WAIT that is open, timed ones too. Cost as `blocking_task`."""
    return _first(root, states, lambda task: task.node.type == "WAIT" and not task.is_ended)


def _is_signalled(task: TaskState) -> bool:
    return task.node.type == "WAIT" and not task.is_ended and wait_due(task) is None


def _is_over(task: TaskState) -> bool:
    return task.is_ended and not task.superseded


def _first(root: ExecutionState, states: States, fits: Callable[[TaskState], bool]) -> Standing | None:
    """The first task that fits, in an execution before those below it, then depth first."""
    todo = [root]
    while todo:
        state = todo.pop()
        found = min(filter(fits, state.tasks.values()), key=lambda task: task.seq, default=None)
        if found is not None:
            return Standing(state, found)
        todo += reversed(_children(state, states))
    return None


def _children(state: ExecutionState, states: States) -> list[ExecutionState]:
    """The executions below that go on, in the order of their tasks."""
    waiting = [
        task for task in state.tasks.values() if task.node.type == "SUB_WORKFLOW" and not task.is_ended
    ]
    found: list[ExecutionState] = []
    for task in sorted(waiting, key=lambda task: task.seq):
        child = None if task.more is None or task.more.child_id is None else states(task.more.child_id)
        if child is not None and not child.is_ended:
            found.append(child)
    return found
