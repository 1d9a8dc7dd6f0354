"""What is kept of a queue as it changes is what a look at everything would find; a crowd is not looked at."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from random import Random

import pytest

from asyncflow.model.values import JsonObject
from asyncflow.runtime.hand_out_rules import ANY, Place
from asyncflow.runtime.queues import PRESENT_MS, Poll, Queue, first_of
from tests.integration.waiting import until
from tests.integration.worker_support import Shop, shop

CROWD = 2_000


def check(queue: Queue, now_ms: int) -> None:
    """All that is counted, counted anew."""
    open_polls = [poll for poll in queue.polls.values() if poll.left and not poll.is_closed]
    first, looked_for = queue.order.first(), first_of(queue.held.values(), ANY)

    assert queue.asked == sum(poll.left for poll in open_polls)
    assert (first and next(first.open_polls())) is looked_for
    assert [seat.worker for seat in queue.held.values()] == [
        seat.worker for seat in queue.held.values() if seat.polls
    ]
    assert not set(queue.held) & set(queue.away)
    for seat in queue.lately(now_ms):
        assert now_ms - seat.seen_ms <= PRESENT_MS
        assert not seat.polls
    for seat in queue.seats.values():
        assert seat.load or seat.worker in {**queue.held, **queue.away}
        assert seat.asked == sum(poll.left for poll in open_polls if poll.worker == seat.worker)
    few = queue.order.first_few(3)
    assert few == sorted(few, key=lambda seat: (seat.load, seat.served_ms, min(seat.open)))


@pytest.mark.parametrize("seed", range(20))
def test_what_is_kept_is_what_a_look_at_everything_finds(seed: int) -> None:
    draw, loop = Random(seed), asyncio.new_event_loop()
    queue = Queue(("far", ""), Place("far"))
    now_ms = 0
    for number in range(1, 400):
        now_ms += draw.choice((0, 0, 1, 400))
        step(queue, draw, number, now_ms=now_ms, loop=loop)
        check(queue, now_ms)
    loop.close()


def step(queue: Queue, draw: Random, number: int, *, now_ms: int, loop: asyncio.AbstractEventLoop) -> None:
    """Something that may happen to a queue."""
    worker = f"w{draw.randint(0, 5)}"
    poll = draw.choice([*queue.polls.values()]) if queue.polls else None
    fate = draw.random()
    if poll is None or fate < 0.4:
        asks = draw.randint(1, 3)
        queue.enter(Poll(number, queue, worker, "", asks, now_ms, loop.create_future()))
    elif fate < 0.6 and poll.left:
        poll.left -= 1
        queue.recount(poll)
        queue.load(poll.worker, 1, now_ms)
    elif fate < 0.7:
        poll.left += 1
        queue.recount(poll)
    elif fate < 0.8:
        poll.is_closed = True
        queue.recount(poll)
    elif fate < 0.9:
        queue.leave(poll, now_ms)
    else:
        busy = [seat.worker for seat in queue.seats.values() if seat.load]
        queue.load(draw.choice(busy), -1) if busy else queue.lately(now_ms)


async def test_a_poll_that_nothing_waits_for_costs_the_same_in_a_crowd(tmp_path: Path) -> None:
    """Work at each poll is bounded however many are held; and everybody in the crowd gets a task."""
    async with shop(tmp_path / "a.db") as made:
        queue = made.engine.carry.hand_out.demand.queue("far", "")
        alone = await steps_of_a_poll(made)
        workers = [asyncio.ensure_future(first_task(made, f"w{n}")) for n in range(CROWD)]
        await until(lambda: len(queue.polls) == CROWD)
        assert await steps_of_a_poll(made) < alone + 50

        await made.start_many(CROWD)
        taken = [task for tasks in await asyncio.gather(*workers) for task in tasks]
        assert len({task["taskId"] for task in taken}) == len(taken) == CROWD


async def first_task(made: Shop, worker: str) -> list[JsonObject]:
    """What a worker gets that polls until it gets something."""
    while not (tasks := await made.poll(worker, timeout_ms=5_000)):
        pass
    return tasks


async def steps_of_a_poll(made: Shop) -> int:
    """How many functions are called, or generators resumed, by a poll that gets nothing."""
    steps = 0

    def count(*_: object) -> None:
        nonlocal steps
        steps += 1

    sys.setprofile(count)
    try:
        assert await made.poll("late", timeout_ms=0) == []
    finally:
        sys.setprofile(None)
    return steps
