"""Effects carried out: what states want is started, what they no longer want is stopped.

Timers and scripts begin at once; attempts begin when the turn that admitted them is durable.
Freed capacity is handed on within the turn. Performing an attempt is `runtime/attempts`, who may
begin is `runtime/admitting`; nothing here awaits.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping

from asyncflow.decide.admission import Admission
from asyncflow.model.effects import (
    Effect,
    Hold,
    RunAttempt,
    RunScript,
)
from asyncflow.model.events import Event, WorkflowRegistered, WorkflowUnregistered
from asyncflow.model.holds import hold_of_key
from asyncflow.model.inputs import AttemptAdmitted, Message, TimerDue
from asyncflow.model.limits import Limits
from asyncflow.model.resources import ResourceLimit
from asyncflow.model.state import ExecutionState
from asyncflow.model.turn import Moment
from asyncflow.runtime.admitting import Admitting
from asyncflow.runtime.clock import Clock
from asyncflow.runtime.demand import HandOutSettings
from asyncflow.runtime.hand_out import HandOut
from asyncflow.runtime.jobs import Jobs
from asyncflow.runtime.jobs.seams import ResourcePool
from asyncflow.runtime.placing import Placing
from asyncflow.runtime.projection import Projection
from asyncflow.runtime.single_effects import ADMIT, SingleEffects
from asyncflow.runtime.slots import Slots
from asyncflow.runtime.starting import Performer, Starting
from asyncflow.runtime.timetable import Timetable
from asyncflow.runtime.turns import Turns

Key = tuple[str, int]
_MOST_CHANGES = 500  # records whose effects are compared in one round of the loop: 25 ms, where all ask


class Carry:
    """What is under way for every execution in memory, compared with what is wanted.

    Between turns what is carried equals what states want, except attempts that wait for the commit
    of the turn that admitted them.

    Attributes:
        errands: what is under way for schedules and event handlers; virtual time waits for it.
        is_draining: whether no attempt begins any more.
        recorded: told of an execution that has new events, so that its rows in the views are out of date.
    """

    def __init__(  # noqa: PLR0913 - put together in one place
        self,
        clock: Clock,
        performer: Performer,
        admission: Admission,
        *,
        turns: Turns,
        projection: Projection,
        functions: Container[str],
        limits: Limits,
        hand_out: HandOutSettings,
        pool: ResourcePool,
        jobs: Jobs,
    ) -> None:
        """Carry nothing yet; `functions` are the names that can be performed in this process."""
        self.errands, self.is_draining = 0, False
        self.timetable = Timetable()
        self.admission = admission
        self.jobs = jobs
        placing = Placing(pool, turns.catalog.cancel_graces)
        self.admitting = Admitting(
            clock, admission, functions=functions, limits=limits, placing=placing, states=turns.states
        )
        self.slots = Slots(self.admitting, turns.catalog)
        self.check_room = self.slots.check_room  # of a start that is not recorded yet
        self.hand_out = HandOut(clock, self.admitting, self.timetable, turns=turns, settings=hand_out)
        self._clock, self._performer = clock, performer
        self._turns, self._states, self._report = turns, turns.states, turns.report
        self._projection, self.recorded = projection, projection.touched
        self._carried: dict[str, dict[int, tuple[Effect, ...]]] = {}
        self._behind: dict[str, ExecutionState] = {}  # not all of what changed is carried out
        self._room = _MOST_CHANGES  # until the next round
        self._starting = Starting(performer, self.admitting, turns, jobs=jobs)
        self._effects = SingleEffects(
            clock,
            self._starting,
            self.timetable,
            turns=turns,
            admitting=self.admitting,
            slots=self.slots,
            hand_out=self.hand_out,
            jobs=jobs,
        )

    def perform_by(self, performer: Performer) -> None:
        """Have somebody else perform attempts and scripts from here on."""
        self._performer = self._starting.performer = performer

    # --- in the turn ----------------------------------------------------------------------------

    def changed(self, state: ExecutionState) -> Iterable[Message]:
        """Start and stop what differs for the records whose effects changed; of very many the first.

        The others follow with what is decided next, or in later rounds of the loop.
        """
        stream = state.execution_id
        carried = self._carried.get(stream)
        if carried is None:
            carried = self._carried[stream] = {}
        found: list[Message] = []
        dirty, wanted = state.dirty, state.wanted
        here = min(len(dirty), self._room)
        self._room -= here
        for number in dirty if here == len(dirty) else dirty[:here]:
            if number < 0 and not hold_of_key(number):
                found += self._effects.job_changed(state, -number)
                continue
            new = wanted.get(number, ())
            old = carried.get(number, ())
            if new == old:
                continue
            if new:
                carried[number] = new
            else:
                del carried[number]
            for effect in old:
                if effect not in new:
                    found += self._effects.stop(stream, effect)
            for effect in new:
                if effect not in old:
                    found += self._effects.start(state, effect)
        del dirty[:here]
        if dirty:
            self._behind[stream] = state
        if not carried:
            del self._carried[stream]
        return found

    def _catch_up(self) -> None:
        """Go on with executions of which more changed at once than the loop may be held for."""
        while self._behind and self._room:
            stream = next(iter(self._behind))
            state = self._behind.pop(stream)
            if state.dirty and self._states.get(stream) is state:
                self.report_all(self.changed(state))
        self._start_durable()

    def _start_durable(self) -> None:
        """Start what was left for a later round, where no commit comes any more that it would begin with."""
        if self._turns.is_durable:
            self._starting.close_turn()
            self._starting.committed()
            self.hand_out.close_turn()
            self.hand_out.committed()

    def is_scripting(self, stream: str) -> bool:
        """Whether the execution wants a script evaluated, also where that is left for a later round."""
        if self._effects.is_scripting(stream):
            return True
        state = self._behind.get(stream)
        left = () if state is None else (state.wanted.get(number, ()) for number in state.dirty)
        return any(type(effect) is RunScript for effects in left for effect in effects)

    def holds(self, stream: str, admitted: AttemptAdmitted) -> bool:
        """Whether a grant that is on its way is still good."""
        key = (stream, admitted.number)
        if admitted.ticket:
            return self.hand_out.holds(key, admitted.ticket)
        if admitted.grants and not self.admitting.holds(key, admitted.fence):
            return False
        return not admitted.instance or self.admitting.placing.has(key, admitted.resource, admitted.instance)

    def not_begun(self, stream: str, admitted: AttemptAdmitted) -> Iterable[Message]:
        """Nothing came of a grant: give back what a worker elsewhere was to have."""
        return self.hand_out.not_begun((stream, admitted.number), admitted.ticket) if admitted.ticket else ()

    def active_domains(self, moment: Moment) -> Mapping[str, frozenset[str]]:
        """By task name, the domains whose workers polled lately."""
        return self.hand_out.roll.active_domains(moment.elapsed_ms)

    def report_all(self, messages: Iterable[Message]) -> None:
        """Have these decided, in order, in the turn that is open or in the next."""
        for message in messages:
            self._report(message.to, message.input)

    # --- from outside of turns --------------------------------------------------------------------

    def set_limit(self, resource: str, limit: ResourceLimit | None) -> None:
        """Change a limit while it is in use; what fits now begins."""
        self.report_all(self.admitting.set_limit(resource, limit))

    def catalog_changed(self, event: Event) -> None:
        """Another definition of a workflow may be the newest; what its limit of executions admits begins."""
        if isinstance(event, WorkflowRegistered | WorkflowUnregistered):
            self.report_all(self.slots.definition_changed(event.name))

    def next_due(self) -> int | None:
        """When time has to be looked at again, on the elapsed clock."""
        if self._behind:
            return 0
        dues = self.timetable.next_due(), self.admission.next_due_ms(), self.jobs.next_due()
        return min((due for due in dues if due is not None), default=None)

    def on_time(self, now: Moment) -> None:
        """Report what has come due, and go on with what was left for a later round."""
        self._room = _MOST_CHANGES
        if self._behind:
            self._catch_up()
        for key in self.timetable.due(now):
            own = self.hand_out.on_due.get(key.kind)
            if own is not None:
                own(key)
            elif key.kind == ADMIT:
                self._ask_again((key.stream, key.number))
            else:
                self._report(key.stream, TimerDue(key.number, key.kind))
        self.report_all(self.admitting.refilled(now.elapsed_ms))
        self.jobs.on_time(now.elapsed_ms)

    def _ask_again(self, key: Key) -> None:
        state = self._states.get(key[0])
        if state is not None:
            self.report_all(self.admitting.request(state, key[1]))

    def functions_loaded(self) -> None:
        """Ask again for the tasks whose function was missing."""
        for key in self.admitting.loaded():
            self._ask_again(key)

    def drain(self) -> None:
        """Begin no attempt any more; what runs goes on."""
        self.is_draining = self.admitting.is_draining = True
        self.hand_out.close()

    # --- around the commit ----------------------------------------------------------------------

    def close_turn(self) -> None:
        """The turn is complete: what it wants started belongs to its commit."""
        self._starting.close_turn()
        self.hand_out.close_turn()
        self._projection.close_turn(self._turns.number)

    def committed(self) -> None:
        """Stop what the turn gave up and start what it admitted, unless it is unwanted already."""
        self._starting.committed()
        self.hand_out.committed()
        self._projection.committed()
        if self._starting.wanted or self._starting.unwanted:
            self._start_durable()

    def set_aside(self, state: ExecutionState) -> None:
        """The execution broke in deciding: the views keep what they have of it."""
        self._projection.drop(state)

    # --- coming and going -------------------------------------------------------------------------

    def restore(self, state: ExecutionState) -> None:
        """Take up an execution that was loaded: its grants first, its effects with the next turn."""
        self.admitting.restore(state)
        self.slots.restore(state)
        for serial in state.jobs:
            self._starting.see_to(state, serial, is_recovered=True)
        if running := _running(state):
            self._carried[state.execution_id] = running
        state.dirty[:] = [number for number in state.wanted if number >= 0]  # jobs and holds go on already

    def forget(self, stream: str) -> None:
        """The execution left memory; what it still had under way is stopped."""
        for number, effects in list(self._carried.pop(stream, {}).items()):
            for effect in effects:
                self.report_all(self._effects.stop(stream, effect))
            self._performer.cancel((stream, number))
        self._effects.forget(stream)
        self._behind.pop(stream, None)

    @property
    def waiting(self) -> int:
        """What has not begun: attempts not durable yet, or too many at once; and errands."""
        return len(self._starting) + len(self._behind) + self.errands

    @property
    def is_busy(self) -> bool:
        """Whether anything is under way of which nobody knows when it ends."""
        return self.waiting > 0 or self.jobs.calls > 0


def _running(state: ExecutionState) -> dict[int, tuple[Effect, ...]]:
    """The effects that were under way when the process of an execution ended, by record or hold."""
    found = {
        number: tuple(each for each in effects if isinstance(each, RunAttempt | Hold))
        for number, effects in state.wanted.items()
    }
    return {number: kept for number, kept in found.items() if kept}
