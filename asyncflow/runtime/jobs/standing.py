"""Where a job stands when this process hears of it, and what follows when that is decided anew.

It moves rows to the part of their desk that goes on with them; nothing is called here. Told by `watching`,
after the commit of an intent, at recovery, and when a person or a timer decided something.
"""

from __future__ import annotations

from asyncflow.model.jobs import JobState
from asyncflow.runtime.jobs.desk import Desk
from asyncflow.runtime.jobs.table import Row, Stage


def take_up(desk: Desk, row: Row, job: JobState, *, is_recovered: bool, may_be_there: bool = False) -> None:
    """Begin where the job stands; `may_be_there`: somebody may have handed it in before."""
    if job.handle:
        desk.keep_handle(row, job.handle)
    if job.phase == "undecided":
        desk.await_decision(row)
    elif job.phase == "submitted":
        desk.polling.take_up(row, since_ms=job.since_ms if is_recovered else None)
        if row.is_cancelled:
            desk.cancelling.ask(row)
    elif may_be_there:
        desk.resolving.left_behind(row, min(job.intent_ms, desk.around.restored.from_ms))
    elif is_recovered:
        desk.resolving.left_behind(row, job.intent_ms)
    else:
        desk.submitting.add(row)
    if not is_recovered:
        desk.stir()
    elif job.notes and "resubmitted" in job.notes:
        desk.resolving.second.look_once_more(row, job.intent_ms)


def follow(desk: Desk, row: Row, job: JobState) -> None:
    """A person decided about it: it is not there, or it is, under this handle; or a note of it is durable."""
    if job.phase == "intent" and desk.resolving.noted(row):
        desk.stir()
    if row.stage is not Stage.STUCK or job.phase == "undecided":
        return
    desk.undecided.pop(row, None)
    desk.forget_handle(row)
    take_up(desk, row, job, is_recovered=False)


def give_up(desk: Desk, row: Row) -> None:
    """It is not wanted any more: what is to be done depends on how far it came."""
    if row.stage is Stage.QUEUED and not desk.resolving.is_unsure(row):
        desk.ended(row, "absent", "it was never handed in")
    elif row.stage is Stage.QUEUED:
        desk.resolving.again(row)
    elif row.handle and row.stage in (Stage.WATCHED, Stage.ASKED):
        desk.cancelling.ask(row)
    desk.stir()


def unwanted(desk: Desk, row: Row) -> None:
    """It is to be cancelled from here on."""
    row.is_cancelled = True
    desk.cancelled += 1
