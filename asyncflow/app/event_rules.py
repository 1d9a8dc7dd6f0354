"""Under which names, and with which facts, committed events are told outside: one table, by kind.

Listeners, the published catalogue and the server-sent events all take their names from here. No payload is
among the facts: what a task was given or made is asked for by its id. What is made of the table as a
document is in `event_catalogue`, how an event is told in `event_telling`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from asyncflow.model import events as ev
from asyncflow.model import resource_events as res

Scope = Literal["task", "job", "execution", "resource", "engine"]
"""What an event is about, which says what facts it has besides its own."""

GAP = "listener.gap"
"""Told to a listener that fell behind, in place of what it did not hear."""

LEASED = "resource.leased"
"""Told besides the start of an attempt, once for each resource that it holds from there on."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How one kind of the journal is told.

    Attributes:
        names: the names it may have, each with what it says.
        keys: the fields of the kind that are told, in the journal's spelling.
        choose: which of the names an event has; the only one where there is one.
    """

    scope: Scope
    names: Mapping[str, str]
    keys: tuple[str, ...] = ()
    choose: Callable[[ev.Event], str] | None = None

    def name_of(self, event: ev.Event) -> str:
        """The name this event is told under."""
        return next(iter(self.names)) if self.choose is None else self.choose(event)


def public_key(name: str) -> str:
    """A field of the journal as it is spelt outside: `retry_count` is `retryCount`."""
    first, *rest = name.split("_")
    return first + "".join(part.capitalize() for part in rest)


_TASK_ENDS = {
    "COMPLETED": "task.completed",
    "COMPLETED_WITH_ERRORS": "task.completed",
    "FAILED": "task.failed",
    "FAILED_WITH_TERMINAL_ERROR": "task.failed",
    "TIMED_OUT": "task.timed_out",
    "CANCELED": "task.cancelled",
    "SKIPPED": "task.skipped",
}


def _task_end(event: ev.Event) -> str:
    assert isinstance(event, ev.TaskEnded)
    return _TASK_ENDS[event.status]


def _execution_end(event: ev.Event) -> str:
    assert isinstance(event, ev.ExecutionEnded)
    return f"execution.{event.status.lower()}"


def _scheduled(event: ev.Event) -> str:
    assert isinstance(event, ev.TaskScheduled)
    return "task.retried" if event.retry_of else "task.scheduled"


def _begun(event: ev.Event) -> str:
    assert isinstance(event, ev.AttemptStarted)
    return "task.assigned" if event.worker_id else "task.started"


def _noted(event: ev.Event) -> str:
    assert isinstance(event, ev.JobNoted)
    return "job.progress" if event.kind == "progress" else "job.noted"


def _gone(event: ev.Event) -> str:
    assert isinstance(event, res.InstanceGone)
    return "resource.lost" if event.by_itself else "resource.destroyed"


def _one(scope: Scope, name: str, about: str, *keys: str) -> Rule:
    return Rule(scope, {name: about}, keys)


_TASKS: dict[type, Rule] = {
    ev.TaskScheduled: Rule(
        "task",
        {
            "task.scheduled": "A task is to be done; one that begins with it has the status IN_PROGRESS.",
            "task.retried": "It is to be done once more, after an attempt that failed.",
        },
        ("status", "executor", "retry_count", "due_ms", "domain"),
        _scheduled,
    ),
    ev.ForkOpened: _one(
        "task", "task.fork_opened", "A dynamic fork knows how many branches it has.", "count"
    ),
    ev.BranchesScheduled: _one(
        "task",
        "task.branches_scheduled",
        "Branches `first` to `last` - 1 of a dynamic fork are to be done; the task is the fork.",
        "first",
        "last",
        "executor",
        "domain",
        "begun",
    ),
    ev.AttemptStarted: Rule(
        "task",
        {
            "task.started": "An attempt begins here, or a job is about to be submitted.",
            "task.assigned": "A worker has it.",
        },
        ("worker_id", "input_bytes", "version", "resource", "instance"),
        _begun,
    ),
    ev.TaskUpdated: _one(
        "task",
        "task.progress",
        "Whoever works on it reported, and goes on.",
        "status",
        "reason",
        "callback_after_s",
        "worker_id",
    ),
    ev.LeaseExtended: _one("task", "task.heartbeat", "Whoever works on it gave a sign of life."),
    ev.TaskEnded: Rule(
        "task",
        {
            "task.completed": "It is done.",
            "task.failed": "An attempt failed; `settled` says that no other follows.",
            "task.timed_out": "An attempt took too long; `settled` says that no other follows.",
            "task.cancelled": "It was given up.",
            "task.skipped": "It counts as done without having been.",
        },
        ("status", "reason", "settled", "input_bytes", "output_bytes", "state"),
        _task_end,
    ),
    ev.TaskSkipped: _one("task", "task.skipped", "It counts as done without having been."),
    ev.TaskReset: _one("task", "task.reset", "It is open again.", "status", "retry_count", "note"),
    ev.CaseChosen: _one("task", "task.case_chosen", "A switch took this way.", "case", "branch"),
    ev.LoopAdvanced: _one("task", "task.loop_advanced", "A loop begins this round.", "iteration"),
    ev.ChildStarted: _one("task", "task.child_started", "Its sub-workflow has begun.", "child_id"),
    ev.IoUnusual: _one(
        "task",
        "task.io_unusual",
        "Its bytes or rows are outside the usual range of this task's last runs.",
        "direction",
        "measure",
        "value",
        "usual",
        "factor",
    ),
}

_JOBS: dict[type, Rule] = {
    ev.JobSubmitted: _one("job", "job.submitted", "The service has the job.", "serial", "handle", "adopted"),
    ev.JobUndecided: _one("job", "job.undecided", "A person has to decide about it.", "serial", "reason"),
    ev.JobDecided: _one("job", "job.decided", "A person decided.", "serial", "decision", "reason", "by"),
    ev.JobCancelAsked: _one(
        "job", "job.cancel_asked", "It is to be cancelled.", "serial", "reason", "ends_as"
    ),
    ev.JobNoted: Rule(
        "job",
        {"job.progress": "The service told how far it is.", "job.noted": "Something worth knowing of it."},
        ("serial", "kind", "reason", "data"),
        _noted,
    ),
    ev.JobEnded: _one("job", "job.ended", "It is over, outside.", "serial", "word", "reason", "counts"),
}

_EXECUTIONS: dict[type, Rule] = {
    ev.ExecutionStarted: _one(
        "execution",
        "execution.started",
        "It was accepted.",
        "priority",
        "parent_id",
        "created_by",
        "trigger",
        "routing",
    ),
    ev.SlotAwaited: _one("execution", "execution.waiting", "It waits for a limit of executions.", "resource"),
    ev.SlotTaken: _one("execution", "execution.admitted", "It waits for that no longer."),
    ev.ExecutionPaused: _one(
        "execution", "execution.paused", "Nothing new is scheduled.", "reason", "by_stop"
    ),
    ev.ExecutionResumed: _one("execution", "execution.resumed", "It goes on.", "by_start"),
    ev.ExecutionEnded: Rule(
        "execution",
        {
            "execution.completed": "It reached its end.",
            "execution.failed": "A task failed it. What was open is cancelled with it, and not told of.",
            "execution.timed_out": "It took too long. What was open is cancelled with it, and not told of.",
            "execution.terminated": "It was ended. What was open is cancelled with it, and not told of.",
        },
        ("status", "reason", "failure_workflow", "open_jobs"),
        _execution_end,
    ),
    ev.ExecutionRestarted: _one("execution", "execution.restarted", "It begins again from nothing."),
    ev.ExecutionReopened: _one("execution", "execution.reopened", "It had ended and goes on.", "cause"),
    ev.ExecutionRemoved: _one("execution", "execution.removed", "It was deleted for good.", "reason"),
    ev.VariablesSet: _one("execution", "execution.variables_set", "Variables were merged in."),
    ev.DefinitionMigrated: _one("execution", "execution.migrated", "It goes on under another definition."),
}

_INSTANCE = ("number", "reason")
_RESOURCES: dict[type, Rule] = {
    res.ResourceConfigured: _one("resource", "resource.configured", "These settings hold now.", "type", "by"),
    res.ResourceRemoved: _one("resource", "resource.removed", "It is not configured any more.", "by"),
    res.ResourceDrained: _one("resource", "resource.drained", "Somebody closed it.", "by", "reason"),
    res.ResourceResumed: _one("resource", "resource.resumed", "Somebody opened it again.", "by", "reason"),
    res.ResourceResized: _one(
        "resource", "resource.resized", "Somebody set its size.", "least", "most", "by", "reason"
    ),
    res.ResourceReleased: _one(
        "resource", "resource.released", "It goes on without its history.", "next_number", "by", "reason"
    ),
    res.ResourceForgotten: _one(
        "resource", "resource.forgotten", "Its instances are left to themselves.", "by", "reason"
    ),
    res.InstanceAsked: _one("resource", "resource.asked", "An instance is wanted.", "number", "cause"),
    res.InstanceAskedAgain: _one(
        "resource", "resource.asked_again", "It is asked for once more.", *_INSTANCE
    ),
    res.InstanceCreated: _one(
        "resource", "resource.created", "The service has the instance.", "number", "handle", "adopted"
    ),
    res.InstanceRefused: _one("resource", "resource.refused", "It was not created.", *_INSTANCE, "tries"),
    res.InstanceUndecided: _one(
        "resource", "resource.undecided", "A person has to say whether it was created.", *_INSTANCE
    ),
    res.InstanceReady: _one("resource", "resource.ready", "It takes work.", "number"),
    res.InstanceIdle: _one("resource", "resource.idle", "Nobody is on it.", "number", "since_ms"),
    res.InstanceUsed: _one("resource", "resource.used", "Somebody is on it again.", "number"),
    res.InstanceDraining: _one(
        "resource", "resource.draining", "It takes nothing new.", *_INSTANCE, "cause", "fence"
    ),
    res.InstanceBack: _one("resource", "resource.back", "It takes work again.", *_INSTANCE),
    res.InstanceDestroying: _one(
        "resource", "resource.destroying", "It is destroyed now.", *_INSTANCE, "cause", "fence"
    ),
    res.InstanceGone: Rule(
        "resource",
        {"resource.destroyed": "It is gone, as was asked.", "resource.lost": "It is gone by itself."},
        _INSTANCE,
        _gone,
    ),
    res.InstanceDoubled: _one("resource", "resource.doubled", "It is there twice.", "number", "handle"),
    res.DoubleDestroyed: _one(
        "resource", "resource.double_destroyed", "The second one is gone.", "number", "handle"
    ),
    res.InstanceTroubled: _one("resource", "resource.troubled", "Something is wrong with it.", *_INSTANCE),
}

_ENGINE: dict[type, Rule] = {
    ev.WorkflowRegistered: _one(
        "engine", "workflow.registered", "A definition was stored.", "name", "version", "created_by"
    ),
    ev.WorkflowUnregistered: _one(
        "engine", "workflow.unregistered", "A version was deleted.", "name", "version"
    ),
    ev.TaskRegistered: _one(
        "engine", "task_definition.registered", "A task definition was stored.", "name", "created_by"
    ),
    ev.TaskUnregistered: _one("engine", "task_definition.unregistered", "One was deleted.", "name"),
    ev.DocumentSaved: _one(
        "engine", "document.saved", "A schedule, handler, key or the like.", "kind", "name", "created_by"
    ),
    ev.DocumentDeleted: _one("engine", "document.deleted", "One was deleted.", "kind", "name"),
    ev.MessagePublished: _one(
        "engine", "message.published", "A message is there for handlers.", "queue", "message_id"
    ),
    ev.EngineStarted: _one(
        "engine", "engine.started", "Executions were taken up again.", "down_from_ms", "down_to_ms"
    ),
    ev.WorkerLost: _one(
        "engine",
        "worker.lost",
        "A worker that has tasks is not heard of, or let one pass its time; of these the first are named.",
        "worker",
        "reason",
        "tasks",
        "task_ids",
        "last_seen_ms",
    ),
    ev.EngineStopped: _one("engine", "engine.stopped", "It was closed while executions were open."),
}

RULES: Mapping[type, Rule] = {**_TASKS, **_JOBS, **_EXECUTIONS, **_RESOURCES, **_ENGINE}
"""By kind of the journal: how it is told."""

INTERNAL: Mapping[type, str] = {
    ev.RecoveryBegun: "the bookkeeping of a recovery; each task that is performed again is told",
    ev.ConditionAsked: "a script is evaluated; what it said is told",
    ev.Repaired: "the bookkeeping of a reopening, which is told",
    ev.TasksRemoved: "the bookkeeping of a rerun, which is told",
    ev.TaskReused: "the bookkeeping of a rerun, which is told",
    ev.Deferred: "the bookkeeping of large turns",
    ev.Advanced: "the bookkeeping of large turns",
    ev.InputApplied: "a command's token",
    ev.MessageQueued: "what executions tell each other",
    ev.MessageDelivered: "what executions tell each other",
}
"""By kind of the journal: why it is told to nobody."""
