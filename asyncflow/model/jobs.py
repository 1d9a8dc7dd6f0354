"""A job that an attempt handed to a resource, as its execution knows it until its end is recorded.

A job outlives its record: a record may be ended or reset while the job still has to be cancelled. What
changes it is in `decide/evolve_jobs`; what is to be done about it follows from it in `decide/wanted`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal, NamedTuple

from asyncflow.model.values import JsonObject, JsonValue

JobPhase = Literal["intent", "submitted", "undecided"]
"""intent: it may or may not be there. submitted: its handle is known. undecided: a person has to say."""

Decision = Literal["resubmit", "adopt", "fail", "complete"]
"""resubmit: it is not there. adopt: it is there, under this handle. fail, complete: it ended so."""


class JobOrigin(NamedTuple):
    """What a job has of the moment of its intent, and most jobs of a resource have alike.

    Attributes:
        epoch: of the execution; part of the token.
        instance: name of the resource's instance, `<resource>/<n>`; "" where there are none.
        attempt: the how manieth of its task.
        fence: of what was granted.
        code_version: `name@version` of the definition; a migration does not change it.
        timeout_s: what the task might take in all, as the definition said; 0 for any.
    """

    epoch: int
    task_type: str
    resource: str
    instance: str
    attempt: int
    fence: int
    code_version: str
    timeout_s: float


origin_of = lru_cache(maxsize=1_000)(JobOrigin)
"""The origin of these fields: one object for all jobs that have it, whatever execution they are of."""


class Cancelling(NamedTuple):
    """That a job is to be cancelled.

    Attributes:
        reason: why.
        since_ms: when that was said, on the elapsed clock.
        ends_as: what its record comes to when that is confirmed (`JobCancelAsked`); "" where the
            record has ended.
        grace_ms: how long the record waits for that; 0 for as long as it takes.
    """

    reason: str = ""
    since_ms: int = 0
    ends_as: str = ""
    grace_ms: int = 0


WANTED = Cancelling()
"""A job that is not to be cancelled."""


@dataclass(slots=True, eq=False)
class JobState:
    """One job from its intent to its recorded end. There may be very many: what is alike is kept once.

    Attributes:
        serial: counts the jobs of the execution from 1; never used again, so it tells the token.
        number: the record whose attempt it is.
        input: the record's input, frozen with the intent; not kept once the job has ended.
        grants: what it holds until its end is recorded.
        since_ms: of the present phase, on the elapsed clock.
        handle: what the service calls it; "" while it is not known.
        cancelling: `WANTED`, until it is to be cancelled.
        notes: the last one of each kind, as `[reason, data]`; None while there is none.
        word: how it ended; "" while that is not recorded.
    """

    serial: int
    number: int
    ref: str
    origin: JobOrigin
    input: JsonObject
    grants: list[list[JsonValue]] | None
    intent_ms: int
    since_ms: int
    phase: JobPhase = "intent"
    handle: str = ""
    reason: str = ""
    cancelling: Cancelling = WANTED
    notes: dict[str, list[JsonValue]] | None = None
    ended_ms: int = 0
    word: str = ""

    @property
    def resource(self) -> str:
        """The name of the resource that it was handed to."""
        return self.origin.resource

    @property
    def instance(self) -> str:
        """The name of the resource's instance that it is on; "" where there are none."""
        return self.origin.instance

    @property
    def fence(self) -> int:
        """Of what was granted."""
        return self.origin.fence

    @property
    def cancel(self) -> str:
        """Why it is to be cancelled; "" while it is not."""
        return self.cancelling.reason

    @property
    def ends_as(self) -> str:
        """What its record comes to when the cancel is confirmed; "" where it does not wait for that."""
        return self.cancelling.ends_as
