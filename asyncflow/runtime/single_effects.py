"""One effect of one record begun or stopped: asked for, offered, timed, handed to whoever performs it.

What differs between two turns is found in `runtime/carry`; attempts and jobs begin with the commit of their
turn, see `runtime/starting`. Nothing here awaits.
"""

from __future__ import annotations

from collections.abc import Iterable

from asyncflow.model.effects import (
    Admit,
    Effect,
    Hold,
    Lease,
    Offer,
    Proceed,
    RunAttempt,
    RunScript,
    Timer,
)
from asyncflow.model.holds import hold_of_key
from asyncflow.model.inputs import Message
from asyncflow.model.state import ExecutionState
from asyncflow.runtime.admitting import Admitting
from asyncflow.runtime.clock import Clock
from asyncflow.runtime.hand_out import HandOut
from asyncflow.runtime.jobs import Jobs
from asyncflow.runtime.slots import Slots
from asyncflow.runtime.starting import Starting
from asyncflow.runtime.timers import TimerKey
from asyncflow.runtime.timetable import Timetable
from asyncflow.runtime.turns import Turns

ADMIT = "admit"
"""The kind of the timers that ask for a record that is due later."""


class SingleEffects:
    """Begins and stops effects, and counts the scripts of each execution."""

    def __init__(  # noqa: PLR0913 - put together in one place
        self,
        clock: Clock,
        starting: Starting,
        timetable: Timetable,
        *,
        turns: Turns,
        admitting: Admitting,
        slots: Slots,
        hand_out: HandOut,
        jobs: Jobs,
    ) -> None:
        """Nothing is under way."""
        self.starting, self.timetable, self.slots, self.hand_out = starting, timetable, slots, hand_out
        self.admitting, self.jobs = admitting, jobs
        self._clock, self._turns = clock, turns
        self._scripts: dict[str, int] = {}

    def start(self, state: ExecutionState, effect: Effect) -> Iterable[Message]:
        """Begin an effect; what has to be decided because of that."""
        stream = state.execution_id
        if type(effect) is RunAttempt:  # by far the most
            self.starting.wanted.append((stream, effect))
            return ()
        match effect:
            case Admit(0):
                return self.slots.request(state)
            case Admit(number, due_ms):
                if due_ms and due_ms > self._turns.moment().elapsed_ms:
                    self.timetable.set(TimerKey(stream, number, ADMIT), due_ms)
                    return ()
                return self.admitting.request(state, number)
            case Offer():
                return self.hand_out.offered(state, effect)
            case Lease():
                self.hand_out.leased(state, effect)
            case RunScript(number, iteration):
                self._scripts[stream] = self._scripts.get(stream, 0) + 1
                self.starting.performer.start_script(state, number, iteration)
            case Timer(number, kind, due_ms, clock):
                key = TimerKey(stream, number, kind)
                if clock == "wall":
                    self.timetable.set_calendar(key, due_ms, self._clock.now())
                else:
                    self.timetable.set(key, self._turns.catalog.downtimes.due_ms(effect))
            case Hold(number) if number:
                self.admitting.keep(state, state.holds[hold_of_key(number)])
            case Proceed() | Hold():
                pass  # the turn sees to it; a slot was given before
        return ()

    def stop(self, stream: str, effect: Effect) -> Iterable[Message]:
        """Stop one that is not wanted any more; what has to be decided because of that."""
        if type(effect) is RunAttempt:  # by far the most
            key = (stream, effect.number)
            self.starting.unwanted.append(key)
            return self.admitting.release(key)
        match effect:
            case Hold(number) if number:
                return self.admitting.release((stream, number))
            case Admit(0) | Hold():
                state = self._turns.states.get(stream)
                has_slot = state is not None and Hold(0) in state.wanted.get(0, ())
                return () if has_slot else self.slots.release(stream)
            case Admit(number, due_ms):
                if due_ms:
                    self.timetable.cancel(TimerKey(stream, number, ADMIT))
                state = self._turns.states.get(stream)
                serial = 0 if state is None else state.job_of.get(number, 0)
                if serial:
                    self.admitting.begun((stream, number), (stream, -serial))
                    return ()
                return self.admitting.withdraw(
                    (stream, number), None if state is None else state.tasks.get(number)
                )
            case Offer(number):
                return self.hand_out.withdrawn(self._turns.states.get(stream), (stream, number))
            case Lease(number):
                return self.hand_out.ended(self._turns.states.get(stream), (stream, number))
            case Timer(number, kind):
                self.timetable.cancel(TimerKey(stream, number, kind))
            case RunScript():
                self._script_over(stream)  # it ends by its own limits, and its report will be stale
            case Proceed():
                pass
        return ()

    def job_changed(self, state: ExecutionState, serial: int) -> Iterable[Message]:
        """See to a job that is made or in another phase, once that is durable; forget one that is over."""
        stream = state.execution_id
        if serial in state.jobs:
            self.starting.wanted.append((stream, serial))
            return ()
        self.jobs.forget(stream, serial)
        return self.admitting.release((stream, -serial))

    def _script_over(self, stream: str) -> None:
        left = self._scripts.pop(stream, 1) - 1
        if left:
            self._scripts[stream] = left

    def is_scripting(self, stream: str) -> bool:
        """Whether the execution wants a script evaluated."""
        return stream in self._scripts

    def forget(self, stream: str) -> None:
        """The execution left memory."""
        self._scripts.pop(stream, None)
        self.jobs.forget_all(stream)  # they go on outside, and keep their slots and instances from others
