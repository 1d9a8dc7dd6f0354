"""The engine: opens its parts in order, runs them in one task group, closes them in reverse.

Nothing here decides or knows a database. Commands go through `turns`, reads render a state
and wait until what they show is durable.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Protocol, Self

import anyio
from anyio.abc import TaskGroup

from asyncflow.decide.admission import Admission
from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.decide.render import render_execution
from asyncflow.decide.step import Context
from asyncflow.errors import NotFound, StoreError
from asyncflow.model.effects import RunAttempt
from asyncflow.model.events import Event
from asyncflow.model.inputs import AttemptInterrupted, Evaluate, Input
from asyncflow.model.limits import DEFAULT_LIMITS, Limits
from asyncflow.model.resources import ResourceLimit
from asyncflow.model.state import ExecutionState
from asyncflow.model.turn import Moment, Recorded, StreamEvents
from asyncflow.model.values import JsonObject
from asyncflow.runtime import recovery
from asyncflow.runtime.addresses import AddressPolicy
from asyncflow.runtime.attempts import Attempts, LocalFunction
from asyncflow.runtime.carry import Carry
from asyncflow.runtime.clock import Clock, SystemClock
from asyncflow.runtime.command_task import CommandPolicy
from asyncflow.runtime.needs import implicit_resource, registered_limit
from asyncflow.runtime.outbound import OutboundClient
from asyncflow.runtime.process_executor import ProcessExecutor
from asyncflow.runtime.projection import Projection
from asyncflow.runtime.scripts.evaluator import ScriptRunner, ScriptSettings
from asyncflow.runtime.thread_executor import ThreadExecutor
from asyncflow.runtime.turns import Turns
from asyncflow.store.journal import Journal, Views

log = logging.getLogger("asyncflow.engine")

_BACKLOG = 10_000  # events a slow reader of one execution may be behind


class Store(Journal, Views, Protocol):
    """Journal and views in one, as a database gives them."""


@dataclass(frozen=True, slots=True)
class EngineSettings:
    """What an engine is made with; parsed once, by `app/config`.

    `http_allow` are hosts and networks that HTTP tasks may reach although they are not public.
    `environment` is what `${workflow.env.X}` shows. `installation` goes into tokens.
    """

    limits: Limits = DEFAULT_LIMITS
    scripts: ScriptSettings = field(default_factory=ScriptSettings)
    http_allow: tuple[str, ...] = ()
    commands: CommandPolicy = field(default_factory=lambda: CommandPolicy(enabled=False, root=None))
    environment: Mapping[str, str] = field(default_factory=dict)
    resources: Mapping[str, ResourceLimit] = field(default_factory=dict)
    installation: str = ""


class Engine:
    """One engine on one store; an async context manager.

    Attributes:
        catalog: the registered definitions, for reading; `app/service` changes them.
    """

    def __init__(
        self,
        store: Store,
        *,
        functions: Mapping[str, LocalFunction] | None = None,
        settings: EngineSettings | None = None,
        clock: Clock | None = None,
    ) -> None:
        """Nothing is opened before the context is entered; the store is open already."""
        self._store = store
        self.settings = settings or EngineSettings()
        self.clock: Clock = clock or SystemClock()
        self.functions: dict[str, LocalFunction] = dict(functions or {})
        self.catalog = DefinitionCatalog({name: f.executor for name, f in self.functions.items()})
        self.turns = Turns(
            store,
            self.clock,
            self.catalog,
            limits=self.settings.limits,
            load=self._load,
            environment=self.settings.environment,
        )
        self.projection = Projection(store, self.turns.states, is_idle=lambda: self.turns.is_idle)
        self.admission = Admission()
        self._stack = AsyncExitStack()
        self._group: TaskGroup | None = None
        self._stopping = False

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
        threads = await stack.enter_async_context(ThreadExecutor())
        processes = await stack.enter_async_context(ProcessExecutor())
        scripts = await stack.enter_async_context(ScriptRunner(settings.scripts))
        policy = AddressPolicy(settings.http_allow)
        outbound = await stack.enter_async_context(OutboundClient(policy))
        self.attempts = Attempts(
            self.functions,
            self.turns.report,
            threads=threads,
            processes=processes,
            scripts=scripts,
            outbound=outbound,
            commands=settings.commands,
            limits=settings.limits,
            installation=settings.installation,
            context=self._context,
        )
        self.carry = Carry(
            self.clock,
            self.attempts,
            self.admission,
            turns=self.turns,
            projection=self.projection,
            functions=self.functions,
            limits=settings.limits,
        )
        self.turns.attach(self.carry, under_way=lambda: self.attempts.count > 0 or self.carry.waiting > 0)
        for name, limit in settings.resources.items():
            self.carry.set_limit(name, limit)
        await self._recover()
        self._group = await stack.enter_async_context(anyio.create_task_group())
        self._group.start_soon(self.projection.run)
        self._group.start_soon(self._run)
        stack.push_async_callback(self._close)

    async def _run(self) -> None:
        await self.turns.run(next_due=self.carry.next_due, on_time=self.carry.on_time)

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop: nothing new is taken, what is decided is committed, attempts are broken off.

        Nothing is recorded of the stop: the next start takes everything up again.
        """
        await self._stack.aclose()

    async def _close(self) -> None:
        self._stopping = True
        await self.attempts.close()
        await self.turns.close()
        if self.turns.failure is None:
            self.projection.flush(self.turns.number)
            await self.projection.rested()
        assert self._group is not None  # noqa: S101 - opened before this was pushed
        self._group.cancel_scope.cancel()

    async def _recover(self) -> None:
        found = await recovery.recover(self._store, self.catalog)
        self.turns.number = found.position.last_turn
        self.turns.stored.update(self.catalog.graphs)
        self.turns.quarantined.update(found.quarantined)
        self.clock.start_from(found.position.elapsed_ms)
        for stream, state in found.behind.items():
            state.changed.update(dict.fromkeys(state.tasks))
            self.projection.touched(state)
            log.debug("view behind", extra={"execution": stream})
        self.projection.flush(found.position.last_turn)
        for stream, state in found.states.items():
            self.turns.states[stream] = state
            self._take_up(state)

    def _take_up(self, state: ExecutionState) -> None:
        """Go on with an execution that was folded: attempts of a process that is gone are interrupted."""
        self.carry.restore(state)
        for number, effects in state.wanted.items():
            if any(isinstance(effect, RunAttempt) for effect in effects):
                self.turns.report(state.execution_id, AttemptInterrupted(number, "the engine was restarted"))
        self.turns.report(state.execution_id, Evaluate())

    async def _load(self, stream: str) -> ExecutionState | None:
        state = await recovery.load(self._store, self.catalog, stream)
        if state is not None:
            self.turns.stored.add(state.graph.hash)
        return state

    def _context(self) -> Context:
        return Context(
            self.clock.now(), 0, self.catalog, self.settings.limits, environment=self.settings.environment
        )

    # --- commands and reads -----------------------------------------------------------------------

    async def submit(self, stream: str, given: Input) -> ExecutionState:
        """Have a command decided and committed; see `Turns.submit`."""
        return await self.turns.submit(stream, given)

    async def state(self, stream: str) -> ExecutionState:
        """The state of an execution, durable as it stands at return; do not keep it.

        Raises:
            NotFound: nothing is recorded under this id.
            StoreError: its history cannot be read.
        """
        state = self.turns.states.get(stream)
        if state is None:
            if stream in self.turns.quarantined:
                raise StoreError(f"execution {stream} is quarantined: {self.turns.quarantined[stream]}")
            state = await self._load(stream)
            if state is None:
                raise NotFound("execution", stream)
        return state

    async def read(self, stream: str, *, include_tasks: bool = True) -> JsonObject:
        """An execution in Conductor's Workflow shape; what it shows is durable at return."""
        shown = render_execution(await self.state(stream), include_tasks=include_tasks)
        await self.turns.settled(stream)
        return shown

    async def ended(self, stream: str) -> ExecutionState:
        """Wait until the execution has ended, durably.

        Raises:
            NotFound: nothing is recorded under this id.
            StoreError: the engine stopped before.
        """
        done: asyncio.Future[ExecutionState] = asyncio.get_running_loop().create_future()

        def watch(entry: StreamEvents, moment: Moment) -> None:
            current = self.turns.states.get(stream)
            if current is not None and current.is_ended and not done.done():
                done.set_result(current)

        with self._watching(stream, watch):
            state = await self.state(stream)
            if state.is_ended:
                await self.turns.settled(stream)
                return state
            return await self.turns.unless_failed(done)

    async def events(self, stream: str) -> AsyncIterator[Recorded]:
        """Events of an execution as they become durable, from its first to its end.

        Raises:
            NotFound: nothing is recorded under this id.
        """
        news = _News()
        with self._watching(stream, news.add):
            await self.turns.settled(stream)
            history = (await self._store.read_streams([stream]))[stream]
            if not history:
                raise NotFound("execution", stream)
            last = 0
            for recorded in history:
                last = recorded.seq
                yield recorded
            while not (await self.state(stream)).is_ended or news.waiting:
                for recorded in await news.take():
                    if recorded.seq > last:
                        last = recorded.seq
                        yield recorded

    def _watching(self, stream: str, watcher: Callable[[StreamEvents, Moment], None]) -> _Watch:
        return _Watch(self.turns, stream, watcher)

    async def views_caught_up(self) -> None:
        """Wait until the views show everything that is durable now."""
        await self.projection.caught_up(self.turns.number)

    def load_functions(self, functions: Mapping[str, LocalFunction]) -> None:
        """Make more functions known; tasks that waited for them begin."""
        self.functions.update(functions)
        self.catalog.functions.update({name: f.executor for name, f in functions.items()})
        self.carry.functions_loaded()

    def limits_changed(self, task_name: str) -> None:
        """A task definition was registered or deleted: its limits hold for what waits now."""
        definition = self.catalog.task_definition(task_name)
        limit = None if definition is None else registered_limit(definition)
        self.carry.set_limit(implicit_resource(task_name), limit)

    def record_catalog(self, events: list[Event]) -> asyncio.Future[None]:
        """Record events of the catalogue that were applied to it; done when they are durable."""
        return self.turns.record_catalog(events, recovery.CATALOG_STREAM)


class _Watch:
    """A watcher that is registered while its context lasts."""

    def __init__(self, turns: Turns, stream: str, watcher: Callable[[StreamEvents, Moment], None]) -> None:
        self._turns, self._stream, self._watcher = turns, stream, watcher

    def __enter__(self) -> None:
        self._turns.watchers.setdefault(self._stream, []).append(self._watcher)

    def __exit__(self, *exc: object) -> None:
        watchers = self._turns.watchers[self._stream]
        watchers.remove(self._watcher)
        if not watchers:
            del self._turns.watchers[self._stream]


class _News:
    """Durable events for one reader, who may be slow but not endlessly."""

    def __init__(self) -> None:
        self.waiting: list[Recorded] = []
        self._wake = asyncio.Event()
        self._lost = False

    def add(self, entry: StreamEvents, moment: Moment) -> None:
        at_ms = moment.elapsed_ms
        if len(self.waiting) + len(entry.events) > _BACKLOG:
            self._lost = True
        else:
            self.waiting += [Recorded(entry.first_seq + i, at_ms, e) for i, e in enumerate(entry.events)]
        self._wake.set()

    async def take(self) -> list[Recorded]:
        await self._wake.wait()
        self._wake.clear()
        if self._lost:
            raise StoreError(f"the reader is more than {_BACKLOG} events behind; read again from the start")
        taken, self.waiting = self.waiting, []
        return taken
