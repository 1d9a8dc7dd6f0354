"""What waits to be decided is bounded for those who ask, never for what runs."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.app.definitions import Definitions
from asyncflow.errors import Overloaded
from asyncflow.http.errors import status_of
from asyncflow.model.inputs import Evaluate, SetVariables
from asyncflow.runtime import inbox, recording
from asyncflow.runtime.context import MOST_UNTOLD
from tests.integration.engine_support import held_engine, simple, waiting, workflow
from tests.integration.waiting import next_turn, until


@pytest.mark.parametrize("bound", ["MOST_WAITING", "MOST_BYTES"])
async def test_commands_beyond_the_bound_are_refused_and_reports_are_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: str
) -> None:
    async with af.Engine(tmp_path / "a.db") as engine:
        execution = await engine.start(workflow("w", [waiting()]))
        turns = engine.service.engine.turns
        monkeypatch.setattr(inbox, bound, 3)
        asked = [turns.inbox.ask(execution.id, SetVariables({"n": n}), size=1) for n in range(3)]
        with pytest.raises(Overloaded) as refusal:
            await turns.submit(execution.id, SetVariables({"n": 3}), size=1)
        turns.report(execution.id, Evaluate())
        await asyncio.gather(*asked)
        await execution.set_variables(n=4)
        shown = await execution.get()

    assert status_of(refusal.value) == 429
    assert shown["variables"] == {"n": 4}
    assert turns.inbox.bytes == 0


async def test_thread_that_tells_faster_than_the_loop_takes_waits_for_it(tmp_path: Path) -> None:
    told: list[int] = []
    begun, ended = threading.Event(), threading.Event()

    @af.task(retries=0)
    def talk(context: af.TaskContext) -> None:
        begun.set()
        for count in range(20 * MOST_UNTOLD):
            context.record_io(rows=1)
            told.append(count)
        ended.set()

    async with af.Engine(tmp_path / "a.db", tasks=[talk]) as engine:
        execution = await engine.start(workflow("w", [simple("talk")]))
        await until(begun.is_set)
        before = seen = len(told)
        while not ended.wait(0.05) and len(told) > seen:  # the loop is held here, and takes nothing
            seen = len(told)
        held = len(told) - before
        state = await execution.ended()

    assert held <= MOST_UNTOLD + 1, "one may have been told already, and not counted yet"
    assert state.status == "COMPLETED"


async def test_hashes_of_inline_definitions_are_not_kept_for_ever(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "STORED_KEPT", 3)
    async with af.Engine(tmp_path / "a.db") as engine:
        ids = [(await engine.start(workflow(f"w{n % 10}", [waiting()]))).id for n in range(20)]
        assert len(engine.service.engine.turns.stored) <= 3
    async with af.Engine(tmp_path / "a.db") as engine:
        for each in ids:
            await engine.execution(each).signal("wait")
            assert (await engine.execution(each).ended()).status == "COMPLETED"


async def test_registering_again_is_answered_when_the_first_time_is_durable(tmp_path: Path) -> None:
    async with held_engine(tmp_path / "a.db") as (service, store):
        definitions = Definitions(service.engine)
        store.gate.clear()
        first = asyncio.ensure_future(definitions.register_workflow(workflow("w", [waiting()])))
        await store.arrived.wait()
        second = asyncio.ensure_future(definitions.register_workflow(workflow("w", [waiting()])))
        for _ in range(20):
            await next_turn()
        early = second.done()
        store.gate.set()
        await asyncio.gather(first, second)

    assert not early


@pytest.mark.parametrize("given", ["²", "9" * 5_000, "٣"])
async def test_priority_that_only_looks_like_a_number_fails_by_name(tmp_path: Path, given: str) -> None:
    @af.task(retries=0)
    async def work() -> None:
        pass

    ours = {"priority": "${workflow.input.given}", "resources": [{"name": "r"}]}
    async with af.Engine(tmp_path / "a.db", tasks=[work]) as engine:
        body = workflow("w", [simple("work", asyncflow=ours)])
        state = await (await engine.start(body, {"given": given})).ended()

    assert state.status == "FAILED"
    assert "asyncflow.priority: 0 to 99 expected" in str(state.reason)
