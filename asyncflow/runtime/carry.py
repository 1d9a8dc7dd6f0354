"""Effects carried out: what states want is started, what they no longer want is stopped.

Timers and scripts begin at once; attempts begin when the turn that admitted them is durable.
Admission is asked within the turn, so freed capacity is handed on in it. Performing an attempt
is `runtime/attempts`; nothing here awaits.
"""

from __future__ import annotations

from collections.abc import Container, Iterable
from typing import Protocol

from pydantic_core import to_json

from asyncflow.decide.admission import Admission
from asyncflow.errors import LimitExceeded
from asyncflow.model.effects import Admit, Effect, Proceed, RunAttempt, RunScript, Timer
from asyncflow.model.inputs import AttemptAdmitted, AttemptEnded, Message, TimerDue
from asyncflow.model.limits import Limits
from asyncflow.model.resources import Grant, ResourceLimit, Waiter
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import FAILED_TERMINALLY
from asyncflow.model.turn import Moment
from asyncflow.runtime.clock import Clock
from asyncflow.runtime.needs import implicit_limit, implicit_resource, needs_of, priority_of
from asyncflow.runtime.projection import Projection
from asyncflow.runtime.timers import TimerKey, Wheel
from asyncflow.runtime.turns import Turns

_ADMIT = "admit"
_FUNCTIONS = frozenset({"loop", "thread", "process"})
_CLOCK_JUMP_MS = 500

Key = tuple[str, int]


class Performer(Protocol):
    """Who performs attempts and scripts."""

    def start(self, state: ExecutionState, task: TaskState, payload: bytes) -> None:
        """Begin an attempt; its end comes back as a report."""

    def cancel(self, key: Key) -> None:
        """Break an attempt off, if it is still under way."""

    def start_script(self, state: ExecutionState, number: int, iteration: int) -> None:
        """Evaluate a script; its value comes back as a report."""


class Carry:
    """What is under way for every execution in memory, compared with what is wanted.

    Between turns `carried` equals what states want, except attempts that wait for the commit
    of the turn that admitted them.
    """

    def __init__(
        self,
        clock: Clock,
        performer: Performer,
        admission: Admission,
        *,
        turns: Turns,
        projection: Projection,
        functions: Container[str],
        limits: Limits,
    ) -> None:
        """Carry nothing yet; `functions` are the names that can be performed in this process."""
        self.wheel = Wheel()
        self.admission = admission
        self._clock, self._performer = clock, performer
        self._turns, self._states, self._report = turns, turns.states, turns.report
        self._projection, self._functions, self._limits = projection, functions, limits
        self.unloaded: dict[Key, str] = {}
        self._carried: dict[str, dict[int, tuple[Effect, ...]]] = {}
        self._requested: set[Key] = set()
        self._known_limits: set[str] = set()
        self._payloads: dict[Key, bytes] = {}
        self._starting: list[tuple[str, RunAttempt]] = []
        self._stopping: list[Key] = []
        self._closed: tuple[list[tuple[str, RunAttempt]], list[Key]] = ([], [])
        self._calendar: dict[TimerKey, int] = {}
        self._offset_ms: int | None = None

    # --- in the turn ----------------------------------------------------------------------------

    def changed(self, state: ExecutionState) -> Iterable[Message]:
        """Start and stop what differs for the records whose effects changed."""
        stream = state.execution_id
        carried = self._carried.get(stream)
        if carried is None:
            carried = self._carried[stream] = {}
        found: list[Message] = []
        dirty = state.dirty
        for number in dirty:
            new = state.wanted.get(number, ())
            old = carried.get(number, ())
            if new == old:
                continue
            if new:
                carried[number] = new
            else:
                del carried[number]
            for effect in old:
                if effect not in new:
                    found += self._stop(stream, effect)
            for effect in new:
                if effect not in old:
                    found += self._start(state, effect)
        dirty.clear()
        if not carried:
            del self._carried[stream]
        return found

    def _start(self, state: ExecutionState, effect: Effect) -> Iterable[Message]:
        stream = state.execution_id
        match effect:
            case Admit(number, due_ms):
                if due_ms > self._clock.now().elapsed_ms:
                    self.wheel.set(TimerKey(stream, number, _ADMIT), due_ms)
                    return ()
                return self._request(state, number)
            case RunAttempt():
                self._starting.append((stream, effect))
            case RunScript(number, iteration):
                self._performer.start_script(state, number, iteration)
            case Timer(number, kind, due_ms, clock):
                self._set_timer(TimerKey(stream, number, kind), due_ms, calendar=clock == "wall")
            case Proceed():
                pass  # the turn sees to it
        return ()

    def _stop(self, stream: str, effect: Effect) -> Iterable[Message]:
        match effect:
            case Admit(number, _):
                return self._withdraw(stream, number)
            case RunAttempt(number, _):
                self._stopping.append((stream, number))
                return self._release(stream, number)
            case Timer(number, kind, _, _):
                key = TimerKey(stream, number, kind)
                self.wheel.cancel(key)
                self._calendar.pop(key, None)
            case RunScript() | Proceed():
                pass  # a script ends by its own limits, and its report will be stale
        return ()

    def _request(self, state: ExecutionState, number: int) -> Iterable[Message]:
        """Ask admission; tasks that need nothing begin without it."""
        task = state.tasks[number]
        stream = state.execution_id
        if task.executor in _FUNCTIONS and (task.name or task.node.name) not in self._functions:
            self.unloaded[stream, number] = task.name or task.node.name
            return ()
        payload = b"{}" if not task.input else to_json(task.input)
        if len(payload) > self._limits.payload_bytes:
            limit = LimitExceeded(
                "payload_too_large: task input in bytes",
                allowed=self._limits.payload_bytes,
                actual=len(payload),
            )
            return (Message(stream, AttemptEnded(number, FAILED_TERMINALLY, {}, str(limit))),)
        key = (stream, number)
        self._payloads[key] = payload
        needs = needs_of(state, task)
        if not needs:
            return (Message(stream, AttemptAdmitted(number, input_bytes=len(payload))),)
        now_ms = self._clock.now().elapsed_ms
        self._know_limit(task)
        self._requested.add(key)
        waiter = Waiter(key, needs, priority_of(state, task), stream, now_ms)
        try:
            grant = self.admission.request(waiter, now_ms)
        except LimitExceeded as refusal:
            self._requested.discard(key)
            return (Message(stream, AttemptEnded(number, FAILED_TERMINALLY, {}, str(refusal))),)
        return () if grant is None else (self._admitted(grant),)

    def _know_limit(self, task: TaskState) -> None:
        """Tell admission of a limit that a definition brought; registered ones are told when they change."""
        limit = implicit_limit(task.node)
        name = task.name or task.node.name
        if limit is not None and name not in self._known_limits:
            self._known_limits.add(name)
            self.admission.set_limit(implicit_resource(name), limit)

    def set_limit(self, resource: str, limit: ResourceLimit | None) -> None:
        """Change a limit while it is in use; what fits now begins."""
        self._known_limits.add(resource.removeprefix("task:"))
        for grant in self.admission.set_limit(resource, limit):
            message = self._admitted(grant)
            self._report(message.to, message.input)

    def _admitted(self, grant: Grant) -> Message:
        stream, number = grant.waiter.key
        grants: list[list[object]] = [[n.resource, n.weight, n.mode, n.key] for n in grant.waiter.needs]
        size = len(self._payloads.get((stream, number), b""))
        return Message(stream, AttemptAdmitted(number, grants, grant.fence, input_bytes=size))

    def _withdraw(self, stream: str, number: int) -> Iterable[Message]:
        """The record is admitted, or wants nothing any more."""
        self.wheel.cancel(TimerKey(stream, number, _ADMIT))
        key = (stream, number)
        self.unloaded.pop(key, None)
        state = self._states.get(stream)
        task = None if state is None else state.tasks.get(number)
        if task is not None and task.grants is not None:
            return ()  # it holds now what it asked for, until its attempt ends
        self._payloads.pop(key, None) if task is None or task.is_ended else None
        return self._release(stream, number)

    def _release(self, stream: str, number: int) -> Iterable[Message]:
        key = (stream, number)
        if key not in self._requested:
            return ()
        self._requested.discard(key)
        now_ms = self._clock.now().elapsed_ms
        return [self._admitted(grant) for grant in self.admission.withdraw(key, now_ms)]

    # --- time -----------------------------------------------------------------------------------

    def _set_timer(self, key: TimerKey, due_ms: int, *, calendar: bool) -> None:
        if calendar:
            self._calendar[key] = due_ms
            now = self._clock.now()
            due_ms = now.elapsed_ms + (due_ms - now.wall_ms)
        self.wheel.set(key, due_ms)

    def next_due(self) -> int | None:
        """When time has to be looked at again, on the elapsed clock."""
        timer, refill = self.wheel.next_due(), self.admission.next_due_ms()
        if timer is None or refill is None:
            return timer if refill is None else refill
        return min(timer, refill)

    def on_time(self, now: Moment) -> None:
        """Report what has come due."""
        if self._calendar:
            self._follow_calendar(now)
        for key in self.wheel.due(now.elapsed_ms):
            if key.kind == _ADMIT:
                state = self._states.get(key.stream)
                if state is not None:
                    for message in self._request(state, key.number):
                        self._report(message.to, message.input)
            else:
                self._calendar.pop(key, None)
                self._report(key.stream, TimerDue(key.number, key.kind))
        refill = self.admission.next_due_ms()
        if refill is not None and refill <= now.elapsed_ms:
            for grant in self.admission.advance(now.elapsed_ms):
                message = self._admitted(grant)
                self._report(message.to, message.input)

    def _follow_calendar(self, now: Moment) -> None:
        """Set calendar timers anew after the wall clock was moved against the elapsed one."""
        offset = now.wall_ms - now.elapsed_ms
        if self._offset_ms is None or abs(offset - self._offset_ms) > _CLOCK_JUMP_MS:
            self._offset_ms = offset
            for key, due_ms in self._calendar.items():
                self.wheel.set(key, due_ms - offset)

    # --- around the commit ----------------------------------------------------------------------

    def close_turn(self) -> None:
        """The turn is complete: what it wants started belongs to its commit."""
        self._closed = (self._starting, self._stopping)
        self._starting, self._stopping = [], []
        self._projection.close_turn(self._turns.number)

    def committed(self, number: int) -> None:
        """Stop what the turn gave up and start what it admitted, unless it is unwanted already."""
        starting, stopping = self._closed
        self._closed = ([], [])
        for key in stopping:
            self._payloads.pop(key, None)
            self._performer.cancel(key)
        for stream, effect in starting:
            state = self._states.get(stream)
            if state is None or effect not in state.wanted.get(effect.number, ()):
                continue
            payload = self._payloads.pop((stream, effect.number), None)
            task = state.tasks[effect.number]
            self._performer.start(state, task, payload if payload is not None else to_json(task.input))
        self._projection.committed()

    def recorded(self, state: ExecutionState) -> None:
        """The execution has new events, so its rows in the views are out of date."""
        self._projection.touched(state)

    def restore(self, state: ExecutionState) -> None:
        """Take up an execution that was loaded: its grants first, its effects with the next turn."""
        for number in state.wanted:
            task = state.tasks.get(number)
            if task is not None and task.grants is not None:
                key = (state.execution_id, number)
                self._requested.add(key)
                self.admission.restore(key, needs_of(state, task), task.fence, task.started_ms)
        running = {
            number: tuple(effect for effect in effects if isinstance(effect, RunAttempt))
            for number, effects in state.wanted.items()
        }
        self._carried[state.execution_id] = {
            number: effects for number, effects in running.items() if effects
        }
        state.dirty[:] = list(state.wanted)

    def functions_loaded(self) -> None:
        """Ask again for the tasks whose function was missing."""
        for key in [key for key, name in self.unloaded.items() if name in self._functions]:
            del self.unloaded[key]
            state = self._states.get(key[0])
            if state is not None:
                for message in self._request(state, key[1]):
                    self._report(message.to, message.input)

    def forget(self, stream: str) -> None:
        """The execution left memory; what it still had under way is stopped."""
        for number, effects in list(self._carried.pop(stream, {}).items()):
            for effect in effects:
                for message in self._stop(stream, effect):
                    self._report(message.to, message.input)
            self._performer.cancel((stream, number))

    @property
    def waiting(self) -> int:
        """Attempts admitted whose turn is not durable yet."""
        return len(self._starting) + len(self._closed[0])
