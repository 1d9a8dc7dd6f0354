"""Who waits, and where: lanes parked at places, and the reservations of those who wait for long.

It must not grant anything. A reservation works by standing at a place, and by claims at the other
places the waiter needs; claims are made by the oldest of each priority of a lane only, so that ten
thousand waiters of one shape make one. Who is admitted is decided in `admission`.
"""

from __future__ import annotations

from heapq import heappop, heappush

from asyncflow.decide.admission_ledger import Ledger
from asyncflow.decide.admission_order import Entry, Lane, priority_of
from asyncflow.decide.admission_places import KeyLock, Place, Resource
from asyncflow.decide.admission_plan import Plan, Shape
from asyncflow.model.resources import AttemptKey, Waiter


class Queues:
    """All waiters of one engine, each at the one place that refused it."""

    __slots__ = (
        "_claiming",
        "_claims_due",
        "_ledger",
        "_refills",
        "_resting",
        "_shelved",
        "count",
        "lanes",
        "parked",
        "step_ms",
    )

    def __init__(self, ledger: Ledger, step_ms: int) -> None:
        self._ledger = ledger
        self.step_ms = step_ms
        self.parked: dict[AttemptKey, Entry] = {}
        self.lanes: dict[Shape, Lane] = {}  # those parked at a resource; a key has its own
        self.count = 0  # arrivals and turns, in one numbering
        self._refills: list[tuple[int, str]] = []  # a heap
        self._claims_due: list[tuple[int, int, Entry]] = []  # a heap
        self._shelved: list[Entry] = []  # claims of those whom no limit in force would ever admit
        self._resting: dict[str, list[tuple[Entry, Place | None]]] = {}  # whom nobody wants now, by demand
        self._claiming: dict[str, list[Entry]] = {}  # who made claims that count only while it is wanted

    def score(self, waiter: Waiter) -> int:
        """The rank of a waiter against reservations, smaller is better; it never changes."""
        return waiter.since_ms - priority_of(waiter) * self.step_ms

    def rank(self, plan: Plan, score: int) -> int:
        """The score at which waiters of this shape are judged: the best of them all.

        What refuses one then refuses all, so that nobody has to be asked but the head of the lane.
        """
        lane = self.lanes.get(plan.shape)
        return score if lane is None else min(score, lane.best())

    # --- coming and going -------------------------------------------------------------------

    def enter(self, waiter: Waiter, plan: Plan, place: Place, now_ms: int) -> None:
        """Park a new waiter at the place that refused it."""
        self.count += 1
        entry = Entry(waiter, plan, score=self.score(waiter), seq=self.count)
        self._park(entry, place, now_ms)

    def leave(self, entry: Entry) -> None:
        """Let a waiter go; its lane goes with the last one."""
        lane = entry.lane
        assert lane is not None
        del self.parked[entry.waiter.key]
        lane.remove(entry)
        if not lane.bands:
            place = lane.place
            assert isinstance(place, Place)
            del place.lanes[lane.plan.shape]
            if isinstance(place, Resource):
                del self.lanes[lane.plan.shape]
        elif lane.plan.is_multiple:
            self._watch_oldest(lane, entry.priority)

    def move(self, entry: Entry, place: Place, now_ms: int) -> None:
        """Park one waiter elsewhere, at the same rank."""
        self.leave(entry)
        self._park(entry.again(), place, now_ms)

    def move_lane(self, lane: Lane, resource: Resource, now_ms: int) -> None:
        """Park everyone of a shape at another resource.

        Cost: constant, however many they are.
        """
        place, shape = lane.place, lane.plan.shape
        assert isinstance(place, Place)
        del place.lanes[shape]
        lane.place = resource
        resource.lanes[shape] = lane
        self.await_refill(resource, now_ms)

    def serve(self, entry: Entry, place: Place) -> None:
        """Let a waiter go to its grant, and its execution to the end of the round."""
        self.leave(entry)
        self.count += 1
        execution, resources = entry.waiter.execution_id, self._ledger.resources
        for name, _ in entry.plan.weights:
            resources[name].served(execution, self.count)
        if isinstance(place, KeyLock):
            place.served(execution, self.count)

    def _park(self, entry: Entry, place: Place, now_ms: int) -> None:
        shape = entry.plan.shape
        at_key = isinstance(place, KeyLock)
        lane = place.lanes.get(shape) if at_key else self.lanes.get(shape)
        if lane is None:
            lane = place.lanes[shape] = Lane(entry.plan, place)
            if not at_key:
                self.lanes[shape] = lane
        elif lane.place is not place and entry.score < lane.best() and isinstance(place, Resource):
            # The lane stands where it was refused at its old rank; at its new rank, this refuses it.
            self.move_lane(lane, place, now_ms)
        self.count += 1
        lane.add(entry, self.count)
        self.parked[entry.waiter.key] = entry
        if entry.plan.is_multiple:
            self._watch_oldest(lane, entry.priority)
        if isinstance(place, Resource) and place.window is not None:
            self.await_refill(place, now_ms)

    # --- reservations -----------------------------------------------------------------------

    def is_reserved(self, place: Place, resource: Resource, rank: int, now_ms: int) -> bool:
        """Whether one of a better rank, who is wanted, has waited so long that this rank must stand back."""
        since_ms = now_ms - resource.reserve_after_ms
        # Nobody stands at a free key for want of the key: its best has gone on to a resource.
        if not isinstance(place, KeyLock) or place.is_held:
            for lane in place.lanes.values():
                score = lane.reserves(since_ms)
                if score is None or score >= rank:
                    continue
                if not (self._ledger.is_impossible(lane.plan) or self._ledger.is_unwanted(lane.plan)):
                    return True
        # Where nothing is limited, only keys can be kept free.
        if isinstance(place, Resource) and place.limit is None:
            return False
        claim = self._first_claim(place)
        return claim is not None and claim.score < rank

    def fall_due(self, now_ms: int) -> None:
        """Let those claim their places who have waited long enough by now."""
        due = self._claims_due
        while due and (due[0][0] <= now_ms or not due[0][2].alive):
            entry = heappop(due)[2]
            if entry.alive:
                self._claim(entry)

    def wanted_again(self, demand: str, now_ms: int) -> None:
        """Somebody is wanted where nobody was: those who rested there claim again."""
        for entry, place in self._resting.pop(demand, ()):
            if not entry.alive:
                continue
            if place is None:
                self._watch(entry)
            elif isinstance(place, KeyLock):
                self._ledger.lock(place.resource.name, place.key).claim(entry)
            else:
                place.claim(entry)
        self.fall_due(now_ms)

    def given_up(self, demand: Resource) -> list[Place]:
        """Nobody is wanted there any more: the places that its waiters had kept others out of."""
        claiming = [entry for entry in self._claiming.pop(demand.name, ()) if entry.alive]
        if claiming:
            self._claiming[demand.name] = claiming
        named = [self._ledger.resources.get(name) for name in demand.companions]
        kept: list[Place] = [each for each in named if each is not None]
        for entry in claiming:
            kept += self._ledger.locks(entry.plan)
        return [place for place in kept if place.lanes]

    def unshelve(self) -> None:
        """After a change of a limit: those who were impossible may claim again."""
        for entry in self._shelved:
            if entry.alive:
                self._watch(entry)
        self._shelved.clear()

    def _first_claim(self, place: Place) -> Entry | None:
        claim = place.first_claim()
        while claim is not None:
            if self._ledger.is_impossible(claim.plan):
                self._shelved.append(claim)
            elif self._ledger.is_unwanted(claim.plan):
                self._rest(claim, place)
            else:
                return claim
            heappop(place.claims)
            claim = place.first_claim()
        return None

    def _rest(self, entry: Entry, place: Place | None) -> None:
        """Keep a claim of this place, or all its claims, for when somebody is wanted again."""
        self._resting.setdefault(entry.plan.demand, []).append((entry, place))

    def _watch_oldest(self, lane: Lane, priority: int) -> None:
        band = lane.bands.get(priority)
        if band is not None:
            oldest = band.oldest()
            if not oldest.watched:
                self._watch(oldest)

    def _watch(self, entry: Entry) -> None:
        entry.watched = True
        named = [self._ledger.resources[name] for name, _ in entry.plan.weights]
        wait_ms = min(each.reserve_after_ms for each in [each for each in named if each.limit] or named)
        heappush(self._claims_due, (entry.waiter.since_ms + wait_ms, entry.seq, entry))

    def _claim(self, entry: Entry) -> None:
        """Reserve every place it needs, but the key it stands at and what that key is of.

        Who stands at a key cannot use the resource behind it yet, and one busy key must not shut a
        whole resource. When the key frees, it goes on to the resource and reserves that.
        """
        if self._ledger.is_unwanted(entry.plan):
            self._rest(entry, None)
            return
        if entry.plan.demand:
            self._claiming.setdefault(entry.plan.demand, []).append(entry)
        here = entry.lane.place if entry.lane else None
        for name, key, _ in entry.plan.locks:
            self._ledger.lock(name, key)
        for place in self._ledger.places(entry.plan):
            if isinstance(place, Resource) and place.demand is not None:
                continue  # demand passes; kept for one who cannot begin it would be nobody's
            if not (isinstance(here, KeyLock) and place in {here, here.resource}):
                place.claim(entry)

    # --- rates ------------------------------------------------------------------------------

    def await_refill(self, resource: Resource, now_ms: int) -> None:
        """Note when a full window next lets someone start."""
        window = resource.window
        if window is not None and resource.refill_ms is None and window.is_full(now_ms):
            resource.refill_ms = window.refill_ms(now_ms)
            heappush(self._refills, (resource.refill_ms, resource.name))

    def next_refill_ms(self) -> int | None:
        """When the next window refills that anyone waits for."""
        while self._refills:
            due, name = self._refills[0]
            resource = self._ledger.resources.get(name)
            is_awaited = resource is not None and resource.refill_ms == due
            if resource is not None and is_awaited:
                if resource.lanes:
                    return due
                resource.refill_ms = None
            heappop(self._refills)
        return None

    def refilled(self, now_ms: int) -> list[Place]:
        """The resources whose windows have refilled by now."""
        found: list[Place] = []
        while self._refills and self._refills[0][0] <= now_ms:
            due, name = heappop(self._refills)
            resource = self._ledger.resources.get(name)
            if resource is not None and resource.refill_ms == due:
                resource.refill_ms = None
                found.append(resource)
        return found
