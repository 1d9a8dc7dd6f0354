"""What an unsuccessful attempt leads to: another attempt, a tolerated failure, or the end.

The order is Conductor's: retries first, then `optional`, then `permissive`, then the end of
the execution. Timeouts come through here too; delays are computed in `decide/policy`.
"""

from __future__ import annotations

from asyncflow.decide.ending import end_execution, weight_threshold
from asyncflow.decide.forks import branch_template
from asyncflow.decide.policy import retry_delay_s
from asyncflow.decide.scheduling import complete_input, executor_of, first_status, resolve_input, worker_name
from asyncflow.decide.shape import STRUCTURE
from asyncflow.decide.step import Step
from asyncflow.ids import task_id
from asyncflow.model.events import Deferred, TaskEnded, TaskScheduled
from asyncflow.model.state import TaskState
from asyncflow.model.statuses import (
    CANCELED,
    COMPLETED_WITH_ERRORS,
    FAILED,
    PAUSED,
    TASK_RETRIABLE,
    TERMINATED,
    TIMED_OUT,
)
from asyncflow.model.values import JsonObject


def retry_or_fail(
    step: Step,
    task: TaskState,
    status: str,
    reason: str | None,
    *,
    output: JsonObject | None = None,
    state: str | None = None,
) -> TaskState | None:
    """Record the end of an attempt that did not succeed, and what it means.

    `state` is the true state of the record, where Conductor has no word for it.

    While the execution is paused only the attempt ends; what it means is deferred to the resume.

    Returns:
        The record from which the flow goes on: the task itself where its failure is tolerated,
        the next attempt where there is one, or None.
    """
    output = {} if output is None else output
    tolerated = None if _may_be_tried_again(task, status) else _tolerated_status(step, task, status)
    if tolerated is not None:
        step.emit(TaskEnded(task.number, tolerated, output, reason, state=state))
        return task
    step.emit(TaskEnded(task.number, status, output, reason, settled=False, state=state))
    if step.state.status == PAUSED:
        step.emit(Deferred([task.number]))
        return None
    return end_or_retry(step, task)


def end_or_retry(step: Step, task: TaskState) -> TaskState | None:
    """Make the next attempt of a record that failed, or end the execution with it.

    A used-up total timeout is absolute: it ends the execution under every timeout policy, and
    for optional and permissive tasks as well.
    """
    if not _may_be_tried_again(task, task.status):
        _end_with(step, task)
        return None
    total = task.node.policy.total_timeout
    if total and step.now_ms - task.first_scheduled_ms >= total * 1000:
        identity = task_id(step.state.execution_id, task.number)
        reason = (
            f"Task {identity} exceeded total timeout of {total:g} seconds ({task.ref}). "
            "No further retries will be attempted."
        )
        end_execution(step, TIMED_OUT if task.status == TIMED_OUT else FAILED, reason, failed=task)
        return None
    return schedule_retry(step, task)


def end_by_policy(step: Step, task: TaskState, reason: str) -> None:
    """A timeout with policy TIME_OUT_WF: the task and its execution are TIMED_OUT at once."""
    step.emit(TaskEnded(task.number, TIMED_OUT, {}, reason, settled=False))
    _end_with(step, task)


def again(step: Step, task: TaskState, reason: str, *, state: str) -> None:
    """End an attempt that is nobody's failure, and make a record with the same number of retries."""
    step.emit(TaskEnded(task.number, CANCELED, {}, reason, settled=False, state=state))
    step.emit(
        TaskScheduled(
            step.state.next_number,
            task.ref.removesuffix(task.suffix),
            task.suffix,
            task.input,
            task.executor,
            task.iteration,
            task.loop,
            retry_of=task.number,
            retry_count=task.retry_count,
            name=task.name,
            fork=task.fork,
            fork_index=task.fork_index,
            domain=task.domain,
        )
    )


def schedule_retry(step: Step, task: TaskState) -> TaskState:
    """Make the record of the next attempt, held back by the policy's delay; `flow.begin_task` begins it."""
    policy = task.node.policy
    due_ms = step.now_ms + int(retry_delay_s(policy, task.retry_count) * 1000)
    if policy.jitter_ms:
        due_ms += step.jitter_ms(task.number, policy.jitter_ms)
    return next_attempt(step, task, due_ms=due_ms if due_ms > step.now_ms else 0, reason=task.reason)


def next_attempt(step: Step, task: TaskState, *, due_ms: int = 0, reason: str | None = None) -> TaskState:
    """Make a record that takes the place of an unsuccessful one; `flow.begin_task` begins it.

    Inputs are resolved anew, with what is known now, and laid over those of the failed attempt.
    """
    state = step.state
    node = task.node
    number = state.next_number
    given = input_again(step, task, number)
    step.emit(
        TaskScheduled(
            number,
            task.ref.removesuffix(task.suffix),
            task.suffix,
            task.input if given is None else {**task.input, **given},
            executor_of(step, node, task.name or worker_name(node)),
            task.iteration,
            task.loop,
            retry_of=task.number,
            retry_count=task.retry_count + 1,
            due_ms=due_ms,
            name=task.name,
            fork=task.fork,
            fork_index=task.fork_index,
            domain=task.domain,
            status=first_status(node, held=due_ms > step.now_ms),
            reason=reason,
        )
    )
    return state.tasks[number]


def input_again(step: Step, task: TaskState, number: int = 0) -> JsonObject | None:
    """The input that a record would be given now, or None for the one it has.

    `number` is that of the record to be made, where it is another.
    """
    number = number or task.number
    if task.fork_index < 0:
        return resolve_input(step, task.node, number)
    opener = step.state.tasks.get(task.fork)
    members = None if opener is None or opener.more is None else opener.more.members
    if members is None:
        return None
    resolved = branch_template(members, task.fork_index).resolve(step.scope(number))
    return complete_input(step, task.node, number, resolved) if isinstance(resolved, dict) else None


def _may_be_tried_again(task: TaskState, status: str) -> bool:
    """Whether the policy grants another attempt, the total timeout aside."""
    return (
        status in TASK_RETRIABLE
        and task.retry_count < task.node.policy.retry_count
        and task.node.type not in STRUCTURE
    )


def _tolerated_status(step: Step, task: TaskState, status: str) -> str | None:
    """The status of a failure that the flow goes on from, or None where it is not tolerated.

    `optional` wins over `permissive`. Where failures are weighed at the end of the execution,
    every task is as good as optional until then.
    """
    if task.node.task.optional or weight_threshold(step.state) is not None:
        return COMPLETED_WITH_ERRORS
    return status if task.node.task.permissive else None


def _end_with(step: Step, task: TaskState) -> None:
    ends = {CANCELED: TERMINATED, TIMED_OUT: TIMED_OUT}.get(task.status, FAILED)
    identity = task_id(step.state.execution_id, task.number)
    reason = f"Task {identity} failed with status: {ends} and reason: '{task.reason or ''}'"
    end_execution(step, ends, reason, failed=task)
