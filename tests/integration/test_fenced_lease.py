"""R59: a holder that stalls beyond its lease: the next has a larger fence, who checks it refuses the old one.

Virtual time stands while an attempt is under way, as the stalled one is: so time is said to have passed, by
`VirtualClock.suspend`, as it does for a machine that was asleep.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.app.build import open_service
from asyncflow.app.service import StartRequest
from asyncflow.errors import Refused
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine
from asyncflow.testing.clock import VirtualClock
from tests.integration.engine_support import simple, workflow
from tests.integration.waiting import until
from tests.integration.worker_support import shop

LEASE: JsonObject = {"resources": [{"name": "table", "mode": "exclusive", "key": "monday"}]}


@dataclass
class Table:
    """A service that checks: it takes a write under the highest fence it has seen, and no other."""

    fence: int = 0
    rows: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)

    def write(self, row: str, fence: int) -> None:
        if fence < self.fence:
            self.refused.append(row)
            raise Refused(f"fence {fence} is below {self.fence}")
        self.fence = fence
        self.rows.append(row)


def _pass(clock: VirtualClock, engine: Engine, seconds: float) -> None:
    """Let time have passed; the engine is woken, as no alarm of the machine does it here."""
    clock.suspend(seconds)
    engine.turns.wake()


@pytest.mark.scenario("R59")
async def test_holder_that_stalls_in_a_thread_is_kept_out_by_its_fence(tmp_path: Path) -> None:
    table, wake, held = Table(), threading.Event(), threading.Event()
    ends: list[str] = []

    @af.task(retries=0, timeout=5)
    def load(ctx: af.TaskContext, who: str) -> None:
        if who == "old":
            held.set()
            wake.wait()
        try:
            table.write(who, ctx.fence)
        finally:
            ends.append(who)

    use = simple("load", asyncflow=LEASE, inputParameters={"who": "${workflow.input.who}"})
    use["taskDefinition"] = {
        "name": "load",
        "retryCount": 0,
        "timeoutSeconds": 5,
        "timeoutPolicy": "TIME_OUT_WF",
    }
    clock = VirtualClock(auto=False)
    async with open_service(tmp_path / "a.db", functions={"load": load}, clock=clock) as service:
        await service.register_workflow(workflow("w", [use]))
        old = await service.start(StartRequest(name="w", input={"who": "old"}))
        await until(held.is_set)
        new = await service.start(StartRequest(name="w", input={"who": "new"}))
        waits = await service.why(new)
        _pass(clock, service.engine, 6)
        last = await service.ended(new)
        first = await service.ended(old)
        wake.set()
        await until(lambda: len(ends) == 2)

    assert (waits[0]["reason"], waits[0]["key"]) == ("key_held", "monday")
    assert (first.status, last.status) == ("TIMED_OUT", "COMPLETED")
    assert (table.rows, table.refused, table.fence) == (["new"], ["old"], 2)


@pytest.mark.scenario("R59")
async def test_worker_that_stalls_is_kept_out_by_its_fence_and_its_update_refused(tmp_path: Path) -> None:
    """The lease of a worker elsewhere ends with its task; what it says afterwards is not taken."""
    table, clock = Table(), VirtualClock(auto=False)
    use = simple("far", asyncflow=LEASE)
    use["taskDefinition"] = {
        "name": "far",
        "retryCount": 0,
        "responseTimeoutSeconds": 5,
        "timeoutSeconds": 60,
    }
    async with shop(tmp_path / "a.db", clock=clock) as made:
        old, new = [await made.start(workflow("w", [use])) for _ in range(2)]
        (stalled,) = await made.poll("old", timeout_ms=5_000)
        assert not await made.poll("new", timeout_ms=0)
        _pass(clock, made.engine, 6)
        await made.service.ended(old)
        (task,) = await made.poll("new", timeout_ms=5_000)
        fences = [each["asyncflow"]["fence"] for each in (stalled, task)]  # type: ignore[index]  # JSON
        table.write("new", fences[1])
        with pytest.raises(Refused, match="fence 1 is below 2"):
            table.write("old", fences[0])
        await made.complete(task)
        await made.complete(stalled)
        statuses = [await made.status(each) for each in (old, new)]

    assert fences == [1, 2]
    assert statuses == ["TIMED_OUT", "COMPLETED"], "a late update changes nothing of a task that has ended"
