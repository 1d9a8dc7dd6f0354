"""What an unsuccessful attempt leads to: another attempt, a tolerated failure, or the end.

The order is Conductor's: retries first, then `optional`, then `permissive`, then the end of
the execution. Timeouts come through here too.
"""

from __future__ import annotations

from asyncflow.decide.ending import end_execution
from asyncflow.decide.scheduling import executor_of, resolve_input
from asyncflow.decide.step import Step
from asyncflow.ids import task_id
from asyncflow.model.events import Deferred, TaskEnded, TaskScheduled
from asyncflow.model.graph import Policy
from asyncflow.model.state import TaskState
from asyncflow.model.statuses import (
    CANCELED,
    COMPLETED_WITH_ERRORS,
    FAILED,
    IN_PROGRESS,
    PAUSED,
    SCHEDULED,
    TASK_RETRIABLE,
    TERMINATED,
    TIMED_OUT,
)
from asyncflow.model.values import JsonObject

_NEVER_RETRIED = frozenset(
    {"FORK_JOIN", "FORK_JOIN_DYNAMIC", "JOIN", "EXCLUSIVE_JOIN", "SWITCH", "DECISION", "DO_WHILE"}
)
_MAX_DELAY_S = 2**31 - 1
_SCRIPTED = frozenset({"INLINE", "LAMBDA", "JSON_JQ_TRANSFORM"})


def retry_or_fail(
    step: Step, task: TaskState, status: str, reason: str | None, *, output: JsonObject | None = None
) -> bool:
    """Record the end of an attempt that did not succeed, and what it means.

    Returns:
        Whether the failure is tolerated, so that the flow goes on from the task.
    """
    policy = task.node.policy
    output = {} if output is None else output
    exhausted = _total_exhausted(step, policy, task)
    if _is_retriable(task, status) and not exhausted:
        step.emit(TaskEnded(task.number, status, output, reason, settled=False))
        if step.state.status == PAUSED:
            step.emit(Deferred([task.number]))
        else:
            schedule_retry(step, task)
        return False
    wanted_retry = exhausted and _is_retriable(task, status)
    if not wanted_retry and _is_tolerated(step, task):
        kept = status if task.node.task.permissive and not _is_optional(step, task) else COMPLETED_WITH_ERRORS
        step.emit(TaskEnded(task.number, kept, output, reason))
        return True
    step.emit(TaskEnded(task.number, status, output, reason, settled=False))
    _end_with(step, task, status, reason if not wanted_retry else _exhausted_reason(step, task))
    return False


def end_by_policy(step: Step, task: TaskState, reason: str) -> None:
    """A timeout with policy TIME_OUT_WF: the task and its execution are TIMED_OUT at once."""
    step.emit(TaskEnded(task.number, TIMED_OUT, {}, reason, settled=False))
    _end_with(step, task, TIMED_OUT, reason)


def schedule_retry(step: Step, task: TaskState) -> None:
    """Make the record of the next attempt, held back by the policy's delay."""
    state = step.state
    node = task.node
    delay_s = retry_delay_s(node.policy, task.retry_count)
    jitter = node.policy.jitter_ms
    due_ms = step.now_ms + int(delay_s * 1000) + (step.jitter_ms(task.number, jitter) if jitter else 0)
    number = state.next_number
    given = None if task.fork_index >= 0 else resolve_input(step, node, number)
    scripted = node.type in _SCRIPTED
    step.emit(
        TaskScheduled(
            number,
            task.ref.removesuffix(task.suffix),
            task.suffix,
            task.input if given is None else {**task.input, **given},
            executor_of(
                step, node, task.name or (node.name if node.type in {"SIMPLE", "DYNAMIC"} else node.type)
            ),
            task.iteration,
            task.loop,
            retry_of=task.number,
            retry_count=task.retry_count + 1,
            due_ms=due_ms if due_ms > step.now_ms else 0,
            name=task.name,
            fork=task.fork,
            fork_index=task.fork_index,
            domain=task.domain,
            status=IN_PROGRESS if scripted or node.type in {"WAIT", "HUMAN"} else SCHEDULED,
            reason=task.reason,
        )
    )
    begin = step.beginnings.get(node.type)
    if begin is not None:
        begin(step, state.tasks[number])


def retry_delay_s(policy: Policy, failed_retry_count: int) -> float:
    """Seconds until the attempt after one with this retry count (0 for the first attempt)."""
    n = failed_retry_count
    if policy.retry_delays is not None:
        delays = policy.retry_delays
        return delays[min(n, len(delays) - 1)] if delays else 0
    if policy.retry_logic == "LINEAR_BACKOFF":
        delay = policy.retry_delay * policy.backoff_scale * (n + 1)
    elif policy.retry_logic == "EXPONENTIAL_BACKOFF":
        delay = policy.retry_delay * 2 ** min(n, 62)
    else:
        delay = policy.retry_delay
    delay = min(delay, _MAX_DELAY_S)
    return min(delay, policy.max_retry_delay) if policy.max_retry_delay > 0 else delay


def _is_retriable(task: TaskState, status: str) -> bool:
    return (
        status in TASK_RETRIABLE
        and task.node.type not in _NEVER_RETRIED
        and task.retry_count < task.node.policy.retry_count
    )


def _total_exhausted(step: Step, policy: Policy, task: TaskState) -> bool:
    total = policy.total_timeout
    return bool(total) and step.now_ms - task.first_scheduled_ms >= total * 1000


def _exhausted_reason(step: Step, task: TaskState) -> str:
    return (
        f"Task {task_id(step.state.execution_id, task.number)} exceeded total timeout of "
        f"{int(task.node.policy.total_timeout)} seconds ({task.ref}). No further retries will be attempted."
    )


def _is_optional(step: Step, task: TaskState) -> bool:
    return task.node.task.optional or _weighs(step) is not None


def _is_tolerated(step: Step, task: TaskState) -> bool:
    """Optional and permissive tasks; any task where failures are weighed at the end instead."""
    return task.node.task.permissive or _is_optional(step, task)


def _weighs(step: Step) -> float | None:
    extension = step.state.graph.definition.extension
    return None if extension is None else extension.fail_if_failed_weight_above


def _end_with(step: Step, task: TaskState, status: str, reason: str | None) -> None:
    ends = {CANCELED: TERMINATED, TIMED_OUT: TIMED_OUT}.get(status, FAILED)
    identity = task_id(step.state.execution_id, task.number)
    end_execution(
        step, ends, f"Task {identity} failed with status: {ends} and reason: '{reason or ''}'", failed=task
    )
