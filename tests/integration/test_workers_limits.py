"""Limits of tasks for outside workers: at every moment, together, live, per worker, across restarts."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from asyncflow.model.resources import ResourceLimit
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import EngineSettings
from asyncflow.testing.clock import VirtualClock
from tests.integration.engine_support import simple, workflow
from tests.integration.test_workers_stress import Bystander
from tests.integration.waiting import until
from tests.integration.worker_support import Shop, shop


def limited(**policy: object) -> JsonObject:
    body = simple("far")
    body["taskDefinition"] = {"name": "far", "retryCount": 0, **policy}
    return workflow("w", [body])


async def start(made: Shop, count: int, **policy: object) -> list[str]:
    return list(await asyncio.gather(*(made.start(limited(**policy)) for _ in range(count))))


async def test_hundred_pollers_never_have_more_than_the_limit_and_are_never_stuck(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        bystander = Bystander(made.engine, limit=7)
        ids = await start(made, 300, concurrentExecLimit=7)
        over = asyncio.Event()

        async def work(worker: str) -> None:
            while not over.is_set():
                for task in await made.poll(worker, 3, timeout_ms=200):
                    await made.complete(task)

        workers = [asyncio.ensure_future(work(f"w{n}")) for n in range(100)]
        async with asyncio.timeout(60):
            for each in ids:
                await made.service.ended(each)
        over.set()
        await asyncio.gather(*workers)

        assert bystander.most == 7
        assert not bystander.faults
        bystander.check_rest()


async def test_freed_slot_is_handed_over_in_the_same_turn(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        await start(made, 2, concurrentExecLimit=1)
        (task,) = await made.poll("w1", 2)
        poll = asyncio.ensure_future(made.poll("w2", timeout_ms=5_000))
        await until(lambda: made.engine.carry.hand_out.demand.queue("far", "").polls)
        before = made.engine.turns.number
        await made.complete(task)
        (following,) = await poll

        assert following["taskId"] != task["taskId"]
        assert made.engine.turns.number == before + 1


async def test_limit_changed_live_holds_for_what_waits(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        await made.start_many(10)
        assert len(await made.poll("w1", 2)) == 2
        await made.service.register_task({"name": "far", "concurrentExecLimit": 3})
        assert len(await made.poll("w1", 8)) == 1, "those it had count"
        poll = asyncio.ensure_future(made.poll("w1", 8, timeout_ms=5_000))
        await until(lambda: made.engine.carry.hand_out.demand.queue("far", "").polls)
        await made.service.register_task({"name": "far", "concurrentExecLimit": 8})

        assert len(await poll) == 5


async def test_named_resource_is_shared_with_the_limit_of_the_name(tmp_path: Path) -> None:
    use = {"resources": [{"name": "licence", "weight": 2}]}
    body = simple("far", asyncflow=use)
    body["taskDefinition"] = {"name": "far", "concurrentExecLimit": 3}
    settings = EngineSettings(resources={"licence": ResourceLimit(4)})
    async with shop(tmp_path / "a.db", settings=settings) as made:
        for _ in range(5):
            await made.start(workflow("w", [body]))
        tasks = await made.poll("w1", 5)
        assert len(tasks) == 2
        assert made.engine.admission.usage()["licence"]["in_use"] == 4
        for task in tasks:
            await made.complete(task)
        assert made.engine.admission.usage()["licence"]["in_use"] == 0


async def test_rate_and_concurrency_hold_together_and_the_window_survives_a_restart(tmp_path: Path) -> None:
    policy = {"rateLimitPerFrequency": 3, "rateLimitFrequencyInSeconds": 60, "concurrentExecLimit": 2}
    clock = VirtualClock(auto=False)
    async with shop(tmp_path / "a.db", clock=clock) as made:
        clock.attach(made.engine)
        await start(made, 10, **policy)
        tasks = await made.poll("w1", 10, timeout_ms=0)
        assert len(tasks) == 2, "the limit of two at once"
        await made.complete(tasks[0])
        assert len(await made.poll("w1", 10, timeout_ms=0)) == 1, "the third of the window"
        await made.complete(tasks[1])
        assert await made.poll("w1", 10, timeout_ms=0) == [], "the window is full"
    async with shop(tmp_path / "a.db", clock=clock) as made:
        clock.attach(made.engine)
        assert await made.poll("w1", 10, timeout_ms=0) == [], "the window is full still"
        await clock.advance(60)
        assert len(await made.poll("w1", 10, timeout_ms=0)) == 1, "one is held still"


async def test_worker_has_no_more_than_its_own_limit(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db", max_in_flight=2) as made:
        await made.start_many(4)
        await made.start_many(4, "near")
        first = await made.poll("w1", 5)
        assert len(first) == 2
        assert await made.poll("w1", 5, "near", timeout_ms=0) == []
        poll = asyncio.ensure_future(made.poll("w1", 5, "near", timeout_ms=5_000))
        await until(lambda: made.engine.carry.hand_out.demand.queue("near", "").polls)
        await made.complete(first[0])
        assert len(await poll) == 1
        assert len(await made.poll("w2", 5, "near")) == 2


async def test_definition_limits_each_worker_and_may_change(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        ours: JsonObject = {"name": "far", "asyncflow": {"maxInFlightPerWorker": 1}}
        await made.service.register_task(ours)
        await made.start_many(6)
        assert len(await made.poll("w1", 3)) == 1
        assert await made.poll("w1", 3, timeout_ms=0) == []
        assert len(await made.poll("w2", 3, timeout_ms=200)) == 1
        await made.service.register_task({**ours, "asyncflow": {"maxInFlightPerWorker": 3}})
        assert len(await made.poll("w1", 5, timeout_ms=200)) == 2


async def test_leases_of_a_killed_engine_hold_their_slots_after_its_start(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        ids = await start(made, 5, concurrentExecLimit=3)
        tasks = await made.poll("w1", 2)
    async with shop(tmp_path / "a.db", max_in_flight=3) as made:
        bystander = Bystander(made.engine, limit=3, per_worker=3)
        roll = made.engine.carry.hand_out.roll
        await until(lambda: len(roll.leases) == 2)
        assert made.engine.admission.usage()["task:far"]["in_use"] == 2
        assert roll.worker("w1").in_flight == 2
        more = await made.poll("w1", 5)
        assert len(more) == 1
        for task in [*tasks, *more]:
            await made.complete(task)
        for task in await made.poll("w1", 5):
            await made.complete(task)

        assert {await made.status(each) for each in ids} == {"COMPLETED"}
        assert not bystander.faults
        bystander.check_rest()


async def test_poll_that_is_held_at_a_stop_takes_nothing_with_it(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        poll = asyncio.ensure_future(made.poll("w1", timeout_ms=5_000))
        await until(lambda: made.engine.carry.hand_out.demand.queue("far", "").polls)
    with contextlib.suppress(Exception):
        assert await poll == []
    async with shop(tmp_path / "a.db") as made:
        await made.start_many(1)
        assert len(await made.poll("w1")) == 1


@pytest.mark.parametrize("count", [1, 5])
async def test_draining_engine_answers_held_polls_and_takes_updates(tmp_path: Path, count: int) -> None:
    async with shop(tmp_path / "a.db") as made:
        (execution,) = await made.start_many(1)
        (task,) = await made.poll("w1")
        poll = asyncio.ensure_future(made.poll("w1", count, timeout_ms=5_000))
        await until(lambda: made.engine.carry.hand_out.demand.queue("far", "").polls)
        await made.engine.drain(1)
        assert await poll == []
        await made.complete(task)

        assert await made.status(execution) == "COMPLETED"
