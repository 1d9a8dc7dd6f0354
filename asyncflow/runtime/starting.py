"""Attempts between being admitted and being begun: they wait for the commit of the turn that admitted them.

It decides nothing; an attempt that is not wanted any more when its turn is durable does not begin. What is
under way is `runtime/attempts`, what is wanted `runtime/carry`.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from asyncflow.errors import LimitExceeded
from asyncflow.model.effects import RunAttempt
from asyncflow.model.jobs import JobState
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.runtime.admitting import Admitting, refusal_of
from asyncflow.runtime.turns import Turns

_STARTS = 500  # attempts begun before others get the loop

Key = tuple[str, int]


class Performer(Protocol):
    """Who performs attempts and scripts."""

    def start(self, state: ExecutionState, task: TaskState, payload: bytes) -> None:
        """Begin an attempt; its end comes back as a report."""

    def cancel(self, key: Key) -> None:
        """Break an attempt off, if it is still under way."""

    def start_script(self, state: ExecutionState, number: int, iteration: int) -> None:
        """Evaluate a script; its value comes back as a report."""


class JobTaker(Protocol):
    """Who sees to jobs."""

    def start(self, state: ExecutionState, job: JobState, *, is_recovered: bool = False) -> None:
        """Have a job handed in and watched, or go on with it."""

    def cancel(self, state: ExecutionState, job: JobState, *, is_recovered: bool = False) -> None:
        """Have a job cancelled, and watched until its end."""


Beginning = RunAttempt | int
"""What begins when the turn that wants it is durable: an attempt, or what a job needs, by serial number."""


class Starting:
    """What the open turn starts and stops, and what the one being committed does.

    Attributes:
        wanted: attempts that the open turn admitted, and jobs of which it wants something else than before.
        unwanted: attempts that the open turn gave up.
        performer: who performs them.
    """

    def __init__(self, performer: Performer, admitting: Admitting, turns: Turns, *, jobs: JobTaker) -> None:
        """Nothing is to be started."""
        self.wanted: list[tuple[str, Beginning]] = []
        self.unwanted: list[Key] = []
        self.performer, self._admitting, self._turns, self._jobs = performer, admitting, turns, jobs
        self._closed: tuple[list[tuple[str, Beginning]], list[Key]] = ([], [])
        self._queue: deque[tuple[str, Beginning]] = deque()

    def __len__(self) -> int:
        """How many attempts were admitted and have not begun."""
        return len(self.wanted) + len(self._closed[0]) + len(self._queue)

    def close_turn(self) -> None:
        """The turn is complete: what it wants started belongs to its commit."""
        self._closed = (self.wanted, self.unwanted)
        self.wanted, self.unwanted = [], []

    def committed(self) -> None:
        """Stop what the turn gave up and start what it admitted, unless it is unwanted already."""
        starting, stopping = self._closed
        self._closed = ([], [])
        for key in stopping:
            self.performer.cancel(key)
        if starting:
            self._queue += starting
            if len(self._queue) == len(starting):
                self._start_some()

    def _start_some(self) -> None:
        """Begin attempts; very many of them over several rounds of the loop."""
        starting = self._queue
        for _ in range(min(_STARTS, len(starting))):
            stream, effect = starting.popleft()
            state = self._turns.states.get(stream)
            if state is None:
                continue
            if isinstance(effect, int):
                self.see_to(state, effect)
            else:
                self._start_attempt(state, effect)
        if starting:
            asyncio.get_running_loop().call_soon(self._start_more)
        else:
            self._turns.wake()

    def _start_attempt(self, state: ExecutionState, effect: RunAttempt) -> None:
        if effect not in state.wanted.get(effect.number, ()) or self._admitting.is_draining:
            return  # not wanted any more; or the next start finds it begun and not ended
        task = state.tasks[effect.number]
        key = (state.execution_id, effect.number)
        try:
            payload = self._admitting.take_payload(key, task)
        except LimitExceeded as limit:
            refusal = refusal_of(key, limit)
            self._turns.report(refusal.to, refusal.input)
        else:
            self.performer.start(state, task, payload)

    def see_to(self, state: ExecutionState, serial: int, *, is_recovered: bool = False) -> None:
        """Have a job handed in, watched or cancelled, as is wanted now; a drain lets it wait.

        Args:
            is_recovered: an earlier process may have handed it in.
        """
        job = state.jobs.get(serial)
        if job is None:
            return
        begin = self._jobs.cancel if job.cancel else self._jobs.start
        begin(state, job, is_recovered=is_recovered)

    def _start_more(self) -> None:
        """In a round of its own, where the loop would only log what breaks, and the rest never began."""
        if self._turns.failure is not None:
            self._queue.clear()  # what is not known to be true is not acted upon
            return
        try:
            self._start_some()
        except Exception as bug:  # noqa: BLE001 - as in a commit: the engine stops, and says why
            self._turns.fail(bug)
