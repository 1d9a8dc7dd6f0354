"""Events of jobs: what was learnt of them, and what was decided about them.

The intent of a job is the `AttemptStarted` of a record whose executor is `job`. They are kinds of the
union in `model/events`, which everybody imports them from; what they mean is in `decide/evolve_jobs`.
"""

from __future__ import annotations

from typing import NamedTuple

from asyncflow.model.values import JsonObject


class JobSubmitted(NamedTuple):
    """The job is there, under this handle. `adopted`: it was looked up, not answered to our submit."""

    serial: int
    handle: str
    adopted: bool = False


class JobUndecided(NamedTuple):
    """Nobody can tell whether the job is there, or how it ended: a person has to decide."""

    serial: int
    reason: str


class JobDecided(NamedTuple):
    """A person said what became of an undecided job; see `model/jobs.Decision`."""

    serial: int
    decision: str
    handle: str = ""
    reason: str = ""
    by: str = ""


class JobCancelAsked(NamedTuple):
    """The job is to be cancelled. Its record goes on until that is confirmed, or `grace_s` are over.

    It then ends with the status `ends_as`; REPLACED is no status but says that another attempt takes its
    place and no retry is used. A `grace_s` of 0 is for as long as it takes.
    """

    serial: int
    reason: str
    ends_as: str = "CANCELED"
    grace_s: float = 300


class JobNoted(NamedTuple):
    """Something worth knowing of a job, which changes nothing.

    Kinds: duplicate_cancelled, handle_shared, regression, unknown_word, cancelled_too_late, resubmitted,
    gone_once, progress, output_not_stored.
    """

    serial: int
    kind: str
    reason: str = ""
    data: JsonObject | None = None


class JobEnded(NamedTuple):
    """The job is over, outside, and what it held is free.

    `word` is succeeded, failed, rejected (the service refused it), cancelled, lost, absent (it was never
    there) or moved (its instance is gone; another attempt goes on). `is_last`: nothing of an ended
    execution is open any more. `counts` are rows and bytes by direction, where known.
    """

    serial: int
    word: str
    reason: str = ""
    ended_ms: int = 0
    is_last: bool = False
    counts: JsonObject | None = None
