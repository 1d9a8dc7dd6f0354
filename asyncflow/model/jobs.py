"""A job that an attempt handed to a resource, as its execution knows it until its end is recorded.

A job outlives its record: a record may be ended or reset while the job still has to be cancelled. What
changes it is in `decide/evolve_jobs`; what is to be done about it follows from it in `decide/wanted`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from asyncflow.model.values import JsonObject, JsonValue

JobPhase = Literal["intent", "submitted", "undecided"]
"""intent: it may or may not be there. submitted: its handle is known. undecided: a person has to say."""

Decision = Literal["resubmit", "adopt", "fail", "complete"]
"""resubmit: it is not there. adopt: it is there, under this handle. fail, complete: it ended so."""


@dataclass(slots=True, eq=False)
class JobState:
    """One job from its intent to its recorded end.

    Attributes:
        serial: counts the jobs of the execution from 1; never used again, so it tells the token.
        number: the record whose attempt it is.
        start: what tells that attempt from others of the record; see `RunAttempt`.
        epoch: of the execution when the intent was recorded; part of the token.
        instance: name of the resource's instance, `<resource>/<n>`; "" where there are none.
        input: the record's input, frozen with the intent; not kept once the job has ended.
        grants, fence: what it holds until its end is recorded.
        handle: what the service calls it; "" while it is not known.
        cancel: why it is to be cancelled; "" while it is not.
        ends_as: what its record comes to when the cancel is confirmed, see `JobCancelAsked`; "" where the
            record has ended.
        grace_ms: how long the record waits for that, from `cancel_ms` on; 0 for as long as it takes.
        since_ms: of the present phase, on the elapsed clock.
        code_version: `name@version` of the definition at the intent; a migration does not change it.
        timeout_s: what the task might take in all, as the definition said at the intent; 0 for any.
        notes: the last one of each kind, as `[reason, data]`; None while there is none.
        word: how it ended; "" while that is not recorded.
    """

    serial: int
    number: int
    start: int
    epoch: int
    ref: str
    task_type: str
    resource: str
    instance: str = ""
    attempt: int = 1
    input: JsonObject = field(default_factory=dict)
    grants: list[list[JsonValue]] | None = None
    fence: int = 0
    phase: JobPhase = "intent"
    handle: str = ""
    cancel: str = ""
    ends_as: str = ""
    reason: str = ""
    intent_ms: int = 0
    since_ms: int = 0
    cancel_ms: int = 0
    grace_ms: int = 0
    ended_ms: int = 0
    code_version: str = ""
    timeout_s: float = 0
    notes: dict[str, list[JsonValue]] | None = None
    word: str = ""
