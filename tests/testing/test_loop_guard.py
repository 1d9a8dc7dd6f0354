"""A plugin that keeps the loop to itself is found on any machine, and no other: the clocks are the test's."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Iterator

import pytest

from asyncflow.testing import loop_guard
from asyncflow.testing.loop_guard import Moment, holds, longest_hold

YARD_S = 0.001


class Machine:
    """What the clocks say; the work under test lets it pass."""

    def __init__(self) -> None:
        self.at = Moment(0.0, 0.0, 0.0)
        self.yard_s = YARD_S

    def spend(self, *, computed: float = 0.0, slept: float = 0.0, delayed: float = 0.0) -> None:
        before = self.at
        passed = before.passed_s + computed + slept + delayed
        self.at = Moment(before.computed_s + computed, passed, before.delayed_s + delayed)

    @contextlib.contextmanager
    def clocks(self) -> Iterator[Callable[[], Moment]]:
        yield lambda: self.at


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    made = Machine()
    monkeypatch.setattr(loop_guard, "clocks", made.clocks)
    monkeypatch.setattr(loop_guard, "_yardstick_s", lambda: made.yard_s)
    return made


async def judged(machine: Machine, **spent: float) -> bool:
    async def work() -> None:
        await asyncio.sleep(0)
        machine.spend(**spent)
        await asyncio.sleep(0)

    found = await holds(lambda _: work())
    return any(each.is_short for each in found)


@pytest.mark.parametrize(
    ("spent", "is_short"),
    [
        ({"computed": 0.04}, True),
        ({"computed": 0.06}, False),
        ({"slept": 0.2}, True),
        ({"slept": 0.4}, False),
        ({"delayed": 30.0}, True),
        ({"delayed": 30.0, "slept": 0.4}, False),
        ({"delayed": 30.0, "computed": 0.06}, False),
    ],
)
async def test_only_what_the_plugin_does_itself_counts(
    machine: Machine, spent: dict[str, float], *, is_short: bool
) -> None:
    assert await judged(machine, **spent) is is_short


@pytest.mark.parametrize(("computed_s", "is_short"), [(0.4, True), (0.6, False)])
async def test_a_slow_machine_is_held_against_its_own_speed(
    machine: Machine, computed_s: float, *, is_short: bool
) -> None:
    machine.yard_s = 10 * loop_guard._YARD_S

    assert await judged(machine, computed=computed_s) is is_short


async def test_a_fast_machine_is_allowed_no_less(machine: Machine) -> None:
    machine.yard_s = loop_guard._YARD_S / 100

    assert await judged(machine, computed=0.04)


async def test_many_short_turns_are_no_long_one(machine: Machine) -> None:
    async def work() -> None:
        for _ in range(100):
            machine.spend(computed=0.03, slept=0.1)
            await asyncio.sleep(0)

    assert (await longest_hold(work)).is_short


async def test_one_good_try_is_enough_and_none_follows_it(machine: Machine) -> None:
    tries: list[int] = []

    async def work(number: int) -> None:
        tries.append(number)
        machine.spend(slept=1.0 if number < 2 else 0.0)

    found = await holds(work)

    assert tries == [0, 1, 2]
    assert [each.is_short for each in found] == [False, False, True]


async def test_what_the_work_raises_is_raised(machine: Machine) -> None:
    async def work() -> None:
        raise KeyError("of the plugin")

    with pytest.raises(KeyError, match="of the plugin"):
        await longest_hold(work)


async def test_the_clocks_of_this_machine_go_on_and_tell_computing_from_sleeping() -> None:
    """Without bounds in seconds: only that each kind is counted where it belongs."""
    event = asyncio.Event()

    async def work() -> None:
        sum(range(300_000))
        event.set()

    hold = await longest_hold(work)

    assert event.is_set()
    assert hold.computed_s > 0
    assert hold.slowness >= 1
    assert loop_guard._yardstick_s() > 0


async def test_a_system_that_does_not_tell_of_others_is_measured_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def missing(*_: object) -> int:
        raise FileNotFoundError

    monkeypatch.setattr(os, "open", missing)
    with loop_guard.clocks() as moment:
        first, second = moment(), moment()

    assert first.passed_s <= second.passed_s
    assert second.delayed_s == 0
