"""Laws: a reader sees the end, no input outlives its attempt, and one bad history holds up no compaction."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path

import pytest

from asyncflow.app.service import Service, StartRequest
from asyncflow.errors import NotCommitted, OutcomeUnknown, StoreError
from asyncflow.model.definition import parse_workflow
from asyncflow.model.turn import Recorded
from asyncflow.runtime import compaction
from asyncflow.runtime.engine import Engine
from asyncflow.store.sqlite import SqliteStore
from tests.integration.engine_support import held_engine, kinds, noop, simple, waiting, workflow
from tests.integration.waiting import until

WAITS = parse_workflow(workflow("waits", [waiting()]))
PATIENCE_S = 60


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


async def test_input_of_an_attempt_that_never_began_is_let_go(tmp_path: Path) -> None:
    async with held_engine(tmp_path / "a.db", noop) as (service, store):
        await service.start(StartRequest(definition=WAITS))
        store.gate.clear()
        store.arrived.clear()
        busy = asyncio.ensure_future(service.start(StartRequest(definition=WAITS)))
        await store.arrived.wait()
        limited = {"name": "noop", "retryCount": 0, "concurrentExecLimit": 5}
        task = simple("noop", taskDefinition=limited, inputParameters={"text": "x" * 1000})
        body = parse_workflow(workflow("w", [task]))
        known = {*service.engine.turns.states}
        started = asyncio.ensure_future(service.start(StartRequest(definition=body)))
        await until(lambda: {*service.engine.turns.states} - known)
        (identity,) = {*service.engine.turns.states} - known
        ended = asyncio.ensure_future(service.terminate(identity))
        await until(lambda: service.engine.turns.states[identity].is_ended)
        kept = len(service.engine.carry.admitting._payloads)
        store.gate.set()
        await asyncio.gather(busy, started, ended)

        assert kept == 0


class OneDamaged(SqliteStore):
    """A store in which the histories of some executions cannot be read."""

    damaged: frozenset[str] = frozenset()

    async def read_streams(
        self, streams: Sequence[str], *, segments_only: bool = False
    ) -> dict[str, list[Recorded]]:
        if self.damaged.intersection(streams):
            raise StoreError("a segment is damaged")
        return await super().read_streams(streams, segments_only=segments_only)


async def test_history_that_cannot_be_read_holds_up_no_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(compaction, "_LARGE", 2)
    monkeypatch.setattr(compaction, "_AGAIN_S", 0.01)
    async with OneDamaged.open(tmp_path / "a.db") as store, Engine(store, functions={"noop": noop}) as engine:
        service = Service(engine)
        first, second = [await service.start(StartRequest(definition=WAITS)) for _ in range(2)]
        store.damaged = frozenset([first])
        for identity in (first, second):
            await service.signal(identity, "wait")

        async with asyncio.timeout(PATIENCE_S):
            while not (await store.read_streams([second], segments_only=True))[second]:
                await asyncio.wait([asyncio.ensure_future(store.recover())])


@pytest.mark.parametrize("error", [NotCommitted("no room", code="storage_full"), OutcomeUnknown("fsync")])
async def test_whoever_waits_for_the_views_learns_that_they_cannot_catch_up(
    tmp_path: Path, error: StoreError
) -> None:
    try:
        async with held_engine(tmp_path / "a.db") as (service, store):
            identity = await service.start(StartRequest(definition=WAITS))
            await service.engine.views_caught_up()
            store.gate.clear()
            store.arrived.clear()
            store.failures.append(error)
            paused = asyncio.ensure_future(service.pause(identity))
            await store.arrived.wait()
            shown = asyncio.ensure_future(service.engine.views_caught_up())
            await asyncio.wait([shown], timeout=0.01)
            store.gate.set()

            with pytest.raises(StoreError):
                async with asyncio.timeout(PATIENCE_S):
                    await shown
            paused.cancel()
            await asyncio.wait([paused])
    except StoreError:
        assert isinstance(error, OutcomeUnknown)  # which leaving the engine tells once more
