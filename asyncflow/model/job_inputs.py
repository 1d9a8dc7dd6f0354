"""What goes into `decide` about jobs: reports of the runtime, and the command that decides one.

They are kinds of the union in `model/inputs`, which everybody imports them from. A report about a job
whose end is recorded changes nothing.
"""

from __future__ import annotations

from typing import NamedTuple

from asyncflow.model.values import JsonObject


class JobAccepted(NamedTuple):
    """The service has the job under this handle. `adopted` as in `JobSubmitted`."""

    serial: int
    handle: str
    adopted: bool = False


class JobStuck(NamedTuple):
    """Nothing tells whether the job is there, or how it stands."""

    serial: int
    reason: str


class JobSeen(NamedTuple):
    """Something worth knowing; see `JobNoted`."""

    serial: int
    kind: str
    reason: str = ""
    data: JsonObject | None = None


class JobOver(NamedTuple):
    """The job is over; words as in `JobEnded`.

    `is_final`: a failure that no retry can mend. `counts` are rows and bytes by direction, where known.
    """

    serial: int
    word: str
    output: JsonObject
    reason: str = ""
    is_final: bool = False
    ended_ms: int = 0
    output_bytes: int = 0
    counts: JsonObject | None = None


JobReport = JobAccepted | JobStuck | JobSeen | JobOver
"""What the runtime tells of one job."""


class JobsTold(NamedTuple):
    """Reports of many jobs of one execution, decided one after the other, in this order.

    `output_bytes` are those of all outputs in it.
    """

    reports: tuple[JobReport, ...]
    output_bytes: int = 0


class StopJob(NamedTuple):
    """Have an open job cancelled while its record goes on, see `JobCancelAsked`; twice is as good as once."""

    serial: int
    reason: str
    ends_as: str = "CANCELED"


class DecideJob(NamedTuple):
    """A person says what became of the undecided job of a record; see `model/jobs.Decision`.

    `serial` 0 means the newest job of the record.
    """

    number: int
    decision: str
    serial: int = 0
    handle: str = ""
    output: JsonObject | None = None
    reason: str = ""
    by: str = ""
