"""The turn: everything that arrived is decided, committed as one, and only then released.

One coroutine owns all live states. While a commit is under way what arrives is decided into the
next turn, so a batch adapts to the disk by itself and nothing lingers. Nothing that a turn made
true is shown before its commit; if a commit's outcome is unknown, everything stops.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.decide.decider import decide
from asyncflow.decide.evolve import evolve, new_state
from asyncflow.decide.step import Context
from asyncflow.errors import AsyncflowError, NotFound, OutcomeUnknown, ShuttingDown, StoreError
from asyncflow.model.definition import WorkflowDefinition, canonical_json
from asyncflow.model.effects import Proceed
from asyncflow.model.events import Event, MessageDelivered, MessageQueued, WorkflowRegistered
from asyncflow.model.inputs import Continue, Input, Message, StartExecution
from asyncflow.model.limits import Limits
from asyncflow.model.state import ExecutionState
from asyncflow.model.turn import Moment, StoredDefinition, StreamEvents, Turn
from asyncflow.runtime.clock import Clock
from asyncflow.store.journal import Journal

log = logging.getLogger("asyncflow.turns")

_CHUNK = 500  # inputs decided before others get the loop
_TURN_EVENTS = 20_000  # a turn that is larger waits for its commit before it grows


class Carrier(Protocol):
    """Who carries out what states want; called by the turn and never awaited."""

    def changed(self, state: ExecutionState) -> Iterable[Message]:
        """Take note of `state.dirty`; give what admission lets begin, for any execution."""

    def close_turn(self) -> None:
        """The turn is complete: snapshot what is only right at its end."""

    def committed(self, number: int) -> None:
        """What this turn wanted may be started, and what it gave up is to be stopped."""

    def recorded(self, state: ExecutionState) -> None:
        """The state has new events in the turn that is open."""

    def forget(self, stream: str) -> None:
        """The execution left memory."""


Watcher = Callable[[StreamEvents, Moment], None]
"""Told of the events of one stream once they are durable; never awaited."""


class _Waiting(NamedTuple):
    stream: str
    given: Input
    answer: asyncio.Future[ExecutionState] | None


@dataclass(slots=True)
class _OpenTurn:
    """What is decided and not yet handed to the journal."""

    entries: dict[str, StreamEvents] = field(default_factory=dict)
    definitions: list[StoredDefinition] = field(default_factory=list)
    answers: list[tuple[asyncio.Future[ExecutionState], ExecutionState]] = field(default_factory=list)
    ended: dict[str, ExecutionState] = field(default_factory=dict)
    done: asyncio.Future[None] | None = None
    count: int = 0


class Turns:
    """Owner of every live execution.

    `submit` and `report` put inputs in order; `run` decides them. `states` is for reading only,
    through `settled` where somebody outside is shown what was read.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        catalog: DefinitionCatalog,
        *,
        limits: Limits,
        load: Callable[[str], Awaitable[ExecutionState | None]],
    ) -> None:
        """Own nothing yet; `load` folds an execution that is not in memory, None if there is none."""
        self.states: dict[str, ExecutionState] = {}
        self.catalog = catalog
        self.quarantined: dict[str, str] = {}
        self.number = 0
        self.failure: BaseException | None = None
        self.stored: set[str] = set()
        self.watchers: dict[str, list[Watcher]] = {}
        self.keep_ended = 256
        self.under_way: Callable[[], bool] = lambda: False
        self._ended: dict[str, ExecutionState] = {}
        self._journal, self._clock, self._limits, self._load = journal, clock, limits, load
        self._carrier: Carrier | None = None
        self._inbox: deque[_Waiting] = deque()
        self.environment: Mapping[str, str] = {}
        self._hopes: set[asyncio.Future[ExecutionState]] = set()
        self._loading: dict[str, list[_Waiting]] = {}
        self._turn = _OpenTurn()
        self._committing: _OpenTurn | None = None
        self._wake = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._entropy = random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._closing = False

    def attach(self, carrier: Carrier) -> None:
        """Say who carries out effects; once, before `run`."""
        self._carrier = carrier

    # --- the inbox ------------------------------------------------------------------------------

    async def submit(self, stream: str, given: Input) -> ExecutionState:
        """Have an input decided, and wait until what it made is durable.

        Returns:
            The state of the execution, at least as new as the input made it.

        Raises:
            Refused, NotFound, InvalidInput: as `decide`; nothing changed.
            ShuttingDown: the engine takes nothing any more; nothing changed.
            StoreError: the commit failed; OutcomeUnknown if it may have happened.
        """
        self._check_open()
        answer: asyncio.Future[ExecutionState] = asyncio.get_running_loop().create_future()
        self._put(_Waiting(stream, given, answer))
        return await answer

    def report(self, stream: str, given: Input) -> None:
        """Have a report decided; nobody waits for it."""
        if self.failure is None:
            self._put(_Waiting(stream, given, None))

    def _put(self, waiting: _Waiting) -> None:
        self._inbox.append(waiting)
        self._wake.set()

    def wake(self) -> None:
        """Look again: something outside of the inbox changed."""
        self._wake.set()

    def _check_open(self) -> None:
        if self.failure is not None:
            raise StoreError(f"the engine stopped: {self.failure}") from self.failure
        if self._closing:
            raise ShuttingDown("the engine is stopping; nothing new is taken")

    async def settled(self, stream: str) -> None:
        """Wait until everything that the state of this execution shows now is durable."""
        for turn in (self._committing, self._turn):
            if turn is not None and stream in turn.entries and turn.done is not None:
                await asyncio.shield(turn.done)

    @property
    def is_idle(self) -> bool:
        """Whether nothing is to be decided, committed or loaded."""
        return not (self._inbox or self._turn.entries or self._committing or self._loading)

    # --- the loop -------------------------------------------------------------------------------

    async def run(self, *, next_due: Callable[[], int | None], on_time: Callable[[Moment], None]) -> None:
        """Decide for ever; cancelled by the engine's end.

        `on_time` is told when `next_due` has come and puts what is due into the inbox.

        Raises:
            StoreError: a commit failed; nothing was released since.
        """
        while self.failure is None:
            on_time(self._clock.now())
            self._decide_inbox()
            if self._turn.entries and self._committing is None:
                self._begin_commit()
            if self._inbox and self._turn.count < _TURN_EVENTS:
                await asyncio.sleep(0)
                continue
            await self._wait(next_due)
        raise self.failure

    async def _wait(self, next_due: Callable[[], int | None]) -> None:
        due = next_due()
        if self.is_idle and not self.under_way() and self._clock.idle(due):
            return
        alarm = None if due is None else self._clock.alarm(due, self._wake)
        try:
            await self._wake.wait()
        finally:
            if alarm is not None:
                alarm.cancel()
        self._wake.clear()

    def _decide_inbox(self) -> None:
        """Decide what is there, up to a chunk and to the size of a turn."""
        for _ in range(min(_CHUNK, len(self._inbox))):
            if self._turn.count >= _TURN_EVENTS:
                return
            self._decide_one(self._inbox.popleft())

    def _decide_one(self, waiting: _Waiting) -> None:
        """Decide an input and all that follows from it within this turn."""
        state = self._find(waiting)
        if state is None:
            return
        try:
            messages = self._decide(state, waiting.given)
        except AsyncflowError as refusal:
            _refuse(waiting.answer, refusal)
            return
        self._deliver(messages)
        if waiting.answer is not None:
            self._turn.answers.append((waiting.answer, state))
        if state.wanted and Proceed() in state.wanted.get(0, ()):
            self._proceed(state)

    def _proceed(self, state: ExecutionState) -> None:
        """Deliver what is queued and can be, and come back for the rest in another turn."""
        while state.outbox and self._turn.count < _TURN_EVENTS:
            if not self._deliver_queued(state):
                return  # its receiver is being loaded; this execution is asked again then
        self.report(state.execution_id, Continue())

    def _find(self, waiting: _Waiting) -> ExecutionState | None:
        stream = waiting.stream
        state = self.states.get(stream)
        if state is not None:
            return state
        if stream in self.quarantined:
            _refuse(
                waiting.answer, StoreError(f"execution {stream} is quarantined: {self.quarantined[stream]}")
            )
            return None
        if isinstance(waiting.given, StartExecution):
            state = new_state(stream, self.catalog.graphs, waiting.given.definition)
            self.states[stream] = state
            return state
        self._await_load(waiting)
        return None

    def _decide(self, state: ExecutionState, given: Input) -> list[tuple[ExecutionState, Message]]:
        """One input on one state, and what admission adds to it."""
        context = self._context()
        out: list[tuple[ExecutionState, Message]] = []
        inputs: deque[Input] = deque([given])
        while inputs:
            try:
                step = decide(state, inputs.popleft(), context)
            except AsyncflowError:
                if not state.seq:
                    self.states.pop(state.execution_id, None)
                raise
            except Exception as bug:  # noqa: BLE001 - one execution's fault must not be everyone's
                self._quarantine(state, bug)
                return []
            if step.events:
                self._record(state, step.events)
            out += [(state, message) for message in step.messages]
            if state.dirty and self._carrier is not None:
                for admitted in self._carrier.changed(state):
                    if admitted.to == state.execution_id:
                        inputs.append(admitted.input)
                    else:
                        self._inbox.append(_Waiting(admitted.to, admitted.input, None))
        return out

    def _context(self) -> Context:
        return Context(
            self._clock.now(),
            self._entropy.getrandbits(64),
            self.catalog,
            self._limits,
            environment=self.environment,
        )

    def _deliver(self, messages: list[tuple[ExecutionState, Message]]) -> None:
        """Decide messages in this turn, as long as it is not too large and their receivers are here."""
        queue = deque(messages)
        while queue:
            source, message = queue.popleft()
            here = message.to in self.states or isinstance(message.input, StartExecution)
            if here and self._turn.count < _TURN_EVENTS:
                queue.extend(self._receive(message))
            else:
                kind = type(message.input).__name__
                self._emit(source, MessageQueued(message.to, kind, list(message.input)))
                if len(source.outbox) == 1:
                    self.report(source.execution_id, Continue())

    def _receive(self, message: Message) -> list[tuple[ExecutionState, Message]]:
        state = self.states.get(message.to)
        if state is None:
            assert isinstance(message.input, StartExecution)  # noqa: S101 - the caller looked
            state = new_state(message.to, self.catalog.graphs, message.input.definition)
            self.states[message.to] = state
        try:
            return self._decide(state, message.input)
        except AsyncflowError as refusal:
            log.warning("message refused", extra={"execution": message.to, "reason": str(refusal)})
            return []

    def _deliver_queued(self, state: ExecutionState) -> bool:
        """Deliver the oldest queued message of an execution, if its receiver is in memory.

        Returns:
            Whether it was; if not, its receiver is being loaded and the execution asked again.
        """
        message = state.outbox[0]
        if message.to not in self.states and not isinstance(message.input, StartExecution):
            self._await_load(_Waiting(message.to, Continue(), None), then=state.execution_id)
            return False
        self._deliver(self._receive(message))
        self._emit(state, MessageDelivered())
        return True

    def _emit(self, state: ExecutionState, event: Event) -> None:
        evolve(state, event, self._clock.now().elapsed_ms)
        self._record(state, [event])

    def _record(self, state: ExecutionState, events: list[Event]) -> None:
        turn = self._turn
        entry = turn.entries.get(state.execution_id)
        if entry is None:
            if turn.done is None:
                turn.done = asyncio.get_running_loop().create_future()
            first = state.seq - len(events) + 1
            turn.entries[state.execution_id] = StreamEvents(state.execution_id, first, events)
        else:
            entry.events.extend(events)
        turn.count += len(events)
        if state.is_ended:
            turn.ended[state.execution_id] = state
        if self._carrier is not None:
            self._carrier.recorded(state)
        if state.graph.hash not in self.stored:
            self._store_definition(state.graph.hash, state.graph.definition)

    def record_catalog(self, events: list[Event], stream: str) -> asyncio.Future[None]:
        """Record events of the catalogue, applied to it already; the future is done when they are durable."""
        self._check_open()
        turn = self._turn
        if turn.done is None:
            turn.done = asyncio.get_running_loop().create_future()
        first = self.catalog.seq - len(events) + 1
        entry = turn.entries.setdefault(stream, StreamEvents(stream, first, []))
        entry.events.extend(events)
        for event in events:
            if isinstance(event, WorkflowRegistered):
                definition = self.catalog.workflows[event.name][event.version]
                self._store_definition(event.definition, definition)
        turn.count += len(events)
        self._wake.set()
        return turn.done

    def _store_definition(self, name: str, definition: WorkflowDefinition) -> None:
        """Put a definition into the turn that names it first."""
        if name not in self.stored:
            self.stored.add(name)
            body = canonical_json(definition).decode()
            self._turn.definitions.append(StoredDefinition(name, body))

    def _quarantine(self, state: ExecutionState, bug: Exception) -> None:
        """Set an execution aside whose deciding broke; what was recorded of it stays true."""
        log.error("execution quarantined", extra={"execution": state.execution_id}, exc_info=bug)
        self.quarantined[state.execution_id] = f"{type(bug).__name__}: {bug}"
        self.states.pop(state.execution_id, None)
        if self._carrier is not None:
            self._carrier.forget(state.execution_id)

    # --- loading --------------------------------------------------------------------------------

    def _await_load(self, waiting: _Waiting, *, then: str | None = None) -> None:
        queue = self._loading.get(waiting.stream)
        if queue is None:
            queue = self._loading[waiting.stream] = []
            self._start(self._load_one(waiting.stream))
        if waiting.answer is not None or then is None:
            queue.append(waiting)
        if then is not None:
            queue.append(_Waiting(then, Continue(), None))

    async def _load_one(self, stream: str) -> None:
        try:
            await self.settled(stream)
            state = await self._load(stream)
        except StoreError as error:
            self.quarantined[stream] = str(error)
            state = None
        waiting = self._loading.pop(stream)
        if state is not None:
            self.states.setdefault(stream, state)
        for item in waiting:
            if item.stream == stream and state is None:
                _refuse(item.answer, NotFound("execution", stream))
            else:
                self._inbox.append(item)
        self._wake.set()

    # --- commit and release ---------------------------------------------------------------------

    def _begin_commit(self) -> None:
        turn, self._turn = self._turn, _OpenTurn()
        self._committing = turn
        self.number += 1
        if self._carrier is not None:
            self._carrier.close_turn()
        record = Turn(self.number, self._clock.now(), list(turn.entries.values()), turn.definitions)
        self._start(self._commit(turn, record))

    async def _commit(self, turn: _OpenTurn, record: Turn) -> None:
        try:
            await self._journal.append(record)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing may be released
            self._fail(turn, error)
            return
        self._committing = None
        if self._carrier is not None:
            self._carrier.committed(record.number)
        for answer, state in turn.answers:
            if not answer.done():
                answer.set_result(state)
        if turn.done is not None:
            turn.done.set_result(None)
        self._release(turn, record)
        self._wake.set()

    def _release(self, turn: _OpenTurn, record: Turn) -> None:
        """Show those who watch what is durable now, and let go of what has ended."""
        if self.watchers:
            for entry in record.entries:
                for watcher in self.watchers.get(entry.stream, ()):
                    watcher(entry, record.moment)
        for stream, state in turn.ended.items():
            if state.is_ended:
                self._ended[stream] = state
        while len(self._ended) > self.keep_ended:
            stream = next(iter(self._ended))
            state = self._ended.pop(stream)
            if not state.is_ended or state.outbox or stream in self._turn.entries:
                continue
            if self.states.get(stream) is state:
                del self.states[stream]
                if self._carrier is not None:
                    self._carrier.forget(stream)

    def _fail(self, turn: _OpenTurn, error: Exception) -> None:
        """Stop everything: nobody who waits learns of success, nothing new is decided."""
        known = error if isinstance(error, StoreError) else OutcomeUnknown(f"commit failed: {error}")
        self.failure = known
        for open_turn in (turn, self._turn):
            for answer, _ in open_turn.answers:
                _refuse(answer, known)
            if open_turn.done is not None and not open_turn.done.done():
                open_turn.done.set_exception(known)
                open_turn.done.exception()  # nobody may be waiting for it
        for item in self._inbox:
            _refuse(item.answer, known)
        for hope in self._hopes:
            _refuse(hope, known)
        self._wake.set()

    async def unless_failed(self, wanted: asyncio.Future[ExecutionState]) -> ExecutionState:
        """Wait for a future that a later turn fulfils; it fails when the engine does."""
        self._hopes.add(wanted)
        try:
            if self.failure is not None:
                _refuse(wanted, StoreError(f"the engine stopped: {self.failure}"))
            return await wanted
        finally:
            self._hopes.discard(wanted)

    def _start(self, work: Awaitable[None]) -> None:
        task = asyncio.ensure_future(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Take nothing new, decide and commit what is here, then return."""
        self._closing = True
        while self.failure is None and not self.is_idle:
            self._decide_inbox()
            if self._turn.entries and self._committing is None:
                self._begin_commit()
            await asyncio.sleep(0)
            if self._tasks:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)


def _refuse(answer: asyncio.Future[ExecutionState] | None, error: AsyncflowError) -> None:
    if answer is not None and not answer.done():
        answer.set_exception(error)
