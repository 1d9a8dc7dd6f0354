"""An execution and those below it, watched task by task as their turns become durable.

It only tells: what is counted, answered or given up is the listener's. What it tells is the state
of a record now, which may be newer than the event that made it look, and never older.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from types import TracebackType
from typing import NamedTuple, Self

from asyncflow.app.service import Service
from asyncflow.decide.scope import task_type
from asyncflow.model import events as ev
from asyncflow.model.effects import Effect, Hold, Timer
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import TASK_ENDED
from asyncflow.model.turn import Moment, StreamEvents

REMOVED = "REMOVED"
_MAKING = (ev.TaskScheduled, ev.BranchesScheduled, ev.TaskSkipped, ev.TaskReused)
_WHOLE = (ev.ExecutionEnded, ev.ExecutionRestarted, ev.ExecutionReopened)
_LOCAL = frozenset({"loop", "thread", "process"})


class TaskSeen(NamedTuple):
    """A task record at one moment; `status` is Conductor's, or REMOVED once the record is gone."""

    execution_id: str
    number: int
    ref: str
    name: str
    type: str
    executor: str
    status: str
    retry_count: int

    @property
    def is_over(self) -> bool:
        """Whether nothing more will be seen of it, short of a reset."""
        return self.status in TASK_ENDED or self.status == REMOVED


Listener = Callable[[TaskSeen, TaskSeen | None], None]
"""Told of a record and of how it was seen before (None: never); called on the loop, never awaited."""


class Following:
    """Watches executions and their descendants while its context lasts.

    Attributes:
        streams: the executions followed, in the order in which they were met.
        open: the records that have not ended, by execution and number.
    """

    def __init__(self, service: Service, *listeners: Listener) -> None:
        """Follow nothing yet."""
        self._engine = service.engine
        self._listeners = listeners
        self.streams: dict[str, int] = {}
        self.open: dict[str, dict[int, TaskSeen]] = {}

    def __enter__(self) -> Self:
        """Begin; nothing is watched before `follow`."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Watch nothing any more."""
        watchers = self._engine.turns.watchers
        for stream in self.streams:
            watchers[stream].remove(self._watch)
            if not watchers[stream]:
                del watchers[stream]

    def follow(self, stream: str) -> None:
        """Watch an execution, and tell at once of every record it has."""
        if stream in self.streams:
            return
        state = self._engine.turns.states.get(stream)
        self.streams[stream] = 0 if state is None else state.seq
        self.open[stream] = {}
        self._engine.turns.watchers.setdefault(stream, []).append(self._watch)
        if state is None:
            return
        for number, task in list(state.tasks.items()):
            self._look(state, number)
            if task.more is not None and task.more.child_id is not None:
                self.follow(task.more.child_id)

    def _watch(self, entry: StreamEvents, _: Moment) -> None:
        state = self._engine.turns.states.get(entry.stream)
        if state is None:
            return
        known = self.streams[entry.stream]
        for event in entry.events[max(0, known + 1 - entry.first_seq) :]:
            is_new = isinstance(event, _MAKING)
            for number in self._numbers(entry.stream, event):
                # A record may have been seen ended before: the state can be ahead of its events.
                if is_new or number in self.open[entry.stream] or not _is_over(state, number):
                    self._look(state, number)
            if isinstance(event, ev.ChildStarted):
                self.follow(event.child_id)

    def _numbers(self, stream: str, event: ev.Event) -> Iterable[int]:
        if isinstance(event, ev.BranchesScheduled):
            return range(event.number, event.number + event.last - event.first)
        if isinstance(event, ev.TasksRemoved):
            return event.numbers
        if isinstance(event, _WHOLE):
            return list(self.open[stream])
        return (getattr(event, "number", 0),)

    def _look(self, state: ExecutionState, number: int) -> None:
        known = self.open[state.execution_id]
        old, task = known.get(number), state.tasks.get(number)
        if task is not None:
            seen = _seen(state, task)
        elif old is not None:
            seen = old._replace(status=REMOVED)
        else:
            return
        if seen == old:
            return
        if seen.is_over:
            known.pop(number, None)
        else:
            known[number] = seen
        for listener in self._listeners:
            listener(seen, old)

    def check_sound(self) -> None:
        """Do nothing while every execution followed can go on.

        Raises:
            RuntimeError: one was set aside, because deciding it broke: a bug, and nobody else would tell.
        """
        for stream in self.streams.keys() & self._engine.turns.quarantined.keys():
            raise RuntimeError(
                f"execution {stream} was set aside: {self._engine.turns.quarantined[stream].reason}"
            )

    # --- who can go on ----------------------------------------------------------------------------

    def needs_someone(self, seen: TaskSeen) -> bool:
        """Whether only somebody outside this process, or a function it lacks, can go on with a record."""
        state = self._engine.turns.states.get(seen.execution_id)
        task = None if state is None else state.tasks.get(seen.number)
        if state is None or task is None or task.is_ended:
            return False
        if task.executor in _LOCAL:
            return (task.name or task.node.name) not in self._engine.functions
        if task.executor == "wait":
            return not any(_is_wake_up(effect) for effect in state.wanted.get(seen.number, ()))
        return task.executor in {"remote", "external"}

    def stranded(self) -> list[TaskSeen]:
        """The open tasks that need someone, if nothing else is under way; otherwise an empty list.

        Cost: linear in the open records.
        """
        engine = self._engine
        if not engine.turns.is_idle or engine.attempts.count or engine.carry.is_busy:
            return []
        if engine.jobs.is_watching:
            return []
        helpless: list[TaskSeen] = []
        for stream, known in self.open.items():
            state = engine.turns.states.get(stream)
            if state is None:
                continue
            if state.jobs:
                return []
            needy = {number: seen for number, seen in known.items() if self.needs_someone(seen)}
            helpless += needy.values()
            for number, effects in state.wanted.items():
                if number not in needy and any(_is_wake_up(effect) for effect in effects):
                    return []
        return helpless


def _is_over(state: ExecutionState, number: int) -> bool:
    task = state.tasks.get(number)
    return task is None or task.is_ended


def _is_wake_up(effect: Effect) -> bool:
    """Whether an effect brings its execution on by itself; a timeout only ends what waits, a hold nothing."""
    if isinstance(effect, Timer):
        return effect.kind in {"wait", "due"}
    return not isinstance(effect, Hold)


def _seen(state: ExecutionState, task: TaskState) -> TaskSeen:
    return TaskSeen(
        state.execution_id,
        task.number,
        task.ref,
        task.name or task.node.name,
        task_type(task),
        task.executor,
        task.status,
        task.retry_count,
    )
