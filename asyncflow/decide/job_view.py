"""Jobs as users are shown them: under the key `asyncflow` of a task, and in what an execution waits for.

A view of state, built on request. Tokens are not shown: who knows one could take the job for theirs.
"""

from __future__ import annotations

from asyncflow.ids import task_id
from asyncflow.model.jobs import JobState
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.values import JsonObject

_STATES = {"intent": "INTENT", "submitted": "SUBMITTED", "undecided": "NEEDS_DECISION"}


def state_of(job: JobState) -> str:
    """Its true state in one word; one that is to be cancelled and cannot be told about needs a decision."""
    if job.word:
        return job.word.upper()
    return "CANCELLING" if job.cancel and job.phase != "undecided" else _STATES[job.phase]


def newest_job(state: ExecutionState, number: int) -> JobState | None:
    """The job of a record's present or last attempt, open or not."""
    found = state.past_jobs.get(number)
    job = state.jobs.get(state.job_of.get(number) or state.given_up.get(number, 0))
    return job if job is not None and (found is None or job.serial > found.serial) else found


def job_with(state: ExecutionState, serial: int) -> JobState | None:
    """The job with a serial number, while it is open or the last one of its record."""
    return state.jobs.get(serial) or state.past_jobs.get(state.past_of.get(serial, 0))


def task_facts(state: ExecutionState, task: TaskState) -> JsonObject:
    """What is shown beside the other facts of a record: its job, and the state that it gives the record."""
    open_job = state.jobs.get(state.job_of.get(task.number, 0))
    job = open_job or newest_job(state, task.number)
    if job is None:
        return {}
    shown: JsonObject = {"job": job_facts(job)}
    return shown if open_job is None else {**shown, "state": state_of(open_job)}


def job_facts(job: JobState) -> JsonObject:
    """What is known of a job; times in UTC milliseconds. What does not apply is left out."""
    facts: JsonObject = {
        "serial": job.serial,
        "state": state_of(job),
        "resource": job.resource,
        "instance": job.instance,
        "handle": job.handle,
        "reason": job.reason,
        "cancelReason": job.cancel,
        "codeVersion": job.origin.code_version,
        "intentTime": job.intent_ms,
        "sinceTime": job.since_ms,
        "endTime": job.ended_ms,
        "notes": {kind: {"reason": said, "data": data} for kind, (said, data) in (job.notes or {}).items()},
        "decisions": ["resubmit", "adopt", "fail", "complete"] if job.phase == "undecided" else [],
    }
    return {key: value for key, value in facts.items() if value}


def wait_of(state: ExecutionState, job: JobState) -> JsonObject:
    """What is waited for while a job is open: its end, or a decision."""
    return {
        "kind": "decision" if job.phase == "undecided" else "job",
        "task": job.ref,
        "taskId": task_id(state.execution_id, job.number),
        "job": job_facts(job),
    }
