"""Retry: what was unsuccessful is tried again, here or in the child where the failure is.

What succeeded is never touched. How a single record is tried again is in `decide/repairing`;
what a retry means for the execution above is in `decide/reviving`.
"""

from __future__ import annotations

from asyncflow.decide.repairing import RETRY, in_order, repair, unsuccessful
from asyncflow.decide.reviving import tell_parent
from asyncflow.decide.shape import PASSIVE
from asyncflow.decide.slots import await_slot
from asyncflow.decide.step import Step
from asyncflow.errors import NotFound, Refused
from asyncflow.model.events import ExecutionReopened
from asyncflow.model.inputs import ChildEnded, RetryExecution
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import CANCELED, COMPLETED, TIMED_OUT


def retry(step: Step, command: RetryExecution) -> None:
    """Try again what was unsuccessful.

    Raises:
        NotFound: the execution did not end (404, as in Conductor).
        Refused: it has nothing to try again.
    """
    state = step.state
    if command.by_parent or command.passed_on:
        _retry_from_above(step, command)
        return
    if not state.is_ended:
        raise NotFound("ended execution to retry", f"{state.execution_id} is {state.status}")
    failed = unsuccessful(state)
    if not failed:
        _retry_nothing(step, command)
    elif not (command.resume_children and _pass_down(step, failed)):
        _reopen(step, failed, tell=True)


def _retry_nothing(step: Step, command: RetryExecution) -> None:
    state = step.state
    if command.resume_children:
        return
    if state.status != TIMED_OUT or not state.tasks:
        raise Refused(f"execution {state.execution_id} is {state.status} and has no task to retry")
    _reopen(step, [], tell=True)


def _reopen(step: Step, failed: list[TaskState], *, tell: bool) -> None:
    """Run on in a new epoch; the names of what failed stay, as in Conductor.

    The parent hears of it first: what is begun here may end the execution at once, and an end that
    comes before the parent waits again is lost.
    """
    step.emit(ExecutionReopened(RETRY, clear_reason=True, clear_failures=False, repairs=in_order(failed)))
    is_held = await_slot(step)
    if tell:
        tell_parent(step, RETRY)
    if not is_held:
        repair(step)


# --- down into children ----------------------------------------------------------------------------


def _pass_down(step: Step, failed: list[TaskState]) -> bool:
    """Hand the retry to the child that failed; nothing changes here until that child runs again.

    Conductor takes the first unsuccessful record in order. It then starts a child anew wherever a
    cancelled sibling, or the JOIN of a longer branch, stands before it. What failed comes first here,
    what was only cancelled with it second, and what merely waits for others not at all.
    """
    active = [task for task in failed if task.node.type not in PASSIVE]
    first = next((task for task in active if task.status != CANCELED), None) or next(iter(active), None)
    if first is None or first.more is None or first.more.child_id is None:
        return False
    step.send(first.more.child_id, RetryExecution(resume_children=True, passed_on=True))
    return True


def _retry_from_above(step: Step, command: RetryExecution) -> None:
    """A parent asks, and is answered in any case: it waits for this execution from now on.

    `passed_on`: the parent did not open its task yet and is told to. `by_parent`: it has.
    """
    state = step.state
    if not state.is_ended:
        if command.passed_on:
            tell_parent(step, RETRY)
        return
    failed = unsuccessful(state)
    if command.passed_on and failed and _pass_down(step, failed):
        return
    goes_on = bool(failed) or _was_broken_off(state)
    if goes_on:
        _reopen(step, failed, tell=command.passed_on)
        return
    if command.passed_on:
        tell_parent(step, RETRY)
    if state.parent_id is not None:
        step.send(
            state.parent_id,
            ChildEnded(state.parent_number, state.execution_id, state.status, state.output, state.reason),
        )


def _was_broken_off(state: ExecutionState) -> bool:
    """Whether it was ended from outside between two tasks, so that it can go on without repairs."""
    return state.status != COMPLETED and all(task.node.type != "TERMINATE" for task in state.tasks.values())
