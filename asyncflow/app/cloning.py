"""A copy of a database file that is another installation, and leaves alone what the original has outside.

Everything is done to the copy before it has its name: no engine ever sees one that is half done. What a
person can do about each job that is held is in `decide/jobs`; the copying itself is `store/maintenance`.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from asyncflow.app.schedules import KIND as SCHEDULE
from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.model.events import DocumentSaved, Event, JobUndecided
from asyncflow.model.resource_events import (
    RESOURCE_STREAMS,
    DoubleDestroyed,
    InstanceUndecided,
    resource_stream,
)
from asyncflow.model.state import ExecutionState
from asyncflow.model.turn import Moment, StreamEvents, Turn
from asyncflow.runtime import recovery
from asyncflow.runtime.resource_recovery import Histories, restored
from asyncflow.store import maintenance
from asyncflow.store.sqlite import SqliteStore

_WHOSE = "it belongs to the installation that this file was cloned from"


class Cloned(NamedTuple):
    """What became of the copy: so many jobs and instances of resources are held for a person to decide.

    So many `schedules` were paused. The `unreadable` executions are quarantined in the copy, too: nobody
    could look into them.
    """

    installation_id: str
    jobs: int
    instances: int
    schedules: int
    unreadable: list[str]


async def clone(source: str | Path, destination: str | Path) -> Cloned:
    """Copy a file, also while an engine writes to it, as an installation of its own.

    Open jobs of the original are undecided in the copy: they are not asked for, not cancelled and not handed
    in again, until a person says of each what it is. So are instances of resources: nothing new begins on
    them, and none is destroyed. Schedules are paused. Listeners begin with what the copy does.

    Raises:
        Conflict: the destination exists.
        StoreError: the source cannot be read, or the copy not written.
    """
    drawn = secrets.token_hex(16)
    found: list[Cloned] = []

    async def settle(copy: Path) -> None:
        found.append(await _settle(copy, drawn))

    await maintenance.clone(source, destination, installation_id=drawn, settle=settle)
    return found[0]


async def _settle(copy: Path, drawn: str) -> Cloned:
    """Record in the copy that what is open outside is not its own."""
    async with SqliteStore.open(copy) as store:
        catalog = DefinitionCatalog()
        found = await recovery.recover(store, catalog)
        jobs = [*_held_jobs(found.states)]
        resources = {s: history for s, history in found.resources.items() if s not in found.quarantined}
        instances = [*_held_instances(resources)]
        schedules = [*_paused(catalog, found.position.wall_ms)]
        position = found.position
        entries = [*jobs, *instances, *schedules]
        if entries:
            moment = Moment(position.elapsed_ms, position.wall_ms)
            await store.append(Turn(position.last_turn + 1, moment, entries, []))
    unreadable = sorted(s for s in found.quarantined if not s.startswith(RESOURCE_STREAMS))
    return Cloned(drawn, _count(jobs), _count(instances), _count(schedules), unreadable)


def _count(entries: list[StreamEvents]) -> int:
    return sum(not isinstance(event, DoubleDestroyed) for entry in entries for event in entry.events)


def _held_jobs(states: dict[str, ExecutionState]) -> Iterator[StreamEvents]:
    for stream, state in states.items():
        events: list[Event] = [
            JobUndecided(job.serial, f"{_WHOSE}, {f'under {job.handle}' if job.handle else 'if it is there'}")
            for job in state.jobs.values()
            if job.phase != "undecided"
        ]
        if events:
            yield StreamEvents(stream, state.seq + 1, events)


def _paused(catalog: DefinitionCatalog, at_ms: int) -> Iterator[StreamEvents]:
    events: list[Event] = [
        DocumentSaved(SCHEDULE, name, {**body, "paused": True, "pausedReason": "cloned"}, "", at_ms)
        for name, body in catalog.documents.get(SCHEDULE, {}).items()
        if not body.get("paused")
    ]
    if events:
        yield StreamEvents(recovery.CATALOG_STREAM, catalog.seq + 1, events)


def _held_instances(resources: Histories) -> Iterator[StreamEvents]:
    for name, state in restored(resources, {}).items():
        events: list[Event] = [
            InstanceUndecided(each.number, f"{_WHOSE}{f', under {each.handle}' if each.handle else ''}")
            for each in state.instances.values()
            if each.phase != "undecided"
        ]
        events += [DoubleDestroyed(number, handle) for handle, number in state.doubles.items()]
        if events and not state.damage:
            yield StreamEvents(resource_stream(name, state.generation), state.seq + 1, events)
