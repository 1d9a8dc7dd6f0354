"""How many tasks pollers may have now: the demand that admission is told of, queue by queue.

A task begins only where its limits and this demand let it, so order and limits stay those of the one
admission. Who holds which poll is written in `runtime/queues`, how tasks are shared is `decide/sharing`,
and who gets what is granted `runtime/hand_out`.
"""

from __future__ import annotations

from dataclasses import dataclass

from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.decide.sharing import share_now
from asyncflow.model.inputs import Message
from asyncflow.runtime.admitting import Admitting
from asyncflow.runtime.clock import Clock
from asyncflow.runtime.hand_out_rules import ANY, Place
from asyncflow.runtime.needs import implicit_resource
from asyncflow.runtime.queues import Poll, Queue, Seat, first_of
from asyncflow.runtime.recent import Recent
from asyncflow.runtime.timers import TimerKey
from asyncflow.runtime.timetable import Timetable
from asyncflow.runtime.worker_roll import QueueKey, Roll

SHARE = "share"
"""The kind of timer after which tasks are kept no longer for pollers who do not come."""

MOST_QUEUES = 10_000
"""So many queues are kept that no task is in."""

_OWED_MS = 50  # how long a task is kept at least for a poller who is between two polls
_UNLIMITED = 1 << 30


@dataclass(frozen=True, slots=True)
class HandOutSettings:
    """How tasks are given to workers elsewhere.

    Attributes:
        fair: share tasks among all who poll; otherwise who comes first takes all it asks for.
        max_in_flight: tasks that one worker may have at once, of all names; 0 for any.
        prefer_seconds: how long a task waits for the worker that its `reassign` asks for.
        lost_seconds: a worker that has tasks and is not heard of so long counts as lost.
    """

    fair: bool = True
    max_in_flight: int = 0
    prefer_seconds: float = 30
    lost_seconds: float = 300


class Demand:
    """All queues of one engine, and what their pollers ask of admission.

    Attributes:
        places: where tasks wait for workers, by the name of the place in admission.
    """

    def __init__(
        self,
        clock: Clock,
        admitting: Admitting,
        timetable: Timetable,
        *,
        roll: Roll,
        catalog: DefinitionCatalog,
        settings: HandOutSettings,
    ) -> None:
        """Nobody polls."""
        self.queues: dict[QueueKey, Queue] = {}
        self.places: dict[str, Place] = {}
        self._recent: Recent[QueueKey] = Recent(MOST_QUEUES)
        self._clock, self._admitting, self._timetable = clock, admitting, timetable
        self._roll, self._catalog, self._settings = roll, catalog, settings

    def queue(self, name: str, domain: str) -> Queue:
        """The queue of a task name in a domain, "" for none; of too many those with no task are forgotten."""
        found = self.queues.get((name, domain))
        if found is None:
            general = Place(name, domain)
            found = self.queues[name, domain] = Queue((name, domain), general)
            self.places[general.resource] = general
            self._recent.touch(found.key)
            for key in self._recent.outdated(self._is_needed):
                self._forget(key)
        return found

    def _is_needed(self, key: QueueKey) -> bool:
        """Whether a queue has tasks or polls, or admission has anything of it."""
        queue, admission = self.queues[key], self._admitting.admission
        if queue.offers or queue.polls or queue.is_loaded:
            return True
        places = (queue.general.resource, *queue.places)
        return any(admission.waiting_at(each) or admission.demand(each) for each in places)

    def _forget(self, key: QueueKey) -> None:
        """A queue is as if nobody had ever polled it."""
        queue = self.queues.pop(key)
        for resource in (queue.general.resource, *queue.places):
            del self.places[resource]
        self._timetable.cancel(TimerKey(queue.general.resource, 0, SHARE))
        self._roll.forget_queue(key)

    def place(self, queue: Queue, place: Place) -> str:
        """Make a place of tasks with a rule known; its name in admission."""
        resource = place.resource
        if resource not in queue.places:
            self.places[resource], queue.places[resource] = place, (place, 0)
        return resource

    def chosen(self, place: Place) -> tuple[Queue, Poll | None]:
        """The poll that gets the next task of a place, if any may."""
        queue = self.queue(place.name, place.domain)
        if self._is_capped(queue):
            able = [seat for seat in queue.held.values() if seat.open and self.room(queue, seat) > 0]
            return queue, first_of(able, place.rule)
        if place.rule != ANY:
            return queue, first_of(queue.held.values(), place.rule)
        seat = queue.order.first()
        return queue, None if seat is None else seat.next_poll()

    def _is_capped(self, queue: Queue) -> bool:
        return bool(self._settings.max_in_flight or self.most(queue))

    def room(self, queue: Queue, seat: Seat) -> int:
        """How many more tasks a worker may have, whatever it asks for."""
        most, name = self.most(queue), queue.key[0]
        if not most and not self._settings.max_in_flight:
            return _UNLIMITED
        worker = self._roll.worker(seat.worker)
        rooms = [most - worker.by_name.get(name, 0)] if most else []
        if self._settings.max_in_flight:
            rooms.append(self._settings.max_in_flight - worker.in_flight)
        return max(0, min(rooms))

    def most(self, queue: Queue) -> int:
        """How many tasks of the name one worker may have, 0 for any: as registered now, else as defined."""
        registered = self._catalog.task_definition(queue.key[0])
        if registered is None:
            return queue.most
        return 0 if registered.extension is None else registered.extension.max_in_flight_per_worker

    # --- balance ------------------------------------------------------------------------------------

    def opened(self, queue: Queue, *, gathers: bool) -> None:
        """A worker polls, which did so lately or not; `gathers` says that it can wait for others to come.

        Where nobody polled lately nobody knows who else will, and the first must not take all.
        """
        self._recent.touch(queue.key)
        now_ms = self._clock.now().elapsed_ms
        if not gathers:
            queue.cold_until_ms = 0
        elif not queue.is_attended(now_ms):
            queue.cold_until_ms = now_ms + _OWED_MS

    def balance(self, queue: Queue) -> list[Message]:
        """Ask admission for as many tasks as the pollers of a queue may have now; what begins by that.

        Where nothing is offered nothing is asked for: each offer comes here. One that waits for a limit
        counts too, so that it begins when the limit is changed.

        Cost: none to speak of where nothing is offered; else in what is ready and in those between two
        polls, and in all pollers where a worker may have only so many or tasks have rules.
        """
        queue.is_stale = False
        now_ms = self._clock.now().elapsed_ms
        messages = self._balance_places(queue, now_ms) if queue.places else []
        wanted = self._wanted(queue, now_ms) if queue.offers and queue.asked else 0
        if not queue.offers:
            queue.owed_since_ms = 0
        return [*messages, *self._admitting.set_demand(queue.general.resource, wanted)]

    def _wanted(self, queue: Queue, now_ms: int) -> int:
        """How many tasks that any worker may have its pollers may get now."""
        if self._is_capped(queue):
            seats = [(s, min(s.free, self.room(queue, s))) for s in queue.present(now_ms)]
            wanted = sum(free for seat, free in seats if seat.polls)
            return self._fair(queue, seats, wanted, now_ms=now_ms) if wanted else 0
        if not self._settings.fair:
            return queue.asked
        # Who is further back than there are tasks gets none of these, whatever is dealt.
        held = queue.order.first_few(self._ready(queue) + 1) if queue.lately(now_ms) else ()
        seats = [(seat, seat.free) for seat in (*held, *queue.lately(now_ms))]
        return self._fair(queue, seats, queue.asked, now_ms=now_ms)

    def _balance_places(self, queue: Queue, now_ms: int) -> list[Message]:
        """The same for tasks with a rule, which are few and not shared; a place nobody names is forgotten."""
        messages: list[Message] = []
        for resource, (place, count) in [*queue.places.items()]:
            wanted = 0
            if count:
                for seat in queue.present(now_ms):
                    wanted += min(seat.wanted(place.rule), self.room(queue, seat))
            else:
                del queue.places[resource], self.places[resource]
            messages += self._admitting.set_demand(resource, wanted)
        return messages

    def lower(self, queue: Queue) -> list[Message]:
        """A poll takes nothing any more: ask for less, where anything is asked for."""
        demand = self._admitting.admission.demand
        if demand(queue.general.resource) or any(demand(resource) for resource in queue.places):
            return self.balance(queue)
        return []

    def _fair(self, queue: Queue, seats: list[tuple[Seat, int]], wanted: int, *, now_ms: int) -> int:
        """How many of those wanted may be given, so that others who poll get theirs.

        `seats` are those who may get something, or are owed something, and what each can take.
        """
        if not self._settings.fair:
            return wanted
        if now_ms < queue.cold_until_ms and wanted > 1:
            self._look_again_at(queue, queue.cold_until_ms)
            return 0
        ready = self._ready(queue)
        away = sum(max(free, 0) for seat, free in seats if not seat.polls)
        if not away or ready >= wanted + away:
            demand = wanted  # all are there, or there is enough also for those who are not
        else:
            demand = share_now([seat.hand(now_ms, free) for seat, free in seats], ready)
        if demand >= wanted:
            queue.owed_since_ms = 0
            return wanted
        if ready <= demand:
            queue.owed_since_ms = 0
            self._look_again_at(queue, now_ms + _OWED_MS)  # what frees elsewhere may bring some here
            return demand
        queue.owed_since_ms = queue.owed_since_ms or now_ms
        expected_ms = max(seat.expected_ms for seat, free in seats if free > 0 and not seat.polls)
        until_ms = max(queue.owed_since_ms + _OWED_MS, expected_ms)
        if now_ms >= until_ms:
            queue.owed_since_ms = 0
            return wanted
        self._look_again_at(queue, until_ms)
        return demand

    def _ready(self, queue: Queue) -> int:
        """How many tasks wait for nothing but a worker, as far as the limit of their name goes."""
        admission = self._admitting.admission
        waiting = admission.waiting_at(queue.general.resource)
        room = admission.room(implicit_resource(queue.key[0]))
        return waiting if room is None else min(waiting, room)

    def _look_again_at(self, queue: Queue, at_ms: int) -> None:
        self._timetable.set(TimerKey(queue.general.resource, 0, SHARE), at_ms)

    def look_again(self, timer: TimerKey) -> list[Message]:
        """The time has come that was set for a queue."""
        place = self.places.get(timer.stream)
        if place is None:  # forgotten since it came due
            return []
        queue = self.queue(place.name, place.domain)
        return self.balance(queue) if queue.polls else []
