"""What is read of resources besides their state: settings as they may be shown, its use, open jobs.

It changes nothing. Who asks is `app/resources`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import islice

from asyncflow.app.plugin_settings import shown_config
from asyncflow.ids import task_id
from asyncflow.model.jobs import JobState
from asyncflow.model.resource_settings import ResourceSettings, settings_to_json
from asyncflow.model.values import JsonObject
from asyncflow.plugins.resources import ResourceManager
from asyncflow.runtime.clock import breathe
from asyncflow.runtime.engine import Engine

_SLICE = 2_000


def shown_settings(settings: ResourceSettings, kind: type[ResourceManager] | None) -> JsonObject:
    """The settings, with nothing in them that may be a secret; `kind` is the plugin, if it is there."""
    config = shown_config(settings.config, model=None if kind is None else kind.Config)
    return {**settings_to_json(settings), "config": config}


def is_used(usage: Mapping[str, object]) -> bool:
    """Whether anything limits a resource, or anybody holds it or waits for it."""
    return any(usage.get(key) for key in ("holders", "waiting", "keys_held", "limit", "rate"))


async def jobs_of(engine: Engine, name: str, *, start: int, count: int) -> tuple[int, list[JsonObject]]:
    """How many open jobs a resource has, and a page of them; cost: in the executions in memory."""
    total, found = 0, []
    for number, (stream, job) in enumerate(_open_jobs(engine)):
        if number % _SLICE == _SLICE - 1:
            await breathe()
        if job.resource == name:
            if start <= total < start + count:
                found.append(_shown(stream, job))
            total += 1
    return total, found


def _open_jobs(engine: Engine) -> Iterator[tuple[str, JobState]]:
    """The open jobs of all executions there were when it was asked for."""
    states = [state for state in engine.turns.states.values() if state.jobs]
    for state in states:
        for job in [*islice(state.jobs.values(), len(state.jobs))]:
            yield state.execution_id, job


def _shown(stream: str, job: JobState) -> JsonObject:
    return {
        "workflowId": stream,
        "taskId": task_id(stream, job.number),
        "task": job.ref,
        "taskType": job.origin.task_type,
        "serial": job.serial,
        "attempt": job.origin.attempt,
        "phase": "NEEDS_DECISION" if job.phase == "undecided" else job.phase.upper(),
        "handle": job.handle,
        "instance": job.instance,
        "cancel": job.cancel,
        "reason": job.reason,
        "intentMs": job.intent_ms,
        "sinceMs": job.since_ms,
    }


def state_of(life: JsonObject) -> str:
    """The one word for how a resource stands, of what the runtime says of it."""
    for word in ("damaged", "orphaned", "drained", "broken"):
        if life[_SAYS[word]]:
            return word
    return "ready" if life["isOpen"] else "closed"


_SAYS = {"damaged": "damage", "orphaned": "isOrphaned", "drained": "drained", "broken": "isBroken"}
