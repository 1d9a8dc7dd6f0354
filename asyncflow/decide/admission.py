"""Admission: who may start now, under every limit at once; the one owner of all counts and queues.

It must not ask the time, wait or record anything: the deciding turn calls it, puts each grant into
the event of the attempt that starts, and after a crash hands the grants back with `restore`. Who may
go next is judged in `admission_granting`, order is in `admission_order`, counts in `admission_ledger`,
waiting and reservations in `admission_queues`.

The rules, which the property tests hold:

- All needs are granted together or none. A waiter is parked at the one place that refused it and is
  tried again only when that place frees. Waiters of one shape are parked together, as a lane.
- A lane is judged as a whole, at the rank of its best waiter, so that what refuses its head refuses
  all of it. Only keys differ within a lane: a waiter refused by a key goes to that key, alone.
- A key that is free while some still stand at it has sent its best to the lane of its shape; when one
  with keys leaves a lane, its keys are visited again. So a key costs one move per visit, not a crowd's.
- Who has waited for `reserve_after_ms` keeps everyone of a worse score away from its places. Scores
  never change, so of any two only one keeps the other out, and nobody keeps out the best of all.
"""

from __future__ import annotations

from collections.abc import Iterable

from asyncflow.decide.admission_counts import Counts
from asyncflow.decide.admission_granting import Granting
from asyncflow.decide.admission_ledger import Ledger
from asyncflow.decide.admission_places import Place
from asyncflow.decide.admission_queues import Queues
from asyncflow.decide.admission_why import describe, holding, people_of, usage_of
from asyncflow.errors import Conflict, InvalidInput
from asyncflow.model.resources import AGING_STEP_MS, AttemptKey, Grant, Need, ResourceLimit, Waiter


class Admission(Counts):
    """Grants, queues and limits of all resources of one engine.

    Times are integer milliseconds of one clock that never goes back. Every method that can free
    something returns the grants that follow from it, in the order in which they were given.
    """

    def __init__(self, *, aging_step_ms: int = AGING_STEP_MS) -> None:
        super().__init__(Ledger())
        self._queues = Queues(self._ledger, aging_step_ms)
        self._granting = Granting(self._ledger, self._queues)
        self._now_ms = 0

    # --- what callers ask -------------------------------------------------------------------

    def set_limit(self, resource: str, limit: ResourceLimit | None, now_ms: int | None = None) -> list[Grant]:
        """Hold to another limit from now on; None for no limit. Holders above it keep what they have.

        A waiter that the new limit could never admit stays parked, reserves nothing, and `why` says
        so. A rate counts the starts it can know of: those since some rate was set, and no longer ago
        than the window that was in force.

        Args:
            now_ms: the time of the last call, when left out.

        Raises:
            InvalidInput: a number is negative, or a rate has no window.

        Cost: linear in the places where anyone waits, unless the limit is the one in force.
        """
        if limit is not None:
            _check_limit(resource, limit)
        place = self._ledger.resource(resource)
        if place.limit == limit:
            return []
        now_ms = self._at(self._now_ms if now_ms is None else now_ms)
        place.set_limit(limit, now_ms)
        self._queues.unshelve()
        # Those who have become impossible reserve nothing any more, so others may follow anywhere.
        places: list[Place] = []
        for each in self._ledger.resources.values():
            places += [here for here in (each, *each.locks.values()) if here.lanes]
        return self._granting.hand_out(places, now_ms)

    def limit_unused(self, resource: str, limit: ResourceLimit | None) -> bool:
        """Set a limit, at no cost, where nobody holds or waits for anything; whether that was so.

        For resources that nobody names beside others.
        """
        place = self._ledger.resource(resource)
        if place.is_used:
            return False
        place.set_limit(limit, self._now_ms)
        return True

    def forget_idle(self, resource: str, now_ms: int) -> bool:
        """Forget a resource and its limit, if nobody would notice; whether that was so."""
        return self._ledger.forget(resource, now_ms)

    def set_demand(self, resource: str, count: int, now_ms: int) -> list[Grant]:
        """So many are wanted here from now on, no more and no fewer; each grant is one wanted less.

        Nobody who names the resource as its demand begins while nobody is wanted; nothing of it is held.
        When grants have used all of it up, call this again, also with 0: then those follow elsewhere whom
        a reservation of one who was wanted had kept out.

        Cost: in the other resources that those who wait here need, and what is granted.
        """
        if not count and resource not in self._ledger.resources:
            return []  # nobody waits there, and no name is kept that is only polled for
        place = self._ledger.resource(resource)
        before, place.demand = place.demand or 0, count
        if not count:
            places = self._queues.given_up(place)
            return self._granting.hand_out(places, self._at(now_ms)) if places else []
        if count <= before:
            return []
        now_ms = self._at(now_ms)
        if not before:
            self._queues.wanted_again(resource, now_ms)
        return self._granting.hand_out([place], now_ms) if place.lanes else []

    def request(self, waiter: Waiter, now_ms: int) -> Grant | None:
        """Grant everything the waiter needs at once, or park it and return None.

        One that holds already gets its grant again; one that waits goes on waiting where it stands,
        so for another priority or other needs withdraw it first.

        Raises:
            LimitExceeded: a weight is above the limit of its resource, so that it would wait for ever.
            InvalidInput: a need is not well formed.
        """
        needs = waiter.needs
        if not needs:
            return Grant(waiter, 0)
        key, ledger = waiter.key, self._ledger
        if key in ledger.held:
            return Grant(waiter, ledger.held[key][1])
        if key in self._queues.parked:
            return None
        plan = ledger.plan(needs)
        ledger.check_weights(plan)
        now_ms = self._at(now_ms)
        refused_by = self._granting.refused_by(plan, None, waiter, now_ms)
        if refused_by is None:
            return Grant(waiter, ledger.take(key, plan, now_ms))
        self._queues.enter(waiter, plan, refused_by, now_ms)
        return None

    def knows(self, key: AttemptKey) -> bool:
        """Whether it holds or waits for anything."""
        return key in self._ledger.held or key in self._queues.parked

    def fence_of(self, key: AttemptKey) -> int | None:
        """The fence of what an attempt holds now; None where it holds nothing."""
        held = self._ledger.held.get(key)
        return None if held is None else held[1]

    def withdraw(self, key: AttemptKey, now_ms: int) -> list[Grant]:
        """Let a waiter give up; those it kept out by its reservation may follow. A holder releases."""
        entry = self._queues.parked.get(key)
        if entry is None:
            return self.release(key, now_ms) if key in self._ledger.held else []
        now_ms = self._at(now_ms)
        self._queues.leave(entry)
        return self._granting.freed(entry.plan, now_ms)

    def release(self, key: AttemptKey, now_ms: int) -> list[Grant]:
        """End what an attempt holds and hand it on at once. A waiter withdraws; others change nothing."""
        plan = self._ledger.give(key)
        if plan is None:
            return self.withdraw(key, now_ms) if key in self._queues.parked else []
        if self._queues.parked:
            return self._granting.freed(plan, self._at(now_ms))
        if plan.locks:
            self._ledger.forget_locks(plan)
        self._ledger.sweep()
        return []

    def rename(self, old: AttemptKey, new: AttemptKey) -> None:
        """Let who holds something go on under another key; nothing is given back, and nobody follows.

        One who holds nothing is left alone, also if it waits.

        Raises:
            Conflict: the other key holds or waits already.
        """
        if old not in self._ledger.held or old == new:
            return
        if new in self._ledger.held or new in self._queues.parked:
            raise Conflict(f"attempt {new[1]} of {new[0]} holds or waits already")
        self._ledger.rename(old, new)

    def split(
        self, old: AttemptKey, new: AttemptKey, rest: tuple[Need, ...], moved: tuple[Need, ...], fence: int
    ) -> None:
        """Have `old` hold the `rest` and `new` what `moved`, unless it holds; nothing is free in between."""
        if new not in self._ledger.held:
            self._ledger.give(old)
            self.restore(old, rest, fence, None)
            self.restore(new, moved, fence, None)

    def held_by(self, stream: str) -> list[AttemptKey]:
        """All keys of an execution under which something is held. Cost: in all that hold anything."""
        return [key for key in self._ledger.held if key[0] == stream]

    def restore(self, key: AttemptKey, needs: tuple[Need, ...], fence: int, started_ms: int | None) -> None:
        """Recovery: an attempt that has begun and not ended holds its grants, whatever the limits say now.

        Args:
            started_ms: counts as a start in the rate windows; None when `restore_history` has it.
        """
        if key in self._ledger.held or not needs:
            return
        entry = self._queues.parked.get(key)
        if entry is not None:
            self._queues.leave(entry)
        self._ledger.restore(key, self._ledger.plan(needs), fence, started_ms)

    def restore_history(self, resource: str, *, starts_ms: Iterable[int], fence: int) -> None:
        """Recovery: the highest fence ever given, and the starts that may still be in the rate window."""
        self._ledger.resource(resource).restore_history(starts_ms, fence)

    def restore_fences(self, floor: int) -> None:
        """Recovery: no fence of any resource at or below this one."""
        self._ledger.floor = max(self._ledger.floor, floor)

    def advance(self, now_ms: int) -> list[Grant]:
        """Let time pass: who may start because rate windows have refilled."""
        now_ms = self._at(now_ms)
        return self._granting.hand_out(self._queues.refilled(now_ms), now_ms)

    def next_due_ms(self) -> int | None:
        """When `advance` can next grant anything, or None while only a release or a change can.

        Aging and reservations grant nothing by themselves; they are looked at whenever something frees.
        """
        return self._queues.next_refill_ms()

    def why(self, key: AttemptKey, now_ms: int) -> dict[str, object]:
        """What the attempt waits for, who holds it and how many come first; or what it holds."""
        now_ms = self._at(now_ms)
        held = self._ledger.held.get(key)
        if held is not None:
            return holding(*held)
        entry = self._queues.parked.get(key)
        if entry is None:
            return {"state": "unknown"}
        asked = entry.plan, None, entry.waiter, now_ms
        refused_by = self._granting.refused_by(*asked, as_wanted=True) or self._granting.refused_by(*asked)
        return describe(entry, refused_by, now_ms=now_ms, resources=self._ledger.resources)

    def usage(self) -> dict[str, dict[str, object]]:
        """Per resource: weight in use, holders, waiters, the limit, starts in the window."""
        places = self._ledger.resources.items()
        return {name: usage_of(place, self._now_ms) for name, place in places if place.demand is None}

    def people(self, resource: str) -> dict[str, object]:
        """Who holds something of a resource and who waits at it, the first of each; {} if nobody named it."""
        place = self._ledger.resources.get(resource)
        return {} if place is None else people_of(place, self._now_ms)

    def _at(self, now_ms: int) -> int:
        """The time of this call; claims that have fallen due by it are made."""
        if now_ms > self._now_ms:
            self._now_ms = now_ms
            self._queues.fall_due(now_ms)
        return self._now_ms


def _check_limit(resource: str, limit: ResourceLimit) -> None:
    for name, number in limit._asdict().items():
        if number < 0:
            raise InvalidInput(f"at least 0 expected, got {number}", field=f"resources.{resource}.{name}")
    if limit.rate and not limit.rate_window_ms:
        raise InvalidInput("a rate needs a window", field=f"resources.{resource}.rate_window_ms")
