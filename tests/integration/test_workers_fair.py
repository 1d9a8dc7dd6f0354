"""Five tasks for five workers are one each, whoever polls first; and turning that off."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path

from asyncflow.model.values import JsonObject
from tests.integration.engine_support import simple, workflow
from tests.integration.waiting import until
from tests.integration.worker_support import Shop, result_of, shop

WORKERS = [f"w{n}" for n in range(5)]


async def rounds(made: Shop, times: int, *, held: bool) -> list[Counter[str]]:
    """So many times five tasks, taken by five workers of five slots each that poll until all are taken."""
    for worker in WORKERS:
        await made.poll(worker, 5, timeout_ms=0)
    found: list[Counter[str]] = []
    for _ in range(times):
        if held:
            taking = asyncio.ensure_future(take_all(made, 5))
            await until(lambda: len(made.engine.carry.hand_out.demand.queue("far", "").polls) == 5)
            await made.start_many(5)
        else:
            await made.start_many(5)
            taking = asyncio.ensure_future(take_all(made, 5))
        taken = await taking
        found.append(Counter(str(task["workerId"]) for task in taken))
        await asyncio.gather(*(made.complete(task) for task in taken))
    return found


async def take_all(made: Shop, count: int) -> list[JsonObject]:
    taken: list[JsonObject] = []

    async def work(worker: str) -> None:
        while len(taken) < count:
            taken.extend(await made.poll(worker, 5, timeout_ms=50))

    await asyncio.gather(*(work(worker) for worker in WORKERS))
    return taken


async def test_five_tasks_for_five_held_polls_are_one_each(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        assert await rounds(made, 100, held=True) == [Counter(WORKERS)] * 100


async def test_five_tasks_that_wait_for_five_polls_are_one_each(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        assert await rounds(made, 100, held=False) == [Counter(WORKERS)] * 100


async def test_first_polls_ever_share_too(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        await made.start_many(5)
        taken = await asyncio.gather(*(made.poll(worker, 5, timeout_ms=1_000) for worker in WORKERS))

        assert [len(tasks) for tasks in taken] == [1] * 5


async def test_single_worker_gets_all_it_asks_for(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        await made.start_many(7)
        assert len(await made.poll("w1", 5, timeout_ms=1_000)) == 5
        assert len(await made.poll("w1", 5, timeout_ms=1_000)) == 2


async def test_polls_of_one_worker_id_share_what_comes_at_once(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        polls = [asyncio.ensure_future(made.poll("host", 5, timeout_ms=5_000)) for _ in WORKERS]
        await until(lambda: len(made.engine.carry.hand_out.demand.queue("far", "").polls) == 5)
        tasks = [[simple("far", ref=worker)] for worker in WORKERS]
        forked: JsonObject = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN", "forkTasks": tasks}
        joined: JsonObject = {"name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": WORKERS}
        await made.start(workflow("w", [forked, joined]))

        assert [len(tasks) for tasks in await asyncio.gather(*polls)] == [1] * 5


async def test_worker_that_does_not_come_back_keeps_nothing_from_others(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        await made.poll("gone", 5, timeout_ms=0)
        await made.start_many(2)
        taken = await made.poll("w1", 2, timeout_ms=5_000)
        while len(taken) < 2:
            taken += await made.poll("w1", 2, timeout_ms=5_000)

        assert [task["workerId"] for task in taken] == ["w1", "w1"]


async def test_update_gives_nothing_that_is_owed_to_another_poller(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db") as made:
        await made.start_many(1)
        (task,) = await made.poll("w1")
        await made.poll("w2", timeout_ms=0)
        await made.start_many(1)

        assert await made.workers.update_and_poll(result_of(task)) is None
        assert len(await made.poll("w2", timeout_ms=0)) == 1


async def test_without_fairness_the_first_takes_all(tmp_path: Path) -> None:
    async with shop(tmp_path / "a.db", fair=False) as made:
        for worker in WORKERS:
            await made.poll(worker, 5, timeout_ms=0)
        await made.start_many(5)

        assert len(await made.poll("w0", 5, timeout_ms=0)) == 5
