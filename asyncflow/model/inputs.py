"""What goes into `decide`: commands, which may be refused, and reports, which may be stale.

Messages are inputs that one execution sends to another; they are decided in the same commit or
queued in the journal, so their fields are plain JSON values. Ids and random numbers arrive here,
drawn by the caller.
"""
# ruff: noqa: PLC0414 - those of jobs are to be found here like all others

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from asyncflow.model.graph import Graph
from asyncflow.model.job_inputs import DecideJob as DecideJob
from asyncflow.model.job_inputs import JobAccepted as JobAccepted
from asyncflow.model.job_inputs import JobOver as JobOver
from asyncflow.model.job_inputs import JobSeen as JobSeen
from asyncflow.model.job_inputs import JobsTold as JobsTold
from asyncflow.model.job_inputs import JobStuck as JobStuck
from asyncflow.model.job_inputs import StopJob as StopJob
from asyncflow.model.values import JsonObject, JsonValue

# --- commands: what a caller asks, or one execution asks of another --------------------------


class StartExecution(NamedTuple):
    """Begin an execution of the definition with this content hash.

    `parent_number` is the task record of the parent that waits for it; `depth` counts the
    executions above it. `idempotency_key` is the caller's, with the hash of the request it came with.
    `slots` are what the executions above it hold, so that none waits for one that waits for it; `holds` what
    they hold of resources, as `[resource, weight, mode, key, fence]`. `routing` says which rule chose the
    version.
    """

    definition: str
    input: JsonObject
    correlation_id: str | None = None
    priority: int = 0
    task_to_domain: dict[str, str] | None = None
    parent_id: str | None = None
    parent_number: int = 0
    depth: int = 0
    created_by: str = ""
    trigger: str = ""
    idempotency_key: str | None = None
    request_hash: str = ""
    slots: list[str] | None = None
    routing: str = ""
    holds: list[list[JsonValue]] | None = None


class PauseExecution(NamedTuple):
    """Schedule no follow-ups until it is resumed; `by_stop` marks that the engine is being stopped."""

    reason: str = ""
    by_stop: bool = False


class ResumeExecution(NamedTuple):
    """Go on scheduling; `by_start` marks that an engine starts, which resumes what a stop paused."""

    by_start: bool = False


class TerminateExecution(NamedTuple):
    """End it TERMINATED, cancel what is open, and what its children have open.

    `failure_workflow` asks for the definition's failure workflow to be started too;
    `by_parent` marks that the parent ended first, so the parent is not told.
    """

    reason: str = ""
    failure_workflow: bool = False
    by_parent: bool = False


class RestartExecution(NamedTuple):
    """Begin again from nothing; `definition` names a newer one to use, None keeps the present."""

    definition: str | None = None


class MigrateExecution(NamedTuple):
    """Go on under the definition with this content hash; `mapping` is of the names that change."""

    definition: str
    mapping: dict[str, str] | None = None


class RetryExecution(NamedTuple):
    """Try again what was unsuccessful; with `resume_children` inside the children.

    `by_parent` marks that a parent's revival asks: the parent is not revived in turn, and
    an execution without anything unsuccessful stays as it is. `passed_on` marks that the parent
    was asked and handed the retry down to where the failure is. Neither is ever refused.
    """

    resume_children: bool = False
    by_parent: bool = False
    passed_on: bool = False


class RerunExecution(NamedTuple):
    """Run again from a task record (0: from the beginning), with changed inputs unless None."""

    from_number: int = 0
    task_input: JsonObject | None = None
    workflow_input: JsonObject | None = None
    correlation_id: str | None = None


class RerunChanged(NamedTuple):
    """Run again only what a change concerns, and reuse the results of all else.

    `epoch` and `seq` are those of the execution that was looked at; it is refused for any other. `redo` are
    the records to run again, `keep` the full names that are not, whatever they are given. `cut_off` says
    what spares a task behind a redone one: "outputs" if what it follows came out as before, "inputs" if its
    own input is as before, "none" nothing. `workflow_input` replaces the present one. `definition` is the
    content hash of another definition to go on under. `inside` are SUB_WORKFLOW records by full name whose
    child goes on in the same way: `[child, epoch, seq, redo, inside]` each. `by_parent` marks such a child's
    own; it is never refused, and answered where there is nothing to do.
    """

    epoch: int
    seq: int
    redo: list[int]
    keep: list[str]
    cut_off: str = "outputs"
    workflow_input: JsonObject | None = None
    definition: str | None = None
    inside: JsonObject | None = None
    by_parent: bool = False


class RemoveExecution(NamedTuple):
    """Delete an ended execution for good."""

    reason: str = ""


class SkipTask(NamedTuple):
    """Count a task that was not scheduled yet as done, with this input and output."""

    ref: str
    input: JsonObject
    output: JsonObject


class UpdateTask(NamedTuple):
    """A caller or a worker says how a task stands.

    `number` 0 means: the newest record of `ref`; one that ended is left as it is. `merge` lays the
    output over the present one (signals, updates by reference) instead of replacing it.
    """

    number: int
    status: str
    output: JsonObject
    ref: str = ""
    reason: str | None = None
    callback_after_s: float = 0
    worker_id: str | None = None
    merge: bool = False
    output_bytes: int = 0


class SetVariables(NamedTuple):
    """Merge variables in from outside; `append` puts values behind those of a variable that is a list."""

    variables: JsonObject
    append: bool = False


class Once(NamedTuple):
    """A command that is decided once, however often it comes: a second one with its token changes nothing."""

    token: str
    given: UpdateTask | SetVariables | TerminateExecution | RerunChanged


class ResetCallbacks(NamedTuple):
    """Offer at once every task that a worker asked to be called back for later."""


class RecoverTasks(NamedTuple):
    """Another process took the execution up: perform again what asked for that."""


class Evaluate(NamedTuple):
    """Look again whether anything can go on; changes nothing if not."""


# --- reports: what the runtime learnt ---------------------------------------------------------


class AttemptAdmitted(NamedTuple):
    """Admission granted what the task needs; it may begin.

    `worker_id` and `version` are those of the worker elsewhere that takes it, and `ticket` tells this
    taking from all others. `resource` and `instance` are where a job goes, or what
    is reserved for an attempt.
    """

    number: int
    grants: list[list[JsonValue]] | None = None
    fence: int = 0
    worker_id: str = ""
    input_bytes: int = 0
    version: str = ""
    ticket: int = 0
    resource: str = ""
    instance: str = ""


class AttemptEnded(NamedTuple):
    """An attempt of ours is over. `status` is a terminal task status.

    `start` is that of the `RunAttempt` it answers; where it is not 0, the report of an attempt
    that was broken off since counts for nothing, even if its record is open again.
    """

    number: int
    status: str
    output: JsonObject
    reason: str | None = None
    output_bytes: int = 0
    start: int = 0
    input_bytes: int = 0


class AttemptsTold(NamedTuple):
    """Several attempts of one execution began or ended: `AttemptAdmitted`, `AttemptEnded`, in this order."""

    reports: Sequence[Input]


class AttemptInterrupted(NamedTuple):
    """An attempt was broken off by the engine's own stop or crash; it costs no retry.

    `start` as in `AttemptEnded`.
    """

    number: int
    reason: str
    start: int = 0


class ReleaseAttempt(NamedTuple):
    """A worker elsewhere gives an attempt back, or never got it; it costs no retry.

    `start` as in `AttemptEnded`.
    """

    number: int
    reason: str
    start: int = 0


class ScriptEnded(NamedTuple):
    """A script gave a value, or `error` says why it gave none.

    `iteration` is that of the `RunScript` it answers; an answer to an older question is stale.
    """

    number: int
    value: JsonValue
    error: str | None = None
    iteration: int = 0


class TimerDue(NamedTuple):
    """A point in time that the state wanted to be told of has come; number 0 is the execution."""

    number: int
    kind: str


class ExtendLease(NamedTuple):
    """Whoever works on the task is alive."""

    number: int


class Continue(NamedTuple):
    """Take up the follow-ups that were left for a later turn."""


# --- messages: what one execution tells another ------------------------------------------------


class ChildEnded(NamedTuple):
    """The execution of a SUB_WORKFLOW task ended; `number` is the parent's record."""

    number: int
    child_id: str
    status: str
    output: JsonObject
    reason: str | None


class ChildReopened(NamedTuple):
    """The execution of a SUB_WORKFLOW task runs again, by this operation."""

    number: int
    child_id: str
    operation: str


Input = (
    StartExecution
    | PauseExecution
    | ResumeExecution
    | TerminateExecution
    | RestartExecution
    | MigrateExecution
    | RetryExecution
    | RerunExecution
    | RerunChanged
    | RemoveExecution
    | SkipTask
    | UpdateTask
    | SetVariables
    | Once
    | ResetCallbacks
    | RecoverTasks
    | Evaluate
    | AttemptAdmitted
    | AttemptEnded
    | AttemptsTold
    | AttemptInterrupted
    | ReleaseAttempt
    | JobAccepted
    | JobStuck
    | JobSeen
    | JobOver
    | JobsTold
    | StopJob
    | DecideJob
    | ScriptEnded
    | TimerDue
    | ExtendLease
    | Continue
    | ChildEnded
    | ChildReopened
)

INPUTS: dict[str, type[Input]] = {kind.__name__: kind for kind in Input.__args__}
"""Every kind of input by its name, for messages that wait in the journal."""


class Message(NamedTuple):
    """An input on its way to another execution.

    `graph` is what a start names by hash: held here, since nobody else may hold it before the start
    is decided. It is no part of what is recorded.
    """

    to: str
    input: Input
    graph: Graph | None = None
