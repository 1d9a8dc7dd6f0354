"""Jobs: what is reported of them, what a person decides, and what their ends mean for their records.

A report about a job whose end is recorded changes nothing, and so does one that says what is known. A
record that is still of its job ends with it, in the same step. What the events do is in
`decide/evolve_jobs`; how a job is handed in and watched is in `runtime/jobs`.
"""

from __future__ import annotations

from asyncflow.decide.evolve_jobs import JOB
from asyncflow.decide.failures import again, end_by_policy
from asyncflow.decide.flow import complete, fail
from asyncflow.decide.step import Step
from asyncflow.errors import InvalidInput, NotFound, Refused
from asyncflow.model import events as ev
from asyncflow.model import inputs
from asyncflow.model.jobs import JobState
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import CANCELED, FAILED, FAILED_TERMINALLY, IN_PROGRESS, TIMED_OUT
from asyncflow.model.values import JsonObject

MOVED, LOST, REPLACED = "MOVED", "LOST", "REPLACED"
"""True states of records that Conductor has no word for, shown under `asyncflow`."""

_ENDINGS = frozenset({TIMED_OUT, CANCELED, FAILED, FAILED_TERMINALLY, REPLACED})
_DECISIONS = ("resubmit", "adopt", "fail", "complete")
_OUTSIDE = "cancelled outside"

# The end of a job decides what its record comes to, by this order:
# 1. It succeeded: the record is COMPLETED, even if it was to be cancelled; too late, as is noted.
# 2. It was to be cancelled while its record went on (a timeout, a change of code): any other end counts as
#    that, whatever the service calls it. Many report a job that they cancelled as failed.
# 3. Its instance is gone, and the job with it: another attempt, and no retry is used.
# 4. It failed, was refused, was lost, or was cancelled by somebody else: a failure, with the policy of
#    the task for failures.


# --- reports ---------------------------------------------------------------------------------------


def accepted(step: Step, report: inputs.JobAccepted) -> None:
    """The service has the job."""
    job = step.state.jobs.get(report.serial)
    if job is not None and job.phase != "submitted":
        step.emit(ev.JobSubmitted(job.serial, report.handle, report.adopted))


def stuck(step: Step, report: inputs.JobStuck) -> None:
    """Nothing tells how it stands."""
    job = step.state.jobs.get(report.serial)
    if job is not None and job.phase != "undecided":
        step.emit(ev.JobUndecided(job.serial, report.reason))


def seen(step: Step, report: inputs.JobSeen) -> None:
    """Something worth knowing, unless it is what was noted last."""
    job = step.state.jobs.get(report.serial)
    if job is not None and (job.notes or {}).get(report.kind) != [report.reason, report.data]:
        step.emit(ev.JobNoted(job.serial, report.kind, report.reason, report.data))


def over(step: Step, report: inputs.JobOver) -> None:
    """It is over: recorded once, and its record ends with it where it still is of this job."""
    state = step.state
    job = state.jobs.get(report.serial)
    if job is None:
        return
    task = _record_of(state, job)
    if report.word == "succeeded" and job.cancel:
        step.emit(ev.JobNoted(job.serial, "cancelled_too_late", job.cancel))
    is_last = state.is_ended and len(state.jobs) == 1
    step.emit(
        ev.JobEnded(job.serial, report.word, report.reason, report.ended_ms, is_last, report.counts or None)
    )
    if task is not None:
        _end_record(step, task, job, report)


def stop(step: Step, report: inputs.StopJob) -> None:
    """Have it cancelled while its record goes on; nothing, where that was asked or the record is over.

    Raises:
        InvalidInput: `ends_as` is nothing that a record can come to.
    """
    if report.ends_as not in _ENDINGS:
        expected = ", ".join(sorted(_ENDINGS))
        raise InvalidInput(f"one of {expected} expected, got {report.ends_as!r}", field="endsAs")
    job = step.state.jobs.get(report.serial)
    task = None if job is None else _record_of(step.state, job)
    if task is not None:
        ask_cancel(step, task, report.reason, ends_as=report.ends_as)


# --- timers ----------------------------------------------------------------------------------------


def ask_cancel(step: Step, task: TaskState, reason: str, *, ends_as: str) -> None:
    """Have the open job of a record cancelled; the record ends as told once that is confirmed.

    One that is to be REPLACED waits for as long as it takes: two of them must not run side by side.
    """
    job = step.state.jobs[step.state.job_of[task.number]]
    if not job.cancel or (job.ends_as == REPLACED and ends_as != REPLACED):
        grace_s = 0.0 if ends_as == REPLACED else step.context.catalog.cancel_grace_s(job.resource)
        step.emit(ev.JobCancelAsked(job.serial, reason, ends_as, grace_s))


def grace_over(step: Step, task: TaskState) -> None:
    """The cancel was not confirmed in time: the record ends, the job goes on being cancelled."""
    job = step.state.jobs[step.state.job_of[task.number]]
    _end_as(step, task, job.ends_as, f"{job.cancel} (it is not known yet whether the job has ended)")


# --- what an end means for the record --------------------------------------------------------------


def _record_of(state: ExecutionState, job: JobState) -> TaskState | None:
    """The open record that still is of this job, or None."""
    return state.tasks[job.number] if state.job_of.get(job.number) == job.serial else None


def _end_record(step: Step, task: TaskState, job: JobState, report: inputs.JobOver) -> None:
    word, reason = report.word, report.reason
    if word == "succeeded":
        if task.node.task.async_complete:
            step.emit(ev.TaskUpdated(task.number, report.output, status=IN_PROGRESS, executor="external"))
        else:
            complete(step, task, report.output, output_bytes=report.output_bytes)
    elif job.cancel:
        because = f"{job.cancel} (the job: {word}: {reason})" if reason else job.cancel
        _end_as(step, task, job.ends_as, because, report.output)
    elif word == "moved":
        again(step, task, reason, state=MOVED)
    elif word == "lost":
        fail(step, task, FAILED, reason or "the service does not know the job any more", state=LOST)
    elif word in {"cancelled", "absent"}:
        fail(step, task, FAILED, f"{_OUTSIDE}: {reason}" if reason else _OUTSIDE, report.output)
    else:
        status = FAILED_TERMINALLY if report.is_final else FAILED
        fail(step, task, status, reason, report.output)


def _end_as(step: Step, task: TaskState, ends_as: str, reason: str, output: JsonObject | None = None) -> None:
    if ends_as == REPLACED:
        again(step, task, reason, state=REPLACED)
    elif ends_as == TIMED_OUT and task.node.policy.timeout_policy != "RETRY":
        end_by_policy(step, task, reason)
    else:
        fail(step, task, ends_as, reason, output)


# --- what a person decides -------------------------------------------------------------------------


def decide_job(step: Step, command: inputs.DecideJob) -> None:
    """Say what became of a job that nobody could tell about.

    Raises:
        InvalidInput: no such decision, or a handle is missing or not wanted.
        NotFound: the record has no open job.
        Refused: the job is not undecided.
    """
    job = _asked(step.state, command)
    if command.decision not in _DECISIONS:
        expected = ", ".join(_DECISIONS)
        raise InvalidInput(f"one of {expected} expected, got {command.decision!r}", field="decision")
    if bool(command.handle) != (command.decision == "adopt"):
        raise InvalidInput("a handle is given with adopt, and with nothing else", field="handle")
    if job.phase != "undecided":
        raise Refused(f"the job of task {job.ref} is {job.phase}: there is nothing to decide")
    serial = job.serial
    step.emit(ev.JobDecided(serial, command.decision, command.handle, command.reason, command.by))
    reason = command.reason or f"decided by {command.by or 'a person'}"
    if command.decision == "complete":
        over(step, inputs.JobOver(serial, "succeeded", command.output or {}, reason))
    elif command.decision == "fail":
        over(step, inputs.JobOver(serial, "failed", command.output or {}, reason))
    elif command.decision == "resubmit" and job.cancel:  # it is not there, which is what was wanted
        over(step, inputs.JobOver(serial, "absent", {}, reason))


def _asked(state: ExecutionState, command: inputs.DecideJob) -> JobState:
    """The job a decision is about: by serial number, or the newest open one of the record."""
    for serial in [command.serial] if command.serial else reversed(state.jobs):
        job = state.jobs.get(serial)
        if job is not None and job.number == command.number:
            return job
    task = state.tasks.get(command.number)
    raise NotFound("open job of task", str(command.number) if task is None else task.ref)


def open_jobs_fault(state: ExecutionState) -> str | None:
    """Why an ended execution cannot be deleted yet, or None where none of its jobs is open."""
    if not state.jobs:
        return None
    undecided = sum(job.phase == "undecided" for job in state.jobs.values())
    waits = f", {undecided} of them for a person to decide" if undecided else ""
    refs = ", ".join(sorted({job.ref for job in state.jobs.values()})[:5])
    return f"{len(state.jobs)} of its jobs have still to come to an end outside{waits}: {refs}"


__all__ = [
    "JOB",
    "accepted",
    "ask_cancel",
    "decide_job",
    "grace_over",
    "open_jobs_fault",
    "over",
    "seen",
    "stop",
    "stuck",
]
