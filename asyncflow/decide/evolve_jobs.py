"""State after events of jobs: made with its attempt, watched, decided about, cancelled, over.

A job outlives its record: what ends or resets the record only marks the job to be cancelled here, and
nothing but `JobEnded` takes it out of `state.jobs`. What is to be done about one is in `decide/wanted`;
who decides about it is in `decide/jobs`.
"""

# ruff: noqa: ARG001 - all handlers of a dispatch table have one shape

from __future__ import annotations

from asyncflow.decide import evolve_holds as holds
from asyncflow.decide.wanted import refresh
from asyncflow.model import events as ev
from asyncflow.model.emptiness import NO_ENTRIES, own
from asyncflow.model.jobs import Cancelling, JobPhase, JobState, origin_of
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import JOB_ENDED, JOB_TRANSITIONS, check_transition
from asyncflow.model.values import JsonObject

_NO_INPUT: JsonObject = {}
JOB = "job"
"""The executor of records whose attempts are handed to a resource."""


def job_begun(state: ExecutionState, task: TaskState, event: ev.AttemptStarted, at_ms: int) -> None:
    """The intent: from here on the resource may have the job, whatever becomes of the record.

    The job holds what was granted, not the record: the record may end before it.
    """
    serial = state.next_job
    state.next_job = serial + 1
    definition, grants, task.grants = state.graph.definition, event.grants, None
    before = state.jobs.get(serial - 1)
    if before is not None and before.grants == grants:
        grants = before.grants  # read from a journal: what is equal is kept once
    state.jobs, state.job_of = own(state.jobs), own(state.job_of)
    origin = origin_of(
        state.epoch,
        task.node.type,
        event.resource,
        event.instance,
        task.retry_count + 1,
        event.fence,
        f"{definition.name}@{definition.version}",
        task.node.policy.timeout,
    )
    state.jobs[serial] = JobState(serial, task.number, task.ref, origin, task.input, grants, at_ms, at_ms)
    state.job_of[task.number] = serial
    forget_past(state, task.number)
    state.dirty.append(-serial)


def forget_past(state: ExecutionState, number: int) -> None:
    """The last job of a record is not shown any more: another takes its place, or the record is made anew."""
    past = state.past_jobs.pop(number, None)
    if past is not None:
        del state.past_of[past.serial]


def give_up(state: ExecutionState, number: int, reason: str | None, at_ms: int) -> None:
    """The record ended, is reset or gone: its job, if one is open, is to be cancelled."""
    serial = state.job_of.pop(number, 0)
    if not serial:
        return
    _give_up(state, state.jobs[serial], Cancelling(reason or "its task ended", at_ms))
    state.given_up = own(state.given_up)
    state.given_up[number] = serial


def _give_up(state: ExecutionState, job: JobState, cause: Cancelling) -> None:
    """Nobody waits for it any more; a cancel that was asked for before keeps its reason."""
    known = job.cancelling
    if known.reason:
        job.cancelling = Cancelling(known.reason, known.since_ms)
    else:
        job.cancelling = cause
        state.dirty.append(-job.serial)


def give_up_all(state: ExecutionState, reason: str | None, at_ms: int) -> None:
    """The execution ended: so do its open records, and their jobs are to be cancelled."""
    cause, given_up = Cancelling(reason or "its task ended", at_ms), own(state.given_up)
    for number, serial in state.job_of.items():
        _give_up(state, state.jobs[serial], cause)
        given_up[number] = serial
    state.job_of, state.given_up = NO_ENTRIES, given_up


def _move(state: ExecutionState, job: JobState, phase: JobPhase, at_ms: int) -> None:
    """To another phase; told even where the effect stays the same, because what is to be done does not."""
    check_transition(JOB_TRANSITIONS, job.phase, phase, what=f"job {job.serial} of {job.ref}")
    job.phase, job.since_ms = phase, at_ms
    state.dirty.append(-job.serial)
    _changed(state, job)


def _changed(state: ExecutionState, job: JobState) -> None:
    if job.number in state.tasks:
        state.changed[job.number] = None


def job_submitted(state: ExecutionState, event: ev.JobSubmitted, at_ms: int) -> None:
    """It is there, under this handle."""
    job = state.jobs[event.serial]
    job.handle, job.reason = event.handle, ""
    _move(state, job, "submitted", at_ms)


def job_undecided(state: ExecutionState, event: ev.JobUndecided, at_ms: int) -> None:
    """A person has to say; what is known of it stays."""
    job = state.jobs[event.serial]
    job.reason = event.reason
    _move(state, job, "undecided", at_ms)


def job_decided(state: ExecutionState, event: ev.JobDecided, at_ms: int) -> None:
    """A person said; an end they told is recorded by the events behind this one."""
    job = state.jobs[event.serial]
    if event.decision == "resubmit":
        job.handle, job.reason = "", ""
        _move(state, job, "intent", at_ms)
    elif event.decision == "adopt":
        job.handle, job.reason = event.handle, ""
        _move(state, job, "submitted", at_ms)


def job_cancel_asked(state: ExecutionState, event: ev.JobCancelAsked, at_ms: int) -> None:
    """It is to be cancelled while its record goes on."""
    job = state.jobs[event.serial]
    if not job.cancel:
        state.dirty.append(-job.serial)
    job.cancelling = Cancelling(event.reason, at_ms, event.ends_as, int(event.grace_s * 1000))
    refresh(state, state.tasks[job.number])
    _changed(state, job)


def job_noted(state: ExecutionState, event: ev.JobNoted, at_ms: int) -> None:
    """Kept to be shown, and to tell a note that comes again."""
    job = state.jobs[event.serial]
    if job.notes is None:
        job.notes = {}
    job.notes[event.kind] = [event.reason, event.data]
    if event.kind == "resubmitted":
        state.dirty.append(-job.serial)  # it is handed in again once this is durable
    _changed(state, job)


def job_ended(state: ExecutionState, event: ev.JobEnded, at_ms: int) -> None:
    """It is over, and holds nothing any more; the record's own end comes behind this."""
    job = state.jobs.pop(event.serial)
    check_transition(JOB_TRANSITIONS, job.phase, JOB_ENDED, what=f"job {job.serial} of {job.ref}")
    job.word, job.reason, job.ended_ms = event.word, event.reason, event.ended_ms or at_ms
    job.grants, job.input = None, _NO_INPUT
    state.dirty.append(-job.serial)
    if state.holds:
        holds.user_gone(state, -job.serial)
    task = state.tasks.get(job.number)
    if state.job_of.get(job.number) == job.serial:
        del state.job_of[job.number]
        refresh(state, state.tasks[job.number])
    elif state.given_up.get(job.number) == job.serial:
        del state.given_up[job.number]
    if task is None:
        return
    newer = state.past_jobs.get(job.number)
    if newer is None or newer.serial < job.serial:
        forget_past(state, job.number)
        state.past_jobs, state.past_of = own(state.past_jobs), own(state.past_of)
        state.past_jobs[job.number] = job
        state.past_of[job.serial] = job.number
    state.changed[job.number] = None
