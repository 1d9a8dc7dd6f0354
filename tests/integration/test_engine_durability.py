"""Laws: nothing is shown, answered or started before its commit, and nothing at all after a failed one."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.app.service import StartRequest
from asyncflow.errors import NotCommitted, NotFound, OutcomeUnknown, StoreError
from asyncflow.model.definition import parse_workflow
from asyncflow.model.events import EngineStopped
from asyncflow.runtime.recovery import CATALOG_STREAM
from asyncflow.store.sqlite import SqliteStore
from tests.integration.engine_support import held_engine, simple, waiting, workflow
from tests.integration.waiting import until

WAITS = parse_workflow(workflow("waits", [waiting()]))


async def test_start_is_answered_only_after_its_commit(tmp_path: Path) -> None:
    async with held_engine(tmp_path / "a.db") as (service, store):
        store.gate.clear()
        started = asyncio.ensure_future(service.start(StartRequest(definition=WAITS)))
        await store.arrived.wait()
        await until(lambda: service.engine.turns.states)
        before = started.done()
        store.gate.set()
        identity = await started

        assert not before
        assert (await service.get(identity))["status"] == "RUNNING"


async def test_read_waits_until_what_it_shows_is_durable(tmp_path: Path) -> None:
    async with held_engine(tmp_path / "a.db") as (service, store):
        identity = await service.start(StartRequest(definition=WAITS))
        store.gate.clear()
        store.arrived.clear()
        paused = asyncio.ensure_future(service.pause(identity))
        await store.arrived.wait()
        read = asyncio.ensure_future(service.get(identity))
        await asyncio.wait([read], timeout=0.05)
        early = read.done()
        store.gate.set()
        await paused

        assert not early
        assert (await read)["status"] == "PAUSED"


async def test_end_is_told_only_after_its_own_commit(tmp_path: Path) -> None:
    async with held_engine(tmp_path / "a.db") as (service, store):
        identity = await service.start(StartRequest(definition=WAITS))
        end = asyncio.ensure_future(service.ended(identity))
        await asyncio.wait([end], timeout=0.01)
        store.gate.clear()
        store.arrived.clear()
        store.one_by_one = True
        changed = asyncio.ensure_future(service.set_variables(identity, {"a": 1}))
        await store.arrived.wait()
        signalled = asyncio.ensure_future(service.signal(identity, "wait"))
        await until(lambda: service.engine.turns.states[identity].is_ended)
        store.gate.set()
        await changed
        await asyncio.wait([end, signalled], timeout=0.05)
        early = end.done() or signalled.done()
        store.gate.set()

        assert not early
        assert (await end).status == "COMPLETED"
        store.one_by_one = False
        store.gate.set()
        await signalled


async def test_attempt_begins_only_after_the_commit_that_admits_it(tmp_path: Path) -> None:
    called = asyncio.Event()

    @af.task(retries=0)
    async def tell() -> None:
        called.set()

    async with held_engine(tmp_path / "a.db", tell) as (service, store):
        store.gate.clear()
        definition = parse_workflow(workflow("tells", [simple("tell")]))
        started = asyncio.ensure_future(service.start(StartRequest(definition=definition)))
        await store.arrived.wait()
        await asyncio.wait([asyncio.ensure_future(called.wait())], timeout=0.05)
        early = called.is_set()
        store.gate.set()
        state = await service.ended(await started)

        assert not early
        assert state.status == "COMPLETED"


async def test_unknown_outcome_of_a_commit_stops_everything(tmp_path: Path) -> None:
    with pytest.raises(StoreError):  # noqa: PT012 - leaving the context raises
        async with held_engine(tmp_path / "a.db") as (service, store):
            identity = await service.start(StartRequest(definition=WAITS))
            end = asyncio.ensure_future(service.ended(identity))
            await asyncio.wait([end], timeout=0.01)
            store.failures.append(OutcomeUnknown("the disk said so"))

            with pytest.raises(OutcomeUnknown):
                await service.signal(identity, "wait")
            with pytest.raises(StoreError):
                await end
            with pytest.raises(StoreError, match="the engine stopped"):
                await service.start(StartRequest(definition=WAITS))
            assert isinstance(await service.engine.turns.failed(), OutcomeUnknown)


async def test_commit_that_only_seemed_to_fail_is_found_by_the_next_start(tmp_path: Path) -> None:
    with pytest.raises(StoreError):  # noqa: PT012 - leaving the context raises
        async with held_engine(tmp_path / "a.db") as (service, store):
            identity = await service.start(StartRequest(definition=WAITS))
            store.failures.append(OutcomeUnknown("fsync"))
            store.fails_after = True
            with pytest.raises(OutcomeUnknown):
                await service.signal(identity, "wait", {"seen": True})

    async with held_engine(tmp_path / "a.db") as (service, _):
        assert (await service.ended(identity)).status == "COMPLETED"


async def test_full_disk_refuses_what_is_new_and_heals_by_itself(tmp_path: Path) -> None:
    async with held_engine(tmp_path / "a.db") as (service, store):
        identity = await service.start(StartRequest(definition=WAITS))
        turns = service.engine.turns
        turns.commits._again_s = 0.05
        store.failures += [NotCommitted("no room", code="storage_full") for _ in range(3)]
        signalled = asyncio.ensure_future(service.signal(identity, "wait"))
        await until(lambda: turns.commits.trouble)

        with pytest.raises(NotCommitted) as refused:
            await service.start(StartRequest(definition=WAITS))
        with pytest.raises(NotCommitted):
            await service.register_workflow(workflow("more", [waiting()]))
        with pytest.raises(NotCommitted, match="look before you ask anew"):
            await signalled
        await until(lambda: not turns.commits.trouble)

        assert refused.value.code == "storage_full"
        assert not turns.commits.trouble
        assert "more" not in service.engine.catalog.workflows
        assert (await service.ended(identity)).status == "COMPLETED"
        assert await service.start(StartRequest(definition=WAITS))


async def test_stop_for_which_there_is_no_room_is_not_recorded_and_harms_nothing(tmp_path: Path) -> None:
    async with held_engine(tmp_path / "a.db") as (service, store):
        identity = await service.start(StartRequest(definition=WAITS))
        number = service.engine.turns.number
        store.failures.append(NotCommitted("no room", code="storage_full"))

    assert (service.engine.turns.number, store.failures) == (number, [])
    async with held_engine(tmp_path / "a.db") as (service, _):
        await service.signal(identity, "wait")
        assert (await service.ended(identity)).status == "COMPLETED"


async def test_stop_is_recorded_only_where_something_is_open(tmp_path: Path) -> None:
    async with held_engine(tmp_path / "a.db") as (service, _):
        identity = await service.start(StartRequest(definition=WAITS))
    assert await stops(tmp_path / "a.db") == 1
    async with held_engine(tmp_path / "a.db") as (service, _):
        await service.signal(identity, "wait")
        await service.ended(identity)
    async with held_engine(tmp_path / "a.db"):
        pass

    assert await stops(tmp_path / "a.db") == 1


async def stops(file: Path) -> int:
    """How many orderly stops the journal knows."""
    async with SqliteStore.open(file) as store:
        history = (await store.read_streams([CATALOG_STREAM]))[CATALOG_STREAM]
    return sum(isinstance(recorded.event, EngineStopped) for recorded in history)


@pytest.mark.scenario("R10")
async def test_full_disk_at_the_end_is_no_false_success(tmp_path: Path) -> None:
    with pytest.raises(NotCommitted):  # noqa: PT012 - leaving the context raises
        async with held_engine(tmp_path / "a.db") as (service, store):
            identity = await service.start(StartRequest(definition=WAITS))
            store.failures += [NotCommitted("no room", code="storage_full") for _ in range(9)]
            signalled = asyncio.ensure_future(service.signal(identity, "wait"))
            await until(lambda: service.engine.turns.commits.trouble)
    with pytest.raises(NotCommitted):
        await signalled

    async with held_engine(tmp_path / "a.db") as (service, _):
        assert (await service.get(identity))["status"] == "RUNNING"


async def test_caller_that_goes_away_does_no_harm(tmp_path: Path) -> None:
    async with held_engine(tmp_path / "a.db") as (service, store):
        store.gate.clear()
        started = asyncio.ensure_future(service.start(StartRequest(definition=WAITS)))
        registered = asyncio.ensure_future(service.register_workflow(workflow("kept", [waiting()])))
        await store.arrived.wait()
        started.cancel()
        registered.cancel()
        await asyncio.wait([started, registered])
        store.gate.set()

        identity = await service.start(StartRequest(definition=WAITS))
        assert (await service.get(identity))["status"] == "RUNNING"
        assert "kept" in service.engine.catalog.workflows


async def test_unrecordable_text_is_refused_at_the_door(tmp_path: Path) -> None:
    async with held_engine(tmp_path / "a.db") as (service, _):
        identity = await service.start(StartRequest(definition=WAITS))
        with pytest.raises(af.InvalidInput):
            await service.terminate(identity, "\ud800")
        with pytest.raises(af.InvalidInput):
            await service.start(StartRequest(definition=WAITS, correlation_id="\ud800"))
        with pytest.raises(NotFound):
            await service.get("00000000-0000-4000-8000-000000000000")

        assert service.engine.turns.failure is None
