"""Demand: a place that is open only while somebody is wanted there, beside every other limit.

The laws: no more begin than were wanted and than limits allow; of those who could begin, somebody does as
soon as it is wanted; nobody who only waits to be wanted keeps others out.
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from functools import partial
from random import Random
from types import FrameType
from typing import Any

import pytest

from asyncflow.decide.admission import Admission
from asyncflow.model.resources import Grant, Need, ResourceLimit, Waiter

DEMAND, LIMITED = Need("worker:a", is_demand=True), Need("task:a")
NOW = 1_000_000


def waiter(number: int, *needs: Need, execution: str = "e", priority: int = 0, since: int = NOW) -> Waiter:
    return Waiter((execution, number), needs, priority, execution, since)


def numbers(grants: list[Grant]) -> list[int]:
    return [grant.waiter.key[1] for grant in grants]


def test_nobody_begins_before_somebody_is_wanted() -> None:
    admission = Admission()
    for number in range(3):
        assert admission.request(waiter(number, DEMAND), NOW) is None

    assert admission.waiting_at("worker:a") == 3
    assert numbers(admission.set_demand("worker:a", 2, NOW)) == [0, 1]
    assert admission.demand("worker:a") == 0
    assert admission.release(("e", 0), NOW) == [], "nothing of it was held, so nothing is free"
    assert "worker:a" not in admission.usage()


def test_demand_that_is_there_is_used_at_once_and_only_once() -> None:
    admission = Admission()
    assert admission.set_demand("worker:a", 1, NOW) == []
    assert admission.request(waiter(0, DEMAND), NOW) is not None
    assert admission.request(waiter(1, DEMAND), NOW) is None


def test_limit_that_frees_goes_to_who_is_wanted() -> None:
    admission = Admission()
    admission.set_limit("task:a", ResourceLimit(1), NOW)
    admission.set_demand("worker:a", 5, NOW)
    assert admission.request(waiter(0, DEMAND, LIMITED), NOW) is not None
    assert admission.request(waiter(1, DEMAND, LIMITED), NOW) is None
    assert numbers(admission.release(("e", 0), NOW)) == [1]
    assert admission.request(waiter(2, DEMAND, LIMITED), NOW) is None
    assert admission.set_demand("worker:a", 0, NOW) == []
    assert admission.release(("e", 1), NOW) == [], "nobody is wanted"
    assert numbers(admission.set_demand("worker:a", 1, NOW)) == [2]


def test_priority_and_turns_hold_among_those_who_wait_to_be_wanted() -> None:
    admission = Admission()
    for number, (execution, priority) in enumerate([("e", 0), ("e", 0), ("f", 0), ("g", 5)]):
        admission.request(waiter(number, DEMAND, execution=execution, priority=priority), NOW)

    assert numbers(admission.set_demand("worker:a", 4, NOW)) == [3, 0, 2, 1]


@pytest.mark.parametrize("was_wanted", [True, False])
def test_who_waits_for_a_worker_keeps_nobody_from_its_other_needs(*, was_wanted: bool) -> None:
    admission = Admission()
    admission.set_limit("x", ResourceLimit(3), NOW)
    assert admission.request(waiter(0, Need("x", 2), execution="h"), NOW) is not None
    if was_wanted:
        admission.set_demand("worker:a", 1, NOW)
    assert admission.request(waiter(1, DEMAND, Need("x", 3), priority=9), NOW) is None
    later = NOW + 120_000
    here = waiter(2, Need("x", 1), execution="l", since=later)
    if was_wanted:
        assert admission.request(here, later) is None, "it is wanted and has waited long"
        assert numbers(admission.set_demand("worker:a", 0, later)) == [2]
    else:
        assert admission.request(here, later) is not None


def lines_of(work: Callable[[], object]) -> int:
    """How many lines of Python this runs: what it costs, on any machine."""
    count = 0

    def seen(_frame: FrameType, event: str, _argument: object) -> Any:
        nonlocal count
        count += event == "line"
        return seen

    before = sys.gettrace()
    sys.settrace(seen)
    try:
        work()
    finally:
        sys.settrace(before)
    return count


def test_many_offers_cost_the_same_as_few() -> None:
    """A hundred hand-outs and returns, among a thousand who wait and among thirty times as many."""
    costs = []
    for many in (1_000, 30_000):
        admission = Admission()
        admission.set_limit("task:a", ResourceLimit(50), NOW)
        for number in range(many):
            admission.request(waiter(number, DEMAND, LIMITED, execution=f"e{number % 1000}"), NOW)
        given: list[Grant] = []
        costs.append(lines_of(partial(hand_out, admission, given)))
        assert len(given) == 100

    assert costs[1] < 2 * costs[0], costs


def hand_out(admission: Admission, given: list[Grant]) -> None:
    for _ in range(100):
        for grant in admission.set_demand("worker:a", 1, NOW):
            given.append(grant)
            admission.release(grant.waiter.key, NOW)
        admission.set_demand("worker:a", 0, NOW)


NAMES = ("a", "b")


class World:
    """An admission, and beside it what a bystander counts."""

    def __init__(self, draw: Random) -> None:
        self.draw, self.admission = draw, Admission()
        self.limits: dict[str, int] = {}
        self.wanted = dict.fromkeys(NAMES, 0)
        self.parked: dict[tuple[str, int], Waiter] = {}
        self.held: dict[tuple[str, int], Waiter] = {}
        self.now, self.count = NOW, 0

    def used(self) -> Counter[str]:
        held: Counter[str] = Counter()
        for each in self.held.values():
            for need in each.needs:
                held[need.resource] += 0 if need.is_demand else need.weight
        return held

    def fits(self, each: Waiter) -> bool:
        used = self.used()
        for need in each.needs:
            if need.is_demand:
                if not self.wanted[need.resource.removeprefix("worker:")]:
                    return False
            elif (
                self.limits.get(need.resource)
                and used[need.resource] + need.weight > self.limits[need.resource]
            ):
                return False
        return True

    def take(self, grants: list[Grant]) -> None:
        for grant in grants:
            each = self.parked.pop(grant.waiter.key)
            assert self.fits(each), each
            self.held[each.key] = each
            if each.needs[0].is_demand:
                self.wanted[each.needs[0].resource.removeprefix("worker:")] -= 1
        for name, count in self.wanted.items():
            assert self.admission.demand(f"worker:{name}") == count
            if grants and not count:
                self.take(self.admission.set_demand(f"worker:{name}", 0, self.now))

    def step(self) -> None:
        draw, choice = self.draw, self.draw.random()
        self.now += draw.choice((0, 0, 10, 40_000))
        if choice < 0.4:
            self.count += 1
            needs = [Need("x", draw.choice((1, 1, 2)))] if draw.random() < 0.7 else [Need("y")]
            name = draw.choice((*NAMES, ""))
            if name:
                needs.insert(0, Need(f"worker:{name}", is_demand=True))
            execution = f"e{draw.randrange(3)}"
            made = Waiter((execution, self.count), tuple(needs), draw.choice((0, 5)), execution, self.now)
            self.parked[made.key] = made
            grant = self.admission.request(made, self.now)
            self.take([grant] if grant else [])
        elif choice < 0.65 and self.held:
            key = draw.choice(list(self.held))
            del self.held[key]
            self.take(self.admission.release(key, self.now))
        elif choice < 0.7 and self.parked:
            key = draw.choice(list(self.parked))
            del self.parked[key]
            self.take(self.admission.withdraw(key, self.now))
        elif choice < 0.95:
            self.want(draw.choice(NAMES), draw.randrange(4))
        else:
            name = draw.choice(("x", "y"))
            self.limits[name] = draw.choice((0, 2, 4))
            self.take(self.admission.set_limit(name, ResourceLimit(self.limits[name]), self.now))

    def want(self, name: str, count: int) -> None:
        self.wanted[name] = count
        self.take(self.admission.set_demand(f"worker:{name}", count, self.now))

    def check(self) -> None:
        """Nobody waits who could begin, but for those whom a better ranked one who is wanted keeps out."""
        able = [each for each in self.parked.values() if self.fits(each)]
        if able:
            wanted = [
                each
                for each in self.parked.values()
                if not each.needs[0].is_demand or self.wanted[each.needs[0].resource.removeprefix("worker:")]
            ]
            best = min(each.since_ms - each.priority * 30_000 for each in wanted)
            assert all(each.since_ms - each.priority * 30_000 > best for each in able), able

    def drain(self) -> None:
        for _ in range(self.count * 3):
            for name in NAMES:
                self.want(name, 3)
            while self.held:
                key = next(iter(self.held))
                del self.held[key]
                self.take(self.admission.release(key, self.now))
        assert not self.parked


@pytest.mark.parametrize("part", range(10))
def test_random_schedules_keep_every_law(part: int) -> None:
    """Whatever is asked, wanted, released and changed in whatever order; a failing seed is named."""
    for seed in range(part, 2_000, 10):
        world = World(Random(seed))
        try:
            for _ in range(40):
                world.step()
                world.check()
            world.drain()
        except AssertionError as error:
            raise AssertionError(f"seed {seed}") from error
