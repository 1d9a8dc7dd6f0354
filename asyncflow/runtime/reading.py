"""What is shown of executions: durable at the moment it is given, rendered from the state.

It changes nothing. Commands go through `runtime/turns`; queries over many executions read the views.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

from asyncflow.decide.gather import forked_definitions
from asyncflow.decide.render import ordered_tasks, render_execution, render_task
from asyncflow.errors import AsyncflowError, NotFound, StoreError
from asyncflow.model.events import ExecutionEnded
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.turn import Moment, Recorded, StreamEvents
from asyncflow.model.values import JsonObject
from asyncflow.runtime.clock import breathe
from asyncflow.runtime.loading import Loaded
from asyncflow.runtime.turns import Turns
from asyncflow.store.journal import Journal

_BACKLOG = 10_000  # events a slow reader of one execution may be behind
_WIDE = 200  # branches of a fork that are shown on the loop
_SLICE = 500  # records rendered without giving up the loop: some 5 to 10 ms


class Reading:
    """Executions for those who look."""

    def __init__(self, turns: Turns, journal: Journal) -> None:
        """Read what these turns own and this journal holds."""
        self._turns, self._journal = turns, journal

    async def state(self, stream: str) -> ExecutionState:
        """The state of an execution as it is in memory, or as it is recorded; do not keep it.

        Raises:
            NotFound: nothing is recorded under this id.
            StoreError: its history cannot be read, or it is quarantined.
        """
        turns = self._turns
        state = turns.states.get(stream)
        if state is not None:
            return state
        if stream in turns.quarantined:
            raise StoreError(f"execution {stream} is quarantined: {turns.quarantined[stream].reason}")
        turns.check_running()
        state = turns.residents.was_read(stream)
        if state is not None:
            return state
        loaded: asyncio.Future[Loaded] = asyncio.get_running_loop().create_future()
        turns.loading.ask(stream, lambda found: None if loaded.done() else loaded.set_result(found))
        found = await loaded
        if isinstance(found, AsyncflowError):
            raise found
        if stream not in turns.states and found.is_ended:
            turns.residents.keep_read(found)
        return turns.states.get(stream, found)

    async def read(self, stream: str, *, include_tasks: bool = True) -> JsonObject:
        """An execution in Conductor's Workflow shape; what it shows is durable at return.

        Of one with very many tasks that goes on, later ones are shown as they are a moment after the others.
        """
        state = await self.state(stream)
        is_large = include_tasks and len(state.tasks) > _SLICE
        shown = render_execution(state, include_tasks=include_tasks and not is_large)
        if is_large:
            shown["tasks"] = await self._tasks(state)
        await self._turns.settled(stream)
        return shown

    @staticmethod
    async def _tasks(state: ExecutionState) -> list[JsonObject]:
        """All tasks, rendered some at a time, so that nobody waits for all of them."""
        records, shown = ordered_tasks(state), list[JsonObject]()
        async with wide_forks_shown(records):
            for start in range(0, len(records), _SLICE):
                shown += [render_task(state, record) for record in records[start : start + _SLICE]]
                await breathe()
        return shown

    async def ended(self, stream: str) -> ExecutionState:
        """Wait until the execution has ended, durably.

        Raises:
            NotFound: nothing is recorded under this id.
            StoreError: the engine stopped before, or the execution was set aside.
            ShuttingDown: the engine was closed before.
        """
        done: asyncio.Future[ExecutionState] = asyncio.get_running_loop().create_future()

        def watch(entry: StreamEvents, _moment: Moment) -> None:
            # The state may have ended in a later turn already, which is not durable yet.
            if ExecutionEnded not in map(type, entry.events):
                return
            current = self._turns.states.get(stream)
            if current is not None and current.is_ended and not done.done():
                done.set_result(current)

        with Watch(self._turns, stream, watch):
            state = await self.state(stream)
            if state.is_ended:
                await self._turns.settled(stream, patient=True)
                return state
            return await self._turns.unless_failed(done, stream)

    async def events(self, stream: str) -> AsyncIterator[Recorded]:
        """Events of an execution as they become durable, from its first to its end.

        Raises:
            NotFound: nothing is recorded under this id.
            StoreError: the reader is too far behind, or the engine stopped.
            ShuttingDown: the engine was closed before the end.
        """
        news = _News(self._turns, stream)
        with Watch(self._turns, stream, news.add):
            await self._turns.settled(stream, patient=True)
            history = (await self._journal.read_streams([stream]))[stream]
            if not history:
                raise NotFound("execution", stream)
            last = 0
            for recorded in history:
                last = recorded.seq
                yield recorded
            while not (news.is_silent and await self._is_over(stream) and news.is_silent):
                for recorded in await news.take():
                    if recorded.seq > last:
                        last = recorded.seq
                        yield recorded

    async def _is_over(self, stream: str) -> bool:
        """Whether the execution has ended, durably: whoever watches it has been told of its end."""
        if not (await self.state(stream)).is_ended:
            return False
        await self._turns.settled(stream, patient=True)
        return True


class Watch:
    """A watcher of one execution that is registered while its context lasts."""

    def __init__(self, turns: Turns, stream: str, watcher: Callable[[StreamEvents, Moment], None]) -> None:
        """Register nothing yet; the watcher is told of events once they are durable, and never awaited."""
        self._turns, self._stream, self._watcher = turns, stream, watcher

    def __enter__(self) -> None:
        """Begin to tell."""
        self._turns.watchers.setdefault(self._stream, []).append(self._watcher)

    def __exit__(self, *exc: object) -> None:
        """Tell nothing any more."""
        watchers = self._turns.watchers[self._stream]
        watchers.remove(self._watcher)
        if not watchers:
            del self._turns.watchers[self._stream]


class _News:
    """Durable events for one reader, who may be slow but not endlessly."""

    def __init__(self, turns: Turns, stream: str) -> None:
        self.waiting: list[Recorded] = []
        self._turns, self._stream = turns, stream
        self._hope: asyncio.Future[None] | None = None
        self._lost = False

    def add(self, entry: StreamEvents, moment: Moment) -> None:
        at_ms = moment.elapsed_ms
        if len(self.waiting) + len(entry.events) > _BACKLOG:
            self._lost = True
        else:
            self.waiting += [Recorded(entry.first_seq + i, at_ms, e) for i, e in enumerate(entry.events)]
        if self._hope is not None and not self._hope.done():
            self._hope.set_result(None)

    @property
    def is_silent(self) -> bool:
        """Whether there is nothing to take, and nothing to say of what was lost."""
        return not self.waiting and not self._lost

    async def take(self) -> list[Recorded]:
        if self.is_silent:
            self._hope = asyncio.get_running_loop().create_future()
            await self._turns.unless_failed(self._hope, self._stream)
        if self._lost:
            raise StoreError(f"the reader is more than {_BACKLOG} events behind; read again from the start")
        taken, self.waiting = self.waiting, []
        return taken


@asynccontextmanager
async def wide_forks_shown(records: Iterable[TaskState]) -> AsyncIterator[None]:
    """What wide dynamic forks among these show of their branches is made in a thread, and held meanwhile."""
    found = (None if task.more is None else task.more.members for task in records)
    wide = [members for members in found if members is not None and len(members.nodes) > _WIDE]
    try:
        for members in wide:
            members.shown = await asyncio.to_thread(forked_definitions, members)
        yield
    finally:
        for members in wide:
            members.shown = None
