"""Which effects a record wants: the one definition, used as state changes and to rebuild it.

`evolve` keeps `state.wanted` by calling `refresh` for whatever it changed, so what is kept is
by construction what `wanted` finds from nothing. Effects carry no payload; see `model/effects`.
"""

from __future__ import annotations

from asyncflow.decide.durations import wait_due
from asyncflow.decide.policy import setting
from asyncflow.model.effects import (
    Admit,
    Effect,
    Hold,
    Lease,
    Offer,
    Proceed,
    RunAttempt,
    RunScript,
    Timer,
)
from asyncflow.model.holds import HoldState
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import EXECUTION_ENDED, PAUSED, SCHEDULED, TASK_ENDED

LOCAL_EXECUTORS = frozenset({"loop", "thread", "process", "http", "command"})
DUE = "due"
"""The kind of timer that begins a held-back task of the engine's own (retry delay, `startDelay`)."""

GRACE = "grace"
"""The kind of timer that ends a record whose job was to be cancelled, and nobody confirms it."""

UNVERSIONED = "unversioned"
"""The code version of workers that say none, where an execution is pinned to one."""

_NOTHING: tuple[Effect, ...] = ()


# What is wanted is a function of the record alone, so starting, cancelling, pausing, resuming and
# recovering need no code of their own: the runtime compares what is wanted with what is under way.
#   SCHEDULED here        Admit, unless paused: a grant must not be held by what may not begin
#   SCHEDULED elsewhere   Offer, also while paused: what was scheduled goes on; a worker's poll begins it
#   SCHEDULED operator    a timer, where a delay holds it back; otherwise it began in its own step
#   IN_PROGRESS           the attempt, the lease of a worker, the script, or the point in time; and the
#                         timeouts that count
#   a job                 no effect: `state.jobs` says it, also when its record or the execution has ended.
#                         One in it is to be handed in and watched, or cancelled, until its own end is
#                         recorded; what changes is told in `dirty`, under minus its serial number. The
#                         record only wants its timeouts, or the end of the grace once it is to be cancelled.
# An effect that is equal to the one before is the same thing still under way. That is why an attempt
# and a question to a script carry the epoch: what was asked before a reset is not what is asked after.


def wanted(state: ExecutionState) -> dict[int, tuple[Effect, ...]]:
    """Everything that should be under way, by record number; 0 is the execution, jobs are in `state.jobs`.

    What it holds stands under the `key` of the hold.

    Cost: linear in the records. In running, `state.wanted` holds the same at no cost.
    """
    found = {task.number: effects_of(state, task) for task in state.tasks.values()}
    found[0] = execution_effects(state)
    for hold in state.holds.values():
        found[hold.key] = (Hold(hold.key),)
    return {number: effects for number, effects in found.items() if effects}


def refresh(state: ExecutionState, task: TaskState) -> None:
    """Bring `state.wanted` up to date for one record that changed."""
    number, effects = task.number, effects_of(state, task)
    if not effects:
        forget(state, number)
    elif state.wanted.get(number) != effects:
        state.wanted[number] = effects
        state.dirty.append(number)


def refresh_execution(state: ExecutionState) -> None:
    """Bring `state.wanted` up to date for what belongs to no record."""
    _keep(state, 0, execution_effects(state))


def refresh_hold(state: ExecutionState, hold: HoldState) -> None:
    """Bring `state.wanted` up to date for something that the execution holds."""
    _keep(state, hold.key, (Hold(hold.key),))


def forget(state: ExecutionState, number: int) -> None:
    """Want nothing any more for a record that ended or is gone."""
    wanted = state.wanted
    if wanted.pop(number, None) is not None:
        state.dirty.append(number)
        if not wanted:
            wanted.clear()  # gives back the room of all that were in it


def _keep(state: ExecutionState, number: int, effects: tuple[Effect, ...]) -> None:
    if not effects:
        forget(state, number)
    elif state.wanted.get(number) != effects:
        state.wanted[number] = effects
        state.dirty.append(number)


def execution_effects(state: ExecutionState) -> tuple[Effect, ...]:
    """Its slot, the workflow timeout, and another turn where something was left for it."""
    effects: list[Effect] = []
    paused = state.status == PAUSED
    if state.awaits_slot:
        if not paused:
            effects.append(Admit(0, 0))
    elif state.slot and not state.is_ended:
        effects.append(Hold(0))
    waits = paused or state.is_ended or bool(state.recovering)
    left = state.repairs or (state.agenda and not waits)
    if state.outbox or (left and not state.awaits_slot):
        effects.append(Proceed())
    seconds = state.graph.definition.timeout_seconds
    if seconds > 0 and not state.is_ended and not paused:
        since = state.retried_ms or state.created_ms
        effects.append(Timer(0, "workflow", since + int(seconds * 1000)))
    return tuple(effects)


def effects_of(state: ExecutionState, task: TaskState) -> tuple[Effect, ...]:
    """What one record wants in its present state."""
    if task.status in TASK_ENDED or state.awaits_slot or state.status in EXECUTION_ENDED:
        return _NOTHING
    executor = task.executor
    if executor in LOCAL_EXECUTORS:
        return _attempt_effects(state, task)
    if executor == "job":
        return _waiting_for_job(state, task)
    if task.status == SCHEDULED and task.due_ms and executor != "remote":
        held = Timer(task.number, DUE, task.due_ms)
        return _limits(task) if state.status == PAUSED or is_held(state, task) else (*_limits(task), held)
    if executor == "script" or (task.more is not None and task.more.asking):
        return _NOTHING if is_held(state, task) else (RunScript(task.number, script_round(task)),)
    if executor == "wait":
        due = wait_due(task)
        return (*_limits(task), Timer(task.number, "wait", *due)) if due is not None else _limits(task)
    if executor == "remote":
        return _remote_effects(state, task)
    return _limits(task) if executor in {"child", "external"} else _NOTHING


def is_held(state: ExecutionState, task: TaskState) -> bool:
    """Whether a record waits for others to be performed again, after another process took over."""
    return bool(state.recovering) and task.number != next(iter(state.recovering))


def _waiting_for_job(state: ExecutionState, task: TaskState) -> tuple[Effect, ...]:
    """A record whose attempt is a job: to be admitted, unless paused; then its limits, or the grace."""
    if task.status == SCHEDULED:
        limits = _limits(task)
        asked = Admit(task.number, task.due_ms, state.holds_round and _holds_round(state, task))
        return limits if state.status == PAUSED or is_held(state, task) else (asked, *limits)
    job = state.jobs.get(state.job_of.get(task.number, 0))
    if job is None or not job.cancelling.grace_ms:
        return _limits(task)
    return (_while_running(task, GRACE, job.cancelling.since_ms, job.cancelling.grace_ms / 1000),)


def attempt_start(task: TaskState) -> int:
    """What tells the present attempt of a record from all others it had, before resets too."""
    return task.starts + (task.epoch << 32)


def script_round(task: TaskState) -> int:
    """What tells the present question of a record to its script from all others."""
    return task.iteration + (task.epoch << 32)


def _holds_round(state: ExecutionState, task: TaskState) -> int:
    """What changes whenever what the execution holds changes, for those who need any of it."""
    return state.holds_round if "resources" in task.node.extra else 0


def _attempt_effects(state: ExecutionState, task: TaskState) -> tuple[Effect, ...]:
    """An attempt here: to be admitted, unless the execution is paused, and then to be performed."""
    policy = task.node.policy
    effects: tuple[Effect, ...]
    if state.recovering and is_held(state, task):
        return _NOTHING
    if task.status == SCHEDULED:
        asked = Admit(task.number, task.due_ms, state.holds_round and _holds_round(state, task))
        effects = _NOTHING if state.status == PAUSED else (asked,)
        if policy.poll_timeout:
            effects = (*effects, _poll_timer(task))
    else:
        effects = (RunAttempt(task.number, attempt_start(task)),)
        if policy.heartbeat and policy.response_timeout:
            effects = (*effects, _while_running(task, "response", task.updated_ms, policy.response_timeout))
    return (*effects, *_limits(task)) if policy.total_timeout or policy.timeout else effects


def is_pinned(state: ExecutionState, task: TaskState) -> bool:
    """Whether only workers of one code version may take this task of the execution."""
    ours = state.graph.definition.extension
    if ours is not None and ours.pin_worker_version:
        return True
    plain = task.node.task.extension is None and task.node.task.task_definition is None
    return not plain and bool(setting(task.node.task, "pin_worker_version"))


def _remote_effects(state: ExecutionState, task: TaskState) -> tuple[Effect, ...]:
    """A worker elsewhere is waited for, or has it: until it takes the task, and until it speaks."""
    policy = task.node.policy
    effects = list(_limits(task))
    if task.status == SCHEDULED:
        if is_held(state, task):
            return tuple(effects)
        pinned = state.worker_version and is_pinned(state, task)
        version = state.worker_version if pinned else ""
        effects.append(
            Offer(task.number, task.due_ms, version, state.holds_round and _holds_round(state, task))
        )
        if policy.poll_timeout:
            effects.append(_poll_timer(task))
        return tuple(effects)
    effects.append(Lease(task.number, attempt_start(task)))
    if policy.response_timeout:
        seconds = policy.response_timeout + task.callback_after_s
        effects.append(_while_running(task, "response", task.updated_ms, seconds))
    return tuple(effects)


def _poll_timer(task: TaskState) -> Timer:
    """Until when somebody has to take a waiting task; the time it is held back does not count."""
    since_ms = max(task.scheduled_ms, task.due_ms)
    return _while_running(task, "poll", since_ms, task.node.policy.poll_timeout)


def _while_running(task: TaskState, kind: str, since_ms: int, seconds: float) -> Timer:
    """A timeout that the engine's downtime does not count for: in it nobody could have answered."""
    return Timer(task.number, kind, since_ms + int(seconds * 1000), since_ms=since_ms)


def _limits(task: TaskState) -> tuple[Effect, ...]:
    """The timeouts that hold for every kind of task."""
    policy = task.node.policy
    if not policy.timeout and not policy.total_timeout:
        return _NOTHING
    effects: list[Effect] = []
    if policy.timeout and task.started_ms:
        effects.append(_while_running(task, "timeout", task.started_ms, policy.timeout))
    if policy.total_timeout:
        due = task.first_scheduled_ms + int(policy.total_timeout * 1000)
        effects.append(Timer(task.number, "total", due))
    return tuple(effects)
