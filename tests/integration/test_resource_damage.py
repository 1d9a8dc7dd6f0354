"""Resources of which a start knows too little: a history that cannot be read, and instances nobody keeps."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import cast

import pytest

from asyncflow.app.resources import Resources
from asyncflow.app.service import Service
from asyncflow.errors import Conflict, InvalidInput, NotFound
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.statuses import COMPLETED
from asyncflow.model.turn import Recorded
from asyncflow.model.values import JsonObject
from asyncflow.store.records import Segment
from asyncflow.store.sqlite import SqliteStore
from tests.integration.job_support import job
from tests.integration.resource_support import ClusterBench

WORKFLOW: JsonObject = {"name": "w", "version": 1, "schemaVersion": 2, "tasks": [job()]}


def _operated(service: Service) -> Resources:
    return Resources(service, service.engine._store)


async def _damage(path: Path) -> None:
    """Make segments of all turns, and flip a bit in that of the resource."""
    async with SqliteStore.open(path) as store:
        histories: dict[str, list[Recorded]] = {}
        position = await store.recover()
        async for batch in store.read_turns(position.first_turn - 1):
            for turn in batch:
                for stream, seq, events in turn.entries:
                    at_ms = turn.moment.elapsed_ms
                    history = histories.setdefault(stream, [])
                    history += [Recorded(seq + place, at_ms, each) for place, each in enumerate(events)]
        await store.write_segments(
            [Segment(name, 1, each[-1].seq, each, open=True) for name, each in histories.items()]
        )
        while await store.trim_turns(position.last_turn):
            pass
    with sqlite3.connect(path) as database:
        database.execute("UPDATE segment SET crc = crc + 1 WHERE stream = 'resource:emr'")
    database.close()


async def _one_job_under_way(bench: ClusterBench) -> str:
    """A cluster is there, with a job on it, when the engine ends; and another one was there before."""
    bench.service.duration_s = 60
    async with bench.engine() as service:
        first = await bench.start(service, WORKFLOW)
        await bench.end(service, first)
        bench.service.duration_s = 100_000
        execution = await bench.start(service, WORKFLOW)
        await bench.clock.run(lambda: len(bench.clusters.submitted) == 2, seconds=600)
        await bench.clock.advance(1)
    return execution


async def test_damaged_history_keeps_the_resource_closed_until_it_is_released(tmp_path: Path) -> None:
    """No instance is made anew, and no job is thought to be lost; whoever knows says what is there."""
    bench = ClusterBench(tmp_path / "a.db")
    execution = await _one_job_under_way(bench)
    await _damage(bench.path)
    async with bench.engine() as service:
        resources = _operated(service)
        waiting = await bench.start(service, WORKFLOW)
        await bench.clock.run(lambda: False, seconds=1_000)
        shown = resources.get("emr")
        assert (shown["state"], shown["isOpen"], shown["instances"]) == ("damaged", False, [])
        assert "is damaged" in str(shown["reason"])
        assert service.engine.turns.quarantined == {}
        assert len(bench.clusters.created) == 1
        with pytest.raises(Conflict, match="released"):
            await resources.drain("emr")
        with pytest.raises(InvalidInput, match="at least 2"):
            await resources.release("emr", {"nextNumber": 1})
        await resources.release(
            "emr", {"nextNumber": 5, "instances": {"1": "j-1"}, "reason": "seen"}, by="me"
        )
        await bench.clock.run(lambda: len(bench.clusters.submitted) == 3, seconds=600)
        assert [each for each, _ in bench.clusters.submitted] == ["j-1", "j-1", "j-1"]
    async with bench.engine() as service:
        states = [await bench.end(service, each, within_s=400_000) for each in (execution, waiting)]
        history = (await _operated(service).history("emr"))["events"]
        kept = (cast("list[JsonObject]", _operated(service).get("emr")["instances"]) or [{}])[0]
    assert [each.status for each in states] == [COMPLETED, COMPLETED]
    assert len(bench.clusters.created) == 1
    assert isinstance(history, list)
    assert [each["event"] for each in history][-2:] == ["ResourceReleased", "Unreadable"]
    assert (history[-2]["next_number"], history[-2]["by"]) == (5, "me")
    assert kept == {} or kept["name"] == "emr/1"


async def test_released_without_its_instances_has_their_jobs_go_on_elsewhere(tmp_path: Path) -> None:
    """The next instance has the number that was said, under a token that the service never saw."""
    bench = ClusterBench(tmp_path / "a.db")
    execution = await _one_job_under_way(bench)
    await _damage(bench.path)
    bench.service.duration_s = 60
    async with bench.engine() as service:
        await _operated(service).release("emr", {"nextNumber": 7})
        state = await bench.end(service, execution)
        with pytest.raises(Conflict, match="can be read"):
            await _operated(service).release("emr", {"nextNumber": 9})
    assert state.status == COMPLETED
    assert len(set(bench.clusters.created)) == len(bench.clusters.created) == 2
    assert state.past_jobs[state.by_ref["job"].number].instance == "emr/7"


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"nextNumber": 0},
        {"nextNumber": True},
        {"nextNumber": 2, "instances": {"x": "j-1"}},
        {"nextNumber": 2, "instances": {"1": ""}},
        {"nextNumber": 2, "instances": ["j-1"]},
        {"nextNumber": 2, "next": 3},
        {"nextNumber": 2, "reason": 1},
    ],
)
async def test_release_that_says_nothing_usable_is_refused(tmp_path: Path, body: JsonObject) -> None:
    bench = ClusterBench(tmp_path / "a.db")
    async with bench.engine() as service:
        with pytest.raises(InvalidInput):
            await _operated(service).release("emr", body)


async def test_resource_that_is_not_configured_any_more_is_shown_with_its_instances(tmp_path: Path) -> None:
    """Nobody ends them; once the resource is configured again, they are kept as before."""
    bench = ClusterBench(tmp_path / "a.db")
    async with bench.engine() as service:
        await bench.end(service, await bench.start(service, WORKFLOW))
    async with bench.engine(is_configured=False) as service:
        resources = _operated(service)
        listed = {each["name"]: each for each in resources.all()["resources"]}  # type: ignore[attr-defined]
        assert (listed["emr"]["state"], listed["emr"]["type"]) == ("orphaned", "cluster")
        assert [each["handle"] for each in listed["emr"]["instances"]] == ["j-1"]
        assert (await resources.history("emr"))["totalHits"] == 4
    async with bench.engine() as service:
        await bench.clock.run(lambda: bool(bench.clusters.destroyed), seconds=3_600)
    assert bench.clusters.destroyed == ["j-1"]


async def test_forgotten_instances_are_left_to_themselves_and_numbers_go_on(tmp_path: Path) -> None:
    bench = ClusterBench(tmp_path / "a.db")
    async with bench.engine() as service:
        await bench.end(service, await bench.start(service, WORKFLOW))
        with pytest.raises(Conflict, match="is configured"):
            await _operated(service).forget("emr")
    async with bench.engine(is_configured=False) as service:
        resources = _operated(service)
        await resources.forget("emr", by="me", reason="it is somebody else's now")
        assert "emr" not in resources.names()
        with pytest.raises(NotFound):
            await resources.forget("emr")
    async with bench.engine() as service:
        await bench.end(service, await bench.start(service, WORKFLOW))
        events = (await _operated(service).history("emr"))["events"]
    assert bench.clusters.destroyed == []
    assert len(set(bench.clusters.created)) == 2
    assert isinstance(events, list)
    assert [each["number"] for each in events if each["event"] == "InstanceAsked"] == [2, 1]


async def test_instances_with_open_jobs_are_not_forgotten(tmp_path: Path) -> None:
    """Added again while the engine runs, the resource knows who is on them."""
    bench = ClusterBench(tmp_path / "a.db", ResourceSettings("cluster", idle_after_s=60))
    execution = await _one_job_under_way(bench)
    async with bench.engine(is_configured=False) as service:
        with pytest.raises(Conflict, match="emr/1"):
            await _operated(service).forget("emr")
        kept = service.engine.kept_resources
        assert kept is not None
        kept.configure("emr", bench.resource)
        state = await bench.end(service, execution, within_s=400_000)
    assert state.status == COMPLETED
    assert [word for _, word in bench.clusters.submitted] == ["ready", "ready"]
    assert len(bench.clusters.created) == 1
