"""What the runtime learnt: attempts, scripts, timers, children.

A report is never refused. One that comes too late, or twice, finds its record ended or open
again for something else, and changes nothing.
"""

from __future__ import annotations

from asyncflow.decide import jobs, operators
from asyncflow.decide.ending import end_execution, release_child
from asyncflow.decide.failures import again, end_by_policy
from asyncflow.decide.flow import begin_task, complete, fail
from asyncflow.decide.holds import take
from asyncflow.decide.operators_child import child_ended as end_child_task
from asyncflow.decide.operators_loop import condition_answered
from asyncflow.decide.slots import slot_taken
from asyncflow.decide.step import Step
from asyncflow.decide.wanted import (
    DUE,
    GRACE,
    LOCAL_EXECUTORS,
    UNVERSIONED,
    attempt_start,
    is_held,
    is_pinned,
    script_round,
)
from asyncflow.ids import task_id
from asyncflow.model import events as ev
from asyncflow.model import inputs
from asyncflow.model.effects import Timer
from asyncflow.model.state import TaskState
from asyncflow.model.statuses import (
    COMPLETED,
    EXECUTION_ENDED,
    FAILED,
    IN_PROGRESS,
    PAUSED,
    SCHEDULED,
    TASK_ENDED,
    TIMED_OUT,
)

INTERRUPTED = "INTERRUPTED"
RELEASED = "RELEASED"


# Staleness is decided by the state, never by remembering reports: a report counts if what it answers
# is still open and still the same. An attempt and a script say which one they were (`start`,
# `iteration`), a timer has to be wanted and due, a child has to be the one the record waits for. So
# a report that arrives twice, or after a timeout, a reset or an end, gives no event at all.


def attempt_admitted(step: Step, report: inputs.AttemptAdmitted) -> None:
    """Admission let the task begin, or the execution."""
    state = step.state
    if not report.number:
        slot_taken(step, report.fence)
        return
    task = state.tasks.get(report.number)
    if task is None or task.status != SCHEDULED or state.is_ended:
        return
    if state.status == PAUSED and (task.executor in LOCAL_EXECUTORS or task.executor == jobs.JOB):
        return  # its grant goes back: nothing began
    if is_held(state, task):
        return
    pinned, version = is_pinned(state, task), report.version
    if version == UNVERSIONED and not pinned:
        version = ""
    if pinned and version and state.worker_version not in {"", version}:
        return  # another task of the execution was taken by other code meanwhile
    grants, holds, under, fence = report.grants, None, None, 0
    if "resources" in task.node.extra:
        grants, holds, under, fence = take(state, task, grants)
    started = ev.AttemptStarted(
        report.number,
        report.worker_id,
        grants,
        max(report.fence, fence),
        report.input_bytes,
        version,
        report.resource,
        report.instance,
        holds,
        under,
    )
    step.emit(started)


def attempt_ended(step: Step, report: inputs.AttemptEnded) -> None:
    """An attempt is over, one way or the other; or the execution was refused a slot."""
    if not report.number and step.state.awaits_slot:
        end_execution(step, FAILED, report.reason)
        return
    task = _open(step, report.number)
    if task is None or (report.start and report.start != attempt_start(task)):
        return
    if report.status != COMPLETED:
        fail(step, task, report.status, report.reason or "", report.output)
    elif task.node.task.async_complete:
        step.emit(ev.TaskUpdated(task.number, report.output, status=IN_PROGRESS, executor="external"))
    else:
        told = 0 if task.input_bytes else report.input_bytes
        complete(step, task, report.output, output_bytes=report.output_bytes, input_bytes=told)


def attempt_interrupted(step: Step, report: inputs.AttemptInterrupted) -> None:
    """The engine broke the attempt off: another record takes its place, and no retry is used."""
    task = _open(step, report.number)
    if task is None or task.status != IN_PROGRESS or task.executor not in LOCAL_EXECUTORS:
        return
    if not report.start or report.start == attempt_start(task):
        again(step, task, report.reason, state=INTERRUPTED)


def release_attempt(step: Step, report: inputs.ReleaseAttempt) -> None:
    """A worker elsewhere gives a task back, or never got it: another record, and no retry is used."""
    task = _open(step, report.number)
    if task is None or task.status != IN_PROGRESS or task.executor != "remote":
        return
    if not report.start or report.start == attempt_start(task):
        again(step, task, report.reason, state=RELEASED)


def script_ended(step: Step, report: inputs.ScriptEnded) -> None:
    """A script gave its value."""
    task = _open(step, report.number)
    if task is None:
        return
    if task.node.type == "DO_WHILE":
        condition_answered(step, task, report.value, error=report.error, iteration=report.iteration)
    elif report.iteration == script_round(task) and (
        task.executor == "script" or (task.more is not None and task.more.asking)
    ):
        operators.script_ended(step, task, report.value, report.error)


def child_ended(step: Step, report: inputs.ChildEnded) -> None:
    """The execution of a SUB_WORKFLOW task ended."""
    task = _open(step, report.number)
    if task is not None:
        end_child_task(step, task, report)


def extend_lease(step: Step, report: inputs.ExtendLease) -> None:
    """A sign of life."""
    task = _open(step, report.number)
    if task is not None and task.status == IN_PROGRESS:
        step.emit(ev.LeaseExtended(task.number))


def timer_due(step: Step, report: inputs.TimerDue) -> None:
    """A point in time came; it counts only if the state still wants it and it is really due."""
    state = step.state
    timer = _timer(step, report.number, report.kind)
    if timer is None:
        return
    clock = step.context.moment.wall_ms if timer.clock == "wall" else step.now_ms
    if clock < timer.due_ms:
        return
    if report.number == 0:
        _workflow_timed_out(step)
        return
    task = state.tasks[report.number]
    if report.kind == DUE:
        step.emit(ev.AttemptStarted(task.number))
        begin_task(step, task)
    elif report.kind == "wait":
        complete(step, task, {})
    elif report.kind == GRACE:
        jobs.grace_over(step, task)
    else:
        _time_out(step, task, report.kind)


def _workflow_timed_out(step: Step) -> None:
    definition = step.state.graph.definition
    if definition.timeout_policy == "TIME_OUT_WF":
        seconds = definition.timeout_seconds
        end_execution(step, TIMED_OUT, f"Workflow timed out after {seconds} seconds.")


def _time_out(step: Step, task: TaskState, kind: str) -> None:
    policy = task.node.policy
    identity = task_id(step.state.execution_id, task.number)
    seconds = {
        "response": policy.response_timeout,
        "poll": policy.poll_timeout,
        "timeout": policy.timeout,
        "total": policy.total_timeout,
    }[kind]
    name = {"response": "responseTimeout", "poll": "pollTimeout", "total": "totalTimeout"}.get(
        kind, "timeout"
    )
    reason = (
        f"{name}: {seconds:g} exceeded for the taskId: {identity} with Task Definition: "
        f"{task.name or task.node.name}"
    )
    if kind != "response" and policy.timeout_policy == "ALERT_ONLY":
        return
    if task.number in step.state.job_of:
        jobs.ask_cancel(step, task, reason, ends_as=TIMED_OUT)
        return
    release_child(step, task, reason)
    if kind == "response" or policy.timeout_policy == "RETRY":
        fail(step, task, TIMED_OUT, reason)
    else:
        end_by_policy(step, task, reason)


def _timer(step: Step, number: int, kind: str) -> Timer | None:
    for effect in step.state.wanted.get(number, ()):
        if isinstance(effect, Timer) and effect.kind == kind:
            return effect
    return None


def _open(step: Step, number: int) -> TaskState | None:
    state = step.state
    task = state.tasks.get(number)
    return None if task is None or task.status in TASK_ENDED or state.status in EXECUTION_ENDED else task
