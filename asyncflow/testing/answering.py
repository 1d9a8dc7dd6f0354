"""Scripted outcomes played to a running engine, in the place of workers, people and outside services.

It looks at what waits whenever the engine rests, and stands between the engine and its own
attempts; it decides nothing. What is answered is in `testing/outcomes`, when in `testing/clock`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from pydantic_core import from_json, to_json

from asyncflow.decide.durations import wait_due
from asyncflow.decide.gather import input_of
from asyncflow.model.inputs import AttemptAdmitted, AttemptEnded, ExtendLease, Input, UpdateTask
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import IN_PROGRESS, SCHEDULED
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine
from asyncflow.runtime.starting import Performer
from asyncflow.testing.clock import VirtualClock
from asyncflow.testing.outcomes import NEVER, NOT_TAKEN, Call, Outcome, Outcomes

WORKER: Final = "scripted"
STUB_REF: Final = "answer"
STUB_INPUT: Final = "input"
_FUNCTIONS: Final = frozenset({"loop", "thread", "process"})
_SERVICES: Final = frozenset({"http", "command"})
_FROM_OUTSIDE: Final = frozenset({"remote", "external", "wait"})

_MOST_BEATS = 100_000
"""So often an attempt that never ends says that it is alive; then it hangs, and so does no test."""

Key = tuple[str, int]


class _Play(NamedTuple):
    """An outcome on its way: to which record, in which epoch and start of it."""

    key: Key
    epoch: int
    start: int
    executor: str
    outcome: Outcome
    has_more: bool


@dataclass(slots=True)
class _Seen:
    """How far the records of one execution were looked at; `waiting` are to be looked at again."""

    epoch: int = -1
    seq: int = 0
    next_number: int = 1
    waiting: dict[int, None] = field(default_factory=dict)


class Answering:
    """Workers, people and services of an engine, played from tables of outcomes.

    Tasks of functions in this process run for real unless the table has an entry of their own.
    HTTP and COMMAND tasks run for real where `live` names their type and the table has none.

    Attributes:
        unanswered: the records that wait for an outcome that is not in the tables, by execution and number.
        rounds: how many moments of rest had something to answer.
        stubs: names of workflows whose only task stands for the whole of a child.
    """

    def __init__(
        self,
        engine: Engine,
        clock: VirtualClock,
        outcomes: Outcomes,
        *,
        sub_outcomes: Mapping[str, Outcomes] | None = None,
        live: Collection[str] = (),
    ) -> None:
        """Play nothing yet; `sub_outcomes` are tables of children, by their task's reference or name."""
        self.unanswered: dict[Key, str] = {}
        self.stubs: set[str] = set()
        self.rounds = 0
        self._clock = clock
        self._turns = engine.turns
        self._performer: Performer = engine.attempts
        self._outcomes, self._sub_outcomes = outcomes, sub_outcomes or {}
        self._live = frozenset(kind.lower() for kind in live)
        self._seen: dict[str, _Seen] = {}
        self._given = 0
        self._silence = False

    # --- in the place of the engine's own attempts ------------------------------------------------

    def start(self, state: ExecutionState, task: TaskState, payload: bytes) -> None:
        """Begin an attempt that was admitted: for real, or as scripted."""
        keyed = any(key in self._table(state) for key in self._keys(state, task))
        if not keyed and (task.executor in _FUNCTIONS or task.executor in self._live):
            self._performer.start(state, task, payload)
        else:
            self._answer(state, task)

    def cancel(self, key: Key) -> None:
        """Break an attempt off; a scripted one finds its record ended when its time comes."""
        self._performer.cancel(key)

    def start_script(self, state: ExecutionState, number: int, iteration: int) -> None:
        """Scripts run for real: they are part of the definition."""
        self._performer.start_script(state, number, iteration)

    # --- in the place of everybody outside ----------------------------------------------------------

    def look(self) -> bool:
        """Answer all that waits for somebody outside; whether there was something.

        Cost: what is new or waits still; records that were answered are not looked at again.
        """
        before = self._given
        for state in list(self._turns.states.values()):
            if not state.is_ended:
                self._look_at(state)
        gave = self._given > before
        self.rounds += gave
        return gave

    def expect_silence(self) -> None:
        """Let tasks without an outcome wait in vain from here on: they are no reason to stop."""
        self._silence = True

    def open_unanswered(self) -> list[tuple[ExecutionState, TaskState]]:
        """The records that wait in vain, of executions that go on."""
        found: list[tuple[ExecutionState, TaskState]] = []
        for stream, number in () if self._silence else self.unanswered:
            state = self._turns.states.get(stream)
            task = None if state is None else state.tasks.get(number)
            if state is not None and task is not None and not task.is_ended and not state.is_ended:
                found.append((state, task))
        return found

    def _look_at(self, state: ExecutionState) -> None:
        seen = self._seen.setdefault(state.execution_id, _Seen())
        if seen.epoch != state.epoch:
            seen.epoch, seen.next_number = state.epoch, state.next_number
            seen.waiting = dict.fromkeys(state.tasks)
        elif seen.seq == state.seq and not seen.waiting:
            return
        else:
            seen.waiting.update(dict.fromkeys(range(seen.next_number, state.next_number)))
            seen.next_number = state.next_number
        seen.seq = state.seq
        waiting, seen.waiting = seen.waiting, {}
        for number in waiting:
            task = state.tasks.get(number)
            if task is not None and not task.is_ended and task.executor in _FROM_OUTSIDE:
                self._consider(state, task)

    def _consider(self, state: ExecutionState, task: TaskState) -> None:
        now_ms = self._clock.now().elapsed_ms
        if task.executor == "remote" and task.status == SCHEDULED and task.due_ms > now_ms:
            self._look_again((state.execution_id, task.number), task.due_ms)
        elif task.executor == "wait" and wait_due(task) is not None:
            if any(key in self._table(state) for key in self._keys(state, task)):
                self._answer(state, task)
        else:
            self._answer(state, task)

    def _look_again(self, key: Key, at_ms: int) -> None:
        def look() -> None:
            self._seen[key[0]].waiting[key[1]] = None

        self._clock.call_at(at_ms, look)

    # --- answering ----------------------------------------------------------------------------------

    def _answer(self, state: ExecutionState, task: TaskState) -> None:
        key = (state.execution_id, task.number)
        given: JsonObject = from_json(to_json(input_of(task)))
        if state.name in self.stubs:
            given = given[STUB_INPUT]  # type: ignore[assignment] # the stub's definition puts the child's input there
        table = self._table(state)
        may_default = task.executor not in _FUNCTIONS
        taken = table.take(self._keys(state, task), given, default=may_default)
        if taken is None:
            self.unanswered[key] = task.ref
            return
        self.unanswered.pop(key, None)
        outcome, has_more = taken
        name = task.name or task.node.name
        at = self._clock.seconds
        exact, plain, _ = self._keys(state, task)
        table.record(plain, Call(exact, name, given, task.retry_count + 1, at, state.execution_id, outcome))
        if outcome.status != NOT_TAKEN:
            play = _Play(key, task.epoch, task.starts, task.executor, outcome, has_more)
            self._later(outcome.queued, lambda: self._begin(play))

    def _later(self, seconds: float, call: Callable[[], None]) -> None:
        if seconds:
            self._clock.call_at(self._clock.now().elapsed_ms + round(seconds * 1000), call)
        else:
            call()

    def _begin(self, play: _Play) -> None:
        task = self._open(play)
        if task is None:
            return
        if play.executor == "remote" and task.status == SCHEDULED:
            self._tell(play.key, AttemptAdmitted(task.number, worker_id=WORKER))
        is_endless = play.outcome.status == NEVER
        if play.outcome.heartbeat:
            lasts_s = play.outcome.heartbeat * _MOST_BEATS if is_endless else play.outcome.after
            self._beat(play, self._clock.now().elapsed_ms + round(lasts_s * 1000))
        if not is_endless:
            self._later(play.outcome.after, lambda: self._end(play))

    def _beat(self, play: _Play, until_ms: int) -> None:
        """Give a sign of life every so often, while the attempt is under way."""
        at_ms = self._clock.now().elapsed_ms + round(play.outcome.heartbeat * 1000)
        if at_ms >= until_ms:
            return

        def beat() -> None:
            if self._open(play) is not None:
                self._tell(play.key, ExtendLease(play.key[1]))
                self._beat(play, until_ms)

        self._clock.call_at(at_ms, beat)

    def _end(self, play: _Play) -> None:
        task = self._open(play)
        if task is None:
            return
        outcome, number = play.outcome, play.key[1]
        if outcome.status == IN_PROGRESS:
            self._go_on(play)
            return
        size = len(to_json(outcome.output))
        if play.executor in _FROM_OUTSIDE:
            merge = play.executor != "remote"
            ended: Input = UpdateTask(
                number, outcome.status, outcome.output, "", outcome.reason, 0, WORKER, merge, size
            )
        else:
            ended = AttemptEnded(number, outcome.status, outcome.output, outcome.reason, size, play.start)
            if task.node.task.async_complete:
                self._look_again(play.key, self._clock.now().elapsed_ms)
        self._tell(play.key, ended)

    def _go_on(self, play: _Play) -> None:
        outcome, number = play.outcome, play.key[1]
        again = outcome.again_after
        update = UpdateTask(number, IN_PROGRESS, outcome.output, "", outcome.reason, again, WORKER)
        self._tell(play.key, update)
        if play.has_more:
            self._look_again(play.key, self._clock.now().elapsed_ms + round(again * 1000))

    def _tell(self, key: Key, given: Input) -> None:
        self._given += 1
        self._turns.report(key[0], given)

    def _open(self, play: _Play) -> TaskState | None:
        """The record an outcome is for, if it still stands where it stood."""
        state = self._turns.states.get(play.key[0])
        task = None if state is None or state.is_ended else state.tasks.get(play.key[1])
        return None if task is None or task.is_ended or task.epoch != play.epoch else task

    # --- whose table, under which keys --------------------------------------------------------------

    def _table(self, state: ExecutionState) -> Outcomes:
        """The table of the nearest execution above that has one of its own."""
        here: ExecutionState | None = state
        while here is not None and here.parent_id is not None:
            parent = self._turns.states.get(here.parent_id)
            if here.name not in self.stubs:
                for key in (*self._refs_in_parent(parent, here), here.name):
                    if key in self._sub_outcomes:
                        return self._sub_outcomes[key]
            here = parent
        return self._outcomes

    @staticmethod
    def _refs_in_parent(parent: ExecutionState | None, child: ExecutionState) -> tuple[str, ...]:
        task = None if parent is None else parent.tasks.get(child.parent_number)
        return () if task is None else (task.ref, task.ref.removesuffix(task.suffix))

    def _keys(self, state: ExecutionState, task: TaskState) -> tuple[str, str, str]:
        """Under what a record is looked up: exact reference, plain reference, task name."""
        if state.name in self.stubs and state.parent_id is not None:
            refs = self._refs_in_parent(self._turns.states.get(state.parent_id), state)
            exact, plain = refs or (state.name, state.name)
            return exact, plain, state.name
        return task.ref, task.ref.removesuffix(task.suffix), task.name or task.node.name
