"""Laws: what workers have when the engine is killed they have afterwards; limits hold all the time."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest

from asyncflow.model.effects import Lease
from tests.crash.worker_leases import PER_WORKER
from tests.integration.test_workers_stress import LIMIT, Bystander, work
from tests.integration.worker_support import shop

KILLS = 5


def run_and_kill(database: Path, checkout: Path, seed: int, *, after_s: float) -> list[str]:
    """The executions that a process acknowledged before it was killed."""
    command = [sys.executable, "-m", "tests.crash.worker_leases", str(database), str(seed), "15"]
    with subprocess.Popen(command, cwd=checkout, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ids = process.stdout.readline().split()
        with_fault = ""
        try:
            process.wait(after_s)
        except subprocess.TimeoutExpired:
            process.kill()
            with_fault = process.stdout.read()
        assert "fault" not in with_fault
    return ids[1:]


@pytest.mark.parametrize("seed", range(2))
async def test_leases_survive_kills_and_everything_ends(tmp_path: Path, checkout: Path, seed: int) -> None:
    database, ids, draw = tmp_path / "a.db", list[str](), Random(seed)
    for kill in range(KILLS):
        ids += run_and_kill(database, checkout, seed * 10 + kill, after_s=draw.uniform(0.05, 0.4))
    over = asyncio.Event()
    async with shop(database, max_in_flight=PER_WORKER) as made:
        bystander = Bystander(made.engine, per_worker=PER_WORKER)
        leased = sum(
            any(type(effect) is Lease for effect in effects)
            for state in made.engine.turns.states.values()
            for effects in state.wanted.values()
        )
        assert leased <= LIMIT
        assert made.engine.admission.usage()["task:far"]["in_use"] == leased
        workers = [asyncio.ensure_future(work(made, f"w{n}", Random(n), over, Counter())) for n in range(8)]
        async with asyncio.timeout(90):
            ended = [await made.service.ended(each) for each in ids]
        over.set()
        await asyncio.gather(*workers)

        assert len(ids) == 15 * KILLS
        assert {state.status for state in ended} == {"COMPLETED"}
        assert not bystander.faults
        bystander.check_rest()
