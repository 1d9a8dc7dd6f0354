"""What comes after what: follow-ups of ended tasks, lists, joins, and the end of it all.

`advance` is called once at the end of each step and computes follow-ups until nothing is left
or the slice is full. Failures are in `decide/failures`, the end itself in `decide/ending`.
"""

from __future__ import annotations

from asyncflow.decide.counters import first_nodes, is_free
from asyncflow.decide.ending import end_execution, finish
from asyncflow.decide.failures import retry_or_fail, schedule_retry
from asyncflow.decide.gather import join_members, join_refs
from asyncflow.decide.scheduling import Frame, schedule
from asyncflow.decide.shape import completes, list_ended
from asyncflow.decide.step import Step
from asyncflow.errors import AsyncflowError
from asyncflow.ids import task_id
from asyncflow.model.events import Advanced, Deferred, TaskEnded
from asyncflow.model.graph import Node, NodeList
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import (
    CANCELED,
    COMPLETED,
    COMPLETED_WITH_ERRORS,
    FAILED,
    PAUSED,
    RUNNING,
    SKIPPED,
    TASK_RETRIABLE,
    TASK_UNSUCCESSFUL,
)
from asyncflow.model.values import JsonObject


def complete(
    step: Step,
    task: TaskState,
    output: JsonObject | None,
    *,
    status: str = COMPLETED,
    reason: str | None = None,
    output_bytes: int = 0,
) -> None:
    """Record that a task is done and that the flow goes on from it."""
    step.emit(TaskEnded(task.number, status, output, reason, True, output_bytes))
    step.pending.append(task)


def fail(step: Step, task: TaskState, status: str, reason: str, output: JsonObject | None = None) -> None:
    """Record that an attempt did not succeed: retried, tolerated, or the end of the execution."""
    if retry_or_fail(step, task, status, reason, output=output):
        step.pending.append(task)


def advance(step: Step) -> None:
    """Compute follow-ups until nothing is left or the rest belongs to the next turn."""
    state = step.state
    try:
        while not state.is_ended and (step.pending or state.ready_joins):
            if state.status == PAUSED or step.is_full:
                _defer(step)
                return
            if step.pending:
                _follow(step, step.pending.popleft())
            else:
                _finish_joins(step)
    except AsyncflowError as error:
        end_execution(step, FAILED, f"Error scheduling tasks, for workflow: {state.execution_id}: {error}")
    step.pending.clear()
    if state.status == RUNNING and not state.agenda and not state.outbox:
        _look_for_end(step)


def take_up(step: Step) -> None:
    """Go on with what was deferred, as much of it as a slice holds."""
    state = step.state
    numbers = list(state.agenda)[: max(1, step.context.slice_size // 2)]
    if not numbers:
        return
    step.emit(Advanced(numbers))
    for number in numbers:
        task = state.tasks.get(number)
        if task is None:
            continue
        if task.settled:
            step.pending.append(task)
        elif task.status in TASK_RETRIABLE:
            schedule_retry(step, task)
        elif task.more is not None and task.more.members is not None:
            step.pending.append(task)


def _defer(step: Step) -> None:
    numbers = [task.number for task in step.pending]
    step.pending.clear()
    if numbers:
        step.emit(Deferred(numbers))


def _look_for_end(step: Step) -> None:
    state = step.state
    if not state.open_count:
        finish(step)
    elif state.open_count == state.passive_count and not any(state.wanted):
        stuck = next(task for task in state.tasks.values() if not task.is_ended and task.more is not None)
        missing = [ref for ref in join_refs(state, stuck) if ref not in state.by_ref]
        end_execution(
            step,
            FAILED,
            f"Nothing can proceed: {stuck.node.type} {stuck.ref} waits for "
            f"{', '.join(missing[:5]) or 'tasks that never ended'}, which will never be scheduled",
            failed=stuck,
        )


# --- lists -----------------------------------------------------------------------------------


def begin_list(step: Step, home: NodeList, frame: Frame) -> None:
    """Schedule what starts a list of tasks."""
    for node in first_nodes(home):
        launch(step, node, frame)


def launch(step: Step, node: Node, frame: Frame) -> None:
    """Schedule a node unless it has a record; one that was skipped is jumped over."""
    state = step.state
    if state.is_ended:
        return
    existing = state.by_ref.get(node.ref + frame.suffix)
    if existing is not None:
        if existing.status == SKIPPED:
            _after(step, node, frame)
        return
    task = schedule(step, node, frame)
    begin = step.beginnings.get(node.type)
    if begin is not None:
        begin(step, task)


def _follow(step: Step, task: TaskState) -> None:
    """Schedule what comes after a record that settled."""
    more = task.more
    if more is not None and more.members is not None:
        step.beginnings["*fork"](step, task)
        if not more.join:  # the slice was full: the rest of the branches comes first
            return
    if completes(task):
        _after(step, task.node, Frame.of(task))
    elif more is not None and more.branch is not None and task.node.type in {"SWITCH", "DECISION"}:
        chosen = task.node.default if more.branch == "" else task.node.cases[more.branch]
        if chosen is not None:
            begin_list(step, chosen, Frame.of(task))


def _after(step: Step, node: Node, frame: Frame) -> None:
    """Schedule what comes after a node that is done, out of as many lists as end with it."""
    state = step.state
    current: Node | None = node
    while current is not None and not state.is_ended:
        if current.home.dag:
            for dependent in current.dependents:
                if is_free(state, dependent, frame.suffix):
                    launch(step, dependent, frame)
        elif current.next is not None:
            launch(step, current.next, frame)
        if not list_ended(state, current, frame.suffix):
            return
        home = current.home
        if home.kind == "loop":
            step.beginnings["*loop"](step, state.tasks[frame.loop])
        current = home.owner if home.kind == "case" else None


# --- joins -----------------------------------------------------------------------------------


def _finish_joins(step: Step) -> None:
    state = step.state
    for number in list(state.ready_joins):
        state_before = len(step.events)
        join = state.tasks[number]
        if join.node.type == "JOIN":
            _finish_join(step, join)
        else:
            _finish_exclusive_join(step, join)
        if len(step.events) == state_before:
            state.ready_joins.pop(number, None)
        if step.is_full or state.is_ended:
            return


def _finish_join(step: Step, join: TaskState) -> None:
    """End a JOIN all of whose members settled, as its members ended."""
    state = step.state
    failed: list[TaskState] = []
    with_errors: list[TaskState] = []
    for member in join_members(state, join):
        if member.status in TASK_UNSUCCESSFUL:
            failed.append(member)
        elif member.status == COMPLETED_WITH_ERRORS:
            with_errors.append(member)
    if failed:
        canceled = all(member.status == CANCELED for member in failed)
        reasons = " ".join(member.reason for member in failed if member.reason)
        fail(step, join, CANCELED if canceled else FAILED, reasons)
    elif with_errors:
        named = "; ".join(
            f"{member.ref}/{task_id(state.execution_id, member.number)} {member.reason or ''} completed with errors"
            for member in with_errors
        )
        complete(step, join, None, status=COMPLETED_WITH_ERRORS, reason=named)
    else:
        complete(step, join, None)


def _finish_exclusive_join(step: Step, join: TaskState) -> None:
    """End an EXCLUSIVE_JOIN with the first of its members that was taken, if that one ended."""
    task = join.node.task
    for refs in (task.join_on, task.default_exclusive_join_task):
        found = _first_taken(step.state, join, refs)
        if found is None or not found.is_ended:
            continue
        if found.status not in TASK_UNSUCCESSFUL:
            complete(step, join, dict(found.output or {}))
            return
        if found.settled:
            fail(step, join, FAILED, found.reason or f"{found.ref} did not succeed")
            return


def _first_taken(state: ExecutionState, join: TaskState, refs: list[str]) -> TaskState | None:
    for ref in refs:
        found = state.by_ref.get(ref + join.suffix) or state.by_ref.get(ref)
        if found is not None and found.status != SKIPPED:
            return found
    return None
