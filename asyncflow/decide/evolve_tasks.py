"""State after events that concern one task, or the branches of a fork.

Every change of a task's status goes through `_move`, which holds it to the table in
`model/statuses`. Executions as a whole are in `decide/evolve`, resets in `decide/evolve_resets`.
"""

# ruff: noqa: ARG001 - all handlers of a dispatch table have one shape

from __future__ import annotations

from asyncflow.decide import altered
from asyncflow.decide import evolve_holds as holds
from asyncflow.decide import evolve_jobs as jobs
from asyncflow.decide import evolve_recovery as recovery
from asyncflow.decide.counters import closed, count_settled, register_join
from asyncflow.decide.forks import INPUTS as INPUTS_FORM
from asyncflow.decide.forks import make_known, open_members
from asyncflow.decide.shape import JOINS, PASSIVE
from asyncflow.decide.wanted import LOCAL_EXECUTORS, forget, is_pinned, refresh
from asyncflow.model import events as ev
from asyncflow.model.emptiness import NO_ENTRIES, own
from asyncflow.model.graph import Node
from asyncflow.model.state import ExecutionState, Operator, TaskState
from asyncflow.model.statuses import (
    COMPLETED,
    FAILED,
    FAILED_TERMINALLY,
    IN_PROGRESS,
    SCHEDULED,
    SKIPPED,
    TASK_BEGINNINGS,
    TASK_TRANSITIONS,
    IllegalTransition,
    check_transition,
)

_FAILURES = frozenset({FAILED, FAILED_TERMINALLY})


# The order inside a handler matters in one place: a record is entered before it is counted, because
# a JOIN that is made when all its members have settled is ready there and then. Closing comes before
# settling for the same reason: a join never finds a member settled and still counted as open.


def _move(task: TaskState, status: str) -> None:
    if status not in TASK_TRANSITIONS[task.status]:  # the common case, without a call
        check_transition(TASK_TRANSITIONS, task.status, status, what=f"task {task.ref}")
    task.status = status


def task_scheduled(state: ExecutionState, event: ev.TaskScheduled, at_ms: int) -> None:
    """A record is made, with the node it runs and the input it has."""
    node = state.graph.nodes.get(event.ref)
    if node is None or event.retry_of or event.fork_index >= 0:
        node = _node_of(state, event)
    given = event.input
    if given is None:  # a constant; templates give objects, because inputParameters is one
        given = node.input.resolve(None)  # type: ignore[assignment]
    if event.status not in TASK_BEGINNINGS:
        raise IllegalTransition(f"task {event.ref}{event.suffix}: begins as {event.status}")
    task = TaskState(  # by place where the order is obvious: this is the hottest line of a chain
        event.number,
        state.next_seq,
        event.ref + event.suffix,
        node,
        event.status,
        given,  # type: ignore[arg-type]
        NO_ENTRIES,
        event.suffix,
        0 if node.type == "DO_WHILE" else event.iteration,  # a loop in a loop counts its own
        event.loop,
        state.epoch,
        event.retry_count,
        event.retry_of,
        executor=event.executor,
        due_ms=event.due_ms,
        first_scheduled_ms=at_ms,
        scheduled_ms=at_ms,
        updated_ms=at_ms,
        reason=event.reason,
        name=event.name,
        domain=event.domain,
        fork=event.fork,
        fork_index=event.fork_index,
    )
    if event.status == IN_PROGRESS:
        task.started_ms = at_ms
        if event.executor in LOCAL_EXECUTORS:
            task.starts = 1  # it needs nothing of anybody and begins with its record
    if event.retry_of:
        _supersede(state, task, state.tasks[event.retry_of])
    elif event.fork_index >= 0:
        opener = state.tasks[event.fork].more
        assert opener is not None  # ForkOpened made it
        opener.opened = event.fork_index + 1
    add_record(state, task)
    if node.type in JOINS and not event.retry_of:
        register_join(state, task, event.fork if event.fork_index < 0 else 0)
    if state.memo is not None:
        altered.begun(state, state.memo, task)


def _node_of(state: ExecutionState, event: ev.TaskScheduled) -> Node:
    if event.retry_of:
        return state.tasks[event.retry_of].node
    if event.fork_index >= 0:
        opener = state.tasks[event.fork].more
        assert opener is not None  # ForkOpened made it
        assert opener.members is not None
        return opener.members.node(event.fork_index)
    node = state.graph.nodes.get(event.ref)
    return state.forked_nodes[event.ref] if node is None else node


def _supersede(state: ExecutionState, task: TaskState, old: TaskState) -> None:
    if old.settled:  # a tolerated failure that is retried by command had been counted
        state.counters_stale = True
    old.superseded = old.settled = True
    recovery.moved(state, old, task)
    if task.epoch == old.epoch:  # a retry by command, perhaps days later, has the total timeout anew
        task.first_scheduled_ms = old.first_scheduled_ms
    state.changed[old.number] = None


def add_record(state: ExecutionState, task: TaskState) -> None:
    """Enter a new record into the tables; numbers and places are handed out in order."""
    state.tasks[task.number] = task
    state.by_ref[task.ref] = task
    state.latest[task.ref.removesuffix(task.suffix)] = task
    state.next_number = task.number + 1
    state.next_seq += 1
    state.open_count += 1
    if task.node.type in PASSIVE:
        state.passive_count += 1
    state.changed[task.number] = None
    refresh(state, task)


def fork_opened(state: ExecutionState, event: ev.ForkOpened, at_ms: int) -> None:
    """A dynamic fork knows its branches; they are made from its recorded input."""
    task = state.tasks[event.number]
    task.more = task.more or Operator()
    state.dynamic_forks += 1
    members = task.more.members = open_members(task, event)
    if event.form != INPUTS_FORM:
        for node in members.nodes:
            make_known(state, node)
    if state.memo is not None:
        altered.forked(state.memo, task)


def branches_scheduled(state: ExecutionState, event: ev.BranchesScheduled, at_ms: int) -> None:
    """Records of a run of branches, all alike but for their numbers and inputs."""
    fork = state.tasks[event.fork]
    more = fork.more
    assert more is not None  # ForkOpened made it
    assert more.members is not None
    members = more.members
    more.opened = event.last
    for offset, index in enumerate(range(event.first, event.last)):
        given = members.inputs[index] if event.inputs is None else event.inputs[offset]
        number, seq = event.number + offset, state.next_seq
        task = TaskState(
            number=number,
            seq=number if number == seq else seq,  # one object where they are equal
            ref=members.refs[index],
            node=members.node(index),
            input=given,  # type: ignore[arg-type]
            output=NO_ENTRIES,
            suffix=fork.suffix,
            iteration=fork.iteration,
            loop=fork.loop,
            epoch=state.epoch,
            executor=event.executor,
            domain=event.domain,
            first_scheduled_ms=at_ms,
            scheduled_ms=at_ms,
            updated_ms=at_ms,
            fork=fork.number,
            fork_index=index,
        )
        if event.begun:
            task.status, task.started_ms, task.starts = IN_PROGRESS, at_ms, 1
        add_record(state, task)


def attempt_started(state: ExecutionState, event: ev.AttemptStarted, at_ms: int) -> None:
    """An attempt begins and holds its grants."""
    task = state.tasks[event.number]
    _move(task, IN_PROGRESS)
    task.started_ms = task.started_ms or at_ms
    task.updated_ms = at_ms
    task.starts += 1
    task.callback_after_s = 0
    task.worker_id = event.worker_id
    task.grants, task.fence = event.grants, event.fence
    task.input_bytes = event.input_bytes
    state.changed[event.number] = None
    if event.holds or event.under:
        holds.attempt_begun(state, task, event, at_ms)
    if task.executor == jobs.JOB:
        jobs.job_begun(state, task, event, at_ms)
    refresh(state, task)
    if event.version:
        task.code_version = event.version
    if event.version and not state.worker_version and is_pinned(state, task):
        state.worker_version = event.version
        for other in state.tasks.values():
            if other.executor == "remote" and other.status == SCHEDULED:
                refresh(state, other)


def task_updated(state: ExecutionState, event: ev.TaskUpdated, at_ms: int) -> None:
    """An open task was changed from outside; back in its queue it waits for its callback."""
    task = state.tasks[event.number]
    _move(task, event.status)
    task.updated_ms = at_ms
    if event.output is not None:
        task.output = event.output
    if event.reason is not None:
        task.reason = event.reason
    if event.worker_id is not None:
        task.worker_id = event.worker_id
    if event.executor is not None:
        task.executor = event.executor
        task.grants = None
    if event.status == SCHEDULED:
        task.grants = None  # given back with the task; the next worker is granted its own
    if state.holds and (event.executor is not None or event.status == SCHEDULED):
        holds.user_gone(state, event.number)
    task.callback_after_s = event.callback_after_s
    task.due_ms = at_ms + int(event.callback_after_s * 1000) if event.status == SCHEDULED else 0
    state.changed[event.number] = None
    refresh(state, task)


def lease_extended(state: ExecutionState, event: ev.LeaseExtended, at_ms: int) -> None:
    """A sign of life: silence counts from now."""
    task = state.tasks[event.number]
    task.updated_ms = at_ms
    refresh(state, task)


def task_ended(state: ExecutionState, event: ev.TaskEnded, at_ms: int) -> None:
    """A record is closed; if it settled, everything that counts on it is told."""
    number = event.number
    task = state.tasks[number]
    _move(task, event.status)
    closed(state, task)
    task.output = event.output
    task.output_bytes = event.output_bytes
    task.input_bytes = event.input_bytes or task.input_bytes
    task.reason = event.reason
    task.state = event.state
    task.ended_ms = task.updated_ms = at_ms
    task.started_ms = task.started_ms or at_ms
    task.grants = None
    if task.more is not None:
        task.more.asking = False
    if event.status != COMPLETED and event.status in _FAILURES:
        state.failed_refs, state.failed_names = own(state.failed_refs), own(state.failed_names)
        state.failed_refs[task.ref] = None
        state.failed_names[task.name or task.node.name] = None
    state.changed[number] = None
    forget(state, number)
    if state.job_of:
        jobs.give_up(state, number, event.reason or f"its task is {event.status}", at_ms)
    if state.holds:
        holds.user_gone(state, number)
        if event.settled:
            holds.task_settled(state, task)
    if event.settled:
        task.settled = True
        if state.recovering:
            recovery.over(state, number)
        if state.memo is not None:
            altered.ended(state, state.memo, task)
        count_settled(state, task)


def case_chosen(state: ExecutionState, event: ev.CaseChosen, at_ms: int) -> None:
    """What a SWITCH chose stands in its record, and in its input as Conductor shows it."""
    task = state.tasks[event.number]
    task.more = task.more or Operator()
    task.more.case, task.more.branch = event.case, event.branch
    task.more.asking = False
    extra = {"case": event.case}
    if event.branch is not None:
        extra["hasChildren"] = "true"
    task.input = {**task.input, **extra}


def loop_advanced(state: ExecutionState, event: ev.LoopAdvanced, at_ms: int) -> None:
    """A loop is in another iteration."""
    task = state.tasks[event.number]
    task.more = task.more or Operator()
    task.iteration = event.iteration
    task.more.item, task.more.of = event.item, event.of
    task.more.asking = False
    task.updated_ms = at_ms
    state.changed[event.number] = None
    refresh(state, task)


def condition_asked(state: ExecutionState, event: ev.ConditionAsked, at_ms: int) -> None:
    """A script is asked."""
    task = state.tasks[event.number]
    task.more = task.more or Operator()
    task.more.asking = True
    refresh(state, task)


def task_skipped(state: ExecutionState, event: ev.TaskSkipped, at_ms: int) -> None:
    """A record that is done before it began; listed first, it takes no place."""
    node = state.graph.nodes[event.ref]
    task = TaskState(event.number, 0, event.ref, node, SKIPPED, event.input, event.output)
    task.first_scheduled_ms = task.scheduled_ms = task.updated_ms = task.ended_ms = at_ms
    task.epoch, task.settled = state.epoch, True
    state.next_seq -= 1  # a skipped record is listed first, with place 0, and takes none
    add_record(state, task)
    closed(state, task)
    if state.holds:
        holds.task_settled(state, task)
    count_settled(state, task)


def child_started(state: ExecutionState, event: ev.ChildStarted, at_ms: int) -> None:
    """A SUB_WORKFLOW task has its child."""
    task = state.tasks[event.number]
    task.more = task.more or Operator()
    task.more.child_id = event.child_id
    _move(task, IN_PROGRESS)
    task.started_ms = task.updated_ms = at_ms
    task.output = {"subWorkflowId": event.child_id}
    for serial in event.under or ():
        state.holds[serial].users[task.number] = None
    state.changed[event.number] = None
    refresh(state, task)


def message_published(state: ExecutionState, event: ev.MessagePublished, at_ms: int) -> None:
    """Nothing of the execution changes: the message is for those who read events."""
