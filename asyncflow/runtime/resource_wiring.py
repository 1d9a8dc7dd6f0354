"""The resources of an engine tied to its turns, admission, jobs and timers.

The one place that knows both sides; it decides nothing. See `runtime/resources` for what they do.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from asyncflow.decide.admission import Admission
from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.errors import InvalidInput
from asyncflow.model.resource_events import RESOURCE_STREAMS
from asyncflow.model.resource_settings import (
    ResourceSettings,
    check_resource_name,
    settings_from_json,
    settings_of,
)
from asyncflow.model.resources import ResourceLimit
from asyncflow.plugins.registry import Registry
from asyncflow.plugins.surroundings import CommandRules
from asyncflow.runtime.carry import Carry
from asyncflow.runtime.clock import Clock
from asyncflow.runtime.command_task import CommandPolicy
from asyncflow.runtime.jobs import Jobs
from asyncflow.runtime.lent_http import LentHttp
from asyncflow.runtime.outbound import OutboundClient
from asyncflow.runtime.recovery import Recovered
from asyncflow.runtime.resource_keeper import Keeper
from asyncflow.runtime.resource_surroundings import Surroundings
from asyncflow.runtime.resources import Resources
from asyncflow.runtime.timers import TimerKey
from asyncflow.runtime.turns import Turns

log = logging.getLogger("asyncflow.resources")

DOCUMENT = "resource"
"""The kind of the documents that resources are stored as."""

TIMER = "resource"
"""The kind of the timers of resources."""


class Settings(Protocol):
    """What of the settings of an engine concerns its resources."""

    @property
    def resources(self) -> Mapping[str, ResourceSettings | ResourceLimit]:
        """Those that are configured."""

    @property
    def installation(self) -> str:
        """A part of every token."""

    @property
    def secrets(self) -> Mapping[str, str]:
        """Values by name."""

    @property
    def commands(self) -> CommandPolicy:
        """Which commands may be run."""

    @property
    def http_allow(self) -> tuple[str, ...]:
        """Hosts that managers may reach although they are not public."""

    @property
    def resource_folder(self) -> Path | None:
        """What the folders of resources are in."""


class Engine(Protocol):
    """What resources are tied to; `runtime/engine`."""

    clock: Clock
    turns: Turns
    admission: Admission
    jobs: Jobs
    carry: Carry
    catalog: DefinitionCatalog
    registry: Registry
    outbound: OutboundClient

    @property
    def settings(self) -> Settings:
        """What it was made with."""


def resources_of(engine: Engine) -> Resources:
    """The resources that an engine is configured with; nothing is opened."""
    settings, turns = engine.settings, engine.turns

    def set_timer(name: str, due_ms: int | None) -> None:
        key = TimerKey(RESOURCE_STREAMS + name, 0, TIMER)
        if due_ms is None:
            engine.carry.timetable.cancel(key)
        else:
            engine.carry.timetable.set(key, due_ms)
            turns.wake()

    def set_limit(name: str, limit: ResourceLimit | None) -> None:
        engine.carry.set_limit(name, limit)
        if limit is not None and limit.is_open:
            engine.jobs.wake(name)  # its manager may have just been opened, and jobs go on at once

    def configured(name: str, said: ResourceSettings) -> None:
        engine.catalog.cancel_graces[name] = said.cancel_grace_s
        engine.carry.report_all(engine.carry.admitting.set_part_limit(name, said.per_part))

    def lost(name: str, instance: str, reason: str) -> None:
        engine.carry.admitting.placing.instance_lost(name, instance)
        engine.jobs.instance_lost(name, instance, reason)

    def busy(by: int) -> None:
        engine.carry.errands += by
        turns.wake()

    around = Surroundings(
        kinds=engine.registry.resources,
        now=engine.clock.now,
        moment=turns.moment,
        record=turns.record_catalog,
        is_stopped=lambda: turns.failure is not None or turns.inbox.is_closed,
        set_limit=set_limit,
        configured=configured,
        waiting=lambda name: _waiting(engine, name),
        lost=lost,
        set_timer=set_timer,
        busy=busy,
        installation=settings.installation,
        secrets=settings.secrets,
        http_allow=settings.http_allow,
        folder=settings.resource_folder,
        http=LentHttp(lambda: engine.outbound),
        commands=CommandRules(settings.commands.root) if settings.commands.enabled else None,
    )
    return Resources(_configured(engine), around)


def attach(engine: Engine, resources: Resources) -> None:
    """Have the timers of resources come to them; the engine carries from here on."""
    engine.carry.hand_out.on_due[TIMER] = lambda key: resources.on_time(
        key.stream.removeprefix(RESOURCE_STREAMS)
    )
    engine.catalog.job_types.update(engine.registry.job_types)


def _configured(engine: Engine) -> dict[str, ResourceSettings]:
    """Those with a usable name; limits of `task:` and `workflow:` are set by themselves."""
    found: dict[str, ResourceSettings] = {}
    for name, each in engine.settings.resources.items():
        try:
            check_resource_name(name)
        except InvalidInput:
            if isinstance(each, ResourceSettings):
                raise
        else:
            found[name] = settings_of(each)
    return found


def add_stored(engine: Engine, resources: Resources) -> None:
    """Recovery, before the resources are restored: those made while an engine ran; see `app/resources`.

    One that is configured now is as it is configured. One whose settings cannot be used stops no start.
    """
    for name, body in engine.catalog.documents.get(DOCUMENT, {}).items():
        if name in engine.settings.resources:
            continue
        try:
            settings = settings_from_json(body)
        except (InvalidInput, TypeError, ValueError) as fault:
            resources.unusable[name] = str(fault)
            log.warning("stored resource not usable", extra={"resource": name, "reason": str(fault)})
        else:
            resources.keepers[name] = Keeper(name, settings, resources.around)


def damaged_histories(found: Recovered) -> dict[str, str]:
    """Recovery: the streams of resources that cannot be read, and why; taken out of what was found."""
    streams = [name for name in found.quarantined if name.startswith(RESOURCE_STREAMS)]
    return {stream: found.quarantined.pop(stream) for stream in streams}


def _waiting(engine: Engine, name: str) -> tuple[int, str, int | None]:
    """How many wait at a resource that may begin, the first as `execution/task`, and when more may."""
    count, more_ms = engine.admission.startable_at(name, engine.clock.now().elapsed_ms)
    first = engine.admission.first_waiting(name)
    if first is None:
        return count, "", more_ms
    state = engine.turns.states.get(first[0])
    task = None if state is None else state.tasks.get(first[1])
    return count, f"{first[0]}/{first[1] if task is None else task.ref}", more_ms
