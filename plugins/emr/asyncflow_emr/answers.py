"""What EMR's states mean: its words as ours, and what is worth telling of a step or cluster.

Nothing is sent here. What EMR's errors mean is in `manager`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from asyncflow.plugins.aws import Entry, moment_ms, part
from asyncflow.plugins.jobs import InstanceWord, JobStatus, JobWord

STEP_WORDS: Final[Mapping[str, JobWord]] = {
    "COMPLETED": "succeeded",
    "FAILED": "failed",
    "INTERRUPTED": "failed",
    "CANCELLED": "cancelled",
}
CLUSTER_WORDS: Final[Mapping[str, InstanceWord]] = {
    "STARTING": "creating",
    "BOOTSTRAPPING": "creating",
    "RUNNING": "ready",
    "WAITING": "ready",
    "TERMINATING": "gone",
    "TERMINATED": "gone",
    "TERMINATED_WITH_ERRORS": "gone",
}


def step_status(step: Entry, cluster: str) -> JobStatus:
    """How a step stands, from its entry in `ListSteps`."""
    raw, timeline, details = (
        state_of(step),
        part(step, "Status", "Timeline"),
        part(step, "Status", "FailureDetails"),
    )
    reasons = (part(step, "Status", "StateChangeReason").get("Message"), details.get("Reason"))
    reason = ": ".join(str(text) for text in (*reasons, details.get("Message")) if text)
    if details.get("LogFile"):
        reason += f" (log: {details['LogFile']})"
    return JobStatus(
        word=STEP_WORDS.get(raw, "running"),
        output={"cluster": cluster, "step": step.get("Id"), "state": raw},
        reason=reason or (raw if raw in STEP_WORDS else ""),
        started_ms=moment_ms(timeline.get("StartDateTime")),
        ended_ms=moment_ms(timeline.get("EndDateTime")),
        raw=raw,
    )


def created_ms(entry: Entry) -> int:
    """When a step or cluster was created."""
    return moment_ms(part(entry, "Status", "Timeline").get("CreationDateTime"))


def state_of(entry: Entry) -> str:
    """EMR's word for the state of a step or cluster."""
    return str(part(entry, "Status").get("State", ""))
