"""State after events that open an execution again: restart, reopening, reset and removed records.

Each of them may make what joins and DAG lists wait for stale; `Repaired`, the last event of every
reopening, has `decide/counters` count anew. The other events are in `decide/evolve`; which
records are reset, and why, is in `decide/reopening`.
"""

from __future__ import annotations

from collections.abc import Iterable

from asyncflow.decide import altered
from asyncflow.decide import evolve_holds as holds
from asyncflow.decide import evolve_jobs as jobs
from asyncflow.decide import evolve_recovery as recovery
from asyncflow.decide.counters import closed, count_settled, rebuild, reopened
from asyncflow.decide.shape import JOINS
from asyncflow.decide.wanted import forget, refresh, refresh_execution
from asyncflow.model import events as ev
from asyncflow.model.emptiness import own_queue
from asyncflow.model.graph import Node
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import (
    EXECUTION_REOPENINGS,
    IN_PROGRESS,
    RUNNING,
    TASK_RESETS,
    check_transition,
)

_HAS_CHILDREN = "hasChildren"  # what a SWITCH adds to its input once a case was scheduled


def _run_again(state: ExecutionState) -> None:
    check_transition(EXECUTION_REOPENINGS, state.status, RUNNING, what=f"execution {state.execution_id}")
    state.status = RUNNING
    state.slot = ""  # given back by the end; another is asked for
    state.slot_needs = state.inherited = ()


def execution_restarted(state: ExecutionState, event: ev.ExecutionRestarted, at_ms: int) -> None:
    """Everything but input, variables and the failed-name sets begins anew."""
    state.graph = state.graphs[event.definition]
    state.version = event.version
    state.epoch += 1
    _run_again(state)
    for number in list(state.tasks):
        forget(state, number)
        state.changed[number] = None
    state.tasks.clear()
    state.past_jobs.clear()
    state.past_of.clear()
    state.by_ref.clear()
    state.latest.clear()
    state.joins.clear()
    state.countdown.clear()
    state.forked_nodes.clear()
    state.agenda.clear()
    state.counters_stale = False
    state.dynamic_forks = 0
    state.ready_joins.clear()
    give_up_repairs(state)
    state.next_seq, state.open_count, state.passive_count = 1, 0, 0
    state.created_ms, state.ended_ms, state.retried_ms = at_ms, 0, 0
    state.output, state.reason, state.failed_number = {}, None, 0
    state.worker_version = ""
    recovery.given_up(state)
    state.memo = None
    refresh_execution(state)


def execution_reopened(state: ExecutionState, event: ev.ExecutionReopened, at_ms: int) -> None:
    """It runs again in a new epoch; output and end time stay until it ends again."""
    state.epoch += 1
    _run_again(state)
    state.retried_ms = at_ms
    state.counters_stale = True
    if event.repairs:
        state.repairs = own_queue(state.repairs)
        state.repairs.extend(event.repairs)
    state.repair_cause = event.cause
    if event.clear_reason:
        state.reason = None
    if event.clear_failures:
        state.failed_number = 0
        state.failed_refs.clear()
        state.failed_names.clear()
    if event.input is not None:
        state.input = event.input
    if event.correlation_id is not None:
        state.correlation_id = event.correlation_id
    altered.opened(state, event)
    refresh_execution(state)


def repaired(state: ExecutionState, event: ev.Repaired, at_ms: int) -> None:  # noqa: ARG001 - as every handler
    """So many records are as they should be; after the last, what waits for whom is counted anew.

    Counting before the last would count joins ready whose members are still to be opened.
    """
    for _ in range(event.count):
        state.repairs.popleft()
    if not state.repairs:
        state.repair_cause = ""
        if state.counters_stale:
            rebuild(state)
    refresh_execution(state)


def give_up_repairs(state: ExecutionState) -> None:
    """It ended, or began from nothing, before all records were repaired."""
    state.repairs.clear()
    state.repair_cause = ""


def task_reset(state: ExecutionState, event: ev.TaskReset, at_ms: int) -> None:
    """A record is open again under its own number, as if just scheduled."""
    task = state.tasks[event.number]
    if state.memo is not None:
        altered.reset(state.memo, task)
    if task.settled or task.node.type in JOINS:  # else nothing had counted it yet
        state.counters_stale = True
    if task.is_ended:
        reopened(state, task)
    elif state.job_of:
        jobs.give_up(state, task.number, "its task is run again", at_ms)
    jobs.forget_past(state, task.number)
    if state.holds:
        holds.user_gone(state, task.number)
    check_transition(TASK_RESETS, task.status, event.status, what=f"task {task.ref}")
    task.status = event.status
    task.epoch = state.epoch
    task.retry_count = event.retry_count
    task.settled = task.superseded = False
    task.reason = task.state = None
    task.starts = 0
    task.grants, task.fence = None, 0
    task.input_bytes = task.output_bytes = 0
    task.worker_id = task.code_version = ""
    task.callback_after_s = task.due_ms = 0
    task.scheduled_ms = task.updated_ms = at_ms
    task.first_scheduled_ms = at_ms
    task.ended_ms = 0
    task.started_ms = at_ms if event.status == IN_PROGRESS else 0
    if event.executor is not None:
        task.executor = event.executor
    if event.input is not None:
        task.input = event.input
    recovery.opened(state, task, {})
    if event.anew:
        _forget_operator(state, task)
    else:
        _reset_operator(task, keep_child=event.keep_child)
    state.by_ref[task.ref] = task
    state.latest[_plain(task)] = task
    state.changed[task.number] = None
    refresh(state, task)


def _forget_operator(state: ExecutionState, task: TaskState) -> None:
    """It begins from nothing: no iteration, no branch, no case, no child."""
    _count_forks(state, (task,))
    task.more = None
    if task.node.type == "DO_WHILE":
        task.iteration = 0
    _forget_case(task)


def _reset_operator(task: TaskState, *, keep_child: bool) -> None:
    more = task.more
    if more is None:
        return
    more.asking = False
    more.case = more.branch = None
    _forget_case(task)
    if keep_child and more.child_id is not None:
        task.output = {"subWorkflowId": more.child_id}
    else:
        more.child_id = None


def _forget_case(task: TaskState) -> None:
    """Take back what `CaseChosen` wrote into the input.

    `case` stays until the next choice overwrites it: a definition may choose by an input of its
    own of that name, whose value it then has.
    """
    if task.node.type in {"SWITCH", "DECISION"} and _HAS_CHILDREN not in task.node.task.input_parameters:
        task.input = {key: value for key, value in task.input.items() if key != _HAS_CHILDREN}


def _count_forks(state: ExecutionState, gone: Iterable[TaskState]) -> None:
    """The first dynamic fork of an execution names its branches differently: count those that are left."""
    for task in gone:
        if task.more is not None and task.more.members is not None:
            state.dynamic_forks -= 1


def tasks_removed(state: ExecutionState, event: ev.TasksRemoved, at_ms: int) -> None:
    """The records are gone; an older attempt of the same reference is the newest one again.

    What counts on them is not made stale: a loop that forgets old iterations has nobody waiting
    there, and a rerun has made it stale before.
    """
    gone: list[TaskState] = []
    for number in event.numbers:
        task = state.tasks.pop(number, None)
        if task is None:
            continue
        gone.append(task)
        if not task.is_ended:
            closed(state, task)
        state.agenda.pop(number, None)
        state.changed[number] = None
        forget(state, number)
        recovery.over(state, number)
        if event.kept and state.memo is not None:
            altered.set_aside(state.memo, task, newest=state.by_ref.get(task.ref) is task)
        elif state.next_job > 1:
            jobs.give_up(state, number, "its task was removed", at_ms)
            jobs.forget_past(state, number)
        if state.holds:
            holds.user_gone(state, number)
    _count_forks(state, gone)
    _unindex(state, gone)
    state.next_seq = event.next_seq


def task_reused(state: ExecutionState, event: ev.TaskReused, at_ms: int) -> None:  # noqa: ARG001 - as every handler
    """A record that was set aside is there again, with its earlier attempts, and the flow goes on from it."""
    memo = state.memo
    assert memo is not None  # nothing was set aside otherwise
    task = memo.records[event.number]
    memo.newest.pop(task.ref, None)
    node = _node_of(state, event, task)
    attempts = [task]
    while (earlier := memo.records.get(attempts[-1].retry_of)) is not None:
        attempts.append(earlier)
    for attempt in reversed(attempts):
        del memo.records[attempt.number]
        attempt.node = node
        attempt.seq = state.next_seq
        attempt.loop, attempt.fork, attempt.fork_index = event.loop, event.fork, event.fork_index
        state.tasks[attempt.number] = attempt
        state.by_ref[attempt.ref] = attempt
        state.latest[_plain(attempt)] = attempt
        state.next_seq += 1
        state.changed[attempt.number] = None
    if event.fork:
        opener = state.tasks[event.fork].more
        assert opener is not None  # ForkOpened made it
        opener.opened = event.fork_index + 1
    altered.taken_up(state, memo, task)
    if task.settled:
        count_settled(state, task)


def _node_of(state: ExecutionState, event: ev.TaskReused, task: TaskState) -> Node:
    """The node of a record under what is around it now: forks make theirs anew."""
    if event.fork:
        opener = state.tasks[event.fork].more
        assert opener is not None  # ForkOpened made it
        assert opener.members is not None
        return opener.members.node(event.fork_index)
    ref = _plain(task)
    node = state.graph.nodes.get(ref)
    return state.forked_nodes[ref] if node is None else node


def _unindex(state: ExecutionState, gone: Iterable[TaskState]) -> None:
    """Take removed records out of both indexes.

    Cost: what was removed; only where something that stays has to step in for a removed record
    are all records looked through once.
    """
    stale = False
    for task in gone:
        if state.by_ref.get(task.ref) is task:
            del state.by_ref[task.ref]
            stale = stale or task.retry_of in state.tasks
        if state.latest.get(_plain(task)) is task:
            del state.latest[_plain(task)]
            stale = stale or bool(task.suffix) or task.retry_of in state.tasks
    if stale:
        for task in state.tasks.values():
            state.by_ref[task.ref] = task
            state.latest[_plain(task)] = task


def _plain(task: TaskState) -> str:
    return task.ref.removesuffix(task.suffix)
