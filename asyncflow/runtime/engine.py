"""The engine: opens its parts in order, runs them in one task group, closes them in reverse.

Nothing here decides or knows a database. Commands go through `turns`, reads through `reading`; what
a start finds is read by `recovery` and taken up here.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Protocol, Self

from asyncflow.decide.admission import Admission
from asyncflow.decide.catalog import DefinitionCatalog, evolve_catalog
from asyncflow.decide.step import Context
from asyncflow.model.definition import WorkflowDefinition
from asyncflow.model.events import Event, TaskRegistered, TaskUnregistered, WorkflowRegistered
from asyncflow.model.inputs import Input, MigrateExecution
from asyncflow.model.state import ExecutionState
from asyncflow.model.turn import Recorded
from asyncflow.model.values import JsonObject
from asyncflow.plugins.registry import Registry
from asyncflow.runtime import garbage, recovery, removing, resource_wiring
from asyncflow.runtime.addresses import AddressPolicy
from asyncflow.runtime.attempts import Attempts, LocalFunction
from asyncflow.runtime.carry import Carry
from asyncflow.runtime.clock import Clock, SystemClock
from asyncflow.runtime.code_changes import CodeChanges
from asyncflow.runtime.compaction import Compaction
from asyncflow.runtime.deciding import DecidingSettings
from asyncflow.runtime.downtime import pause_for_stop, record_stop
from asyncflow.runtime.engine_settings import EngineSettings, bounded_scripts
from asyncflow.runtime.jobs import Jobs
from asyncflow.runtime.jobs.callbacks import Callbacks
from asyncflow.runtime.jobs.preparing import Preparing
from asyncflow.runtime.jobs.seams import NoResources, ResourcePool
from asyncflow.runtime.last_touched import LastTouched
from asyncflow.runtime.loading import Loaded
from asyncflow.runtime.log_writer import LogWriter
from asyncflow.runtime.needs import implicit_resource, registered_limit
from asyncflow.runtime.outbound import OutboundClient
from asyncflow.runtime.payload_folder import PayloadFolder
from asyncflow.runtime.payloads import Payloads
from asyncflow.runtime.performing import Bodies, Performing
from asyncflow.runtime.plugin_tasks import plugin_functions
from asyncflow.runtime.process_executor import ProcessExecutor
from asyncflow.runtime.projection import Projection
from asyncflow.runtime.reading import Reading
from asyncflow.runtime.scripts.evaluator import ScriptRunner
from asyncflow.runtime.secrets_in_use import Redactor
from asyncflow.runtime.supervision import Supervisor
from asyncflow.runtime.taking_up import take_up_all
from asyncflow.runtime.task_logs import TaskLogs
from asyncflow.runtime.text_index import TextIndex
from asyncflow.runtime.thread_executor import ThreadExecutor
from asyncflow.runtime.turns import Turns
from asyncflow.runtime.watchdog import Watchdog
from asyncflow.store.journal import Backups, Journal, Quarantines, Views
from asyncflow.store.log_records import Logs

__all__ = ["Engine", "EngineSettings", "Store"]


class Store(Journal, Views, Quarantines, Backups, Logs, Protocol):
    """Journal, views and side tables in one, as a database gives them."""


class Engine:
    """One engine on one store; an async context manager.

    Attributes:
        catalog: the registered definitions, for reading; `change_catalog` changes them.
        registry: the plugins it has.
        supervisor: the coroutines of the engine, and how often one of them ended by itself.
    """

    def __init__(
        self,
        store: Store,
        *,
        functions: Mapping[str, LocalFunction] | None = None,
        settings: EngineSettings | None = None,
        clock: Clock | None = None,
        pool: ResourcePool | None = None,
    ) -> None:
        """Nothing is opened before the context is entered; the store is open already."""
        self._store = store
        self.settings = settings or EngineSettings()
        self.clock: Clock = clock or SystemClock()
        self.registry = self.settings.registry or Registry.built_in()
        self.functions: dict[str, LocalFunction] = {**plugin_functions(self.registry), **(functions or {})}
        self.catalog = DefinitionCatalog({name: f.executor for name, f in self.functions.items()})
        self.touched = LastTouched(self.settings.touched_file)
        self.turns = Turns(
            store,
            self.clock,
            self.catalog,
            load=self._load,
            settings=DecidingSettings(self.settings.limits, self.settings.environment, self.touched),
            keep_ended=self.settings.keep_ended,
        )
        self.payloads = _payloads(self.settings)
        self.reading = Reading(self.turns, store)
        self.projection = Projection(store, is_idle=lambda: self.turns.is_idle)
        self.texts = TextIndex(store)
        self.projection.written = self.texts.stir
        self.compaction = Compaction(
            store,
            self.turns,
            most_bytes=self.settings.turn_log_bytes,
            needed_from=lambda: self.projection.turn + 1,
        )
        self.turns.committed = self.compaction.committed
        self.logs = LogWriter(store, redactor=Redactor(self.settings.secrets))
        self.kept_resources = resource_wiring.resources_of(self) if pool is None else None
        self.resources: ResourcePool = pool or self.kept_resources or NoResources()
        self.jobs = Jobs(
            self.resources,
            clock=self.clock,
            report=self.turns.report,
            state_of=self.turns.states.get,
            preparing=_preparing(self.settings, self.payloads),
            woken=self.turns.wake,
            is_stopped=lambda: self.turns.failure is not None,
        )
        self.code_changes = self._code_changes()
        self._task_logs = TaskLogs(self.logs, lambda: self.clock.now().wall_ms, self.turns.states)
        self.turns.listeners.append(self._task_logs.committed)
        self.admission = Admission()
        self.supervisor = Supervisor()
        self._stack = AsyncExitStack()

    # --- opening and closing ----------------------------------------------------------------------

    async def __aenter__(self) -> Self:
        """Recover what goes on and start working.

        Raises:
            StoreError: the journal cannot be read.
        """
        async with AsyncExitStack() as stack:
            await self._open(stack)
            self._stack = stack.pop_all()
        return self

    async def _open(self, stack: AsyncExitStack) -> None:
        settings = self.settings
        await self.payloads.open()
        stack.callback(self.touched.close)
        self.touched.open()
        self.watchdog = await stack.enter_async_context(Watchdog())
        self.outbound = await stack.enter_async_context(OutboundClient(AddressPolicy(settings.http_allow)))
        self.threads = await stack.enter_async_context(
            ThreadExecutor(now_ms=lambda: self.clock.now().elapsed_ms)
        )
        processes = await stack.enter_async_context(ProcessExecutor(output_limit=self.payloads.most_bytes))
        self.scripts = await stack.enter_async_context(
            ScriptRunner(bounded_scripts(settings), hydrate=self.payloads.hydrate_text)
        )
        performing = Performing(self.functions, _bodies(self, processes), secrets=settings.secrets)
        self.attempts = Attempts(
            self.turns.report,
            performing=performing,
            scripts=self.scripts,
            context=self._context,
            over=self.turns.wake,
        )
        self.attempts.keep_line = self._task_logs.keep
        self.attempts.keep_record = self._task_logs.record
        self.carry = Carry(
            self.clock,
            self.attempts,
            self.admission,
            turns=self.turns,
            projection=self.projection,
            functions=self.functions,
            limits=settings.limits,
            hand_out=settings.hand_out,
            pool=self.resources,
            jobs=self.jobs,
        )
        if self.kept_resources is not None:
            resource_wiring.attach(self, self.kept_resources)
        performing.clients = self.carry.admitting.placing.clients
        self.turns.attach(self.carry, under_way=lambda: self.attempts.count > 0 or self.carry.is_busy)
        stack.enter_context(garbage.unfrozen_afterwards())
        with garbage.without_collections():
            await take_up_all(self, self._store)
            garbage.freeze(len(self.turns.states))
        await stack.enter_async_context(self.supervisor)
        runs = (self.projection.run, self.compaction.run, self.texts.run, self.logs.run)
        for name, run in zip(("views", "compaction", "texts", "logs"), runs, strict=True):
            self.supervisor.start(name, run)
        if self.kept_resources is not None:
            self.kept_resources.begin()
        self.turns.start(self.supervisor, next_due=self.carry.next_due, on_time=self.carry.on_time)
        stack.push_async_callback(self._close)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop: nothing new is taken, what is decided is committed, attempts are broken off.

        Only the moment is recorded, where executions are open: the next start takes everything up again.

        Raises:
            StoreError: the engine had stopped by itself before, and nothing else was raised.
        """
        await self._stack.aclose()
        if self.turns.failure is not None and kind is None:
            raise self.turns.failure

    async def _close(self) -> None:
        await self.jobs.close()
        if self.kept_resources is not None:
            await self.kept_resources.close()
        await self.attempts.close()
        await self.compaction.close()
        pause_for_stop(self.turns, self.settings.on_stop)
        await self.turns.close()
        if self.turns.failure is None:
            await record_stop(self._store, self.turns, self.catalog, now=self.clock.now())
            await self.projection.close(self.turns.number)
        await self.logs.close()

    async def drain(self, timeout_s: float) -> bool:
        """Begin no attempt any more and give those under way so many seconds to end; whether all did.

        Jobs are handed in no more; those that are just being handed in may learn their handles.
        Everything else goes on: what ends is recorded, and what follows waits for the next start.
        """
        self.carry.drain()
        rested = await asyncio.gather(self.attempts.rested(timeout_s), self.jobs.drain(timeout_s))
        return all(rested)

    # --- recovery -----------------------------------------------------------------------------------

    async def _load(self, streams: Sequence[str]) -> dict[str, Loaded]:
        loaded = await recovery.load_many(self._store, self.catalog, streams, touched=self.touched)
        for state in loaded.values():
            if isinstance(state, ExecutionState):
                self.turns.stored.add(state.graph.hash)
        return loaded

    def _context(self) -> Context:
        return Context(
            self.clock.now(), 0, self.catalog, self.settings.limits, environment=self.settings.environment
        )

    # --- commands and reads -----------------------------------------------------------------------

    async def submit(self, stream: str, given: Input, *, size: int = 0) -> ExecutionState:
        """Have a command decided and committed; see `Turns.submit`."""
        state = await self.turns.submit(stream, given, size=size)
        if self.code_changes is not None and isinstance(given, MigrateExecution):
            self.code_changes.migrated(state)
        return state

    async def state(self, stream: str) -> ExecutionState:
        """The state of an execution; see `Reading.state`."""
        return await self.reading.state(stream)

    async def read(self, stream: str, *, include_tasks: bool = True) -> JsonObject:
        """An execution in Conductor's Workflow shape; what it shows is durable at return."""
        return await self.reading.read(stream, include_tasks=include_tasks)

    async def ended(self, stream: str) -> ExecutionState:
        """Wait until the execution has ended, durably; see `Reading.ended`."""
        return await self.reading.ended(stream)

    def events(self, stream: str) -> AsyncIterator[Recorded]:
        """Events of an execution as they become durable; see `Reading.events`."""
        return self.reading.events(stream)

    async def delete_execution(self, execution_id: str, reason: str = "") -> None:
        """Delete an ended execution for good, with rows, texts and logs; raises as `removing.delete`."""
        await removing.delete(self.reading, self.turns, execution_id, reason=reason)
        await self.views_caught_up()

    async def views_caught_up(self) -> None:
        """Wait until the views show everything that is durable now.

        Raises:
            StoreError: the engine stopped, or the database takes nothing now.
            ShuttingDown: the engine is stopping.
        """
        await self.projection.caught_up(self.turns.number, self.turns.check_open)

    def load_functions(self, functions: Mapping[str, LocalFunction]) -> None:
        """Make more functions known; tasks that waited for them begin."""
        self.functions.update(functions)
        self.catalog.functions.update({name: f.executor for name, f in functions.items()})
        self.carry.functions_loaded()

    def limits_changed(self, task_name: str) -> None:
        """A task definition was registered or deleted: its limits hold for what waits now."""
        definition = self.catalog.task_definition(task_name)
        self.carry.set_limit(implicit_resource(task_name), registered_limit(definition))

    async def change_catalog(
        self, event: Event, definitions: Mapping[str, WorkflowDefinition] | None = None
    ) -> None:
        """Make a change of the catalogue true and durable; `definitions` are those it names by hash.

        Raises:
            StoreError, ShuttingDown: as `Turns.check_open`; nothing changed.
        """
        self.turns.check_open()
        evolve_catalog(self.catalog, event, definitions or {}, self.turns.moment().elapsed_ms)
        if isinstance(event, TaskRegistered | TaskUnregistered):
            self.limits_changed(event.name)
        self.carry.catalog_changed(event)
        await asyncio.shield(self.turns.record_catalog([event], recovery.CATALOG_STREAM))
        if self.code_changes is not None and isinstance(event, WorkflowRegistered):
            self.code_changes.registered(event.name)

    def _code_changes(self) -> CodeChanges | None:
        kept = self.kept_resources
        return None if kept is None else CodeChanges(self.catalog, self.turns.states, kept, self.turns.report)


def _payloads(settings: EngineSettings) -> Payloads:
    folder = settings.payload_folder
    stored = None if folder is None else PayloadFolder(folder, installation=settings.identity)
    return Payloads(stored, settings.limits)


def _bodies(engine: Engine, processes: ProcessExecutor) -> Bodies:
    settings = engine.settings
    return Bodies(
        engine.threads,
        processes,
        engine.outbound,
        settings.commands,
        settings.limits,
        settings.identity,
        engine.payloads,
        engine.touched,
    )


def _preparing(settings: EngineSettings, payloads: Payloads) -> Preparing:
    return Preparing(
        settings.identity,
        secrets=settings.secrets,
        payloads=payloads,
        limits=settings.limits,
        callbacks=Callbacks(settings.callback_address, settings.callback_key),
    )
