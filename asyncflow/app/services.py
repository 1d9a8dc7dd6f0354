"""All that a server offers, one object per subject, opened together and closed in reverse.

Surfaces get one `Services` and reach everything by it. A part adds its field here and opens itself
in `open_services`; what the part does is in its own module.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from asyncflow.app.audit import Audit
from asyncflow.app.build import MEMORY, open_engine
from asyncflow.app.event_handlers import EventHandlers
from asyncflow.app.executing import Executing
from asyncflow.app.health import Health
from asyncflow.app.journaling import journal_files
from asyncflow.app.keys import Keys
from asyncflow.app.listeners import Listeners, listening
from asyncflow.app.logbook import Logbook
from asyncflow.app.meters import Meters
from asyncflow.app.migrations import Migrations
from asyncflow.app.options import Clock, EngineSettings, LocalFunction, StoreSettings
from asyncflow.app.overview import Overview
from asyncflow.app.plugin_catalogue import PluginCatalogue
from asyncflow.app.quarantine import Quarantine
from asyncflow.app.reruns import Reruns
from asyncflow.app.resources import Resources
from asyncflow.app.routing import VersionRouting
from asyncflow.app.schedules import Schedules
from asyncflow.app.search import Search
from asyncflow.app.service import Service
from asyncflow.app.streams import Streams
from asyncflow.app.version_counts import VersionCounts
from asyncflow.app.volume_watch import VolumeWatch
from asyncflow.app.volumes import Volumes
from asyncflow.app.worker_losses import WorkerLosses
from asyncflow.app.workers import Workers
from asyncflow.errors import StoreError


@dataclass(slots=True)
class Services:
    """The doors to one engine.

    Attributes:
        executions: definitions and executions.
        executing: calls that wait for an execution, and starts with idempotency keys.
        health: what is wrong now.
        search: lists of executions and tasks.
        logbook: task logs, the audit, firings.
        workers: outside workers and their queues.
        keys: who may call.
        audit: what writes down who did.
        schedules: what is started by the calendar.
        handlers: what is done with messages.
        meters: what is measured.
        streams: who watches committed events.
        overview: what runs, what waits and for what.
        quarantine: what was set aside, and why.
        migrations: running executions taken to another version.
        reruns: ended executions run again where something changed.
        resources: what is shared and limited.
        plugins: what is installed besides.
        listeners: who is told of committed events.
        volumes: how much data tasks took in and gave out.
        routing: which version a start gets that names none.
        versions: how the versions of a workflow do.
    """

    executions: Service
    executing: Executing
    health: Health
    search: Search
    logbook: Logbook
    workers: Workers
    keys: Keys
    audit: Audit
    schedules: Schedules
    handlers: EventHandlers
    meters: Meters
    streams: Streams
    overview: Overview
    quarantine: Quarantine
    migrations: Migrations
    reruns: Reruns
    resources: Resources
    plugins: PluginCatalogue
    listeners: Listeners
    volumes: Volumes
    routing: VersionRouting
    versions: VersionCounts

    async def drain(self, timeout_s: float) -> bool:
        """Begin no attempt any more and give those under way so many seconds to end; whether all did."""
        self.executing.hurry()
        self.streams.hurry()
        return await self.executions.engine.drain(timeout_s)

    def unanswered(self) -> int:
        """Jobs of which nobody knows yet whether their service has them."""
        return sum(each["intent"] for each in self.executions.engine.jobs.counts().values())

    async def failed(self) -> StoreError:
        """Wait until the engine has stopped by itself, and say why; for ever, if all is well."""
        return await self.executions.engine.turns.failed()


@asynccontextmanager
async def open_services(
    database: str | Path = MEMORY,
    *,
    functions: Mapping[str, LocalFunction] | None = None,
    settings: EngineSettings | None = None,
    store: StoreSettings | None = None,
    clock: Clock | None = None,
) -> AsyncIterator[Services]:
    """Everything on an engine that owns this database file, or one in memory.

    Raises:
        StoreLocked: another process has the file.
        StoreError: the file cannot be used as it is.
    """
    async with (
        journal_files(store) as files,
        open_engine(
            database, functions=functions, settings=settings, store=store, clock=clock, prepare=files.attach
        ) as (engine, opened),
    ):
        facts = await opened.facts()
        logbook = Logbook(engine, opened)
        listeners = Listeners(engine, opened, logbook)
        service = Service(engine)
        workers = Workers(engine, opened, logbook)
        quarantine = Quarantine(engine, opened)
        services = Services(
            executions=service,
            executing=Executing(service, opened),
            health=Health(engine, facts),
            search=Search(engine, opened),
            logbook=logbook,
            keys=Keys(engine, logbook),
            audit=Audit(engine),
            workers=workers,
            schedules=Schedules(service, logbook),
            handlers=EventHandlers(service, logbook, workers, opened),
            meters=Meters(engine, facts),
            streams=Streams(engine, opened, opened),
            overview=Overview(service, opened, quarantine),
            quarantine=quarantine,
            migrations=Migrations(engine),
            reruns=Reruns(service),
            resources=Resources(service, opened),
            plugins=PluginCatalogue(engine.registry),
            listeners=listeners,
            volumes=Volumes(engine, opened, opened),
            routing=service.routing,
            versions=VersionCounts(engine, opened, service.routing),
        )
        services.meters.listeners = services.health.listeners = listeners
        services.meters.watch = VolumeWatch(engine, services.volumes)
        services.meters.watch.open()
        WorkerLosses(engine).open()
        await services.schedules.open()
        await services.handlers.open()
        async with listening(listeners), files.kept_up() as services.health.journaling:
            engine.compaction.release()
            with services.meters:
                yield services
