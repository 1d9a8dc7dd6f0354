"""How forks begin: their branches in slices, the JOIN behind them.

What a dynamic fork's branches are is in `decide/forks`; how joins end is in `decide/joins`.
"""

from __future__ import annotations

from asyncflow.decide import forks
from asyncflow.decide.ending import end_execution
from asyncflow.decide.evolve_jobs import JOB
from asyncflow.decide.flow import after_fork, begin_list, begin_task, complete
from asyncflow.decide.forked_rules import forked_fault
from asyncflow.decide.reusing import take_branch_again
from asyncflow.decide.scheduling import (
    BUILT_IN_EXECUTORS,
    Frame,
    begins_at_once,
    complete_input,
    domain_of,
    dynamic_name,
    executor_of,
    first_status,
    schedule,
    start_delay_ms,
    worker_name,
)
from asyncflow.decide.step import GO_ON_FORKING, Begin, Step
from asyncflow.decide.wanted import LOCAL_EXECUTORS
from asyncflow.errors import LimitExceeded
from asyncflow.model.definition import to_json
from asyncflow.model.events import BranchesScheduled, Deferred, ForkOpened, TaskScheduled
from asyncflow.model.graph import Node
from asyncflow.model.state import ForkMembers, TaskState
from asyncflow.model.statuses import FAILED, IN_PROGRESS
from asyncflow.model.values import JsonMapping, JsonObject

_IN_BULK = LOCAL_EXECUTORS | {"remote", JOB}

# A FORK record is done the moment it is made; its branches are a follow-up of it, and so may be
# deferred to later turns. How far it came is in the state: a static fork looks which branches
# have a record, a dynamic one counts `opened`. The JOIN is made last, when nothing of the fork
# can be deferred any more, so that a fork without its JOIN is one that has branches to open.


def begin_fork(step: Step, task: TaskState) -> None:
    """FORK_JOIN: done at once; the branches and the JOIN that follows it come with it."""
    branches = task.node.branches
    if not _has_join(task.node):
        reason = f"Fork task definition is not followed by a join task: {task.ref}"
        end_execution(step, FAILED, reason, failed=task)
    elif not branches or not all(branch.nodes for branch in branches):
        reason = f"Error scheduling tasks: {task.ref} has a branch without tasks"
        end_execution(step, FAILED, reason, failed=task)
    else:
        complete(step, task, {})


def begin_dynamic_fork(step: Step, task: TaskState) -> None:
    """FORK_JOIN_DYNAMIC: the branches are made from the input, as many as there are."""
    if not _has_join(task.node):
        reason = f"Dynamic fork is not followed by a join task: {task.ref}"
        end_execution(step, FAILED, reason, failed=task)
        return
    try:
        step.emit(_opening(step, task))
    except forks.BadFork as error:
        end_execution(step, FAILED, f"{task.ref}: {error}", failed=task)
        return
    complete(step, task, {})


def _has_join(node: Node) -> bool:
    return node.follower is not None and node.follower.type == "JOIN"


def go_on_forking(step: Step, task: TaskState) -> None:
    """Schedule branches of a fork until all are there or the slice is full; then the JOIN."""
    join = task.node.follower
    assert join is not None  # checked when the fork began
    if join.ref + task.suffix not in step.state.by_ref:
        open_branches = _open_dynamic if task.node.type == "FORK_JOIN_DYNAMIC" else _open_static
        opened = open_branches(step, task)
        if step.state.is_ended:
            return
        if not opened:
            step.emit(Deferred([task.number]))
            return
        if task.more is None or task.more.members is None:
            schedule(step, join, Frame.of(task))
        else:
            _schedule_join(step, join, task)
    after_fork(step, task)


def _open_static(step: Step, task: TaskState) -> bool:
    """Whether all branches are open; those that have a record are left alone."""
    frame = Frame.of(task)
    by_ref = step.state.by_ref
    for branch in task.node.branches:
        if branch.nodes[0].ref + frame.suffix in by_ref:
            continue
        if step.is_full:
            return False
        begin_list(step, branch, frame)
        if step.state.is_ended:
            return True
    return True


def _open_dynamic(step: Step, task: TaskState) -> bool:
    more = task.more
    if more is None or more.members is None:
        return True
    while more.opened < more.members.count and not step.state.is_ended:
        if step.is_full:
            return False
        reused = take_branch_again(step, task, more.members, more.opened)
        if reused is None:
            _schedule_run(step, task, more.members, more.opened)
        else:
            step.pending.append(reused)
    return True


def _opening(step: Step, task: TaskState) -> ForkOpened:
    """The event that opens a dynamic fork, once it is sure that all its branches can be made.

    Raises:
        BadFork: the input gives no branches, or such as cannot be.
        LimitExceeded: there are too many of them.
    """
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
    _check_members(step, task, forks.open_members(task, event))
    return event


def _check_members(step: Step, task: TaskState, members: ForkMembers) -> None:
    """Hold the branches to the rules; their reference names have to be new: they are keys of records."""
    state = step.state
    nested = []
    if members.form != forks.INPUTS:
        for node in members.nodes:
            fault = forked_fault(node.task)
            if fault is not None:
                raise forks.BadFork(f"Dynamic tasks could not be created: task {node.ref}: {fault}")
        nested = [inner.ref for node in members.nodes for inner in forks.nested_nodes(node)]
    plain = [ref.removesuffix(task.suffix) for ref in members.refs] + nested
    taken = [ref for ref in plain if ref + task.suffix in state.by_ref or ref in state.graph.nodes]
    if taken or len(set(plain)) != len(plain):
        raise forks.BadFork(
            f"reference names of forked tasks must be new and unique: {taken[:3] or 'repeated'}"
        )


def _schedule_run(step: Step, task: TaskState, members: ForkMembers, first: int) -> None:
    """Schedule as many branches as go to one executor in a row, at most a slice of them."""
    placed = _place(step, members.node(first))
    if placed is None:
        _schedule_one(step, task, members, first)
        return
    last, most = first + 1, min(members.count, first + step.context.slice_size)
    if step.state.memo is not None:
        most = last  # the next one may be there already
    if len(members.nodes) == 1:
        last = most
    while last < most and _place(step, members.node(last)) == placed:
        last += 1
    number = step.state.next_number
    inputs: list[JsonObject] | None = None
    if _is_resolved_each(members, first, last):
        inputs = [_resolve(step, members, index, number + index - first) for index in range(first, last)]
    step.emit(BranchesScheduled(task.number, first, last, number, placed[0], inputs, placed[1], placed[2]))


def _place(step: Step, node: Node) -> tuple[str, str | None, bool] | None:
    """Executor and domain of a branch, and whether its attempt begins with it; None for other operators."""
    if node.type == "DYNAMIC" or (
        node.type not in BUILT_IN_EXECUTORS and step.beginnings.get(node.type) is not None
    ):
        return None
    name = worker_name(node)
    executor = executor_of(step, node, name)
    if executor not in _IN_BULK or start_delay_ms(node):
        return None
    domain = domain_of(step, name) if executor == "remote" else None
    return executor, domain, begins_at_once(step, node, executor)


def _is_resolved_each(members: ForkMembers, first: int, last: int) -> bool:
    """Whether inputs of branches hold expressions, or are filled in from a template."""
    if len(members.nodes) == 1 and members.nodes[0].policy.input_template:
        return True
    if members.form == forks.INPUTS:
        return any(forks.has_expression(members.inputs[index]) for index in range(first, last))
    nodes = [members.node(index) for index in range(first, last)]
    return any(not node.input.is_constant or node.policy.input_template for node in nodes)


def _resolve(step: Step, members: ForkMembers, index: int, number: int) -> JsonObject:
    resolved = forks.branch_template(members, index).resolve(step.scope(number))
    assert isinstance(resolved, dict)  # inputs of tasks are objects
    return complete_input(step, members.node(index), number, _filled(members.node(index), resolved))


def _filled(node: Node, resolved: JsonMapping) -> JsonObject:
    """The input with the keys that only the template of the task definition has."""
    return {**node.policy.input_template, **resolved} if node.policy.input_template else dict(resolved)


def _schedule_one(step: Step, task: TaskState, members: ForkMembers, index: int) -> None:
    """Schedule a branch that is an operator, a child or held back, and begin it."""
    node = members.node(index)
    number = step.state.next_number
    given = _resolve(step, members, index, number)
    dynamic = dynamic_name(node, given) if node.type == "DYNAMIC" else None
    name = dynamic or worker_name(node)
    executor = executor_of(step, node, name)
    delay_ms = start_delay_ms(node)
    step.emit(
        TaskScheduled(
            number,
            members.refs[index].removesuffix(task.suffix),
            task.suffix,
            given,
            executor,
            task.iteration,
            task.loop,
            name=dynamic,
            fork=task.number,
            fork_index=index,
            due_ms=step.now_ms + delay_ms if delay_ms else 0,
            domain=domain_of(step, name) if executor == "remote" else None,
            status=first_status(node, held=delay_ms > 0),
        )
    )
    begin_task(step, step.state.tasks[number])


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
    GO_ON_FORKING: go_on_forking,
}
