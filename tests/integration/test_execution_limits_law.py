"""Law: whatever happens, no more executions of a key are open than may be, and none waits without cause."""

from __future__ import annotations

import random
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

import asyncflow as af
from asyncflow.errors import AsyncflowError
from asyncflow.model.statuses import PAUSED
from tests.integration.engine_support import waiting, workflow

LIMITS = {"a": 1, "b": 2, "c": 3}
STEPS = 60
OPERATIONS = ("start", "start", "signal", "signal", "cancel", "pause", "resume", "retry", "restart", "rerun")


def body(key: str) -> dict[str, Any]:
    config = {"rateLimitKey": "${workflow.input.of}", "concurrentExecLimit": LIMITS[key]}
    return workflow(f"limited_{key}", [waiting("first"), waiting("last")], rateLimitConfig=config)


async def happen(engine: af.Engine, dice: random.Random, ids: list[str]) -> None:
    """One operation on one execution, whether or not it fits."""
    what = dice.choice(OPERATIONS)
    if what == "start" or not ids:
        key = dice.choice("abc")
        ids.append((await engine.start(body(key), {"of": key}, priority=dice.randrange(100))).id)
        return
    execution = engine.execution(dice.choice(ids))
    with suppress(AsyncflowError):
        if what == "signal":
            await execution.signal(dice.choice(["first", "last"]))
        else:
            await getattr(execution, what)()


async def check(engine: af.Engine, ids: list[str]) -> None:
    """Count who is open and who waits, by what each execution says of itself."""
    states = [await engine.service.engine.state(each) for each in ids]
    for key, limit in LIMITS.items():
        here = [state for state in states if state.input["of"] == key and not state.is_ended]
        waiting_ones = [state for state in here if state.awaits_slot]
        asking = [state for state in waiting_ones if state.status != PAUSED]
        is_open = len(here) - len(waiting_ones)

        assert is_open <= limit
        assert not asking or is_open == limit, "somebody waits though there is room"
        assert all(not state.wanted.keys() - {0} for state in waiting_ones)


@pytest.mark.parametrize("seed", range(8))
async def test_limits_of_executions_hold_through_any_history(tmp_path: Path, seed: int) -> None:
    """At most so many are open, those who wait want nothing else, and a restart changes none of it."""
    dice, ids = random.Random(seed), list[str]()
    for _ in range(3):
        async with af.Engine(tmp_path / "a.db") as engine:
            await engine.service.engine.views_caught_up()
            for each in ids:
                with suppress(AsyncflowError):
                    await engine.service.evaluate(each)  # its answer comes when what was found is decided
            for _ in range(STEPS // 3):
                await happen(engine, dice, ids)
                await check(engine, ids)
