"""Events of an execution as a whole: begun, paused, ended, opened again, deleted.

They are kinds of the union in `model/events`, which everybody imports them from. What they mean is in
`decide/evolve`.
"""

from __future__ import annotations

from typing import NamedTuple

from asyncflow.model.values import JsonObject, JsonValue


class ExecutionStarted(NamedTuple):
    """An execution was accepted; `definition` is the content hash it is bound to.

    `slots` are the limits of executions whose slots those above it hold, for it as well, and `holds` what
    they hold of resources, as `[resource, weight, mode, key, fence]`. `routing` says which rule chose the
    version, empty where the start named it or there was none.
    """

    definition: str
    name: str
    version: int
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


class ExecutionPaused(NamedTuple):
    """No follow-ups are scheduled until it is resumed; what was started goes on.

    `by_stop`: the engine was stopped, and the next start resumes it.
    """

    reason: str = ""
    by_stop: bool = False


class ExecutionResumed(NamedTuple):
    """Scheduling goes on, and the clock of the workflow timeout starts anew, unless a start did it.

    `by_start`: it was a stop of the engine that had paused it.
    """

    by_start: bool = False


class ExecutionEnded(NamedTuple):
    """The execution reached a terminal status; every task still open was cancelled with it.

    `failed_number` is the task that ended it, 0 for none; `failure_workflow` the id of the
    execution started to compensate, or an error text in its place. `open_jobs` is how many jobs have
    still to come to an end; the last `JobEnded` says so.
    """

    status: str
    reason: str | None
    output: JsonObject
    failed_number: int = 0
    failure_workflow: str | None = None
    open_jobs: int = 0


class ExecutionRestarted(NamedTuple):
    """All task records are gone and it begins again, on the definition named; a new epoch."""

    definition: str
    version: int


class ExecutionReopened(NamedTuple):
    """An ended execution runs again in a new epoch.

    `cause` is "retry", "rerun" or "revival" (a child was reopened). The flags say what is
    forgotten: `clear_reason` the reason, `clear_failures` the failed task and the name sets.
    `input` and `correlation_id` replace the present ones unless None. `repairs` are the records
    that are still to be opened again or given another attempt, in this order; see `Repaired`.
    `cut_off` is not empty where results are to be reused (cause "change"); `redo` are then the full names
    that are run again whatever they were given, `keep` those that are not, and `variables` what the
    variables are again. `inside` are those whose child goes on in the same way, see `inputs.RerunChanged`.
    """

    cause: str
    clear_reason: bool
    clear_failures: bool
    input: JsonObject | None = None
    correlation_id: str | None = None
    repairs: list[int] | None = None
    cut_off: str = ""
    redo: list[str] | None = None
    keep: list[str] | None = None
    variables: JsonObject | None = None
    inside: JsonObject | None = None


class ExecutionRemoved(NamedTuple):
    """The execution was deleted: this ends its stream, and from here on it counts as never recorded."""

    reason: str = ""


class RecoveryBegun(NamedTuple):
    """Another process took the execution up: these finished records are performed again, in this order.

    Nothing else of the execution begins before the last of them has ended.
    """

    numbers: list[int]


class VariablesSet(NamedTuple):
    """Workflow variables were merged in, key by key."""

    variables: JsonObject


class DefinitionMigrated(NamedTuple):
    """The execution goes on under another definition.

    `mapping` is from plain reference names of the present definition to those of the new one, where they
    differ. `detached` are the records that have no place in it and stay as what was done.
    """

    definition: str
    version: int
    mapping: dict[str, str] | None = None
    detached: list[int] | None = None
