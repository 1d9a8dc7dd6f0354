"""State after a recorded event.

`evolve` judges nothing and accepts every event ever recorded. It is the only code that changes
a state; it also keeps what is derived: who waits for whom, and which effects are wanted.
Records that are opened again or removed are in `decide/evolve_resets`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asyncflow.decide import evolve_resets as resets
from asyncflow.decide.counters import closed, count_settled, register_join

from asyncflow.decide.forks import INPUTS as INPUTS_FORM
from asyncflow.decide.forks import make_known, open_members
from asyncflow.decide.shape import JOINS, PASSIVE
from asyncflow.decide.wanted import forget, refresh, refresh_execution
from asyncflow.model import events as ev
from asyncflow.model.graph import Graph, Node
from asyncflow.model.inputs import INPUTS, Message
from asyncflow.model.state import ExecutionState, Operator, TaskState
from asyncflow.model.statuses import (
    CANCELED,
    COMPLETED,
    FAILED,
    FAILED_TERMINALLY,
    IN_PROGRESS,
    PAUSED,
    RUNNING,
    SCHEDULED,
    SKIPPED,
)

Handler = Callable[[ExecutionState, Any, int], None]  # each takes the one kind of event it stands under

_FAILURES = frozenset({FAILED, FAILED_TERMINALLY})


def new_state(execution_id: str, graphs: Mapping[str, Graph], definition: str) -> ExecutionState:
    """An execution before its first event; `graphs` finds every definition it may come to name."""
    return ExecutionState(execution_id=execution_id, graph=graphs[definition], graphs=graphs)


def evolve(state: ExecutionState, event: ev.Event, at_ms: int) -> None:
    """Change `state` by one event that happened at `at_ms` on the elapsed clock.

    Cost: what depends on the tasks that the event names; nothing scans the execution, except
    the ends and resets that concern all of it.
    """
    state.seq += 1
    state.updated_ms = at_ms
    _HANDLERS[type(event)](state, event, at_ms)


# --- executions -----------------------------------------------------------------------------


def _execution_started(state: ExecutionState, event: ev.ExecutionStarted, at_ms: int) -> None:
    definition = state.graph.definition
    state.name, state.version = event.name, event.version
    state.input = event.input
    state.variables = dict(definition.variables)
    state.correlation_id = event.correlation_id
    state.priority = event.priority
    state.task_to_domain = event.task_to_domain or {}
    state.parent_id, state.parent_number = event.parent_id, event.parent_number
    state.depth = event.depth
    state.created_by, state.trigger = event.created_by, event.trigger
    state.created_ms = at_ms
    refresh_execution(state)


def _execution_paused(state: ExecutionState, event: ev.ExecutionPaused, at_ms: int) -> None:
    state.status = PAUSED
    refresh_execution(state)


def _execution_resumed(state: ExecutionState, event: ev.ExecutionResumed, at_ms: int) -> None:
    state.status = RUNNING
    state.retried_ms = at_ms
    refresh_execution(state)


def _execution_ended(state: ExecutionState, event: ev.ExecutionEnded, at_ms: int) -> None:
    state.status = event.status
    state.reason = event.reason
    state.output = event.output
    state.ended_ms = at_ms
    if event.failed_number and not state.failed_number:
        state.failed_number = event.failed_number
    if event.failure_workflow is not None:
        state.output = {**event.output, "conductor.failure_workflow": event.failure_workflow}
    state.agenda.clear()
    resets.give_up_repairs(state)
    if state.open_count:
        _cancel_open(state, at_ms)
    refresh_execution(state)


def _cancel_open(state: ExecutionState, at_ms: int) -> None:
    for task in state.tasks.values():
        if not task.is_ended:
            task.status = CANCELED
            task.ended_ms = task.updated_ms = at_ms
            task.grants = None
            if task.more is not None:
                task.more.asking = False
            state.changed[task.number] = None
            forget(state, task.number)
    state.open_count = state.passive_count = 0
    state.ready_joins.clear()
    state.counters_stale = True


def _variables_set(state: ExecutionState, event: ev.VariablesSet, at_ms: int) -> None:
    state.variables = {**state.variables, **event.variables}


# --- tasks ----------------------------------------------------------------------------------


def _task_scheduled(state: ExecutionState, event: ev.TaskScheduled, at_ms: int) -> None:
    node = _node_of(state, event)
    task = TaskState(
        number=event.number,
        seq=state.next_seq,
        ref=event.ref + event.suffix,
        node=node,
        status=event.status,
        suffix=event.suffix,
        iteration=event.iteration,
        loop=event.loop,
        epoch=state.epoch,
        retry_count=event.retry_count,
        retry_of=event.retry_of,
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
    given = event.input
    task.input = node.input.resolve(None) if given is None else given  # type: ignore[assignment]
    if event.status == IN_PROGRESS:
        task.started_ms = at_ms
    if event.retry_of:
        _supersede(state, task, state.tasks[event.retry_of])
    add_record(state, task)
    if node.type in JOINS and not event.retry_of:
        register_join(state, task, event.fork if event.fork_index < 0 else 0)


def _node_of(state: ExecutionState, event: ev.TaskScheduled) -> Node:
    if event.retry_of:
        return state.tasks[event.retry_of].node
    node = state.graph.nodes.get(event.ref)
    return state.forked_nodes[event.ref] if node is None else node


def _supersede(state: ExecutionState, task: TaskState, old: TaskState) -> None:
    old.superseded = old.settled = True
    task.first_scheduled_ms = old.first_scheduled_ms
    state.changed[old.number] = None
    if task.epoch != old.epoch:
        state.counters_stale = True


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


def _fork_opened(state: ExecutionState, event: ev.ForkOpened, at_ms: int) -> None:
    task = state.tasks[event.number]
    task.more = task.more or Operator()
    state.dynamic_forks += 1
    members = task.more.members = open_members(task, event)
    if event.form != INPUTS_FORM:
        for node in members.nodes:
            make_known(state, node)


def _branches_scheduled(state: ExecutionState, event: ev.BranchesScheduled, at_ms: int) -> None:
    fork = state.tasks[event.fork]
    more = fork.more
    assert more is not None  # noqa: S101 - ForkOpened made it
    assert more.members is not None  # noqa: S101
    members = more.members
    more.opened = event.last
    for offset, index in enumerate(range(event.first, event.last)):
        given = members.inputs[index] if event.inputs is None else event.inputs[offset]
        task = TaskState(
            number=event.number + offset,
            seq=state.next_seq,
            ref=members.refs[index],
            node=members.node(index),
            input=given,  # type: ignore[arg-type]
            suffix=fork.suffix,
            iteration=fork.iteration,
            loop=fork.loop,
            epoch=state.epoch,
            executor=event.executor,
            first_scheduled_ms=at_ms,
            scheduled_ms=at_ms,
            updated_ms=at_ms,
            fork=fork.number,
            fork_index=index,
        )
        add_record(state, task)


def _attempt_started(state: ExecutionState, event: ev.AttemptStarted, at_ms: int) -> None:
    task = state.tasks[event.number]
    task.status = IN_PROGRESS
    task.started_ms = task.started_ms or at_ms
    task.updated_ms = at_ms
    task.starts += 1
    task.callback_after_s = 0
    task.worker_id = event.worker_id
    task.grants, task.fence = event.grants, event.fence
    task.input_bytes = event.input_bytes
    state.changed[event.number] = None
    refresh(state, task)


def _task_updated(state: ExecutionState, event: ev.TaskUpdated, at_ms: int) -> None:
    task = state.tasks[event.number]
    task.updated_ms = at_ms
    task.status = event.status
    if event.output is not None:
        task.output = event.output
    if event.reason is not None:
        task.reason = event.reason
    if event.worker_id is not None:
        task.worker_id = event.worker_id
    if event.executor is not None:
        task.executor = event.executor
        task.grants = None
    task.callback_after_s = event.callback_after_s
    task.due_ms = at_ms + int(event.callback_after_s * 1000) if event.status == SCHEDULED else 0
    state.changed[event.number] = None
    refresh(state, task)


def _lease_extended(state: ExecutionState, event: ev.LeaseExtended, at_ms: int) -> None:
    task = state.tasks[event.number]
    task.updated_ms = at_ms
    refresh(state, task)


def _task_ended(state: ExecutionState, event: ev.TaskEnded, at_ms: int) -> None:
    number = event.number
    task = state.tasks[number]
    if not task.is_ended:
        closed(state, task)
    task.status = event.status
    task.output = event.output
    task.output_bytes = event.output_bytes
    task.reason = event.reason
    task.state = event.state
    task.ended_ms = task.updated_ms = at_ms
    task.started_ms = task.started_ms or at_ms
    task.grants = None
    if task.more is not None:
        task.more.asking = False
    if event.status != COMPLETED and event.status in _FAILURES:
        state.failed_refs[task.ref] = None
        state.failed_names[task.name or task.node.name] = None
    state.changed[number] = None
    forget(state, number)
    if event.settled:
        task.settled = True
        count_settled(state, task)


def _case_chosen(state: ExecutionState, event: ev.CaseChosen, at_ms: int) -> None:
    task = state.tasks[event.number]
    task.more = task.more or Operator()
    task.more.case, task.more.branch = event.case, event.branch
    task.more.asking = False
    extra = {"case": event.case}
    if event.branch is not None:
        extra["hasChildren"] = "true"
    task.input = {**task.input, **extra}


def _loop_advanced(state: ExecutionState, event: ev.LoopAdvanced, at_ms: int) -> None:
    task = state.tasks[event.number]
    task.more = task.more or Operator()
    task.iteration = event.iteration
    task.more.item, task.more.of = event.item, event.of
    task.more.asking = False
    task.updated_ms = at_ms
    state.changed[event.number] = None
    refresh(state, task)


def _condition_asked(state: ExecutionState, event: ev.ConditionAsked, at_ms: int) -> None:
    task = state.tasks[event.number]
    task.more = task.more or Operator()
    task.more.asking = True
    refresh(state, task)


def _task_skipped(state: ExecutionState, event: ev.TaskSkipped, at_ms: int) -> None:
    node = state.graph.nodes[event.ref]
    task = TaskState(event.number, 0, event.ref, node, SKIPPED, event.input, event.output)
    task.first_scheduled_ms = task.scheduled_ms = task.updated_ms = task.ended_ms = at_ms
    task.epoch, task.settled = state.epoch, True
    state.next_seq -= 1  # a skipped record is listed first, with place 0, and takes none
    add_record(state, task)
    closed(state, task)
    count_settled(state, task)


def _child_started(state: ExecutionState, event: ev.ChildStarted, at_ms: int) -> None:
    task = state.tasks[event.number]
    task.more = task.more or Operator()
    task.more.child_id = event.child_id
    task.status = IN_PROGRESS
    task.started_ms = task.updated_ms = at_ms
    task.output = {"subWorkflowId": event.child_id}
    state.changed[event.number] = None
    refresh(state, task)


def _message_published(state: ExecutionState, event: ev.MessagePublished, at_ms: int) -> None:
    """Nothing of the execution changes: the message is for those who read events."""


# --- the deciding itself --------------------------------------------------------------------


def _deferred(state: ExecutionState, event: ev.Deferred, at_ms: int) -> None:
    for number in event.numbers:
        state.agenda[number] = None
    refresh_execution(state)


def _advanced(state: ExecutionState, event: ev.Advanced, at_ms: int) -> None:
    for number in event.numbers:
        state.agenda.pop(number, None)
    refresh_execution(state)


def _message_queued(state: ExecutionState, event: ev.MessageQueued, at_ms: int) -> None:
    state.outbox.append(Message(event.to, INPUTS[event.kind](*event.fields)))
    refresh_execution(state)


def _message_delivered(state: ExecutionState, event: ev.MessageDelivered, at_ms: int) -> None:
    state.outbox.popleft()
    refresh_execution(state)


_HANDLERS: dict[type[ev.Event], Handler] = {
    ev.ExecutionStarted: _execution_started,
    ev.ExecutionPaused: _execution_paused,
    ev.ExecutionResumed: _execution_resumed,
    ev.ExecutionEnded: _execution_ended,
    ev.ExecutionRestarted: resets.execution_restarted,
    ev.ExecutionReopened: resets.execution_reopened,
    ev.DefinitionMigrated: resets.definition_migrated,
    ev.VariablesSet: _variables_set,
    ev.TaskScheduled: _task_scheduled,
    ev.ForkOpened: _fork_opened,
    ev.BranchesScheduled: _branches_scheduled,
    ev.AttemptStarted: _attempt_started,
    ev.TaskUpdated: _task_updated,
    ev.LeaseExtended: _lease_extended,
    ev.TaskEnded: _task_ended,
    ev.CaseChosen: _case_chosen,
    ev.LoopAdvanced: _loop_advanced,
    ev.ConditionAsked: _condition_asked,
    ev.TaskSkipped: _task_skipped,
    ev.ChildStarted: _child_started,
    ev.TaskReset: resets.task_reset,
    ev.Repaired: resets.repaired,
    ev.TaskSuperseded: resets.task_superseded,
    ev.TasksRemoved: resets.tasks_removed,
    ev.MessagePublished: _message_published,
    ev.Deferred: _deferred,
    ev.Advanced: _advanced,
    ev.MessageQueued: _message_queued,
    ev.MessageDelivered: _message_delivered,
}
