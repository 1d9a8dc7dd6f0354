"""Taking results up again: a record that was set aside counts as it is, where nothing speaks against it.

The flow asks here before it makes a record. What has changed so far is known from `decide/altered`;
what was set aside, and why, is decided in `decide/changing`.
"""

from __future__ import annotations

from asyncflow.decide.altered import follows_altered
from asyncflow.decide.forks import branch_template
from asyncflow.decide.scheduling import OPERATORS, Frame, complete_input, resolve_input
from asyncflow.decide.step import Step
from asyncflow.errors import AsyncflowError
from asyncflow.model.events import TaskReused
from asyncflow.model.graph import Node
from asyncflow.model.state import ForkMembers, Memo, TaskState
from asyncflow.model.statuses import COMPLETED, COMPLETED_WITH_ERRORS
from asyncflow.model.values import JsonObject

NEVER_REUSED = OPERATORS - {"EVENT", "START_WORKFLOW"}
"""What only arranges others costs nothing and is made anew, so that it is right for what is there now."""

REUSABLE = frozenset({COMPLETED, COMPLETED_WITH_ERRORS})

# Three things must hold: the record has a result, what it follows at once came out as before, and the
# input that it would be given now is the one it had. The last is compared whole, so a script or a worker
# that reads all it is given is judged by all it is given.


def take_up_again(step: Step, node: Node, frame: Frame) -> TaskState | None:
    """Count a record that was set aside as done, in place of a new one; None where it is to be made."""
    memo = step.state.memo
    if memo is None:
        return None
    found = _candidate(memo, node, node.ref + frame.suffix)
    if found is None:
        return None
    if found.ref not in memo.keep:
        if _is_altered_before(step, memo, found, node, loop=frame.loop, fork=0):
            return None
        if not _has_input(found, _resolved(step, node, found.number)):
            return None
    step.emit(TaskReused(found.number, frame.loop))
    return found


def take_branch_again(step: Step, fork: TaskState, members: ForkMembers, index: int) -> TaskState | None:
    """The same for a branch of a dynamic fork."""
    memo = step.state.memo
    if memo is None:
        return None
    node = members.node(index)
    found = _candidate(memo, node, members.refs[index])
    if found is None:
        return None
    if found.ref not in memo.keep:
        if _is_altered_before(step, memo, found, node, loop=0, fork=fork.number):
            return None
        if not _has_input(found, _branch_input(step, members, index, found.number)):
            return None
    step.emit(TaskReused(found.number, fork.loop, fork.number, index))
    return found


def _candidate(memo: Memo, node: Node, ref: str) -> TaskState | None:
    """The record set aside under a name, if its result may count at all."""
    found = memo.records.get(memo.newest.get(ref, 0))
    if found is None or ref in memo.redo or node.type in NEVER_REUSED:
        return None
    same = found.node.type == node.type and found.node.name == node.name
    return found if same and found.status in REUSABLE else None


def _is_altered_before(step: Step, memo: Memo, found: TaskState, node: Node, *, loop: int, fork: int) -> bool:
    if memo.cut_off == "inputs":
        return False
    return follows_altered(step.state, memo, node, found.suffix, loop=loop, fork=fork)


def _has_input(found: TaskState, given: JsonObject | None) -> bool:
    """Whether a record had this input; a further attempt may have had more, from the one before."""
    if given is None:
        return False
    return given == found.input or (found.retry_of > 0 and {**found.input, **given} == found.input)


def _resolved(step: Step, node: Node, number: int) -> JsonObject | None:
    """The input that the node would be given now, or None where it cannot be made."""
    try:
        given = resolve_input(step, node, number)
    except AsyncflowError:
        return None
    constant: JsonObject = node.input.resolve(None) if given is None else given  # type: ignore[assignment]
    return constant


def _branch_input(step: Step, members: ForkMembers, index: int, number: int) -> JsonObject | None:
    node = members.node(index)
    try:
        resolved = branch_template(members, index).resolve(step.scope(number))
        if not isinstance(resolved, dict):
            return None
        template = node.policy.input_template
        return complete_input(step, node, number, {**template, **resolved} if template else resolved)
    except AsyncflowError:
        return None
