"""Admission: who may start now, under every limit at once; the one owner of all counts and queues.

It must not ask the time, wait or record anything: the deciding turn calls it, puts each grant into
the event of the attempt that starts, and after a crash hands the grants back with `restore`. Order is
in `admission_order`, what can refuse in `admission_places`, what a waiter is told in `admission_why`.

Rules, which the property tests hold:

- All needs are granted together or none. A waiter is parked at the one place that refused it, and
  tried again only when that place frees; waiters of the same shape are parked together as one lane.
- A lane is judged as a whole, at the rank of its best waiter, so that what refuses its head refuses
  all of it. Only keys differ within a lane: a waiter refused by a key leaves the lane for that key's.
- A key that is free while some still stand at it has sent its best to a lane (`_visit` moves one at a
  time); whenever a waiter with keys leaves a lane, its keys are visited again.
- Who has waited for `reserve_after_ms` keeps everyone of a worse score away from its places: by
  standing there, and by claims at the other places it needs. Scores never change, so of any two
  waiters only one can keep the other out, and the best of all is kept out by nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from asyncflow.decide.admission_order import Entry, Lane, priority_of
from asyncflow.decide.admission_places import KeyLock, Place, Resource
from asyncflow.decide.admission_plan import Plan
from asyncflow.decide.admission_why import describe, holding, usage_of
from asyncflow.errors import InvalidInput, LimitExceeded
from asyncflow.model.resources import AGING_STEP_MS, AttemptKey, Grant, Need, ResourceLimit, Waiter

_PLANS_KEPT = 10_000


class Admission:
    """Grants, queues and limits of all resources of one engine.

    Times are integer milliseconds of one clock that never goes back. Every method that can free
    something returns the grants that follow from it, in the order in which they were given.
    """

    def __init__(self, *, aging_step_ms: int = AGING_STEP_MS) -> None:
        self._step_ms = aging_step_ms
        self._resources: dict[str, Resource] = {}
        self._sweep_at = 1024
        self._held: dict[AttemptKey, tuple[Plan, int]] = {}
        self._parked: dict[AttemptKey, Entry] = {}
        self._lanes: dict[object, Lane] = {}  # by shape; those parked at a key are not among them
        self._plans: dict[tuple[Need, ...], Plan] = {}
        self._count = 0  # arrivals and turns, one numbering
        self._now_ms = 0
        self._refills: list[tuple[int, str]] = []  # a heap
        self._claims_due: list[tuple[int, int, Entry]] = []  # a heap
        self._shelved: list[Entry] = []  # claims of those no limit in force would ever admit

    # --- what callers ask -------------------------------------------------------------------

    def set_limit(self, resource: str, limit: ResourceLimit | None, now_ms: int | None = None) -> list[Grant]:
        """Hold to another limit from now on; None for no limit. Holders above it keep what they have.

        Args:
            now_ms: the time of the last call, when left out.

        Raises:
            InvalidInput: a number is negative, or a rate has no window.
        """
        if limit is not None:
            _check_limit(resource, limit)
        now_ms = self._at(self._now_ms if now_ms is None else now_ms)
        place = self._resource(resource)
        if place.limit == limit:
            return []
        place.set_limit(limit)
        place.refill_ms = None
        for entry in self._shelved:
            self._watch(entry)
        self._shelved.clear()
        # Who has become impossible reserves nothing any more, so that others may follow anywhere.
        resources = list(self._resources.values())
        locks = [lock for each in resources for lock in each.locks.values()]
        return self._hand_out([each for each in [*resources, *locks] if each.lanes], now_ms)

    def request(self, waiter: Waiter, now_ms: int) -> Grant | None:
        """Grant everything the waiter needs at once, or park it and return None.

        One that holds already gets its grant again, one that waits goes on waiting where it stands.

        Raises:
            LimitExceeded: a weight is above the limit of its resource, so that it would wait for ever.
            InvalidInput: a need is not well formed.
        """
        needs = waiter.needs
        if not needs:
            return Grant(waiter, 0)
        key = waiter.key
        if key in self._held:
            return Grant(waiter, self._held[key][1])
        if key in self._parked:
            return None
        plan = self._plans.get(needs) or self._plan(needs)
        for name, weight in plan.weights:
            limit = self._resource(name).max_concurrent
            if limit and weight > limit:
                raise LimitExceeded(f"weight on resource {name}", allowed=limit, actual=weight)
        now_ms = self._at(now_ms)
        score = waiter.since_ms - priority_of(waiter) * self._step_ms
        refused_by = self._refused_by(plan, self._rank(plan, score), now_ms)
        if refused_by is None:
            return Grant(waiter, self._take(key, plan, now_ms))
        self._count += 1
        self._park(Entry(waiter, plan, score=score, seq=self._count), refused_by, now_ms)
        return None

    def withdraw(self, key: AttemptKey, now_ms: int) -> list[Grant]:
        """Let a waiter give up; those it kept out by its reservation may follow. A holder keeps its grant."""
        entry = self._parked.get(key)
        if entry is None:
            return []
        now_ms = self._at(now_ms)
        self._leave(entry)
        return self._hand_out(self._places(entry.plan), now_ms)

    def release(self, key: AttemptKey, now_ms: int) -> list[Grant]:
        """End what an attempt holds and hand it on at once; for one that holds nothing, nothing happens."""
        held = self._held.pop(key, None)
        if held is None:
            return []
        now_ms = self._at(now_ms)
        plan = held[0]
        waiting = False
        for name, _ in plan.weights:
            resource = self._resources[name]
            resource.give(key)
            waiting = waiting or bool(resource.lanes)
        for name, lock_key, _ in plan.locks:
            lock = self._resources[name].locks[lock_key]
            lock.give(key)
            waiting = waiting or bool(lock.lanes)
        grants = self._hand_out(self._places(plan), now_ms) if waiting else []
        if plan.locks:
            self._forget_locks(plan)
        return grants

    def restore(self, key: AttemptKey, needs: tuple[Need, ...], fence: int, started_ms: int | None) -> None:
        """Recovery: an attempt that has begun and not ended holds its grants, whatever the limits say now.

        Args:
            started_ms: counts as a start in the rate windows; None when `restore_history` has it.
        """
        if key in self._held or not needs:
            return
        if key in self._parked:
            self._leave(self._parked[key])
        plan = self._plan(needs)
        self._held[key] = (plan, fence)
        for name, weight in plan.weights:
            resource = self._resource(name)
            resource.take(key, weight)
            if resource.window is not None and started_ms is not None:
                resource.window.add(started_ms)
        for name, lock_key, exclusive in plan.locks:
            self._lock(name, lock_key).take(key, exclusive=exclusive)
            if exclusive:
                self._resources[name].fence = max(self._resources[name].fence, fence)

    def restore_history(self, resource: str, *, starts_ms: Iterable[int], fence: int) -> None:
        """Recovery: the highest fence ever given, and the starts that may still lie in the rate window."""
        place = self._resource(resource)
        place.fence = max(place.fence, fence)
        if place.window is not None:
            place.window.restore(starts_ms)

    def history(self, resource: str) -> tuple[list[int], int]:
        """What `restore_history` needs after a restart: the starts in the window, and the highest fence."""
        place = self._resources.get(resource)
        if place is None:
            return [], 0
        return place.window.history() if place.window else [], place.fence

    def advance(self, now_ms: int) -> list[Grant]:
        """Let time pass: who may start because rate windows have refilled."""
        now_ms = self._at(now_ms)
        places: list[Place] = []
        while self._refills and self._refills[0][0] <= now_ms:
            due, name = heappop(self._refills)
            resource = self._resources.get(name)
            if resource is not None and resource.refill_ms == due:
                resource.refill_ms = None
                places.append(resource)
        return self._hand_out(places, now_ms) if places else []

    def next_due_ms(self) -> int | None:
        """When `advance` can next have an effect, or None while only a release can free anything."""
        while self._refills:
            due, name = self._refills[0]
            resource = self._resources.get(name)
            if resource is not None and resource.refill_ms == due and resource.lanes:
                return due
            heappop(self._refills)
            if resource is not None and resource.refill_ms == due:
                resource.refill_ms = None
        return None

    def why(self, key: AttemptKey, now_ms: int) -> dict[str, object]:
        """What the attempt waits for, who holds it and how many come first; or what it holds."""
        now_ms = self._at(now_ms)
        if key in self._held:
            return holding(*self._held[key])
        entry = self._parked.get(key)
        if entry is None:
            return {"state": "unknown"}
        refused_by = self._refused_by(entry.plan, self._rank(entry.plan, entry.score), now_ms)
        return describe(entry, refused_by, now_ms=now_ms, resources=self._resources)

    def usage(self) -> dict[str, dict[str, object]]:
        """Per resource: weight in use, holders, waiters, the limit, starts in the window."""
        return {name: usage_of(place, self._now_ms) for name, place in self._resources.items()}

    # --- granting ---------------------------------------------------------------------------

    def _refused_by(self, plan: Plan, rank: int, now_ms: int) -> Place | None:
        """The first place that refuses these needs at this rank, or None."""
        for name, weight in plan.weights:
            resource = self._resources[name]
            if resource.refuses(weight, now_ms):
                return resource
            if (resource.lanes or resource.claims) and self._is_reserved(resource, resource, rank, now_ms):
                return resource
        for name, key, exclusive in plan.locks:
            resource = self._resources[name]
            lock = resource.locks.get(key)
            if lock is None:
                continue
            if lock.refuses(exclusive=exclusive):
                return lock
            if (lock.lanes or lock.claims) and self._is_reserved(lock, resource, rank, now_ms):
                return lock
        return None

    def _is_reserved(self, place: Place, resource: Resource, rank: int, now_ms: int) -> bool:
        """Whether one of a better rank has waited so long that this one must stand back here."""
        since_ms = now_ms - resource.reserve_after_ms
        # At a key nobody holds no one stands in want of it alone: its best has gone on to a lane.
        if not isinstance(place, KeyLock) or place.is_held:
            for lane in place.lanes.values():
                score = lane.reserves(since_ms)
                if score is not None and score < rank and not self._is_impossible(lane.plan):
                    return True
        # Where nothing is limited, only keys can be kept free.
        if isinstance(place, Resource) and place.limit is None:
            return False
        claim = place.first_claim()
        while claim is not None and self._is_impossible(claim.plan):
            heappop(place.claims)
            self._shelved.append(claim)
            claim.watched = False
            claim = place.first_claim()
        return claim is not None and claim.score < rank

    def _is_impossible(self, plan: Plan) -> bool:
        for name, weight in plan.weights:
            limit = self._resources[name].max_concurrent
            if limit and weight > limit:
                return True
        return False

    def _take(self, key: AttemptKey, plan: Plan, now_ms: int) -> int:
        resources = self._resources
        for name, weight in plan.weights:
            resource = resources[name]
            resource.holders[key] = weight
            resource.in_use += weight
            if resource.window is not None:
                resource.window.add(now_ms)
        fence = 0
        if plan.locks:
            exclusive = [resources[name] for name, _, exclusive in plan.locks if exclusive]
            fence = 1 + max(resource.fence for resource in exclusive) if exclusive else 0
            for resource in exclusive:
                resource.fence = fence
            for name, lock_key, is_exclusive in plan.locks:
                self._lock(name, lock_key).take(key, exclusive=is_exclusive)
        self._held[key] = (plan, fence)
        return fence

    def _hand_out(self, places: list[Place], now_ms: int) -> list[Grant]:
        """Visit places, and those whose turn follows from that, until nothing more can be given."""
        grants: list[Grant] = []
        todo = dict.fromkeys(places)
        while todo:
            place = next(iter(todo))
            del todo[place]
            if place.lanes:
                self._visit(place, now_ms, grants, todo)
        return grants

    def _visit(self, place: Place, now_ms: int, grants: list[Grant], todo: dict[Place, None]) -> None:
        refused: set[Lane] = set()
        while True:
            entry = self._next(place, refused, now_ms)
            if entry is None:
                break
            lane = entry.lane
            assert lane is not None
            plan = entry.plan
            refused_by = self._refused_by(plan, self._rank(plan, lane.best()), now_ms)
            if refused_by is None:
                self._leave(entry)
                waiter = entry.waiter
                for name, _ in plan.weights:
                    self._count += 1
                    self._resources[name].served(waiter.execution_id, self._count)
                if isinstance(place, KeyLock):
                    place.served(waiter.execution_id, self._count)
                grants.append(Grant(waiter, self._take(waiter.key, plan, now_ms)))
                if plan.is_multiple or plan.locks:
                    todo.update(dict.fromkeys(self._places(plan)))
            elif refused_by is place:
                refused.add(lane)
            elif isinstance(place, KeyLock):
                refused.add(lane)  # its best goes ahead; the others follow when that one leaves
                self._move(entry, refused_by, now_ms)
            elif isinstance(refused_by, KeyLock):
                self._move(entry, refused_by, now_ms)
                todo.update(dict.fromkeys(self._locks(plan)))
            else:
                self._park_lane(lane, refused_by, now_ms)
        if isinstance(place, Resource) and place.lanes:
            self._await_refill(place, now_ms)

    def _next(self, place: Place, refused: set[Lane], now_ms: int) -> Entry | None:
        """The first in order of all lanes here whose weight fits."""
        best: tuple[int, int, int, int] | None = None
        chosen: Entry | None = None
        for lane in place.lanes.values():
            if lane in refused:
                continue
            if isinstance(place, Resource) and self._is_full(place, lane.plan, now_ms):
                continue
            rank, turn, since_ms, entry = lane.next(now_ms, step_ms=self._step_ms, turns=place.turns)
            key = (rank, turn, since_ms, entry.seq)
            if best is None or key < best:
                best, chosen = key, entry
        return chosen

    @staticmethod
    def _is_full(place: Resource, plan: Plan, now_ms: int) -> bool:
        return any(name == place.name and place.refuses(weight, now_ms) for name, weight in plan.weights)

    # --- waiting ----------------------------------------------------------------------------

    def _rank(self, plan: Plan, score: int) -> int:
        """The score at which waiters of this shape are judged: the best of them all."""
        lane = self._lanes.get(plan.shape) if self._lanes else None
        return score if lane is None else min(score, lane.best())

    def _park(self, entry: Entry, place: Place, now_ms: int) -> None:
        shape = entry.plan.shape
        lane = place.lanes.get(shape) if isinstance(place, KeyLock) else self._lanes.get(shape)
        if lane is None:
            lane = place.lanes[shape] = Lane(entry.plan, place)
            if isinstance(place, Resource):
                self._lanes[shape] = lane
        elif lane.place is not place and entry.score < lane.best():
            # Others stand where the lane as it was is refused; as it is now, it is refused here.
            self._park_lane(lane, place, now_ms)
        self._count += 1
        lane.add(entry, self._count)
        self._parked[entry.waiter.key] = entry
        self._watch_lane(lane, priority_of(entry.waiter))
        if isinstance(place, Resource):
            self._await_refill(place, now_ms)

    def _park_lane(self, lane: Lane, place: Place, now_ms: int) -> None:
        assert isinstance(lane.place, Place)
        del lane.place.lanes[lane.plan.shape]
        lane.place = place
        place.lanes[lane.plan.shape] = lane
        if isinstance(place, Resource):
            self._await_refill(place, now_ms)

    def _move(self, entry: Entry, place: Place, now_ms: int) -> None:
        self._leave(entry)
        self._park(entry.again(), place, now_ms)

    def _leave(self, entry: Entry) -> None:
        lane = entry.lane
        assert lane is not None
        del self._parked[entry.waiter.key]
        lane.remove(entry)
        if lane.bands:
            self._watch_lane(lane, priority_of(entry.waiter))
            return
        place = lane.place
        assert isinstance(place, Place)
        del place.lanes[lane.plan.shape]
        if isinstance(place, Resource):
            del self._lanes[lane.plan.shape]

    def _watch_lane(self, lane: Lane, priority: int) -> None:
        """Let the oldest of a priority claim, in time, the other places it needs."""
        if lane.plan.is_multiple and priority in lane.bands:
            oldest = lane.bands[priority].oldest()
            if not oldest.watched:
                self._watch(oldest)

    def _watch(self, entry: Entry) -> None:
        entry.watched = True
        resources = [self._resources[name] for name, _ in entry.plan.weights]
        wait = min(each.reserve_after_ms for each in [r for r in resources if r.limit] or resources)
        heappush(self._claims_due, (entry.waiter.since_ms + wait, entry.seq, entry))

    def _claim(self, entry: Entry) -> None:
        """Reserve every place it needs, but the key it stands at and what that key is of.

        Whoever stands at a key cannot use the resource behind it yet: one busy key must not shut a
        whole resource. When the key frees, it goes on to the resource and reserves that.
        """
        here = entry.lane.place if entry.lane else None
        for place in self._places(entry.plan, create=True):
            if isinstance(here, KeyLock) and (place is here or place is here.resource):
                continue
            place.claim(entry)

    def _await_refill(self, resource: Resource, now_ms: int) -> None:
        window = resource.window
        if window is None or resource.refill_ms is not None or not window.is_full(now_ms):
            return
        resource.refill_ms = window.refill_ms(now_ms)
        heappush(self._refills, (resource.refill_ms, resource.name))

    # --- records ----------------------------------------------------------------------------

    def _at(self, now_ms: int) -> int:
        """The time of this call, and the claims that have fallen due by it."""
        self._now_ms = now_ms = max(now_ms, self._now_ms)
        due = self._claims_due
        while due and (due[0][0] <= now_ms or not due[0][2].alive):
            entry = heappop(due)[2]
            if entry.alive:
                self._claim(entry)
        return now_ms

    def _plan(self, needs: tuple[Need, ...]) -> Plan:
        plan = self._plans.get(needs)
        if plan is None:
            if len(self._plans) >= _PLANS_KEPT:
                self._plans.clear()
            plan = self._plans[needs] = Plan(needs)
        return plan

    def _resource(self, name: str) -> Resource:
        resource = self._resources.get(name)
        if resource is None:
            if len(self._resources) >= self._sweep_at:
                self._resources = {each.name: each for each in self._resources.values() if not each.is_idle}
                self._sweep_at = 1024 + 2 * len(self._resources)
            resource = self._resources[name] = Resource(name)
        return resource

    def _lock(self, name: str, key: str) -> KeyLock:
        resource = self._resource(name)
        lock = resource.locks.get(key)
        if lock is None:
            lock = resource.locks[key] = KeyLock(resource, key)
        return lock

    def _locks(self, plan: Plan) -> list[Place]:
        found = [self._resources[name].locks.get(key) for name, key, _ in plan.locks]
        return [lock for lock in found if lock is not None]

    def _places(self, plan: Plan, *, create: bool = False) -> list[Place]:
        if create:
            for name, key, _ in plan.locks:
                self._lock(name, key)
        return [*[self._resources[name] for name, _ in plan.weights], *self._locks(plan)]

    def _forget_locks(self, plan: Plan) -> None:
        """Keys come from data, so one that nobody holds or wants is forgotten at once."""
        for name, key, _ in plan.locks:
            lock = self._resources[name].locks.get(key)
            if lock and not lock.is_held and not lock.lanes and lock.first_claim() is None:
                del self._resources[name].locks[key]


def _check_limit(resource: str, limit: ResourceLimit) -> None:
    for name, number in limit._asdict().items():
        if number < 0:
            raise InvalidInput(f"at least 0 expected, got {number}", field=f"resources.{resource}.{name}")
    if limit.rate and not limit.rate_window_ms:
        raise InvalidInput("a rate needs a window", field=f"resources.{resource}.rate_window_ms")
