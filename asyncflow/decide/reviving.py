"""Revival: an execution whose child runs again runs again too, and so on upwards.

The child tells its parent; the parent opens the child's task and repairs what was cancelled with
it. A parent never looks into a child: siblings are asked to retry themselves, by a message that
they do not answer with a revival of their own.
"""

from __future__ import annotations

from asyncflow.decide.repairing import REVIVAL, in_order, is_revived, repair, unsuccessful, wait_for_child
from asyncflow.decide.slots import await_slot
from asyncflow.decide.step import Step
from asyncflow.model.events import ExecutionReopened, Repaired
from asyncflow.model.inputs import ChildReopened
from asyncflow.model.state import ExecutionState, TaskState


def tell_parent(step: Step, operation: str) -> None:
    """Say upwards that this execution runs again, because of this operation."""
    state = step.state
    if state.parent_id is not None:
        step.send(state.parent_id, ChildReopened(state.parent_number, state.execution_id, operation))


def child_reopened(step: Step, message: ChildReopened) -> None:
    """Wait for a child again, and go on with what was given up when it failed.

    A message, so never refused. It changes nothing where the task does not wait for this child any
    more: it was superseded by a retry, removed by a restart or rerun, or has another child.
    Where it is optional, its failure was accepted and so was the end of this execution.
    """
    state = step.state
    task = _task_of(state, message)
    if task is None:
        return
    note = f"Sub workflow {message.child_id} {message.operation}."
    if not state.is_ended:
        wait_for_child(step, task, note=note)
        step.emit(Repaired(0))
        return
    siblings = [each for each in unsuccessful(state) if each is not task and is_revived(each)]
    step.emit(ExecutionReopened(REVIVAL, clear_reason=True, clear_failures=True, repairs=in_order(siblings)))
    is_held = await_slot(step)
    wait_for_child(step, task, note=note)
    tell_parent(step, message.operation)
    if not is_held:
        repair(step)


def _task_of(state: ExecutionState, message: ChildReopened) -> TaskState | None:
    """The ended record that has this child and counts, or None."""
    task = state.tasks.get(message.number)
    if task is None or not task.is_ended or task.superseded or task.node.task.optional:
        return None
    return task if task.more is not None and task.more.child_id == message.child_id else None
