"""The states of executions and tasks, and the tables of allowed transitions.

The tables are data: `decide/evolve` looks them up and the diagrams in the documentation are
generated from them. No other module lists states. Words on the wire are Conductor's.
"""

from __future__ import annotations

from typing import Final, Literal

ExecutionStatus = Literal["RUNNING", "PAUSED", "COMPLETED", "FAILED", "TIMED_OUT", "TERMINATED"]
TaskStatus = Literal[
    "SCHEDULED",
    "IN_PROGRESS",
    "COMPLETED",
    "COMPLETED_WITH_ERRORS",
    "FAILED",
    "FAILED_WITH_TERMINAL_ERROR",
    "TIMED_OUT",
    "CANCELED",
    "SKIPPED",
]

RUNNING: Final = "RUNNING"
PAUSED: Final = "PAUSED"
TERMINATED: Final = "TERMINATED"
SCHEDULED: Final = "SCHEDULED"
IN_PROGRESS: Final = "IN_PROGRESS"
COMPLETED: Final = "COMPLETED"
COMPLETED_WITH_ERRORS: Final = "COMPLETED_WITH_ERRORS"
FAILED: Final = "FAILED"
FAILED_TERMINALLY: Final = "FAILED_WITH_TERMINAL_ERROR"
TIMED_OUT: Final = "TIMED_OUT"
CANCELED: Final = "CANCELED"
SKIPPED: Final = "SKIPPED"

EXECUTION_ENDED: Final = frozenset({COMPLETED, FAILED, TIMED_OUT, TERMINATED})
TASK_ENDED: Final = frozenset(
    {COMPLETED, COMPLETED_WITH_ERRORS, FAILED, FAILED_TERMINALLY, TIMED_OUT, CANCELED, SKIPPED}
)
TASK_SUCCESSFUL: Final = frozenset({COMPLETED, COMPLETED_WITH_ERRORS, SKIPPED})
TASK_UNSUCCESSFUL: Final = TASK_ENDED - TASK_SUCCESSFUL
TASK_RETRIABLE: Final = frozenset({FAILED, TIMED_OUT})
"""What the engine itself tries again; `retry` by command takes every unsuccessful status."""

EXECUTION_TRANSITIONS: Final[dict[str, frozenset[str]]] = {
    RUNNING: frozenset({PAUSED, COMPLETED, FAILED, TIMED_OUT, TERMINATED}),
    PAUSED: frozenset({RUNNING, COMPLETED, FAILED, TIMED_OUT, TERMINATED}),
    COMPLETED: frozenset(),
    FAILED: frozenset({TERMINATED}),
    TIMED_OUT: frozenset({TERMINATED}),
    TERMINATED: frozenset(),
}

EXECUTION_REOPENINGS: Final[dict[str, frozenset[str]]] = {
    status: frozenset({RUNNING}) for status in (COMPLETED, FAILED, TIMED_OUT, TERMINATED)
}
"""An ended execution runs again, in a new epoch, only by restart, retry, rerun or the revival of a child."""

TASK_BEGINNINGS: Final = frozenset({SCHEDULED, IN_PROGRESS, SKIPPED})
"""How a record may come into being: waiting, under way at once, or declared done by `skip`."""

TASK_TRANSITIONS: Final[dict[str, frozenset[str]]] = {
    SCHEDULED: frozenset({IN_PROGRESS}) | TASK_ENDED - {SKIPPED},
    # Back to SCHEDULED: a worker gave it back, to be called again later.
    IN_PROGRESS: frozenset({SCHEDULED}) | TASK_ENDED - {SKIPPED},
    **dict.fromkeys(sorted(TASK_ENDED), frozenset()),
}

TASK_RESETS: Final[dict[str, frozenset[str]]] = {
    SCHEDULED: frozenset({IN_PROGRESS}),
    IN_PROGRESS: frozenset({SCHEDULED}),
    **dict.fromkeys(sorted(TASK_ENDED - {SKIPPED}), frozenset({SCHEDULED, IN_PROGRESS})),
    SKIPPED: frozenset(),
}
"""A record opens again only in an execution that was reopened (rerun, retry, revival)."""


JOB_ENDED: Final = "ended"
JOB_TRANSITIONS: Final[dict[str, frozenset[str]]] = {
    "intent": frozenset({"submitted", "undecided", JOB_ENDED}),
    "submitted": frozenset({"undecided", JOB_ENDED}),
    # Back to submitted: it was seen again, or is adopted. Back to intent: a person said it is not there.
    "undecided": frozenset({"intent", "submitted", JOB_ENDED}),
    JOB_ENDED: frozenset(),
}
"""A job outlives its record: whether it is to be cancelled is no phase of its own."""


class IllegalTransition(RuntimeError):
    """A bug in the deciding core, never a user's mistake: report it with the execution's journal.

    No `AsyncflowError`, so that nobody who handles refusals takes it for one.
    """


def check_transition(table: dict[str, frozenset[str]], old: str, new: str, *, what: str) -> None:
    """Hold a change of status to its table; a status that stays as it is, while open, is no change.

    Raises:
        IllegalTransition: the table has no such arrow.
    """
    if new not in table[old] and (old != new or old in TASK_ENDED or old in EXECUTION_ENDED):
        raise IllegalTransition(f"{what}: {old} to {new}")
