"""State after events that open an execution again: restart, reopening, reset and removed records.

Each of them makes what joins and DAG lists wait for stale; `decide/counters` counts anew when
it is next asked. The other events are in `decide/evolve`.
"""

from __future__ import annotations

from asyncflow.decide.counters import closed, reopened
from asyncflow.decide.wanted import forget, refresh, refresh_execution
from asyncflow.model import events as ev
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import IN_PROGRESS, RUNNING


def execution_restarted(state: ExecutionState, event: ev.ExecutionRestarted, at_ms: int) -> None:
    """Everything but input, variables and the failed-name sets begins anew."""
    state.graph = state.graphs[event.definition]
    state.version = event.version
    state.epoch += 1
    state.status = RUNNING
    for number in list(state.tasks):
        forget(state, number)
        state.changed[number] = None
    state.tasks.clear()
    state.by_ref.clear()
    state.latest.clear()
    state.joins.clear()
    state.countdown.clear()
    state.forked_nodes.clear()
    state.agenda.clear()
    state.counters_stale = False
    state.dynamic_forks = 0
    state.ready_joins.clear()
    state.next_seq, state.open_count, state.passive_count = 1, 0, 0
    state.created_ms, state.ended_ms, state.retried_ms = at_ms, 0, 0
    state.output, state.reason, state.failed_number = {}, None, 0
    state.failed_weight = 0
    refresh_execution(state)


def execution_reopened(state: ExecutionState, event: ev.ExecutionReopened, at_ms: int) -> None:
    """It runs again in a new epoch; output and end time stay until it ends again."""
    state.epoch += 1
    state.status = RUNNING
    state.retried_ms = at_ms
    state.counters_stale = True
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
    refresh_execution(state)


def definition_migrated(state: ExecutionState, event: ev.DefinitionMigrated, at_ms: int) -> None:
    """Records keep their reference names and take their nodes from the new definition."""
    state.graph = state.graphs[event.definition]
    state.version = event.version
    state.counters_stale = True
    for task in state.tasks.values():
        task.node = state.graph.nodes.get(task.node.ref, task.node)
        refresh(state, task)
    refresh_execution(state)


def task_reset(state: ExecutionState, event: ev.TaskReset, at_ms: int) -> None:
    """A record is open again under its own number, as if just scheduled."""
    task = state.tasks[event.number]
    if task.is_ended:
        reopened(state, task)
    task.status = event.status
    task.epoch = state.epoch
    task.retry_count = event.retry_count
    task.settled = task.superseded = False
    task.reason = task.state = None
    task.starts = 0
    task.worker_id = ""
    task.callback_after_s = task.due_ms = 0
    task.scheduled_ms = task.updated_ms = at_ms
    task.first_scheduled_ms = at_ms
    task.ended_ms = 0
    task.started_ms = at_ms if event.status == IN_PROGRESS else 0
    if event.input is not None:
        task.input = event.input
    if not event.keep_output:
        task.output = {}
    _reset_operator(state, task, keep_child=event.keep_child)
    state.by_ref[task.ref] = task
    state.latest[task.ref.removesuffix(task.suffix)] = task
    state.changed[task.number] = None
    state.counters_stale = True
    refresh(state, task)


def _reset_operator(state: ExecutionState, task: TaskState, *, keep_child: bool) -> None:
    more = task.more
    if more is None:
        return
    more.asking = False
    if task.node.type in {"SWITCH", "DECISION"}:
        more.case = more.branch = None
        task.input = {k: v for k, v in task.input.items() if k not in {"case", "hasChildren"}}
    if keep_child and more.child_id is not None:
        task.output = {"subWorkflowId": more.child_id}
    else:
        more.child_id = None


def task_superseded(state: ExecutionState, event: ev.TaskSuperseded, at_ms: int) -> None:
    """The record stays as history; the flow went on elsewhere."""
    task = state.tasks[event.number]
    task.superseded = task.settled = True
    state.changed[event.number] = None
    state.counters_stale = True


def tasks_removed(state: ExecutionState, event: ev.TasksRemoved, at_ms: int) -> None:
    """The records are gone; an older attempt of the same reference is the newest one again."""
    gone: set[str] = set()
    for number in event.numbers:
        task = state.tasks.pop(number, None)
        if task is None:
            continue
        if not task.is_ended:
            closed(state, task)
        gone.add(task.ref)
        state.agenda.pop(number, None)
        state.changed[number] = None
        forget(state, number)
    for ref in gone:
        state.by_ref.pop(ref, None)
    _index_again(state)
    state.next_seq = event.next_seq
    state.counters_stale = True


def _index_again(state: ExecutionState) -> None:
    """Both indexes, from the records that are left, the newest of each reference winning."""
    state.latest.clear()
    for task in state.tasks.values():
        state.by_ref[task.ref] = task
        state.latest[task.ref.removesuffix(task.suffix)] = task
