"""One input after another decided into the open turn, with all that follows within it.

It never waits and commits nothing; the turn it fills is kept by `runtime/recording` and handed on by
`runtime/turns`. One execution whose deciding breaks is set aside, and the others go on.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.decide.decider import decide
from asyncflow.decide.evolve import evolve
from asyncflow.decide.step import Context
from asyncflow.errors import AsyncflowError, NotCommitted, StoreError
from asyncflow.model.effects import Proceed
from asyncflow.model.events import Event, MessageQueued
from asyncflow.model.inputs import (
    AttemptAdmitted,
    AttemptEnded,
    AttemptsTold,
    Continue,
    Input,
    Message,
    StartExecution,
)
from asyncflow.model.limits import DEFAULT_LIMITS, Limits
from asyncflow.model.state import ExecutionState
from asyncflow.model.statuses import PAUSED
from asyncflow.model.turn import Moment
from asyncflow.runtime.closures import Closures
from asyncflow.runtime.finding import Finding
from asyncflow.runtime.inbox import Inbox, Then, Waiting
from asyncflow.runtime.last_touched import DECIDING, NOWHERE, LastTouched
from asyncflow.runtime.loading import Loading
from asyncflow.runtime.messages import Messages, Sent, refused
from asyncflow.runtime.open_turn import MOST_BYTES, MOST_EVENTS, Answer, refuse
from asyncflow.runtime.recording import Recording
from asyncflow.runtime.residents import Residents
from asyncflow.runtime.told_together import MOST_TOGETHER, is_alike, is_plain, together

log = logging.getLogger("asyncflow.turns")

_SLICE_INPUTS = 200
_SLICE_EVENTS = 1_000  # and others get the loop: some 15 ms
_PROCEED = Proceed()


class Carrier(Protocol):
    """Who carries out what states want; called by the turn and never awaited."""

    def changed(self, state: ExecutionState) -> Iterable[Message]:
        """Take note of `state.dirty`; give what admission lets begin, for any execution."""

    is_draining: bool
    """Whether no attempt begins any more."""

    def is_scripting(self, stream: str) -> bool:
        """Whether the execution wants a script evaluated."""

    def holds(self, stream: str, admitted: AttemptAdmitted) -> bool:
        """Whether a grant that is on its way is still good."""

    def check_room(self, state: ExecutionState) -> None:
        """Return if a start that was decided and is not recorded yet may be. Raises Refused."""

    def not_begun(self, stream: str, admitted: AttemptAdmitted) -> Iterable[Message]:
        """Nothing came of a grant: what it gives others instead."""

    def active_domains(self, moment: Moment) -> Mapping[str, frozenset[str]]:
        """By task name, the domains whose workers polled lately."""

    def close_turn(self) -> None:
        """The turn is complete: snapshot what is only right at its end."""

    def committed(self) -> None:
        """What this turn wanted may be started, and what it gave up is to be stopped."""

    def recorded(self, state: ExecutionState) -> None:
        """The state has new events in the turn that is open."""

    def set_aside(self, state: ExecutionState) -> None:
        """What the state shows now never happened: nobody is to be shown it."""

    def forget(self, stream: str) -> None:
        """The execution left memory."""


@dataclass(frozen=True, slots=True)
class DecidingSettings:
    """What deciding is bounded by, what expressions see of the environment, and who keeps what it is at."""

    limits: Limits = DEFAULT_LIMITS
    environment: Mapping[str, str] = field(default_factory=dict)
    touched: LastTouched = NOWHERE


class Deciding:
    """What happens between the inbox and the open turn; the carrier is attached before anything arrives."""

    carrier: Carrier

    def __init__(
        self,
        residents: Residents,
        loading: Loading,
        catalog: DefinitionCatalog,
        *,
        inbox: Inbox,
        recording: Recording,
        settings: DecidingSettings,
    ) -> None:
        """Nothing was decided."""
        self.closures = Closures(self._is_scripting, residents.quarantined)
        self._residents, self._states = residents, residents.states
        self._catalog, self._inbox, self._recording = catalog, inbox, recording
        self._settings = settings
        self._finding = Finding(residents, loading, catalog, inbox=inbox)
        self._messages = Messages(self, residents, loading, self.closures)
        self._going_on: set[str] = set()
        self._known: Context | None = None
        self._slice_end = self._followers = self._begun = 0
        self._entropy = random.Random()  # noqa: S311 - spreads retries, guards nothing

    def _is_scripting(self, stream: str) -> bool:
        return self.carrier.is_scripting(stream)

    def decide_slice(self, most: int = _SLICE_INPUTS) -> int:
        """Decide what has arrived, until others should get the loop or the turn is full; how many it was."""
        inbox, items, turn = self._inbox, self._inbox.items, self._recording.turn
        self._slice_end = min(turn.count + _SLICE_EVENTS, MOST_EVENTS)
        most = min(most, _SLICE_INPUTS)
        there, decided, self._followers = len(items), 0, 0
        while decided < most and decided < there + self._followers and self.has_room:
            waiting, inputs = items.popleft(), 1
            if items and is_alike(waiting, items[0]) and is_alike(waiting, waiting):
                left = min(most, there + self._followers) - decided
                waiting, inputs = together(waiting, items, min(left, MOST_TOGETHER))
            inbox.bytes -= waiting.size
            decided += inputs
            try:
                self._decide_one(waiting)
            except BaseException as bug:
                # The engine stops; whoever waits for just this input is in no queue any more.
                refuse(waiting.answer, StoreError(f"the engine stopped: {type(bug).__name__}: {bug}"))
                raise
        self._settings.touched.left()
        return decided

    @property
    def has_room(self) -> bool:
        """Whether more may be decided before others get the loop, and in this turn."""
        turn = self._recording.turn
        return turn.count < self._slice_end and turn.bytes < MOST_BYTES

    # --- one input --------------------------------------------------------------------------------

    def _decide_one(self, waiting: Waiting) -> None:
        """Decide an input and all that follows from it within this turn."""
        stream, given, answer, size, is_pinned, _, then = waiting
        state = self._states.get(stream)
        if state is None:
            state = self._finding.find(waiting)
            if state is None:
                return
        if is_pinned:
            self._residents.unpin(stream)
        if type(given) is Continue:
            self._going_on.discard(stream)
            if state.outbox:
                self._messages.deliver(state)
        self._recording.turn.bytes += size
        try:
            sent = self._decide(state, given, is_asked=answer is not None)
        except AsyncflowError as refusal:
            refuse(answer, refusal)
            return
        if sent:
            self._messages.send(sent)
        if answer is not None:
            if then is not None:
                self._go_on_with(then, answer, state)
            self._answer(answer, state)
        if stream in self.closures:
            for ready, shown in self.closures.look(state):
                self._recording.answer(ready, shown)

    def _go_on_with(self, then: Then, answer: Answer, state: ExecutionState) -> None:
        """Do what was to follow an input; what it reports belongs to this turn. See `Inbox.submit`."""
        is_set_aside = state.execution_id in self._residents.quarantined
        if answer.done() or is_set_aside or not self.closures.is_complete(state):
            return
        there = len(self._inbox.items)
        then()
        self._followers += len(self._inbox.items) - there

    def _answer(self, answer: Answer, state: ExecutionState) -> None:
        if state.execution_id in self._residents.quarantined:
            refuse(answer, self._finding.quarantine_error(state.execution_id))
        elif self.closures.is_complete(state):
            self._recording.answer(answer, state)
        else:
            self.closures.hold(answer, state)

    def _check_room(self, state: ExecutionState) -> None:
        """An execution that is refused when it is started was never there."""
        try:
            self.carrier.check_room(state)
        except AsyncflowError:
            self._states.pop(state.execution_id, None)
            raise

    def _decide(self, state: ExecutionState, given: Input, *, is_asked: bool = False) -> list[Sent]:
        """One input on one state, and what admission adds to it; `is_asked`: somebody can be refused."""
        context = self._context()
        self._settings.touched.at(DECIDING, state.execution_id)
        sent: list[Sent] = []
        self._begun, inputs = 1, [given]
        for each in inputs:  # which grows as more begins by it
            good = self._still_good(state.execution_id, each)
            if good is None:
                continue
            records = state.next_number
            try:
                step = decide(state, good, context)
                self._slice_end -= state.next_number - records  # of a wide fork they are one event
                if is_asked and state.awaits_slot and state.seq == len(step.events):
                    self._check_room(state)
                if step.events:
                    self._recording.record(state, step.events)
                    self.carrier.recorded(state)
                elif type(good) is AttemptAdmitted:
                    self._begin(state, self.carrier.not_begun(state.execution_id, good), inputs)
                if state.dirty:
                    self._begin(state, self.carrier.changed(state), inputs)
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

    def _begin(self, state: ExecutionState, messages: Iterable[Message], inputs: list[Input]) -> None:
        """What may begin begins in this turn; very many beginnings take their turn in the inbox."""
        here: list[Input] = []
        for message in messages:
            if message.to == state.execution_id and self._begun < _SLICE_INPUTS:
                self._begun += 1
                (here if is_plain(message.input) else inputs).append(message.input)
            else:
                self._inbox.items.append(Waiting(message.to, message.input, None))
                self._followers += 1  # a slot that frees is handed on within the turn
        for first in range(0, len(here), MOST_TOGETHER):
            some = here[first : first + MOST_TOGETHER]
            inputs.append(AttemptsTold(some) if len(some) > 1 else some[0])

    def _still_good(self, stream: str, given: Input) -> Input | None:
        """The input without grants that were given back before they came here; None where nothing is left."""
        if type(given) is AttemptAdmitted:
            return given if self.carrier.holds(stream, given) else None
        if type(given) is AttemptsTold:
            reports = given.reports
            left = [each for each in reports if type(each) is AttemptEnded or self._still_good(stream, each)]
            return given if len(left) == len(reports) else AttemptsTold(left) if left else None
        return given

    def _context(self) -> Context:
        """What deciding knows, the same for all inputs of a moment."""
        moment, known = self._recording.moment(), self._known
        if known is None or known.moment is not moment or known.begins is self.carrier.is_draining:
            settings = self._settings
            known = self._known = Context(
                moment,
                self._entropy.getrandbits(64),
                self._catalog,
                settings.limits,
                environment=settings.environment,
                active_domains=self.carrier.active_domains(moment),
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
            self._inbox.put(Waiting(stream, Continue(), None))

    def receive(self, message: Message) -> list[Sent]:
        """Decide a message whose receiver is here, or begins with it; what it sends in turn."""
        state = self._states.get(message.to)
        if state is None:
            assert isinstance(message.input, StartExecution)  # the caller looked
            state = self._finding.new(message.to, message.input)
        try:
            return self._decide(state, message.input)
        except AsyncflowError as refusal:
            refused(message, refusal)
            return []

    def emit(self, state: ExecutionState, event: Event) -> None:
        """Make a fact true and record it."""
        evolve(state, event, self._recording.moment().elapsed_ms)
        self._recording.record(state, [event])
        self.carrier.recorded(state)
        if type(event) is MessageQueued:
            started = state.outbox[-1].graph
            if started is not None:
                self._recording.store(started)  # a start that is delivered after a crash needs it

    # --- leaving ------------------------------------------------------------------------------------

    def _quarantine(self, state: ExecutionState, bug: Exception) -> None:
        """Set an execution aside whose deciding broke; what was recorded of it stays true."""
        stream = state.execution_id
        log.error("execution quarantined", extra={"execution": stream}, exc_info=bug)
        self._residents.quarantine(stream, f"{type(bug).__name__}: {bug}", kind="bug")
        self.left(stream)
        self.carrier.set_aside(state)
        error = self._finding.quarantine_error(stream)
        self.closures.give_up(stream, error)
        self._inbox.disappoint(error, stream)

    def stuck(self, refusal: NotCommitted) -> None:
        """There is no room, and who waits is not to wait for that: what is decided is tried again alone."""
        self._recording.disappoint(refusal)
        self.closures.refuse(refusal)

    def left(self, stream: str) -> None:
        """The execution is not in memory any more."""
        self._going_on.discard(stream)
        self.carrier.forget(stream)
