"""State after a recorded event.

`evolve` judges nothing and accepts every event ever recorded; what was never recorded, an
illegal change of status, raises. It is the only code that changes a state; it also keeps what is
derived: who waits for whom, and which effects are wanted. Events of single tasks are in
`decide/evolve_tasks`, records opened again or removed in `decide/evolve_resets`.
"""

# ruff: noqa: ARG001 - all handlers of a dispatch table have one shape

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asyncflow.decide import evolve_holds as holds
from asyncflow.decide import evolve_jobs as jobs
from asyncflow.decide import evolve_recovery as recovery
from asyncflow.decide import evolve_resets as resets
from asyncflow.decide import evolve_tasks as tasks
from asyncflow.decide.evolve_migration import definition_migrated
from asyncflow.decide.wanted import refresh, refresh_execution
from asyncflow.model import events as ev
from asyncflow.model.emptiness import NO_ENTRIES, own, own_queue
from asyncflow.model.graph import Graph
from asyncflow.model.inputs import INPUTS, Input, Message, StartExecution
from asyncflow.model.state import ExecutionState
from asyncflow.model.statuses import (
    CANCELED,
    COMPLETED,
    EXECUTION_TRANSITIONS,
    PAUSED,
    RUNNING,
    TASK_ENDED,
    TASK_TRANSITIONS,
    check_transition,
)

Handler = Callable[[ExecutionState, Any, int], None]  # each takes the one kind of event it stands under


# Three kinds of fields stand in a state. *Recorded*: what events say, such as a status or an output.
# *Derived*: what follows from the recorded ones and is kept so that nobody has to look for it:
# `wanted`, `joins`, `countdown`, `ready_joins`, `open_count`. *Transient*: `dirty` and `changed`, which
# their readers empty. A fold of the journal gives the first two exactly, whatever way the state came
# about, because nothing but the events goes into them; `tests/decide/test_laws` holds this.
#
# A change of status is looked up in the tables of `model/statuses` here, once, for live events and for
# replayed ones alike. A journal that breaks a table was written by a bug, and going on from it would
# only spread that bug, so it stops the execution instead.


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
    state.variables = definition.variables or NO_ENTRIES
    state.correlation_id = event.correlation_id
    state.priority = event.priority
    state.task_to_domain = event.task_to_domain or NO_ENTRIES
    state.parent_id, state.parent_number = event.parent_id, event.parent_number
    state.depth = event.depth
    state.created_by, state.trigger = event.created_by, event.trigger
    state.idempotency_key, state.request_hash = event.idempotency_key, event.request_hash
    state.slots = tuple(event.slots or ())
    state.inherited = event.holds or ()
    state.routing = event.routing
    state.created_ms = at_ms
    refresh_execution(state)


def _move(state: ExecutionState, status: str) -> None:
    check_transition(EXECUTION_TRANSITIONS, state.status, status, what=f"execution {state.execution_id}")
    state.status = status


def _slot_awaited(state: ExecutionState, event: ev.SlotAwaited, at_ms: int) -> None:
    state.slot, state.awaits_slot, state.begins = event.resource, True, event.begins
    state.awaits_since_ms = at_ms
    state.slot_needs = event.needs or ()
    _refresh_waiting(state)


def _slot_taken(state: ExecutionState, event: ev.SlotTaken, at_ms: int) -> None:
    state.awaits_slot = state.begins = False
    if state.slot_needs:
        holds.execution_begun(state, state.slot_needs, event.fence, at_ms)
    _refresh_waiting(state)


def _execution_paused(state: ExecutionState, event: ev.ExecutionPaused, at_ms: int) -> None:
    _move(state, PAUSED)
    state.paused_by_stop = event.by_stop
    _refresh_waiting(state)


def _refresh_waiting(state: ExecutionState) -> None:
    """Nothing new is admitted while paused or without a slot: tasks stop waiting, and begin to again."""
    for task in state.tasks.values():
        if not task.is_ended:
            refresh(state, task)
    refresh_execution(state)


def _execution_resumed(state: ExecutionState, event: ev.ExecutionResumed, at_ms: int) -> None:
    _move(state, RUNNING)
    state.paused_by_stop = False
    if not event.by_start:
        state.retried_ms = at_ms
    _refresh_waiting(state)


def _execution_ended(state: ExecutionState, event: ev.ExecutionEnded, at_ms: int) -> None:
    _move(state, event.status)
    state.paused_by_stop = False
    state.reason = event.reason
    state.output = event.output
    state.ended_ms = at_ms
    if event.failed_number and not state.failed_number:
        state.failed_number = event.failed_number
    if event.failure_workflow is not None:
        state.output = {**event.output, "conductor.failure_workflow": event.failure_workflow}
    state.awaits_slot = state.begins = False
    state.agenda.clear()
    resets.give_up_repairs(state)
    if state.open_count:
        _cancel_open(state, at_ms)
        if state.job_of:
            jobs.give_up_all(state, event.reason or f"the execution is {event.status}", at_ms)
    if state.holds:
        holds.execution_ended(state)
    if event.status == COMPLETED:
        recovery.given_up(state)
        state.memo = None  # what was not taken up again is not asked for any more
    refresh_execution(state)


def _execution_removed(state: ExecutionState, event: ev.ExecutionRemoved, at_ms: int) -> None:
    state.removed = True


def _input_applied(state: ExecutionState, event: ev.InputApplied, at_ms: int) -> None:
    applied = state.applied if isinstance(state.applied, set) else set(state.applied)
    applied.add(event.token)
    state.applied = applied


def _cancel_open(state: ExecutionState, at_ms: int) -> None:
    changed, wanted, dirty = state.changed, state.wanted, state.dirty  # there may be a hundred thousand
    for number, task in state.tasks.items():
        if task.status in TASK_ENDED:
            continue
        if CANCELED not in TASK_TRANSITIONS[task.status]:
            check_transition(TASK_TRANSITIONS, task.status, CANCELED, what=f"task {task.ref}")
        task.status = CANCELED
        task.ended_ms = task.updated_ms = at_ms
        task.grants = None
        if task.more is not None:
            task.more.asking = False
        changed[number] = None
        if wanted.pop(number, None) is not None:
            dirty.append(number)
    state.open_count = state.passive_count = 0
    state.ready_joins.clear()
    state.counters_stale = True


def _variables_set(state: ExecutionState, event: ev.VariablesSet, at_ms: int) -> None:
    state.variables = {**state.variables, **event.variables}


# --- the deciding itself --------------------------------------------------------------------


def _deferred(state: ExecutionState, event: ev.Deferred, at_ms: int) -> None:
    agenda = state.agenda = own(state.agenda)
    for number in event.numbers:
        agenda[number] = None
        task = state.tasks[number]
        if task.more is not None and task.more.asking:
            task.more.asking = False
            refresh(state, task)
    refresh_execution(state)


def _advanced(state: ExecutionState, event: ev.Advanced, at_ms: int) -> None:
    for number in event.numbers:
        state.agenda.pop(number, None)
    refresh_execution(state)


def _message_queued(state: ExecutionState, event: ev.MessageQueued, at_ms: int) -> None:
    make: Callable[..., Input] = INPUTS[event.kind]  # fields are checked where they are written
    given = make(*event.fields)
    graph = state.graphs.get(given.definition) if isinstance(given, StartExecution) else None
    state.outbox = own_queue(state.outbox)
    state.outbox.append(Message(event.to, given, graph))
    refresh_execution(state)


def _message_delivered(state: ExecutionState, event: ev.MessageDelivered, at_ms: int) -> None:
    state.outbox.popleft()
    refresh_execution(state)


_HANDLERS: dict[type[ev.Event], Handler] = {
    ev.ExecutionStarted: _execution_started,
    ev.SlotAwaited: _slot_awaited,
    ev.SlotTaken: _slot_taken,
    ev.ExecutionPaused: _execution_paused,
    ev.ExecutionResumed: _execution_resumed,
    ev.ExecutionEnded: _execution_ended,
    ev.ExecutionRestarted: resets.execution_restarted,
    ev.ExecutionReopened: resets.execution_reopened,
    ev.ExecutionRemoved: _execution_removed,
    ev.RecoveryBegun: recovery.recovery_begun,
    ev.DefinitionMigrated: definition_migrated,
    ev.VariablesSet: _variables_set,
    ev.TaskScheduled: tasks.task_scheduled,
    ev.ForkOpened: tasks.fork_opened,
    ev.BranchesScheduled: tasks.branches_scheduled,
    ev.AttemptStarted: tasks.attempt_started,
    ev.TaskUpdated: tasks.task_updated,
    ev.LeaseExtended: tasks.lease_extended,
    ev.TaskEnded: tasks.task_ended,
    ev.JobSubmitted: jobs.job_submitted,
    ev.JobUndecided: jobs.job_undecided,
    ev.JobDecided: jobs.job_decided,
    ev.JobCancelAsked: jobs.job_cancel_asked,
    ev.JobNoted: jobs.job_noted,
    ev.JobEnded: jobs.job_ended,
    ev.CaseChosen: tasks.case_chosen,
    ev.LoopAdvanced: tasks.loop_advanced,
    ev.ConditionAsked: tasks.condition_asked,
    ev.TaskSkipped: tasks.task_skipped,
    ev.ChildStarted: tasks.child_started,
    ev.TaskReset: resets.task_reset,
    ev.Repaired: resets.repaired,
    ev.TasksRemoved: resets.tasks_removed,
    ev.TaskReused: resets.task_reused,
    ev.MessagePublished: tasks.message_published,
    ev.InputApplied: _input_applied,
    ev.Deferred: _deferred,
    ev.Advanced: _advanced,
    ev.MessageQueued: _message_queued,
    ev.MessageDelivered: _message_delivered,
}
