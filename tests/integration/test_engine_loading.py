"""Laws: whoever asks for an absent execution gets an answer, whatever becomes of its reading."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from asyncflow.app.service import Service, StartRequest
from asyncflow.errors import ShuttingDown, StoreError
from asyncflow.model.definition import parse_workflow
from asyncflow.model.turn import Recorded
from asyncflow.runtime.engine import Engine, EngineSettings
from asyncflow.store.sqlite import SqliteStore
from tests.integration.engine_support import workflow

NOTHING = parse_workflow(workflow("w", [{"name": "x", "taskReferenceName": "x", "type": "NOOP"}]))
FORGETFUL = EngineSettings(keep_ended=0)


class FaultyReads(SqliteStore):
    """A store whose readings of histories wait at a gate, and break on one stream as no store should."""

    gate: asyncio.Event
    arrived: asyncio.Event
    breaks_on: str = ""

    async def read_streams(
        self, streams: Sequence[str], *, segments_only: bool = False
    ) -> dict[str, list[Recorded]]:
        self.arrived.set()
        await self.gate.wait()
        if self.breaks_on in streams:
            raise RuntimeError("a fault nobody thought of")
        return await super().read_streams(streams, segments_only=segments_only)


def opened(path: Path) -> FaultyReads:
    store = FaultyReads.open(path)
    store.gate, store.arrived = asyncio.Event(), asyncio.Event()
    store.gate.set()
    return store


async def absent(service: Service, count: int) -> list[str]:
    """Executions that have ended and left memory."""
    found = [await service.start(StartRequest(definition=NOTHING)) for _ in range(count + 2)]
    for identity in found:
        await service.ended(identity)
    return [identity for identity in found if identity not in service.engine.turns.states][:count]


async def test_read_of_an_absent_execution_is_refused_when_the_engine_closes(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as store:
        async with Engine(store, settings=FORGETFUL) as engine:
            (identity,) = await absent(Service(engine), 1)
            store.gate.clear()
            store.arrived.clear()
            read = asyncio.ensure_future(engine.read(identity))
            await store.arrived.wait()
        store.gate.set()

        with pytest.raises(ShuttingDown):
            async with asyncio.timeout(60):
                await read


async def test_fault_of_one_execution_is_not_that_of_those_read_with_it(tmp_path: Path) -> None:
    async with opened(tmp_path / "a.db") as store, Engine(store, settings=FORGETFUL) as engine:
        broken, *sound = await absent(Service(engine), 4)
        store.breaks_on = broken
        reads = [asyncio.ensure_future(engine.state(identity)) for identity in (broken, *sound)]
        async with asyncio.timeout(60):
            first, *others = await asyncio.gather(*reads, return_exceptions=True)

        assert isinstance(first, StoreError)
        assert [getattr(state, "status", state) for state in others] == ["COMPLETED"] * 3
        assert not engine.supervisor.faults
