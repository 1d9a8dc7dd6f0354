"""Laws: a reader sees the end, no input outlives its attempt, and one bad history holds up no compaction."""

from __future__ import annotations

import asyncio
from pathlib import Path

from asyncflow.app.service import StartRequest
from asyncflow.model.definition import parse_workflow
from tests.integration.engine_support import held_engine, kinds, waiting, workflow
from tests.integration.waiting import until

WAITS = parse_workflow(workflow("waits", [waiting()]))
PATIENCE_S = 10


async def test_reader_of_events_waits_for_an_end_that_is_not_durable_yet(tmp_path: Path) -> None:
    async with held_engine(tmp_path / "a.db") as (service, store):
        identity = await service.start(StartRequest(definition=WAITS))
        events = service.engine.events(identity)
        seen = [(await anext(events)).event]
        store.gate.clear()
        signalled = asyncio.ensure_future(service.signal(identity, "wait"))
        await until(lambda: service.engine.turns.states[identity].is_ended)

        async def rest() -> None:
            seen.extend([recorded.event async for recorded in events])

        reader = asyncio.ensure_future(rest())
        await asyncio.wait([reader], timeout=0.05)
        early = reader.done()
        store.gate.set()
        await signalled
        async with asyncio.timeout(PATIENCE_S):
            await reader

        assert not early
        assert kinds(seen)[-1] == "ExecutionEnded"
