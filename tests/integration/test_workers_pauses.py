"""Workers whose polls bring nothing stay away longer and longer: what is meant for them waits as long."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from asyncflow.model.values import JsonObject
from asyncflow.testing.clock import VirtualClock
from tests.integration.waiting import until
from tests.integration.worker_support import Shop, shop

PAUSE_S = 0.1
Idle = tuple[Shop, VirtualClock]


@pytest.fixture
async def idle(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Idle]:
    """Two workers that poll after a pause and find nothing; both are away at the end of it."""
    clock = VirtualClock(auto=False)
    async with shop(tmp_path / "a.db", clock=clock) as made:
        clock.attach(made.engine)
        for pause in (getattr(request, "param", PAUSE_S), 0):
            for worker in ("w1", "w2"):
                assert await made.poll(worker, 5, timeout_ms=0) == []
            await clock.advance(pause)
        yield made, clock


async def second_of_two(made: Shop) -> asyncio.Future[list[JsonObject]]:
    """Two tasks, of which w1 has got one and polls for more; the other one is meant for w2."""
    await made.start_many(2)
    assert len(await made.poll("w1", 5, timeout_ms=1_000)) == 1
    more = asyncio.ensure_future(made.poll("w1", 4, timeout_ms=1_000))
    await until(lambda: made.engine.carry.hand_out.demand.queue("far", "").polls)
    return more


async def test_task_is_kept_for_as_long_as_its_worker_usually_stays_away(idle: Idle) -> None:
    made, clock = idle
    more = await second_of_two(made)
    await clock.advance(0.240)

    assert not more.done()
    assert len(await made.poll("w2", 5, timeout_ms=0)) == 1


async def test_task_goes_to_another_once_its_worker_is_overdue(idle: Idle) -> None:
    made, clock = idle
    more = await second_of_two(made)
    await clock.advance(0.260)

    assert len(await more) == 1


@pytest.mark.parametrize("idle", [0.3], indirect=True)
async def test_worker_that_polls_seldom_is_not_waited_for(idle: Idle) -> None:
    made, clock = idle
    more = await second_of_two(made)
    await clock.advance(0.060)

    assert len(await more) == 1
