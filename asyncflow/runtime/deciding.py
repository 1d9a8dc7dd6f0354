"""One input after another decided into the open turn, with all that follows within it.

It never waits and commits nothing; the turn it fills is handed on by `runtime/turns`. One
execution whose deciding breaks is set aside, and the others go on.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple, Protocol

from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.decide.decider import decide
from asyncflow.decide.evolve import evolve, new_state
from asyncflow.decide.step import Context
from asyncflow.errors import AsyncflowError, ShuttingDown, StoreError
from asyncflow.model.effects import Proceed
from asyncflow.model.events import Event, MessageQueued
from asyncflow.model.graph import Graph
from asyncflow.model.inputs import (
    AttemptAdmitted,
    Continue,
    Input,
    Message,
    RestartExecution,
    StartExecution,
)
from asyncflow.model.limits import DEFAULT_LIMITS, Limits
from asyncflow.model.state import ExecutionState
from asyncflow.model.statuses import PAUSED
from asyncflow.model.turn import Moment
from asyncflow.runtime.clock import Clock
from asyncflow.runtime.closures import Closures
from asyncflow.runtime.commits import Commits
from asyncflow.runtime.loading import Loaded, Loading
from asyncflow.runtime.messages import Messages, Sent, refused
from asyncflow.runtime.open_turn import Answer, OpenTurn, refuse
from asyncflow.runtime.residents import Residents

log = logging.getLogger("asyncflow.turns")

_SLICE_INPUTS = 200
_SLICE_EVENTS = 1_000  # and others get the loop: some 15 ms
_PROCEED = Proceed()


class Carrier(Protocol):
    """Who carries out what states want; called by the turn and never awaited."""

    def changed(self, state: ExecutionState) -> Iterable[Message]:
        """Take note of `state.dirty`; give what admission lets begin, for any execution."""

    @property
    def is_draining(self) -> bool:
        """Whether no attempt begins any more."""

    def is_scripting(self, stream: str) -> bool:
        """Whether the execution wants a script evaluated."""

    def holds(self, stream: str, number: int) -> bool:
        """Whether a grant that is on its way is still good."""

    def close_turn(self) -> None:
        """The turn is complete: snapshot what is only right at its end."""

    def committed(self) -> None:
        """What this turn wanted may be started, and what it gave up is to be stopped."""

    def recorded(self, state: ExecutionState) -> None:
        """The state has new events in the turn that is open."""

    def forget(self, stream: str) -> None:
        """The execution left memory."""


class Waiting(NamedTuple):
    """An input that has arrived: for whom, who waits for an answer, and how many bytes it brings.

    `is_pinned`: its execution was loaded for it, and is kept here until it is decided. `graph`: the
    definition that it names, which nobody else may hold before it is decided.
    """

    stream: str
    given: Input
    answer: Answer | None
    size: int = 0
    is_pinned: bool = False
    graph: Graph | None = None


@dataclass(frozen=True, slots=True)
class DecidingSettings:
    """What deciding is bounded by and what expressions see of the environment."""

    limits: Limits = DEFAULT_LIMITS
    environment: Mapping[str, str] = field(default_factory=dict)


class Deciding:
    """The open turn, the inbox it is filled from, and the deciding in between.

    Attributes:
        inbox: what has arrived, oldest first.
        wake: set when somebody should look at the inbox.
        turn: the turn that is open.
        stored: hashes of definitions that need not be stored with the turn.
    """

    carrier: Carrier

    def __init__(
        self,
        residents: Residents,
        loading: Loading,
        catalog: DefinitionCatalog,
        *,
        commits: Commits,
        clock: Clock,
        settings: DecidingSettings,
    ) -> None:
        """Nothing has arrived; the carrier is attached before anything does."""
        self.inbox: deque[Waiting] = deque()
        self.wake = asyncio.Event()
        self.turn = OpenTurn()
        self.stored: set[str] = set()
        self.closures = Closures(self._is_scripting)
        self._residents, self._states = residents, residents.states
        self._loading, self._catalog, self._clock = loading, catalog, clock
        self._commits, self._settings = commits, settings
        self._messages = Messages(self, residents, loading, self.closures)
        self._going_on: set[str] = set()
        self._known: Context | None = None
        self._slice_end = 0
        self._entropy = random.Random()  # noqa: S311 - spreads retries, guards nothing

    def _is_scripting(self, stream: str) -> bool:
        return self.carrier.is_scripting(stream)

    def moment(self) -> Moment:
        """The moment of the turn that is open, which is now if it holds nothing yet."""
        if self.turn.moment is None or not self.turn.entries:
            self.turn.moment = self._clock.now()
        return self.turn.moment

    def decide_slice(self, most: int = _SLICE_INPUTS) -> int:
        """Decide what has arrived, until others should get the loop or the turn is full; how many it was."""
        inbox, turn = self.inbox, self.turn
        self._slice_end = turn.count + _SLICE_EVENTS
        wanted = min(most, _SLICE_INPUTS, len(inbox))
        for decided in range(wanted):
            if turn.count >= self._slice_end or turn.is_full:
                return decided
            waiting = inbox.popleft()
            try:
                self._decide_one(waiting)
            except BaseException as bug:
                # The engine stops; whoever waits for just this input is in no queue any more.
                refuse(waiting.answer, StoreError(f"the engine stopped: {type(bug).__name__}: {bug}"))
                raise
        return wanted

    @property
    def has_room(self) -> bool:
        """Whether more may be decided before others get the loop, and in this turn."""
        return self.turn.count < self._slice_end and not self.turn.is_full

    def named(self, given: Input) -> Graph | None:
        """The definition that a start or restart names by hash; hold it until the input is decided."""
        if type(given) is StartExecution or type(given) is RestartExecution:
            return None if given.definition is None else self._catalog.graphs.get(given.definition)
        return None

    # --- one input --------------------------------------------------------------------------------

    def _decide_one(self, waiting: Waiting) -> None:
        """Decide an input and all that follows from it within this turn."""
        stream, given, answer, size, is_pinned, _ = waiting
        state = self._states.get(stream)
        if state is None:
            state = self._find(waiting)
            if state is None:
                return
        if is_pinned:
            self._residents.unpin(stream)
        if type(given) is Continue:
            self._going_on.discard(stream)
            if state.outbox:
                self._messages.deliver(state)
        if type(given) is AttemptAdmitted and given.grants and not self.carrier.holds(stream, given.number):
            return  # it was given back before it came here
        self.turn.bytes += size
        try:
            sent = self._decide(state, given)
        except AsyncflowError as refusal:
            refuse(answer, refusal)
            return
        if sent:
            self._messages.send(sent)
        if answer is not None:
            self._answer(answer, state)
        if stream in self.closures:
            for ready, shown in self.closures.look(state):
                self._answer_later(ready, shown)

    def _answer(self, answer: Answer, state: ExecutionState) -> None:
        if state.execution_id in self._residents.quarantined:
            refuse(answer, self._quarantine_error(state.execution_id))
        elif self.closures.is_complete(state):
            self._answer_later(answer, state)
        else:
            self.closures.hold(answer, state)

    def _answer_later(self, answer: Answer, state: ExecutionState) -> None:
        """Answer with the newest turn that is not durable yet, whatever it is about."""
        if self.turn.entries:
            self.turn.answers.append((answer, state))
        elif self._commits.under_way is not None:
            self._commits.under_way.answers.append((answer, state))
        elif not answer.done():
            answer.set_result(state)

    def _find(self, waiting: Waiting) -> ExecutionState | None:
        stream = waiting.stream
        if stream in self._residents.quarantined:
            refuse(waiting.answer, self._quarantine_error(stream))
        elif isinstance(waiting.given, StartExecution):
            return self._new(stream, waiting.given)
        else:
            self._loading.ask(stream, lambda loaded: self._loaded(waiting, loaded))
        return None

    def _new(self, stream: str, given: StartExecution) -> ExecutionState:
        state = new_state(stream, self._catalog.graphs, given.definition)
        self._residents.add(state)
        return state

    def _loaded(self, waiting: Waiting, loaded: Loaded) -> None:
        """The execution an input is for is here, or cannot be."""
        if isinstance(loaded, ExecutionState):
            if waiting.stream not in self._states:
                self._residents.add(loaded)
            self._residents.ended({waiting.stream: self._states[waiting.stream]})
            self._residents.pin(waiting.stream)
            self.inbox.append(waiting._replace(is_pinned=True))
            self.wake.set()
        else:
            if isinstance(loaded, StoreError) and not isinstance(loaded, ShuttingDown):
                self._residents.quarantine(waiting.stream, str(loaded))
            refuse(waiting.answer, loaded)

    def _quarantine_error(self, stream: str) -> StoreError:
        return StoreError(f"execution {stream} is quarantined: {self._residents.quarantined[stream]}")

    def _decide(self, state: ExecutionState, given: Input) -> list[Sent]:
        """One input on one state, and what admission adds to it."""
        context = self._context()
        sent: list[Sent] = []
        inputs: deque[Input] = deque([given])
        while inputs:
            try:
                step = decide(state, inputs.popleft(), context)
                if step.events:
                    self._record(state, step.events)
                if state.dirty:
                    self._admit(state, inputs)
            except AsyncflowError:
                if not state.seq:
                    self._states.pop(state.execution_id, None)
                raise
            except Exception as bug:  # noqa: BLE001 - one execution's fault must not be everyone's
                self._quarantine(state, bug)
                return sent
            for message in step.messages:
                sent.append((state, message))  # noqa: PERF401 - mostly there is none
        if _PROCEED in state.wanted.get(0, ()):
            self._proceed(state)
        return sent

    def _admit(self, state: ExecutionState, inputs: deque[Input]) -> None:
        """What may begin begins in this turn; very many beginnings take their turn in the inbox."""
        for admitted in self.carrier.changed(state):
            if admitted.to == state.execution_id and len(inputs) < _SLICE_INPUTS:
                inputs.append(admitted.input)
            else:
                self.inbox.append(Waiting(admitted.to, admitted.input, None))

    def _context(self) -> Context:
        """What deciding knows, the same for all inputs of a moment."""
        moment = self.moment()
        known = self._known
        if known is None or known.moment is not moment or known.begins is self.carrier.is_draining:
            settings = self._settings
            known = self._known = Context(
                moment,
                self._entropy.getrandbits(64),
                self._catalog,
                settings.limits,
                environment=settings.environment,
                begins=not self.carrier.is_draining,
            )
        return known

    def _proceed(self, state: ExecutionState) -> None:
        """Something was left for another turn: see to it that there is one."""
        agenda = state.agenda and not state.is_ended and state.status != PAUSED
        if state.repairs or agenda or not self._messages.is_stuck(state):
            self.go_on(state.execution_id)

    # --- what messages ask of the turn --------------------------------------------------------------

    def go_on(self, stream: str) -> None:
        """Have the execution take up what is left, behind what has arrived."""
        if stream not in self._going_on:
            self._going_on.add(stream)
            self.inbox.append(Waiting(stream, Continue(), None))
            self.wake.set()

    def receive(self, message: Message) -> list[Sent]:
        """Decide a message whose receiver is here, or begins with it; what it sends in turn."""
        state = self._states.get(message.to)
        if state is None:
            assert isinstance(message.input, StartExecution)  # the caller looked
            state = self._new(message.to, message.input)
        try:
            return self._decide(state, message.input)
        except AsyncflowError as refusal:
            refused(message, refusal)
            return []

    def emit(self, state: ExecutionState, event: Event) -> None:
        """Make a fact true and record it."""
        evolve(state, event, self.moment().elapsed_ms)
        self._record(state, [event])
        if type(event) is MessageQueued:
            started = state.outbox[-1].graph
            if started is not None:
                self._store(started)  # a start that is delivered after a crash needs it

    def _record(self, state: ExecutionState, events: list[Event]) -> None:
        turn = self.turn
        turn.add(state.execution_id, state.seq - len(events) + 1, events)
        if state.is_ended:
            turn.ended[state.execution_id] = state
        self.carrier.recorded(state)
        self._store(state.graph)
        tenth = self._settings.limits.history_events // 10
        if state.seq - len(events) < tenth <= state.seq:
            log.warning("a tenth of its history is used up", extra={"execution": state.execution_id})

    def _store(self, graph: Graph) -> None:
        """Have a definition stored with the turn, unless it is."""
        if graph.hash not in self.stored:
            self.stored.add(graph.hash)
            self.turn.store(graph.hash, graph.definition)

    # --- leaving ------------------------------------------------------------------------------------

    def _quarantine(self, state: ExecutionState, bug: Exception) -> None:
        """Set an execution aside whose deciding broke; what was recorded of it stays true."""
        stream = state.execution_id
        log.error("execution quarantined", extra={"execution": stream}, exc_info=bug)
        self._residents.quarantine(stream, f"{type(bug).__name__}: {bug}")
        self.left(stream)
        self.closures.give_up(stream, self._quarantine_error(stream))

    def left(self, stream: str) -> None:
        """The execution is not in memory any more."""
        self._going_on.discard(stream)
        self.carrier.forget(stream)
