"""Law: what was set aside can be deleted for good, whatever is wrong with it, and leaves nothing behind."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncflow.app.services import open_services
from asyncflow.errors import NotFound, Refused, StoreError
from asyncflow.model.quarantine import Quarantined
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resources import ResourceLimit
from asyncflow.runtime import quarantine
from asyncflow.store.sqlite import SqliteStore
from tests.integration.engine_support import child, waiting, workflow
from tests.integration.job_support import job
from tests.integration.resource_support import ClusterBench
from tests.integration.test_quarantine import begun, flip, rows, set_aside
from tests.integration.test_set_aside import break_deciding


async def test_one_that_cannot_be_read_is_deleted_and_no_start_knows_it(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with open_services(path) as services:
        bad = await begun(services, workflow("bad", [waiting()]))
        good = await begun(services, workflow("good", [waiting()]))
        await services.executions.engine.compaction.compact()
        await services.executions.set_variables(good, {"a": 1})
        await services.executions.engine.compaction.compact()
    flip(path, bad)
    async with open_services(path) as services:
        shown = await services.quarantine.delete(bad, reason="damaged")
        with pytest.raises(NotFound):
            await services.executions.get(bad)
    async with open_services(path) as services:
        assert (await services.quarantine.listed())["totalHits"] == 0
        await services.executions.signal(good, "wait")
        assert (await services.executions.ended(good)).status == "COMPLETED"
    async with SqliteStore.open(path) as store:
        left = await store.execution_row(bad), await store.task_rows(bad), await store.read_stream(bad)
        faults = await store.find_faults()

    assert [each["referenceTaskName"] for each in rows(shown, "openTasks")] == ["wait"]
    assert (left, faults) == ((None, [], []), [])


async def test_one_that_every_start_passes_over_is_held_no_more_once_it_is_deleted(tmp_path: Path) -> None:
    path = tmp_path / "a.db"
    async with open_services(path) as services:
        stream = await begun(services, workflow("w", [waiting()]))
    async with SqliteStore.open(path) as store:
        await store.hold(stream, Quarantined("crash", "died of it", 7))
    async with open_services(path) as services:
        await services.quarantine.delete(stream)
        with pytest.raises(NotFound):
            await services.quarantine.delete(stream)
    async with SqliteStore.open(path) as store:
        assert await store.read_held() == {}
        assert await store.execution_row(stream) is None


async def test_a_child_is_not_deleted_while_the_execution_above_it_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_services(tmp_path / "a.db") as services:
        await services.executions.register_workflow(workflow("c", [waiting()]))
        parent = await begun(services, workflow("p", [child("c")]))
        (record,) = (await services.executions.engine.state(parent)).tasks.values()
        assert record.more is not None
        below = str(record.more.child_id)
        await services.executions.engine.views_caught_up()
        with monkeypatch.context() as patch:
            break_deciding(patch)
            await set_aside(services, below)
        with pytest.raises(Refused, match="waits for it"):
            await services.quarantine.delete(below)
        await services.executions.terminate(parent, "beyond repair")
        await services.quarantine.delete(below)

        assert (await services.executions.ended(parent)).status == "TERMINATED"


async def test_what_a_deleted_one_held_is_free_for_the_next(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = ClusterBench(tmp_path / "a.db", ResourceSettings("cluster", ResourceLimit(1), idle_after_s=60))
    bench.service.duration_s = 600
    async with bench.engine() as service:
        first = await bench.start(service, workflow("w", [job()]))
        await bench.clock.run(lambda: len(bench.service.made) == 1, seconds=60)
        second = await bench.start(service, workflow("w", [job()]))
        with monkeypatch.context() as patch:
            break_deciding(patch)
            with pytest.raises(StoreError, match="quarantined"):
                await service.pause(first)
        await bench.clock.run(lambda: False, seconds=300)
        meanwhile = len(bench.service.made)
        await quarantine.delete(service.engine, service.engine._store, first, parent_id="", reason="")
        end = (await bench.end(service, second)).status

    assert (meanwhile, end) == (1, "COMPLETED")
