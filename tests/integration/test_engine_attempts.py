"""Laws: an attempt ends once, by name, within its limits; what it is given and gives is masked."""

from __future__ import annotations

import asyncio
import logging
import sqlite3
import time
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.model.events import LeaseExtended
from asyncflow.model.limits import Limits
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import EngineSettings
from asyncflow.runtime.watchdog import Watchdog
from tests.integration.engine_support import simple, workflow
from tests.integration.waiting import until

CANARY = "canary-1b7e-secret"


async def test_timeout_breaks_the_attempt_off_and_tells_it(tmp_path: Path) -> None:
    cancelled = asyncio.Event()
    deadlines: list[int | None] = []

    @af.task(retries=0)
    async def slow(ctx: af.TaskContext) -> None:
        deadlines.append(ctx.deadline_ms)
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    definition = {"name": "slow", "retryCount": 0, "timeoutSeconds": 1, "timeoutPolicy": "TIME_OUT_WF"}
    async with af.Engine(tmp_path / "a.db", tasks=[slow]) as engine:
        execution = await engine.start(workflow("w", [simple("slow", taskDefinition=definition)]))
        state = await execution.ended()
        await cancelled.wait()

    task = state.tasks[1]
    assert state.status == "TIMED_OUT"
    assert task.status == "TIMED_OUT"
    assert deadlines == [task.started_ms + 1_000]


async def test_heartbeats_put_the_response_timeout_off_and_are_throttled(tmp_path: Path) -> None:
    beats = 0

    @af.task(retries=0)
    async def beating(ctx: af.TaskContext) -> None:
        nonlocal beats
        began = asyncio.get_running_loop().time()
        while asyncio.get_running_loop().time() - began < 1.6:
            ctx.heartbeat()
            beats += 1
            await asyncio.wait([asyncio.ensure_future(asyncio.Event().wait())], timeout=0.01)

    policy = {"name": "beating", "retryCount": 0, "responseTimeoutSeconds": 1}
    async with af.Engine(tmp_path / "a.db", tasks=[beating]) as engine:
        execution = await engine.start(workflow("beats", [simple("beating", taskDefinition=policy)]))
        state = await execution.ended()
        extended = [r async for r in execution.events() if isinstance(r.event, LeaseExtended)]

    assert state.status == "COMPLETED"
    assert beats > 50
    assert 1 <= len(extended) <= 5


@pytest.mark.parametrize(("size", "status"), [(100, "COMPLETED"), (101, "FAILED")])
@pytest.mark.parametrize("side", ["input", "output"])
async def test_payload_is_taken_at_the_limit_and_refused_past_it(
    tmp_path: Path, size: int, status: str, side: str
) -> None:
    @af.task(retries=0)
    async def echo(text: str = "", wanted: int = 0) -> JsonObject:
        return {"t": "x" * wanted} if wanted else {}

    around = len('{"text":""}') if side == "input" else len('{"t":""}')
    given: JsonObject = {"text": "x" * (size - around)} if side == "input" else {"wanted": size - around}
    settings = EngineSettings(limits=Limits(payload_bytes=100))
    async with af.Engine(tmp_path / "a.db", tasks=[echo], settings=settings) as engine:
        execution = await engine.start(workflow("w", [simple("echo", inputParameters=given)]))
        state = await execution.ended()

    assert state.status == status
    if status == "FAILED":
        assert "payload_too_large" in (state.tasks[1].reason or "")
        assert state.tasks[1].status == "FAILED_WITH_TERMINAL_ERROR"


async def test_secret_is_handed_to_the_task_and_kept_nowhere(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[str] = []
    caplog.set_level(logging.DEBUG)

    @af.task(retries=0)
    async def login(token: str, fail: bool) -> JsonObject:  # noqa: FBT001 - an input of the task
        seen.append(token)
        if fail:
            raise af.TaskFailed(f"refused {token}")
        return {"echo": f"Bearer {token}"}

    def body(*, fail: bool) -> JsonObject:
        given = {"token": "${workflow.secrets.api}", "fail": fail}
        return workflow("w", [simple("login", inputParameters=given)])

    settings = EngineSettings(secrets={"api": CANARY})
    database = tmp_path / "a.db"
    async with af.Engine(database, tasks=[login], settings=settings) as engine:
        good = await (await engine.start(body(fail=False))).ended()
        bad = await (await engine.start(body(fail=True))).ended()
        await engine.service.engine.views_caught_up()

    assert seen == [CANARY, CANARY]
    assert good.tasks[1].output == {"echo": "Bearer ***"}
    assert bad.tasks[1].reason == "refused ***"
    assert CANARY not in caplog.text
    assert CANARY not in repr(settings)
    with sqlite3.connect(database) as db:
        assert not any(CANARY in line for line in db.iterdump())
    db.close()


@pytest.mark.parametrize("raised", [SystemExit(3), asyncio.CancelledError(), GeneratorExit()])
async def test_whatever_a_function_raises_ends_its_task_alone(tmp_path: Path, raised: BaseException) -> None:
    @af.task(retries=0)
    async def breaks() -> None:
        raise raised

    async with af.Engine(tmp_path / "a.db", tasks=[breaks]) as engine:
        state = await (await engine.start(workflow("w", [simple("breaks")]))).ended()

    assert state.status == "FAILED"


async def test_watchdog_names_what_holds_the_loop(caplog: pytest.LogCaptureFixture) -> None:
    async with Watchdog(lag_s=0.05) as watchdog:
        until_s = time.monotonic() + 60
        while not watchdog.stalls and time.monotonic() < until_s:
            pass  # holds the loop, and says so by its name
        await until(lambda: watchdog.stalls)

    assert "test_watchdog_names_what_holds_the_loop" in caplog.text
