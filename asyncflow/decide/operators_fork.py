"""How forks begin: static branches at once, dynamic ones in slices, the JOIN behind them.

What a dynamic fork's branches are is in `decide/forks`; joins end in `decide/flow`.
"""

from __future__ import annotations

from asyncflow.decide import forks
from asyncflow.decide.ending import end_execution
from asyncflow.decide.flow import begin_list, complete
from asyncflow.decide.scheduling import BUILT_IN_EXECUTORS, Frame, executor_of, schedule
from asyncflow.decide.step import Begin, Step
from asyncflow.decide.wanted import LOCAL_EXECUTORS
from asyncflow.errors import LimitExceeded
from asyncflow.model.definition import to_json
from asyncflow.model.events import BranchesScheduled, Deferred, ForkOpened, TaskScheduled
from asyncflow.model.graph import Node
from asyncflow.model.state import ForkMembers, TaskState
from asyncflow.model.statuses import FAILED, IN_PROGRESS
from asyncflow.model.values import JsonObject

_IN_BULK = LOCAL_EXECUTORS | {"remote"}


def begin_fork(step: Step, task: TaskState) -> None:
    """FORK_JOIN: done at once; every branch begins, and the JOIN that follows is there from the start."""
    follower = task.node.follower
    if follower is None or follower.type not in {"JOIN", "EXCLUSIVE_JOIN"}:
        reason = f"Fork task definition is not followed by a join task: {task.ref}"
        end_execution(step, FAILED, reason, failed=task)
        return
    complete(step, task, {})
    frame = Frame.of(task)
    for branch in task.node.branches:
        begin_list(step, branch, frame)
        if step.state.is_ended:
            return
    if follower.ref + task.suffix not in step.state.by_ref:
        schedule(step, follower, frame)


def begin_dynamic_fork(step: Step, task: TaskState) -> None:
    """FORK_JOIN_DYNAMIC: the branches are made from the input, as many as there are."""
    follower = task.node.follower
    if follower is None or follower.type != "JOIN":
        reason = f"Dynamic fork is not followed by a join task: {task.ref}"
        end_execution(step, FAILED, reason, failed=task)
        return
    try:
        event = _opening(step, task)
        step.emit(event)
    except (forks.BadFork, LimitExceeded) as error:
        end_execution(step, FAILED, f"{task.ref}: {error}", failed=task)
        return
    complete(step, task, {})


def _opening(step: Step, task: TaskState) -> ForkOpened:
    form, listed = forks.choose_form(task.node.task, task.input)
    limit = step.context.limits.fork_width
    if len(listed) > limit:
        raise LimitExceeded("fork_width", allowed=limit, actual=len(listed))
    known = {}
    for name in forks.forked_names(form, task, listed):
        definition = step.context.catalog.task_definition(name)
        if definition is not None:
            known[name] = to_json(definition)
    prefix = forks.prefix_of(step.state, task) if form == forks.INPUTS else ""
    event = ForkOpened(task.number, form, len(listed), prefix, known or None)
    members = forks.open_members(task, event)
    taken = [ref for ref in members.refs if ref in step.state.by_ref]
    if taken or len(set(members.refs)) != len(members.refs):
        raise forks.BadFork(
            f"reference names of forked tasks must be new and unique: {taken[:3] or 'repeated'}"
        )
    return event


def go_on_forking(step: Step, task: TaskState) -> None:
    """Schedule branches of an opened fork until all are there or the slice is full; then the JOIN."""
    more = task.more
    if more is None or more.members is None or more.join:
        return
    members = more.members
    while more.opened < members.count:
        if step.is_full:
            step.emit(Deferred([task.number]))
            return
        _schedule_run(step, task, members, more.opened)
        if step.state.is_ended:
            return
    follower = task.node.follower
    assert follower is not None  # noqa: S101 - checked when the fork began
    _schedule_join(step, follower, task)


def _schedule_run(step: Step, task: TaskState, members: ForkMembers, first: int) -> None:
    """Schedule as many branches as go to one executor in a row, at most a slice of them."""
    node = members.node(first)
    executor = executor_of(step, node, node.name if node.type == "SIMPLE" else node.type)
    if executor not in _IN_BULK or node.task.start_delay:
        _schedule_one(step, task, members, first)
        return
    last, most = first, min(members.count, first + step.context.slice_size)
    while last < most and (len(members.nodes) == 1 or _goes_to(step, members.node(last), executor)):
        last += 1
    number = step.state.next_number
    inputs = None
    if any(not members.node(index).input.is_constant for index in range(first, last)) or _has_templates(
        members, first, last
    ):
        inputs = [_resolve(step, members, index, number + index - first) for index in range(first, last)]
    step.emit(BranchesScheduled(task.number, first, last, number, executor, inputs))


def _goes_to(step: Step, node: Node, executor: str) -> bool:
    if node.type not in {"SIMPLE", *BUILT_IN_EXECUTORS} or node.task.start_delay:
        return False
    return executor_of(step, node, node.name if node.type == "SIMPLE" else node.type) == executor


def _has_templates(members: ForkMembers, first: int, last: int) -> bool:
    """Whether elements of form "inputs" hold expressions, which are resolved like templates."""
    if members.form != forks.INPUTS:
        return False
    return any(not forks.template_of(members.inputs[index]).is_constant for index in range(first, last))


def _resolve(step: Step, members: ForkMembers, index: int, number: int) -> JsonObject:
    node = members.node(index)
    template = forks.template_of(members.inputs[index]) if members.form == forks.INPUTS else node.input
    resolved = template.resolve(step.scope(number))
    assert isinstance(resolved, dict)  # noqa: S101 - inputs of tasks are objects
    return resolved


def _schedule_one(step: Step, task: TaskState, members: ForkMembers, index: int) -> None:
    """Schedule a branch that is an operator of its own kind, and begin it."""
    node = members.node(index)
    number = step.state.next_number
    kind = node.type
    executor = executor_of(step, node, node.name if kind == "SIMPLE" else kind)
    delay = node.task.start_delay
    step.emit(
        TaskScheduled(
            number,
            members.refs[index].removesuffix(task.suffix),
            task.suffix,
            _resolve(step, members, index, number),
            executor,
            task.iteration,
            task.loop,
            fork=task.number,
            fork_index=index,
            due_ms=step.now_ms + delay * 1000 if delay else 0,
            status="SCHEDULED" if executor in _IN_BULK or executor == "child" else IN_PROGRESS,
        )
    )
    begin = step.beginnings.get(kind)
    if begin is not None:
        begin(step, step.state.tasks[number])


def _schedule_join(step: Step, node: Node, fork: TaskState) -> None:
    number = step.state.next_number
    step.emit(
        TaskScheduled(
            number,
            node.ref,
            fork.suffix,
            dict(node.task.input_parameters),
            "",
            fork.iteration,
            fork.loop,
            fork=fork.number,
            status=IN_PROGRESS,
        )
    )


BEGINNINGS: dict[str, Begin] = {
    "FORK_JOIN": begin_fork,
    "FORK_JOIN_DYNAMIC": begin_dynamic_fork,
    "*fork": go_on_forking,
}
