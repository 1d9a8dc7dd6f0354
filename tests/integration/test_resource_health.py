"""What health says of resources that somebody has to see to: by name, and never as if all were down."""

from __future__ import annotations

from pathlib import Path

from asyncflow.app.health import Health
from asyncflow.app.service import Service
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.values import JsonObject
from asyncflow.store.sqlite import SqliteStore
from tests.integration.job_support import job
from tests.integration.resource_support import ClusterBench
from tests.integration.test_resource_damage import _damage

WORKFLOW: JsonObject = {"name": "w", "version": 1, "schemaVersion": 2, "tasks": [job()]}


async def _said(service: Service) -> list[tuple[str, bool]]:
    store = service.engine._store
    assert isinstance(store, SqliteStore)
    found = Health(service.engine, await store.facts()).findings()
    return [(each.message, each.is_fatal) for each in found if each.name == "resources"]


async def _left_behind(path: Path) -> ClusterBench:
    """An engine ended, and left a cluster."""
    bench = ClusterBench(path / "a.db")
    async with bench.engine() as service:
        await bench.end(service, await bench.start(service, WORKFLOW))
        assert await _said(service) == []
    return bench


async def test_health_names_a_resource_that_is_not_configured_any_more(tmp_path: Path) -> None:
    bench = await _left_behind(tmp_path)
    async with bench.engine(is_configured=False) as service:
        assert await _said(service) == [("orphaned: emr", False)]


async def test_health_names_a_resource_whose_history_cannot_be_read(tmp_path: Path) -> None:
    """It is named once, also where it is not configured any more."""
    bench = await _left_behind(tmp_path)
    await _damage(bench.path)
    async with bench.engine() as service:
        assert await _said(service) == [("damaged: emr", False)]
    async with bench.engine(is_configured=False) as service:
        assert await _said(service) == [("damaged: emr", False)]


async def test_health_names_a_resource_that_cannot_be_opened_until_it_can(tmp_path: Path) -> None:
    bench = ClusterBench(tmp_path / "a.db")
    bench.clusters.faults_of_open = 1
    async with bench.engine() as service:
        kept = service.engine.kept_resources
        assert kept is not None
        keeper = kept.keepers["emr"]
        await bench.clock.run(lambda: keeper.is_broken, seconds=1)
        assert await _said(service) == [("broken: emr", False)]
        await bench.clock.run(lambda: not keeper.is_broken, seconds=600)
        assert await _said(service) == []


async def test_instances_of_another_type_are_left_alone_until_it_is_configured_again(tmp_path: Path) -> None:
    """The new plugin took them for gone: they were forgotten, and went on outside."""
    bench = await _left_behind(tmp_path)
    before = bench.resource
    bench.resource = ResourceSettings("http-service", config={"submit_url": "https://example.com/"})
    for _ in range(2):
        async with bench.engine() as service:
            await bench.clock.advance(3_600)
            kept = service.engine.kept_resources
            assert kept is not None
            said, trouble = await _said(service), kept.trouble("emr")
            assert len(kept.keepers["emr"].state.instances) == 1
    bench.resource = before
    async with bench.engine() as service:
        await bench.clock.run(lambda: bool(bench.clusters.destroyed), seconds=3_600)

    assert said == [("broken: emr", False)]
    assert trouble.startswith("it has instances of type cluster: configure it so")
    assert bench.clusters.destroyed == ["j-1"]
