"""Signs of life of workers elsewhere, and the notice that one is lost.

A notice is a line of the log, a number and a call to whoever listens; it ends no task, since a worker
that is slow to speak may still be at work. Tasks are given to others by their response timeout.
"""

from __future__ import annotations

from asyncflow.runtime.clock import Clock
from asyncflow.runtime.timers import TimerKey
from asyncflow.runtime.timetable import Timetable
from asyncflow.runtime.worker_roll import Key, Roll, Seen

WORKER = "worker"
"""The kind of timer after which a worker is looked for."""


class WorkerWatch:
    """Looks for workers that have tasks and say nothing."""

    def __init__(self, clock: Clock, roll: Roll, timetable: Timetable, *, lost_ms: int) -> None:
        """Nobody is watched; who says nothing for `lost_ms` is lost."""
        self._clock, self.roll, self._timetable, self._lost_ms = clock, roll, timetable, lost_ms

    def heard(self, name: str) -> Seen:
        """A worker gave a sign of life."""
        now = self._clock.now()
        was_lost = self.roll.worker(name).is_lost
        worker = self.roll.see(name, now.elapsed_ms, now.wall_ms)
        if was_lost and worker.leases:
            self._timetable.set(TimerKey(name, 0, WORKER), now.elapsed_ms + self._lost_ms)
        return worker

    def leased(self, name: str) -> None:
        """A worker has a task more; from its first one on it is looked for."""
        worker = self.roll.worker(name)
        if not worker.last_ms:  # it took the task before this process began
            worker.last_ms = self._clock.now().elapsed_ms
        if len(worker.leases) == 1:
            self._timetable.set(TimerKey(name, 0, WORKER), worker.last_ms + self._lost_ms)

    def look(self, timer: TimerKey) -> None:
        """The time has come to look for a worker."""
        worker = self.roll.worker(timer.stream)
        if not worker.leases or worker.is_lost:
            return
        due_ms = worker.last_ms + self._lost_ms
        if due_ms > self._clock.now().elapsed_ms:
            self._timetable.set(timer, due_ms)
            return
        self.roll.lose(timer.stream, "not heard of", tuple(worker.leases))

    def overdue(self, name: str, key: Key) -> None:
        """A worker did not speak of a task before its response timeout."""
        self.roll.lose(name, "a task was not spoken of in time", (key,))
