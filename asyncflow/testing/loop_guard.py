"""How long a plugin keeps the loop to itself while something of it runs: what all contract suites share.

What the loop's thread computes is measured exactly; that it waits without letting others have a turn only
so far as a busy machine allows. Nothing of asyncflow's engine is used here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from time import perf_counter, thread_time
from typing import NamedTuple

MOST_COMPUTED_S = 0.05
MOST_PASSED_S = 0.3
TRIES = 5


class Hold(NamedTuple):
    """How long a thread computed, and how much time passed."""

    computed_s: float
    passed_s: float

    @property
    def is_short(self) -> bool:
        """Whether nobody else was kept waiting too long."""
        return self.computed_s < MOST_COMPUTED_S and self.passed_s < MOST_PASSED_S


async def longest_hold(work: Callable[[], Awaitable[object]]) -> Hold:
    """The longest time that nobody else had a turn while this ran; raises what it raises."""
    longest, is_over = Hold(0.0, 0.0), False

    async def beat() -> None:
        nonlocal longest
        last = Hold(thread_time(), perf_counter())
        while not is_over:
            await asyncio.sleep(0)  # noqa: TID251 - a turn for everybody else, no waiting
            now = Hold(thread_time(), perf_counter())
            computed, passed = now.computed_s - last.computed_s, now.passed_s - last.passed_s
            longest = Hold(max(longest.computed_s, computed), max(longest.passed_s, passed))
            last = now

    beating = asyncio.ensure_future(beat())  # noqa: TID251 - ends with this function
    await asyncio.sleep(0)  # noqa: TID251 - it begins to count before the work, which may never let go
    try:
        await work()
    finally:
        is_over = True
        await beating
    return longest


async def holds(work: Callable[[int], Awaitable[object]]) -> list[Hold]:
    """Up to five tries of this, as far as the first that was short: the best of them counts."""
    found: list[Hold] = []
    while len(found) < TRIES and not any(each.is_short for each in found):
        number = len(found)
        found.append(await longest_hold(lambda number=number: work(number)))  # type: ignore[misc]  # bound now
    return found
