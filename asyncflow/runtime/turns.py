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
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from typing import NamedTuple, Protocol

from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.decide.decider import decide
from asyncflow.decide.evolve import evolve, new_state
from asyncflow.decide.step import Context
from asyncflow.errors import AsyncflowError, NotCommitted, NotFound, OutcomeUnknown, ShuttingDown, StoreError
from asyncflow.model.effects import Proceed
from asyncflow.model.events import Event, MessageDelivered, MessageQueued, WorkflowRegistered
from asyncflow.model.inputs import Continue, Input, Message, StartExecution
from asyncflow.model.limits import Limits
from asyncflow.model.state import ExecutionState
from asyncflow.model.turn import Moment, Turn
from asyncflow.runtime.clock import Clock
from asyncflow.runtime.open_turn import Answer, OpenTurn, Watcher, refuse
from asyncflow.store.journal import Journal

log = logging.getLogger("asyncflow.turns")

_CHUNK = 200  # inputs decided before others get the loop
_TURN_EVENTS = 20_000  # a turn that is larger waits for its commit before it grows
_AGAIN_S = 5.0  # between attempts to write a turn for which there was no room


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


class _Waiting(NamedTuple):
    stream: str
    given: Input
    answer: Answer | None


class Turns:
    """Owner of every live execution.

    `submit` and `report` put inputs in order; `run` decides them. `states` is for reading only,
    through `settled` where somebody outside is shown what was read. `stored` are the hashes of
    definitions that the journal has.
    """

    def __init__(
        self,
        journal: Journal,
        clock: Clock,
        catalog: DefinitionCatalog,
        *,
        limits: Limits,
        load: Callable[[str], Awaitable[ExecutionState | None]],
        environment: Mapping[str, str] | None = None,
        keep_ended: int = 256,
    ) -> None:
        """Own nothing yet.

        Args:
            load: folds an execution that is not in memory, None if there is none.
            environment: what `${workflow.env.X}` shows.
            keep_ended: ended executions kept in memory for those who ask right after.
        """
        self.states: dict[str, ExecutionState] = {}
        self.catalog = catalog
        self.quarantined: dict[str, str] = {}
        self.watchers: dict[str, list[Watcher]] = {}
        self.stored: set[str] = set()
        self.number = 0
        self.failure: StoreError | None = None
        self.storage_full = False
        self._journal, self._clock, self._load = journal, clock, load
        self._limits, self._environment = limits, environment or {}
        self._carrier: Carrier
        self._under_way: Callable[[], bool]
        self._inbox: deque[_Waiting] = deque()
        self._loading: dict[str, list[_Waiting]] = {}
        self._turn = OpenTurn()
        self._committing: OpenTurn | None = None
        self._wake = asyncio.Event()
        self._hopes: set[Answer] = set()
        self._ended: dict[str, ExecutionState] = {}
        self._keep_ended = keep_ended
        self._tasks: set[asyncio.Task[None]] = set()
        self._entropy = random.Random()  # noqa: S311 - spreads retries, guards nothing
        self._closing = False

    def attach(self, carrier: Carrier, *, under_way: Callable[[], bool]) -> None:
        """Say who carries out effects, and how to ask whether any is under way; once, before `run`."""
        self._carrier, self._under_way = carrier, under_way

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
        answer: Answer = asyncio.get_running_loop().create_future()
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
        if self.storage_full:
            raise NotCommitted(
                "the database has no room; nothing new is taken until it has", code="storage_full"
            )

    async def settled(self, stream: str) -> None:
        """Wait until everything that the state of this execution shows now is durable."""
        for turn in (self._committing, self._turn):
            if turn is not None and stream in turn.entries:
                await asyncio.shield(turn.done)

    async def unless_failed(self, wanted: Answer) -> ExecutionState:
        """Wait for a future that a later turn fulfils; it fails when the engine does."""
        self._hopes.add(wanted)
        try:
            if self.failure is not None:
                refuse(wanted, StoreError(f"the engine stopped: {self.failure}"))
            return await wanted
        finally:
            self._hopes.discard(wanted)

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
            on_time(self.moment())
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
        if self.is_idle and not self._under_way() and self._clock.idle(due):
            return
        alarm = None if due is None else self._clock.alarm(due, self._wake)
        try:
            await self._wake.wait()
        finally:
            if alarm is not None:
                alarm.cancel()
        self._wake.clear()

    def moment(self) -> Moment:
        """The moment of the turn that is open, which is now if it holds nothing yet."""
        if self._turn.moment is None or not self._turn.entries:
            self._turn.moment = self._clock.now()
        return self._turn.moment

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
            refuse(waiting.answer, refusal)
            return
        self._deliver(messages)
        if waiting.answer is not None:
            if state.execution_id in self.quarantined:
                refuse(waiting.answer, self._quarantine_error(state.execution_id))
            elif self._turn.entries or self._committing:
                self._answer_later(waiting.answer, state)
            else:
                waiting.answer.set_result(state)
        if Proceed() in state.wanted.get(0, ()):
            self._proceed(state)

    def _answer_later(self, answer: Answer, state: ExecutionState) -> None:
        """Answer with the newest turn that is not durable yet, whatever it is about."""
        turn = self._turn if self._turn.entries else self._committing
        assert turn is not None  # noqa: S101 - the caller looked
        turn.answers.append((answer, state))

    def _find(self, waiting: _Waiting) -> ExecutionState | None:
        stream = waiting.stream
        state = self.states.get(stream)
        if state is not None:
            return state
        if stream in self.quarantined:
            refuse(waiting.answer, self._quarantine_error(stream))
        elif isinstance(waiting.given, StartExecution):
            return self._new(stream, waiting.given)
        else:
            self._await_load(waiting)
        return None

    def _new(self, stream: str, given: StartExecution) -> ExecutionState:
        state = self.states[stream] = new_state(stream, self.catalog.graphs, given.definition)
        return state

    def _quarantine_error(self, stream: str) -> StoreError:
        return StoreError(f"execution {stream} is quarantined: {self.quarantined[stream]}")

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
            if state.dirty:
                self._admit(state, inputs)
        return out

    def _admit(self, state: ExecutionState, inputs: deque[Input]) -> None:
        """What may begin begins in this turn; very many beginnings take their turn in the inbox."""
        for admitted in self._carrier.changed(state):
            if admitted.to == state.execution_id and len(inputs) < _CHUNK:
                inputs.append(admitted.input)
            else:
                self._inbox.append(_Waiting(admitted.to, admitted.input, None))

    def _context(self) -> Context:
        return Context(
            self.moment(),
            self._entropy.getrandbits(64),
            self.catalog,
            self._limits,
            environment=self._environment,
        )

    # --- messages between executions --------------------------------------------------------------

    def _deliver(self, messages: list[tuple[ExecutionState, Message]]) -> None:
        """Decide messages in this turn, as long as it is not too large and their receivers are here."""
        queue = deque(messages)
        while queue:
            source, message = queue.popleft()
            here = message.to in self.states or isinstance(message.input, StartExecution)
            if here and not source.outbox and self._turn.count < _TURN_EVENTS:
                queue.extend(self._receive(message))
                continue
            kind = type(message.input).__name__
            self._emit(source, MessageQueued(message.to, kind, list(message.input)))
            if len(source.outbox) == 1:
                self.report(source.execution_id, Continue())

    def _receive(self, message: Message) -> list[tuple[ExecutionState, Message]]:
        state = self.states.get(message.to)
        if state is None:
            assert isinstance(message.input, StartExecution)  # noqa: S101 - the caller looked
            state = self._new(message.to, message.input)
        try:
            return self._decide(state, message.input)
        except AsyncflowError as refusal:
            log.warning("message refused", extra={"execution": message.to, "reason": str(refusal)})
            return []

    def _proceed(self, state: ExecutionState) -> None:
        """Deliver what is queued and can be, and come back for the rest in another turn."""
        while state.outbox and self._turn.count < _TURN_EVENTS:
            message = state.outbox[0]
            if message.to not in self.states and not isinstance(message.input, StartExecution):
                if message.to not in self.quarantined:
                    self._await_load(_Waiting(state.execution_id, Continue(), None), of=message.to)
                return  # this execution is asked again when the receiver is here
            following = self._receive(message)
            self._emit(state, MessageDelivered())
            self._deliver(following)
        if Proceed() in state.wanted.get(0, ()):
            self.report(state.execution_id, Continue())

    # --- recording ------------------------------------------------------------------------------

    def _emit(self, state: ExecutionState, event: Event) -> None:
        evolve(state, event, self.moment().elapsed_ms)
        self._record(state, [event])

    def _record(self, state: ExecutionState, events: list[Event]) -> None:
        turn = self._turn
        turn.add(state.execution_id, state.seq - len(events) + 1, events)
        if state.is_ended:
            turn.ended[state.execution_id] = state
        self._carrier.recorded(state)
        graph = state.graph
        if graph.hash not in self.stored:
            self.stored.add(graph.hash)
            turn.store(graph.hash, graph.definition)

    def record_catalog(self, events: list[Event], stream: str) -> asyncio.Future[None]:
        """Record events of the catalogue, applied to it already; the future is done when they are durable."""
        self._check_open()
        self.moment()
        turn = self._turn
        turn.add(stream, self.catalog.seq - len(events) + 1, list(events))
        for event in events:
            if isinstance(event, WorkflowRegistered) and event.definition not in self.stored:
                self.stored.add(event.definition)
                turn.store(event.definition, self.catalog.workflows[event.name][event.version])
        self._wake.set()
        return turn.done

    def _quarantine(self, state: ExecutionState, bug: Exception) -> None:
        """Set an execution aside whose deciding broke; what was recorded of it stays true."""
        log.error("execution quarantined", extra={"execution": state.execution_id}, exc_info=bug)
        self.quarantined[state.execution_id] = f"{type(bug).__name__}: {bug}"
        self.states.pop(state.execution_id, None)
        self._carrier.forget(state.execution_id)

    # --- loading --------------------------------------------------------------------------------

    def _await_load(self, waiting: _Waiting, *, of: str | None = None) -> None:
        """Have an execution loaded (that of the input unless told) and decide the input then."""
        stream = waiting.stream if of is None else of
        queue = self._loading.get(stream)
        if queue is None:
            queue = self._loading[stream] = []
            self._start(self._load_one(stream))
        queue.append(waiting)

    async def _load_one(self, stream: str) -> None:
        state: ExecutionState | None = None
        try:
            await self.settled(stream)
            state = await self._load(stream)
        except StoreError as error:
            self.quarantined[stream] = str(error)
        waiting = self._loading.pop(stream)
        if state is not None:
            self.states.setdefault(stream, state)
        elif stream not in self.quarantined:
            self.quarantined[stream] = "nothing is recorded of it"
        for item in waiting:
            if item.stream == stream and state is None:
                refuse(item.answer, NotFound("execution", stream))
            else:
                self._inbox.append(item)
        if self.quarantined.get(stream) == "nothing is recorded of it":
            del self.quarantined[stream]
        self._wake.set()

    # --- commit and release ---------------------------------------------------------------------

    def _begin_commit(self) -> None:
        turn, self._turn = self._turn, OpenTurn()
        self._committing = turn
        self.number += 1
        self._carrier.close_turn()
        self._start(self._commit(turn, turn.close(self.number)))

    async def _commit(self, turn: OpenTurn, record: Turn) -> None:
        try:
            await self._append(record)
        except Exception as error:  # noqa: BLE001 - whatever it is, nothing may be released
            self._fail(turn, error)
            return
        self._committing = None
        self._carrier.committed(record.number)
        turn.release()
        if self.watchers:
            for entry in record.entries:
                for watcher in self.watchers.get(entry.stream, ()):
                    watcher(entry, record.moment)
        self._let_go(turn)
        self._wake.set()

    async def _append(self, record: Turn) -> None:
        """Commit a turn; where there is no room, again and again, since no other may take its place."""
        while True:
            try:
                await self._journal.append(record)
            except NotCommitted as error:
                if self._closing:
                    raise
                self.storage_full = True
                log.error(
                    "turn not committed, trying again", extra={"turn": record.number, "reason": str(error)}
                )
                await asyncio.sleep(_AGAIN_S)
            else:
                self.storage_full = False
                return

    def _let_go(self, turn: OpenTurn) -> None:
        """Forget executions that ended a while ago; a later command loads them again."""
        for stream, state in turn.ended.items():
            if state.is_ended:
                self._ended[stream] = state
        while len(self._ended) > self._keep_ended:
            stream = next(iter(self._ended))
            state = self._ended.pop(stream)
            if not state.is_ended or state.outbox or stream in self._turn.entries:
                continue
            if self.states.get(stream) is state:
                del self.states[stream]
                self._carrier.forget(stream)

    def _fail(self, turn: OpenTurn, error: Exception) -> None:
        """Stop everything: nobody who waits learns of success, nothing new is decided."""
        known = error if isinstance(error, StoreError) else OutcomeUnknown(f"commit failed: {error}")
        self.failure = known
        turn.refuse(known)
        self._turn.refuse(known)
        for item in self._inbox:
            refuse(item.answer, known)
        for hope in self._hopes:
            refuse(hope, known)
        self._wake.set()

    def _start(self, work: Coroutine[object, object, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def close(self) -> None:
        """Take nothing new, decide and commit what is here, then return."""
        self._closing = True
        while self.failure is None and not self.is_idle:
            self._decide_inbox()
            if self._turn.entries and self._committing is None:
                self._begin_commit()
            if self._tasks:
                await asyncio.wait(self._tasks, return_when=asyncio.FIRST_COMPLETED)
            else:
                await asyncio.sleep(0)
