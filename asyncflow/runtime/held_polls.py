"""The polls of workers elsewhere that are held: each waits as an entry of a table, not as an asyncio task.

A poll is answered once, when what it gets is durable or its time is up; if its caller goes first, what was
on its way is given back. What it gets is `runtime/hand_out`, how much it may have `runtime/demand`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable

from asyncflow.errors import ShuttingDown
from asyncflow.model.inputs import Message, ReleaseAttempt
from asyncflow.model.values import JsonObject
from asyncflow.runtime.clock import Clock
from asyncflow.runtime.demand import Demand
from asyncflow.runtime.queues import Assigned, Poll, Queue
from asyncflow.runtime.timers import TimerKey
from asyncflow.runtime.timetable import Timetable
from asyncflow.runtime.turns import Turns
from asyncflow.runtime.worker_roll import Key, QueueKey
from asyncflow.runtime.worker_watch import WorkerWatch

POLL = "held poll"
"""The kind of timer after which a poll has waited long enough."""

_GONE = "the worker that polled for it was gone"

TakeBack = Callable[[Key], Iterable[Message]]
"""Has a task that is on its way to a poll wait again; what follows from that."""


class HeldPolls:
    """Everybody who polls now.

    Attributes:
        is_closed: nothing is handed out any more.
    """

    def __init__(
        self,
        clock: Clock,
        demand: Demand,
        timetable: Timetable,
        *,
        turns: Turns,
        watch: WorkerWatch,
        assigned: dict[Key, Assigned],
    ) -> None:
        """Nobody polls; `assigned` are the tasks on their way to polls."""
        self.is_closed = False
        self.take_back: TakeBack = lambda _: ()
        self._clock, self._demand, self._timetable = clock, demand, timetable
        self._turns, self._watch, self._assigned = turns, watch, assigned
        self._polls: dict[int, Poll] = {}
        self._queues_of: dict[str, dict[QueueKey, int]] = {}  # how many polls, by worker and queue
        self._count = 0

    def __len__(self) -> int:
        """How many polls are held."""
        return len(self._polls)

    async def poll(
        self, name: str, domain: str, *, worker: str, count: int, timeout_ms: int, version: str
    ) -> list[JsonObject]:
        """Tasks for a worker, as Conductor's Task objects, or none when the time is up.

        Raises:
            ShuttingDown, StoreError: nothing can be recorded.

        Durability: what is given is IN_PROGRESS and has its grants, on disk.
        Cancellation: what was on its way to the caller is given back, without using a retry.
        """
        return await self.answered(
            self.open(name, domain, worker=worker, count=count, timeout_ms=timeout_ms, version=version)
        )

    def open(self, name: str, domain: str, *, worker: str, count: int, timeout_ms: int, version: str) -> Poll:
        """A poll that is held from now on; whoever opens it sees to it with `answered`, or `give_back`.

        Raises:
            ShuttingDown, StoreError: nothing can be recorded; none is held.
        """
        self._turns.check_open()
        if self.is_closed:
            raise ShuttingDown("the engine hands out no tasks any more")
        poll = self._enter(self._demand.queue(name, domain), worker, count=count, version=version)
        self._demand.opened(poll.queue, gathers=timeout_ms > 0)
        self._seat(poll, count)
        if timeout_ms:
            self._timetable.set(TimerKey("", poll.number, POLL), poll.at_ms + timeout_ms)
        self._balance(poll.queue)
        if not timeout_ms:
            self._time_up(poll)
        self._turns.wake()
        return poll

    async def answered(self, poll: Poll) -> list[JsonObject]:
        """What an open poll gets; as `poll`."""
        try:
            return await self._turns.unless_failed(poll.answer)
        except BaseException:
            self.give_back(poll)
            raise

    def _enter(self, queue: Queue, worker: str, *, count: int, version: str) -> Poll:
        """Note who polls."""
        seen = self._watch.heard(worker)
        seen.version = version or seen.version
        self._watch.roll.note_poll(queue.key, worker)
        self._count += 1
        answer: asyncio.Future[list[JsonObject]] = asyncio.get_running_loop().create_future()
        return Poll(self._count, queue, worker, version, count, seen.last_ms, answer)

    def _seat(self, poll: Poll, count: int) -> None:
        """Hold a poll."""
        seat = poll.queue.seat(poll.worker)
        slots = seat.load + seat.wanted() + count
        # Who asks for the next task along with an update says nothing of its other slots.
        seat.slots = slots if count > 1 else max(slots, seat.slots)
        self._polls[poll.number] = poll
        queues = self._queues_of.setdefault(poll.worker, {})
        queues[poll.queue.key] = queues.get(poll.queue.key, 0) + 1
        poll.queue.enter(poll)

    def time_up(self, timer: TimerKey) -> None:
        """A poll has waited long enough."""
        self._time_up(self._polls[timer.number])

    def of(self, worker: str) -> Iterable[Queue]:
        """The queues that a worker polls now."""
        return [self._demand.queue(*key) for key in self._queues_of.get(worker, ())]

    def _report(self, messages: Iterable[Message]) -> None:
        for message in messages:
            self._turns.report(message.to, message.input)

    def _balance(self, queue: Queue) -> None:
        self._report(self._demand.balance(queue))

    def _time_up(self, poll: Poll) -> None:
        """It gets nothing more; what is on its way is waited for."""
        poll.is_due = poll.is_closed = True
        poll.queue.recount(poll)
        self.answer_if_complete(poll)
        self._report(self._demand.lower(poll.queue))

    def answer_if_complete(self, poll: Poll) -> None:
        """Answer a poll for which nothing is on its way any more, if it has something or its time is up."""
        if poll.number not in self._polls or poll.pending:
            return
        poll.is_closed = poll.is_due or bool(poll.tasks)
        poll.queue.recount(poll)
        if poll.is_closed:
            self._leave(poll)
            if not poll.answer.done():
                poll.answer.set_result(poll.tasks)

    def _leave(self, poll: Poll) -> None:
        """The poll is held no more."""
        self._timetable.cancel(TimerKey("", poll.number, POLL))
        poll.queue.leave(poll, self._clock.now().elapsed_ms)
        if self._polls.pop(poll.number, None) is None:
            return
        queues, key = self._queues_of[poll.worker], poll.queue.key
        queues[key] -= 1
        if not queues[key]:
            del queues[key]
            if not queues:
                del self._queues_of[poll.worker]

    def give_back(self, poll: Poll) -> None:
        """Whoever polled is gone: nothing on its way to it may be lost, or count as tried."""
        self._leave(poll)
        for key in [key for key, assigned in self._assigned.items() if assigned.poll is poll]:
            if key not in poll.begun:
                self._report(self.take_back(key))
        for (stream, number), start in poll.begun.items():
            self._turns.report(stream, ReleaseAttempt(number, _GONE, start))
        self._balance(poll.queue)

    def close(self) -> None:
        """Hold no poll any more; what is on its way is still answered."""
        self.is_closed = True
        for poll in [*self._polls.values()]:
            self._time_up(poll)
