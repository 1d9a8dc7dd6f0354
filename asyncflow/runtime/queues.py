"""What is known of one queue of tasks for workers elsewhere: who polls, who waits, what is owed.

It is the book of `runtime/hand_out`, which decides what is written; it tells nobody anything and knows
no clock.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from asyncflow.decide.sharing import Hand
from asyncflow.model.values import JsonObject
from asyncflow.runtime.hand_out_rules import ANY, Place, Rule
from asyncflow.runtime.worker_roll import Key, QueueKey

PRESENT_MS = 1_000
"""Who polled within this counts as there."""


@dataclass(slots=True, eq=False)
class Poll:
    """One poll that is held, or about to be answered.

    `left` is how many more tasks it can take, `pending` how many are on their way to it: given by
    admission, not durable yet. `begun` are those it has, by record and start. `is_closed`: it gets no
    more; `is_due`: its time is up. `at_ms` is when it came.
    """

    number: int
    queue: Queue
    worker: str
    version: str
    left: int
    at_ms: int
    answer: asyncio.Future[list[JsonObject]]
    pending: int = 0
    begun: dict[Key, int] = field(default_factory=dict)
    tasks: list[JsonObject] = field(default_factory=list)
    is_closed: bool = False
    is_due: bool = False


class Assigned(NamedTuple):
    """A task on its way to a poll; `start` is that of the attempt it will be, `ticket` this giving of it."""

    ticket: int
    poll: Poll
    start: int


@dataclass(slots=True, eq=False)
class Seat:
    """One worker at one queue: `load` tasks it has of `slots`, when it polled and when it got something."""

    worker: str
    load: int = 0
    slots: int = 0
    seen_ms: int = -PRESENT_MS
    served_ms: int = 0
    polls: dict[int, Poll] = field(default_factory=dict)

    def open_polls(self, rule: Rule = ANY) -> Iterator[Poll]:
        """The polls that can take something now, the oldest first."""
        for poll in self.polls.values():
            if poll.left and not poll.is_closed and rule.accepts(self.worker, poll.version):
                yield poll

    def wanted(self, rule: Rule = ANY) -> int:
        """How many tasks its polls ask for now."""
        return sum(poll.left for poll in self.open_polls(rule)) if self.polls else 0

    def is_present(self, now_ms: int) -> bool:
        """Whether it polled lately, or is polling."""
        return bool(self.polls) or now_ms - self.seen_ms <= PRESENT_MS

    @property
    def free(self) -> int:
        """How many tasks it can take: what its polls ask for, or what it had free when it polled last."""
        return self.wanted() if self.polls else self.slots - self.load

    def hand(self, now_ms: int, free: int) -> Hand:
        """What sharing has to know of it; `free` is how many more it may have."""
        served_ms = self.served_ms if now_ms - self.served_ms <= PRESENT_MS else 0
        return Hand(self.load, served_ms, free, bool(self.polls))


@dataclass(slots=True, eq=False)
class Queue:
    """One task name in one domain; `polls` are those that are held.

    `offers` are the tasks that wait, with the place in admission they wait at, empty while they are held
    back. `places` are those of tasks with a rule, and how many name each. `most` is what a definition
    allows one worker at once.
    `owed_since_ms`: since when tasks are kept for pollers who are not there at this moment.
    `cold_until_ms`: until when others may come who polled for nothing yet.
    """

    key: QueueKey
    general: Place
    seats: dict[str, Seat] = field(default_factory=dict)
    polls: dict[int, Poll] = field(default_factory=dict)
    offers: dict[Key, str] = field(default_factory=dict)
    places: dict[str, tuple[Place, int]] = field(default_factory=dict)
    most: int = 0
    owed_since_ms: int = 0
    cold_until_ms: int = 0
    is_stale: bool = False

    @property
    def is_asked(self) -> bool:
        """Whether any poll can take something."""
        return any(poll.left and not poll.is_closed for poll in self.polls.values())

    def put(self, key: Key, resource: str) -> None:
        """A task waits at this place from here on, or at none if it is empty."""
        self.drop(key)
        self.offers[key] = resource
        self._count(resource, 1)

    def drop(self, key: Key) -> None:
        """A task waits no more."""
        self._count(self.offers.pop(key, ""), -1)

    def _count(self, resource: str, by: int) -> None:
        known = self.places.get(resource)
        if known is not None:
            self.places[resource] = known[0], known[1] + by

    def seat(self, worker: str) -> Seat:
        """The seat of a worker, who may take it now."""
        found = self.seats.get(worker)
        if found is None:
            found = self.seats[worker] = Seat(worker)
        return found

    def leave(self, worker: str) -> None:
        """A task less that a worker has."""
        seat = self.seats.get(worker)
        if seat is not None:
            seat.load -= 1

    def present(self, now_ms: int) -> list[Seat]:
        """Who is there; who is long gone and has nothing gives up the seat."""
        gone = [s.worker for s in self.seats.values() if not s.load and not s.is_present(now_ms)]
        for worker in gone:
            del self.seats[worker]
        return [seat for seat in self.seats.values() if seat.is_present(now_ms)]


def first_of(seats: Iterable[Seat], rule: Rule) -> Poll | None:
    """The poll that gets the next task: of the worker with the fewest, of these the one served earliest."""
    best: tuple[int, int, int] | None = None
    chosen: Poll | None = None
    for seat in seats:
        poll = next(seat.open_polls(rule), None)
        if poll is not None:
            rank = (seat.load, seat.served_ms, poll.number)
            if best is None or rank < best:
                best, chosen = rank, poll
    return chosen
