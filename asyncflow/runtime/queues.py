"""What is known of one queue of tasks for workers elsewhere: who polls, who waits, what is owed.

It is the book of `runtime/hand_out`, which decides what is written; it tells nobody anything and knows
no clock. What is asked for, who is away and who is next are kept as they change, so that thousands of
polls that are held cost nothing while nothing waits for them.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from heapq import heapify, heappop, heappush
from itertools import islice
from typing import NamedTuple

from asyncflow.decide.sharing import Hand
from asyncflow.model.values import JsonObject
from asyncflow.runtime.hand_out_rules import ANY, Place, Rule
from asyncflow.runtime.worker_roll import Key, QueueKey

PRESENT_MS = 1_000
"""Who polled within this counts as there."""

_DEALT_AMONG = 16  # so many polls of one worker id share what comes at the same moment
_LATE_MS = 50  # so much later than expected a poll may come
_LONGEST_PAUSE_MS = 250  # longer ones between two polls are not waited for
_MOST_AWAY = 1_000  # who polled no more than once is looked for from here on
_OUTDATED = 64  # ranks kept though they hold no more, before they are looked through


@dataclass(slots=True, eq=False)
class Poll:
    """One poll that is held, or about to be answered.

    `left` is how many more tasks it can take, `pending` how many are on their way to it: given by
    admission, not durable yet. `begun` are those it has, by record and start. `is_closed`: it gets no
    more; `is_due`: its time is up. `at_ms` is when it came. `asking` is what is counted of it in its queue:
    whoever changes another field tells the queue.
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
    asking: int = 0


class Assigned(NamedTuple):
    """A task on its way to a poll; `start` is that of the attempt it will be, `ticket` this giving of it."""

    ticket: int
    poll: Poll
    start: int


@dataclass(slots=True, eq=False)
class Seat:
    """One worker at one queue: `load` tasks it has of `slots`, when it polled and when it got something.

    `pause_ms` is how long it last stayed away after a poll that brought nothing, `paused` whether it does
    now: clients that are brought nothing poll less and less often. `polls` are all that it holds, `open`
    those that can take something, the oldest first, and `asked` what these can take together; `mark` tells
    its newest rank from older ones.
    """

    worker: str
    load: int = 0
    slots: int = 0
    seen_ms: int = -PRESENT_MS
    served_ms: int = 0
    pause_ms: int = 0
    paused: bool = False
    polls: dict[int, Poll] = field(default_factory=dict)
    open: dict[int, Poll] = field(default_factory=dict)
    asked: int = 0
    mark: int = 0

    def open_polls(self, rule: Rule = ANY) -> Iterator[Poll]:
        """The polls that can take something now, the oldest first."""
        for poll in self.open.values():
            if rule.accepts(self.worker, poll.version):
                yield poll

    def next_poll(self, rule: Rule = ANY) -> Poll | None:
        """The poll that gets its next task: processes on one host may have one id, and share too."""
        return min(islice(self.open_polls(rule), _DEALT_AMONG), key=lambda poll: poll.pending, default=None)

    def wanted(self, rule: Rule = ANY) -> int:
        """How many tasks its polls ask for now."""
        return self.asked if rule == ANY else sum(poll.left for poll in self.open_polls(rule))

    @property
    def free(self) -> int:
        """How many tasks it can take: what its polls ask for, or what it had free when it polled last."""
        return self.asked if self.polls else self.slots - self.load

    @property
    def expected_ms(self) -> int:
        """Until when it should poll again: pauses can grow to twice the last one."""
        is_short = self.paused and self.pause_ms <= _LONGEST_PAUSE_MS
        return self.seen_ms + (min(2 * self.pause_ms + _LATE_MS, _LONGEST_PAUSE_MS) if is_short else 0)

    def hand(self, now_ms: int, free: int) -> Hand:
        """What sharing has to know of it; `free` is how many more it may have."""
        served_ms = self.served_ms if now_ms - self.served_ms <= PRESENT_MS else 0
        return Hand(self.load, served_ms, free, bool(self.polls))


class SeatOrder:
    """Who is next of those who can take something: the one with the fewest, of these the one served earliest.

    A heap with marks: a seat whose rank changes is pushed again, and what is outdated is dropped when it
    comes to the front, or once it outnumbers the rest. So a change costs a step or a few of a heap.
    """

    __slots__ = ("_count", "_heap", "_marks")

    def __init__(self) -> None:
        """Nobody can take anything."""
        self._heap: list[tuple[int, int, int, int, Seat]] = []
        self._marks = self._count = 0

    def place(self, seat: Seat) -> None:
        """A seat has another rank, or none any more."""
        self._count -= bool(seat.mark)
        if not seat.open:
            seat.mark = 0
            return
        self._count += 1
        self._marks += 1
        seat.mark = self._marks
        first = next(iter(seat.open))
        heappush(self._heap, (seat.load, seat.served_ms, first, seat.mark, seat))
        if len(self._heap) > 2 * self._count + _OUTDATED:
            self._heap = [each for each in self._heap if each[3] == each[4].mark]
            heapify(self._heap)

    def first(self) -> Seat | None:
        """Who is next, if anybody can take something."""
        heap = self._heap
        while heap and heap[0][3] != heap[0][4].mark:
            heappop(heap)
        return heap[0][4] if heap else None

    def first_few(self, count: int) -> list[Seat]:
        """Those who are next, in order, at most so many; they stay where they are."""
        kept: list[tuple[int, int, int, int, Seat]] = []
        while len(kept) < count and self.first() is not None:
            kept.append(heappop(self._heap))
        for each in kept:
            heappush(self._heap, each)
        return [each[4] for each in kept]


@dataclass(slots=True, eq=False)
class Queue:
    """One task name in one domain; `polls` are those that are held.

    `offers` are the tasks that wait, with the place in admission they wait at, empty while they are held
    back. `places` are those of tasks with a rule, and how many name each. `most` is what a definition
    allows one worker at once. Of the `seats` some are `held`, by a poll at least; who is `away` polled
    lately, the longest ago first. `asked` is what all polls can take together.
    `owed_since_ms`: since when tasks are kept for pollers who are not there at this moment.
    `cold_until_ms`: until when others may come who polled for nothing yet.
    """

    key: QueueKey
    general: Place
    seats: dict[str, Seat] = field(default_factory=dict)
    held: dict[str, Seat] = field(default_factory=dict)
    away: OrderedDict[str, Seat] = field(default_factory=OrderedDict)
    order: SeatOrder = field(default_factory=SeatOrder)
    polls: dict[int, Poll] = field(default_factory=dict)
    offers: dict[Key, str] = field(default_factory=dict)
    places: dict[str, tuple[Place, int]] = field(default_factory=dict)
    asked: int = 0
    most: int = 0
    owed_since_ms: int = 0
    cold_until_ms: int = 0
    is_stale: bool = False

    @property
    def is_asked(self) -> bool:
        """Whether any poll can take something."""
        return self.asked > 0

    @property
    def is_loaded(self) -> bool:
        """Whether any worker has a task of it, or one is on its way there."""
        return any(seat.load for seat in self.seats.values())

    # --- tasks --------------------------------------------------------------------------------------

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

    # --- polls --------------------------------------------------------------------------------------

    def enter(self, poll: Poll) -> None:
        """Hold a poll."""
        seat = self.seat(poll.worker)
        if self.away.pop(poll.worker, None) and seat.paused:
            seat.pause_ms = poll.at_ms - seat.seen_ms
        seat.seen_ms, seat.paused = poll.at_ms, False
        self.held[poll.worker] = seat
        seat.polls[poll.number] = self.polls[poll.number] = poll
        self.recount(poll)

    def leave(self, poll: Poll, now_ms: int) -> None:
        """A poll is held no more; whose last one it was is there for a while yet."""
        if self.polls.pop(poll.number, None) is None:
            return
        seat = self.seats[poll.worker]
        del seat.polls[poll.number]
        seat.seen_ms = now_ms
        seat.paused = not poll.tasks
        if not seat.polls:
            self.away[poll.worker] = self.held.pop(poll.worker)
            if len(self.away) > _MOST_AWAY:
                self.lately(now_ms)
        self.recount(poll)

    def recount(self, poll: Poll) -> None:
        """A poll can take more or less than before."""
        seat = self.seats.get(poll.worker)
        asking = 0 if poll.is_closed or poll.number not in self.polls else poll.left
        if seat is None or asking == poll.asking:
            return
        seat.asked += asking - poll.asking
        self.asked += asking - poll.asking
        was_open, poll.asking = bool(poll.asking), asking
        if was_open == bool(asking):
            return
        if not asking:
            del seat.open[poll.number]
        else:
            is_newest = not seat.open or next(reversed(seat.open)) < poll.number
            seat.open[poll.number] = poll
            if not is_newest:  # it could take nothing for a while
                seat.open = dict(sorted(seat.open.items()))
        self.order.place(seat)

    # --- seats --------------------------------------------------------------------------------------

    def seat(self, worker: str) -> Seat:
        """The seat of a worker, who may take it now."""
        found = self.seats.get(worker)
        if found is None:
            found = self.seats[worker] = Seat(worker)
        return found

    def load(self, worker: str, by: int, served_ms: int | None = None) -> None:
        """A worker has tasks more or less; `served_ms` is when it was given one."""
        seat = self.seat(worker) if by > 0 else self.seats.get(worker)
        if seat is None:
            return
        seat.load += by
        if served_ms is not None:
            seat.served_ms = served_ms
        if seat.open:
            self.order.place(seat)
        elif not seat.load and worker not in self.held and worker not in self.away:
            del self.seats[worker]

    def is_attended(self, now_ms: int) -> bool:
        """Whether anybody polls, or did lately."""
        return bool(self.held or self.lately(now_ms))

    def lately(self, now_ms: int) -> Collection[Seat]:
        """Who polls no more but did lately; who is long gone and has nothing gives up the seat."""
        while self.away:
            worker, seat = next(iter(self.away.items()))
            if now_ms - seat.seen_ms <= PRESENT_MS:
                break
            del self.away[worker]
            if not seat.load:
                del self.seats[worker]
        return self.away.values()

    def present(self, now_ms: int) -> list[Seat]:
        """Who is there. Cost: in their number."""
        return [*self.held.values(), *self.lately(now_ms)]


def first_of(seats: Iterable[Seat], rule: Rule) -> Poll | None:
    """The poll that gets the next task: of the worker with the fewest, of these the one served earliest."""
    best: tuple[int, int, int] | None = None
    chosen: Poll | None = None
    for seat in seats:
        poll = seat.next_poll(rule)
        if poll is not None:
            rank = (seat.load, seat.served_ms, poll.number)
            if best is None or rank < best:
                best, chosen = rank, poll
    return chosen
