"""Laws under load: limits hold at every moment, nothing is given twice, nothing is lost, all comes to an end.

Workers poll, work, fail, give back, call back later, forget and hang up at random; every seed is one
schedule, and a bystander counts what is held.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from pathlib import Path
from random import Random

import pytest

from asyncflow.model.effects import Lease
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine
from tests.integration.engine_support import simple, workflow
from tests.integration.waiting import next_turn
from tests.integration.worker_support import Shop, result_of, shop

LIMIT = 7
PER_WORKER = 2


class Bystander:
    """Counts the leases of an engine after each turn; what may never be is noted."""

    def __init__(self, engine: Engine, *, limit: int = LIMIT, per_worker: int = 0) -> None:
        self.engine, self.limit, self.per_worker = engine, limit, per_worker
        self.most = 0
        self.faults: list[str] = []
        committed = engine.turns.committed

        def look(turn: object) -> None:
            self.look()
            committed(turn)  # type: ignore[arg-type]

        engine.turns.committed = look

    def look(self) -> None:
        leases = [
            state.tasks[number]
            for state in self.engine.turns.states.values()
            for number, effects in state.wanted.items()
            if any(type(effect) is Lease for effect in effects)
        ]
        self.most = max(self.most, len(leases))
        if len(leases) > self.limit:
            self.faults.append(f"{len(leases)} leases")
        most = Counter(task.worker_id for task in leases).most_common(1)
        if self.per_worker and most and most[0][1] > self.per_worker:
            self.faults.append(f"{most[0]} of one worker")

    def check_rest(self) -> None:
        """Nothing is held, counted or on its way when all is done."""
        hand_out = self.engine.carry.hand_out
        usage = self.engine.admission.usage()
        assert all(not use["in_use"] and not use["waiting"] for use in usage.values()), usage
        assert not hand_out.roll.leases
        assert all(not seen.in_flight and not seen.by_name for seen in hand_out.roll.workers.values())
        assert all(not q.offers and not q.polls for q in hand_out.demand.queues.values())
        assert all(not s.load for q in hand_out.demand.queues.values() for s in q.seats.values())
        assert not hand_out._assigned


def definition(name: str = "far") -> JsonObject:
    body = simple(name)
    body["taskDefinition"] = {
        "name": name,
        "retryCount": 50,
        "retryDelaySeconds": 0,
        "concurrentExecLimit": LIMIT,
        "responseTimeoutSeconds": 1,
    }
    return workflow("w", [body, {**body, "taskReferenceName": "again"}])


async def work(made: Shop, worker: str, draw: Random, over: asyncio.Event, seen: Counter[str]) -> None:
    """A worker that is not to be relied upon."""
    while not over.is_set():
        poll = asyncio.ensure_future(
            made.poll(worker, draw.randint(1, 4), timeout_ms=draw.choice((0, 5, 50)))
        )
        if draw.random() < 0.2:
            for _ in range(draw.randint(0, 12)):
                await next_turn()
            poll.cancel()
        tasks: list[JsonObject] = []
        with suppress(asyncio.CancelledError):
            tasks = await poll
        for task in tasks:
            seen[f"{task['taskId']}:{task['pollCount']}"] += 1
            await do(made, task, draw)


async def do(made: Shop, task: JsonObject, draw: Random) -> None:
    for _ in range(draw.randint(0, 5)):
        await next_turn()
    fate = draw.random()
    if fate < 0.6:
        await made.complete(task)
    elif fate < 0.7:
        await made.complete(task, "FAILED")
    elif fate < 0.8:
        await made.workers.update(result_of(task, "IN_PROGRESS", callback_after_s=0.01))
    elif fate < 0.9:
        await made.workers.release(str(task["taskId"]))
    elif fate < 0.97:
        await made.workers.update_and_poll(result_of(task))


@pytest.mark.parametrize("seed", range(8))
async def test_unreliable_workers_finish_everything_within_all_limits(tmp_path: Path, seed: int) -> None:
    draw = Random(seed)
    over = asyncio.Event()
    seen: Counter[str] = Counter()
    async with shop(tmp_path / "a.db", max_in_flight=PER_WORKER) as made:
        bystander = Bystander(made.engine, per_worker=PER_WORKER)
        body = definition()
        ids = await asyncio.gather(*(made.start(body) for _ in range(40)))
        workers = [
            asyncio.ensure_future(work(made, f"w{n}", Random(seed * 100 + n), over, seen))
            for n in range(draw.choice((3, 10, 30)))
        ]
        async with asyncio.timeout(60):
            ended = [await made.service.ended(each) for each in ids]
        over.set()
        await asyncio.gather(*workers)

        assert not bystander.faults
        assert {state.status for state in ended} == {"COMPLETED"}
        assert set(seen.values()) == {1}, "no attempt is given twice"
        bystander.check_rest()
