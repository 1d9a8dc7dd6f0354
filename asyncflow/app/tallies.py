"""What committed events add up to, by workflow and by type of task: counts, waits, durations, bytes.

Counted are durable facts only, as they are released; nothing is decided by it. How it is shown is in
`meters`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import cast

from asyncflow.app.exposition import OTHER, Bounded
from asyncflow.decide.scope import task_type
from asyncflow.decide.wanted import LOCAL_EXECUTORS
from asyncflow.model import events as ev
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import IN_PROGRESS
from asyncflow.model.turn import Moment, StreamEvents
from asyncflow.runtime.distribution import TASK_SECONDS, Distribution

MOST_TASK_TYPES = 200
MOST_WORKFLOWS = 300


@dataclass(slots=True)
class TypeTally:
    """Everything that is counted of one type of task."""

    started: int = 0
    retried: int = 0
    ended: Counter[str] = field(default_factory=Counter)
    waits: Distribution = field(default_factory=lambda: Distribution(TASK_SECONDS))
    seconds: Distribution = field(default_factory=lambda: Distribution(TASK_SECONDS))
    bytes: Counter[str] = field(default_factory=Counter)
    io_bytes: Counter[str] = field(default_factory=Counter)
    io_rows: Counter[str] = field(default_factory=Counter)


class Tallies:
    """Counts of one engine since it was opened.

    Attributes:
        in_flight: executions that have not ended, those taken up at the start included.
        types: by type of task; beyond the bound all share one.
        started: executions by name and version.
        ended: executions by name, version and status.
    """

    def __init__(self, states: Mapping[str, ExecutionState]) -> None:
        """Count from here on; `states` are the executions in memory, now and later."""
        self._states = states
        self.in_flight = sum(not state.is_ended for state in states.values())
        self.types: dict[str, TypeTally] = {}
        self.started: Counter[tuple[str, str]] = Counter()
        self.ended: Counter[tuple[str, str, str]] = Counter()
        self._workflows = Bounded(MOST_WORKFLOWS)

    def of_type(self, name: str) -> TypeTally:
        """The counts of a type of task."""
        known = self.types.get(name)
        if known is not None:
            return known
        if len(self.types) >= MOST_TASK_TYPES:
            return self.types.setdefault(OTHER, TypeTally())
        return self.types.setdefault(name, TypeTally())

    def of_record(self, execution_id: str, number: int) -> TypeTally | None:
        """The counts of the type of a record, if it is in memory."""
        state = self._states.get(execution_id)
        task = None if state is None else state.tasks.get(number)
        return None if task is None else self.of_type(task_type(task))

    def add(self, entry: StreamEvents, moment: Moment) -> None:
        """Take in the events of one stream in one turn, while its execution is in memory.

        Cost: some 0.4 µs for an event that counts, and a tenth for others.
        """
        state = self._states.get(entry.stream)
        if state is None:
            return  # the catalogue, or an execution that was set aside
        now_ms = moment.elapsed_ms
        for event in entry.events:
            take_in = _TAKE_IN.get(type(event))
            if take_in is not None:
                take_in(self, state, event, now_ms)

    def _task_scheduled(self, state: ExecutionState, event: ev.TaskScheduled, now_ms: int) -> None:
        """A record was made; what needs nothing of anybody begins with it."""
        if event.status == IN_PROGRESS and event.executor in LOCAL_EXECUTORS:
            self._begun(state.tasks.get(event.number), now_ms)

    def _attempt_started(self, state: ExecutionState, event: ev.AttemptStarted, now_ms: int) -> None:
        self._begun(state.tasks.get(event.number), now_ms)

    def _branches_scheduled(self, state: ExecutionState, event: ev.BranchesScheduled, now_ms: int) -> None:
        if event.begun:
            self._begun(state.tasks.get(event.number), now_ms, event.last - event.first)

    def _begun(self, task: TaskState | None, now_ms: int, times: int = 1) -> None:
        if task is None:
            return  # removed by a later turn already
        tally = self.of_type(task_type(task))
        tally.started += times
        tally.waits.observe(max(0, now_ms - max(task.scheduled_ms, task.due_ms)) / 1000, times)

    def _task_ended(self, state: ExecutionState, event: ev.TaskEnded, now_ms: int) -> None:
        task = state.tasks.get(event.number)
        if task is None:
            return
        tally = self.of_type(task_type(task))
        tally.ended[event.status] += 1
        if not event.settled:
            tally.retried += 1
        if task.starts:
            tally.seconds.observe(max(0, now_ms - task.started_ms) / 1000)
            tally.bytes["in"] += event.input_bytes or task.input_bytes
            tally.bytes["out"] += event.output_bytes

    def _execution_started(self, state: ExecutionState, _event: ev.Event, _now_ms: int) -> None:
        self.in_flight += 1
        self.started[self._key(state)] += 1

    def _execution_ended(self, state: ExecutionState, event: ev.ExecutionEnded, _now_ms: int) -> None:
        self.in_flight -= 1
        self.ended[*self._key(state), event.status] += 1

    def _execution_goes_on(self, _state: ExecutionState, _event: ev.Event, _now_ms: int) -> None:
        self.in_flight += 1

    def _key(self, state: ExecutionState) -> tuple[str, str]:
        name, version = state.name, str(state.version)
        is_shown = self._workflows.label(f"{name}\0{version}") != OTHER
        return (name, version) if is_shown else (OTHER, "")


_TakeIn = Callable[[Tallies, ExecutionState, ev.Event, int], None]

_TAKE_IN = cast(
    "dict[type, _TakeIn]",
    {
        ev.TaskScheduled: Tallies._task_scheduled,  # noqa: SLF001 - a table of the class itself
        ev.BranchesScheduled: Tallies._branches_scheduled,  # noqa: SLF001
        ev.AttemptStarted: Tallies._attempt_started,  # noqa: SLF001
        ev.TaskEnded: Tallies._task_ended,  # noqa: SLF001
        ev.ExecutionStarted: Tallies._execution_started,  # noqa: SLF001
        ev.ExecutionEnded: Tallies._execution_ended,  # noqa: SLF001
        ev.ExecutionRestarted: Tallies._execution_goes_on,  # noqa: SLF001
        ev.ExecutionReopened: Tallies._execution_goes_on,  # noqa: SLF001
    },
)
