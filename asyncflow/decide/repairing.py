"""Putting records right after an execution was opened again, a slice at a time.

Retry, rerun and revival differ in *how* an unsuccessful record is put right, not in when: the
records to repair are recorded with the reopening, each turn takes a slice of them, and after the
last one the flow goes on. Which records those are is decided in `decide/retrying`,
`decide/rerunning` and `decide/reviving`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import islice
from typing import cast

from asyncflow.decide.altered import CHANGE
from asyncflow.decide.failures import input_again, next_attempt
from asyncflow.decide.gather import join_members
from asyncflow.decide.resuming import resume
from asyncflow.decide.scheduling import executor_of, first_status, worker_name
from asyncflow.decide.shape import JOINS, PASSIVE
from asyncflow.decide.step import Step
from asyncflow.model.events import Repaired, TaskReset
from asyncflow.model.inputs import RerunChanged, RetryExecution
from asyncflow.model.state import ExecutionState, Memo, TaskState
from asyncflow.model.statuses import CANCELED, FAILED, IN_PROGRESS, TASK_UNSUCCESSFUL
from asyncflow.model.values import JsonObject

RETRY, RERUN, REVIVAL = "retry", "rerun", "revival"

# Order of repair: everything that runs first, then what only waits for others. A JOIN that were
# opened before its members would find nothing to wait for, and end. Between two slices the
# members run already; a JOIN that is still closed counts nothing, and is counted anew at the end.


def in_order(tasks: Iterable[TaskState]) -> list[int]:
    """The numbers of records to repair, what waits for others last."""
    chosen = list(tasks)
    active = [task.number for task in chosen if task.node.type not in PASSIVE]
    return active + [task.number for task in chosen if task.node.type in PASSIVE]


def is_newest(state: ExecutionState, task: TaskState) -> bool:
    """Whether a record is the last attempt of its reference name, the one that counts."""
    return not task.superseded and state.by_ref.get(task.ref) is task


def unsuccessful(state: ExecutionState) -> list[TaskState]:
    """The last attempts that did not succeed, oldest first: what a retry tries again."""
    return [t for t in state.tasks.values() if t.status in TASK_UNSUCCESSFUL and is_newest(state, t)]


def repair(step: Step) -> None:
    """Put a slice of records right; after the last one, go on from wherever the flow had stopped."""
    state = step.state
    put_right = _REPAIRS[state.repair_cause]
    numbers = list(islice(state.repairs, max(1, step.context.slice_size // 2)))
    begun: list[TaskState] = []
    for number in numbers:
        task = state.tasks.get(number)
        if task is not None and task.is_ended:
            begun += put_right(step, task)
    step.emit(Repaired(len(numbers)))
    step.pending.extend(begun)
    if not state.repairs:
        resume(step)


def open_again(
    step: Step,
    task: TaskState,
    *,
    more_retries: int = 0,
    given: JsonObject | None = None,
    anew: bool = False,
) -> None:
    """Open a record in place, as if it had just been scheduled; the caller begins it."""
    node = task.node
    executor = executor_of(step, node, task.name or worker_name(node))
    status, count = first_status(node, held=False), task.retry_count + more_retries
    step.emit(TaskReset(task.number, status, count, given, executor=executor, anew=anew))


def wait_for_child(step: Step, task: TaskState, *, note: str = "") -> None:
    """Open a SUB_WORKFLOW task in place that keeps the child it has, which runs again."""
    step.emit(TaskReset(task.number, IN_PROGRESS, task.retry_count, keep_child=True, note=note))


# --- how a record is put right, by cause ---------------------------------------------------------


def _tried_again(step: Step, task: TaskState) -> list[TaskState]:
    """Retry: another attempt behind the failed one, without delay; what waits is opened in place."""
    if task.node.type not in PASSIVE:
        return [next_attempt(step, task)]
    blameless = task.status == CANCELED and task.node.type != "EXCLUSIVE_JOIN"
    same = blameless or _failed_by_members(step.state, task)
    open_again(step, task, more_retries=0 if same else 1)
    return []


def _failed_by_members(state: ExecutionState, task: TaskState) -> bool:
    """Whether a JOIN failed because of a permissive member, which may have its next attempt by now."""
    if task.node.type != "JOIN":
        return False
    members = (member for member in join_members(state, task) if member.node.task.permissive)
    return any(member.status in TASK_UNSUCCESSFUL or member.epoch == state.epoch for member in members)


def _reset(step: Step, task: TaskState) -> list[TaskState]:
    """Rerun: open in place, with the count and input it has; a SUB_WORKFLOW gets a new child."""
    open_again(step, task)
    return [] if task.node.type in PASSIVE else [task]


def _changed(step: Step, task: TaskState) -> list[TaskState]:
    """Smart rerun: open in place with the input of now; what waits for others goes on, unless asked for."""
    memo, kind = step.state.memo, task.node.type
    is_asked = memo is not None and task.ref in memo.redo
    if kind in JOINS or (kind == "DO_WHILE" and not is_asked):
        open_again(step, task)
        return []
    given = input_again(step, task)
    if memo is not None and task.ref in memo.inside and _has_same_child(task, given):
        _go_inside(step, task, memo)
        return []
    open_again(step, task, given=given, anew=True)
    return [task] if kind in step.beginnings else []


def _has_same_child(task: TaskState, given: JsonObject | None) -> bool:
    """Whether a SUB_WORKFLOW task would start its child as it did."""
    has_child = task.more is not None and task.more.child_id is not None
    return has_child and (given is None or given == task.input)


def _go_inside(step: Step, task: TaskState, memo: Memo) -> None:
    """Open a SUB_WORKFLOW task that keeps its child, of which only what is concerned runs again."""
    planned = cast("tuple[str, int, int, list[int], JsonObject]", memo.inside[task.ref])
    child, epoch, seq, redo, inside = planned
    wait_for_child(step, task, note="Sub workflow runs again where it is concerned.")
    step.send(
        child,
        RerunChanged(epoch, seq, redo, [], memo.cut_off, inside=inside, by_parent=True),
    )


def _revived(step: Step, task: TaskState) -> list[TaskState]:
    """Revival: siblings of the child that runs again go on, children keep their executions."""
    more = task.more
    if more is not None and more.child_id is not None:
        wait_for_child(step, task)
        step.send(more.child_id, RetryExecution(by_parent=True))
        return []
    if task.node.type in PASSIVE:
        open_again(step, task)
        return []
    open_again(step, task, more_retries=1)
    return [task]


def is_revived(task: TaskState) -> bool:
    """Whether the revival of an execution opens this record, an unsuccessful last attempt.

    What failed by itself and was tolerated is left as it is; what was cancelled with the
    execution goes on, and so do children.
    """
    if task.status == CANCELED:
        return True
    if task.node.type == "SUB_WORKFLOW":
        return task.more is not None and task.more.child_id is not None
    return task.status == FAILED and task.node.type in PASSIVE


_REPAIRS: dict[str, Callable[[Step, TaskState], list[TaskState]]] = {
    RETRY: _tried_again,
    RERUN: _reset,
    REVIVAL: _revived,
    CHANGE: _changed,
}
