"""How long a plugin keeps the loop to itself while something of it runs: what all contract suites share.

What the loop's thread computes is held against a yardstick that is measured beside it, so that a slow machine
refuses nobody; time in which the system let others run does not count. Nothing of asyncflow's engine is used.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Awaitable, Callable, Iterator
from time import perf_counter, thread_time
from typing import NamedTuple

MOST_COMPUTED_S = 0.05
MOST_WAITED_S = 0.3
TRIES = 5

_YARD_S = 0.004
"""What the yardstick takes on a machine that is slow, but not too slow."""

_MOST_SLOWNESS = 50.0


class Moment(NamedTuple):
    """What the thread of the loop has used up: its computing, all time, and waiting for a processor."""

    computed_s: float
    passed_s: float
    delayed_s: float


class Hold(NamedTuple):
    """How long a thread computed, how long it waited for something else, and how slow its machine is.

    Attributes:
        waited_s: time that passed without computing, and not because others had the processor.
        slowness: 1 for a machine of usual speed, and for faster ones.
    """

    computed_s: float
    waited_s: float
    slowness: float = 1.0

    @property
    def is_short(self) -> bool:
        """Whether nobody else was kept waiting too long."""
        return max(self.computed_s / MOST_COMPUTED_S, self.waited_s / MOST_WAITED_S) < self.slowness

    def longest(self, since: Moment, now: Moment) -> Hold:
        """This, or what was between two moments, where that is longer."""
        computed, passed, delayed = (after - before for before, after in zip(since, now, strict=True))
        return Hold(
            max(self.computed_s, computed), max(self.waited_s, passed - computed - delayed), self.slowness
        )


@contextlib.contextmanager
def clocks() -> Iterator[Callable[[], Moment]]:
    """What tells the moment in this thread."""
    try:
        counters = os.open("/proc/thread-self/schedstat", os.O_RDONLY)
    except OSError:  # not Linux: that others had the processor is not told, and counts as waiting
        yield lambda: Moment(thread_time(), perf_counter(), 0.0)
        return
    try:
        yield lambda: Moment(thread_time(), perf_counter(), int(os.pread(counters, 80, 0).split()[1]) / 1e9)
    finally:
        os.close(counters)


def slowness() -> float:
    """How much longer than usual this machine computes now: of a few tries the quickest."""
    quickest = min(_yardstick_s() for _ in range(3))
    return max(1.0, min(_MOST_SLOWNESS, quickest / _YARD_S))


def _yardstick_s() -> float:
    began = thread_time()
    sum(number * number for number in range(30_000))
    return thread_time() - began


async def longest_hold(work: Callable[[], Awaitable[object]]) -> Hold:
    """The longest time that nobody else had a turn while this ran; raises what it raises."""
    longest, is_over = Hold(0.0, 0.0), False

    async def beat(moment: Callable[[], Moment]) -> None:
        nonlocal longest
        last = moment()
        while not is_over:
            await asyncio.sleep(0)  # noqa: TID251 - a turn for everybody else, no waiting
            now = moment()
            longest, last = longest.longest(last, now), now

    with clocks() as moment:
        beating = asyncio.ensure_future(beat(moment))  # noqa: TID251 - ends with this function
        await asyncio.sleep(0)  # noqa: TID251 - it begins to count before the work, which may never let go
        try:
            await work()
        finally:
            is_over = True
            await beating
    return longest._replace(slowness=slowness())


async def holds(work: Callable[[int], Awaitable[object]]) -> list[Hold]:
    """Up to five tries of this, as far as the first that was short: the best of them counts."""
    found: list[Hold] = []
    while len(found) < TRIES and not any(each.is_short for each in found):
        number = len(found)
        found.append(await longest_hold(lambda number=number: work(number)))  # type: ignore[misc]  # bound now
    return found
