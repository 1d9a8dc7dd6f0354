"""Who may go next: which place refuses a waiter, and who follows when a place frees.

It must not keep anything of its own: it reads and moves what `admission_ledger` and
`admission_queues` keep, at a time it is told. The rules it goes by are those of `admission`.
"""

from __future__ import annotations

from asyncflow.decide.admission_ledger import Ledger
from asyncflow.decide.admission_order import Entry, Lane, Rank
from asyncflow.decide.admission_places import KeyLock, Place, Resource
from asyncflow.decide.admission_plan import Plan
from asyncflow.decide.admission_queues import Queues
from asyncflow.model.resources import Grant, Waiter


class Granting:
    """The judge over one ledger and its queues; times never go back, and claims due by them are made."""

    __slots__ = ("_ledger", "_queues")

    def __init__(self, ledger: Ledger, queues: Queues) -> None:
        self._ledger, self._queues = ledger, queues

    def refused_by(
        self, plan: Plan, lane: Lane | None, waiter: Waiter, now_ms: int, *, as_wanted: bool = False
    ) -> Place | None:
        """The first place that refuses a waiter, or the lane it stands in as a whole; None if none does.

        `as_wanted` asks what would refuse it if somebody wanted it.
        """
        resources, queues = self._ledger.resources, self._queues
        rank: int | None = None
        for name, weight in plan.weights:
            resource = resources[name]
            limit = resource.max_concurrent
            if resource.demand is not None:
                if resource.demand < weight and not as_wanted:
                    return resource
                continue
            if len(resource.holders) >= resource.most_holders:
                return resource
            if limit and resource.in_use + weight > limit:
                return resource
            if resource.window is not None and resource.window.is_full(now_ms):
                return resource
            if resource.lanes or resource.claims:
                rank = queues.rank(plan, lane.best() if lane else queues.score(waiter))
                if queues.is_reserved(resource, resource, rank, now_ms):
                    return resource
        for name, key, exclusive in plan.locks:
            lock = resources[name].locks.get(key)
            if lock is None:
                continue
            if lock.refuses(exclusive=exclusive):
                return lock
            if lock.lanes or lock.claims:
                rank = queues.rank(plan, lane.best() if lane else queues.score(waiter))
                if queues.is_reserved(lock, lock.resource, rank, now_ms):
                    return lock
        return None

    def freed(self, plan: Plan, now_ms: int) -> list[Grant]:
        """Hand on what one who held or waited leaves free."""
        if plan.locks or plan.is_multiple:
            grants = self.hand_out(self._ledger.places(plan), now_ms)
            self._ledger.forget_locks(plan)
            return grants
        resource = self._ledger.resources[plan.weights[0][0]]
        return self.hand_out([resource], now_ms) if resource.lanes else []

    def hand_out(self, places: list[Place], now_ms: int) -> list[Grant]:
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
        """Admit from the lanes parked here, best first; `todo` gets the places to visit because of that."""
        refused: set[Lane] = set()
        while True:
            entry = self._next(place, refused, now_ms)
            if entry is None:
                break
            lane, plan = entry.lane, entry.plan
            assert lane is not None
            refused_by = None if _is_alone(place, plan) else self.refused_by(plan, lane, entry.waiter, now_ms)
            if refused_by is place:
                refused.add(lane)
                continue
            if refused_by is None:
                self._queues.serve(entry, place)
                fence = self._ledger.take(entry.waiter.key, plan, now_ms)
                grants.append(Grant(entry.waiter, fence))
            elif isinstance(place, Resource) and isinstance(refused_by, Resource):
                self._queues.move_lane(lane, refused_by, now_ms)
            else:
                self._queues.move(entry, refused_by, now_ms)
                if isinstance(place, KeyLock):
                    refused.add(lane)  # the others follow when this one leaves the resource
                    continue
            # One who left may have kept others out, here and wherever else it was wanted.
            if refused:
                todo[place] = None
            if plan.is_multiple or plan.locks:
                todo.update(dict.fromkeys(self._ledger.places(plan)))
        if isinstance(place, Resource) and place.window is not None and place.lanes:
            self._queues.await_refill(place, now_ms)

    def _next(self, place: Place, refused: set[Lane], now_ms: int) -> Entry | None:
        """The first in order of the lanes here that its limits would let in."""
        lanes = [
            lane
            for lane in place.lanes.values()
            if lane not in refused
            and not (isinstance(place, Resource) and _is_full(place, lane.plan, now_ms))
        ]
        if len(lanes) == 1:
            only = lanes[0].only(place.turns)
            if only is not None:
                return only
        best: Rank | None = None
        chosen: Entry | None = None
        step_ms = self._queues.step_ms
        for lane in lanes:
            rank, entry = lane.next(now_ms, step_ms=step_ms, turns=place.turns)
            if best is None or rank < best:
                best, chosen = rank, entry
        return chosen


def _is_full(place: Resource, plan: Plan, now_ms: int) -> bool:
    if len(plan.weights) == 1:
        return place.refuses(plan.weights[0][1], now_ms)
    return any(name == place.name and place.refuses(weight, now_ms) for name, weight in plan.weights)


def _is_alone(place: Place, plan: Plan) -> bool:
    """Whether the one limit already asked is all that could refuse: the common case, and the fast one."""
    return not (plan.is_multiple or plan.locks or place.claims) and len(place.lanes) == 1
