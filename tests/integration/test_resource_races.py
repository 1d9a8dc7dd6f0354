"""Resources between two things at once: wanted as one ends, exchanged as one opens."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from asyncflow.model.resource_state import Instance, ResourceState
from asyncflow.model.resources import ResourceLimit
from asyncflow.model.statuses import COMPLETED
from asyncflow.runtime.resource_places import Places
from tests.integration.resource_support import (
    ONE_JOB,
    cluster_bench,
    instances_of,
    keeper_of_clusters,
    kept_resources,
)


async def test_cluster_that_is_wanted_again_while_it_drains_is_the_only_one(tmp_path: Path) -> None:
    """Who was let in as it opened again waits for no other: a second cluster was asked for and paid."""
    bench = cluster_bench(tmp_path, max_instances=2, per_instance=1, idle_after_s=60)
    async with bench.engine() as service:
        await bench.end(service, await bench.start(service, ONE_JOB))
        bench.clusters.is_mute = True
        await bench.clock.run(lambda: instances_of(service)[0].phase == "draining", seconds=600)
        state = await bench.end(service, await bench.start(service, ONE_JOB))
        counts = keeper_of_clusters(service).counts

    assert (state.status, counts["InstanceBack"]) == (COMPLETED, 1)
    assert len(bench.clusters.created) == counts["InstanceAsked"] == 1


async def test_removed_resource_ends_its_doubles_before_its_manager_closes(tmp_path: Path) -> None:
    bench = cluster_bench(tmp_path, idle_after_s=3_000)
    bench.tier = "tag"
    bench.clusters.lost_answers = 1
    async with bench.engine() as service:
        await bench.start(service, ONE_JOB)
        await bench.clock.run(lambda: bool(bench.clusters.created), seconds=60)
        token = bench.clusters.created[0]
        bench.clusters.stubborn = {"j-twin"}
        bench.clusters.tokens["j-twin"], bench.clusters.stands["j-twin"] = token, "ready"
        await bench.clock.run(lambda: bool(keeper_of_clusters(service).state.doubles), seconds=600)
        kept_resources(service).configure("emr", None, by="me")
        await bench.clock.run(lambda: "emr" not in kept_resources(service).keepers, seconds=3_600)

    assert sorted(bench.clusters.destroyed) == ["j-1", "j-twin"]
    assert bench.clusters.closed == bench.clusters.opened


async def test_removed_resource_comes_back_as_it_was_and_counts_on(tmp_path: Path) -> None:
    """Its name limits nobody meanwhile; no number, and so no token, is used a second time."""
    bench = cluster_bench(tmp_path)
    async with bench.engine() as service:
        await bench.end(service, await bench.start(service, ONE_JOB))
        kept_resources(service).configure("emr", None, by="me")
        await bench.clock.run(lambda: "emr" not in kept_resources(service).keepers, seconds=3_600)
        kept_resources(service).configure("emr", bench.resource, by="me")
        limit = service.engine.admission.usage()["emr"]
        state = await bench.end(service, await bench.start(service, ONE_JOB))
        numbers = [each.number for each in instances_of(service)]

    assert limit["is_open"] is False, "nobody begins before there is an instance"
    assert (state.status, numbers) == (COMPLETED, [2])
    assert len(set(bench.clusters.created)) == 2


async def test_manager_that_is_exchanged_while_it_opens_is_closed(tmp_path: Path) -> None:
    bench = cluster_bench(tmp_path)
    bench.clusters.opening = asyncio.Event()
    async with bench.engine() as service:
        await bench.clock.run(lambda: len(bench.clusters.opened) == 1, seconds=1)
        kept_resources(service).configure("emr", replace(bench.resource, config={"name": "other"}))
        bench.clusters.opening.set()
        await bench.clock.run(lambda: len(bench.clusters.opened) == 2, seconds=60)

    assert sorted(map(id, bench.clusters.closed)) == sorted(map(id, bench.clusters.opened))


async def test_manager_that_is_opening_as_the_engine_stops_is_closed(tmp_path: Path) -> None:
    bench = cluster_bench(tmp_path)
    bench.clusters.opening = asyncio.Event()
    async with bench.engine():
        await bench.clock.run(lambda: len(bench.clusters.opened) == 1, seconds=1)

    assert bench.clusters.closed == bench.clusters.opened


@pytest.mark.parametrize("fault", [asyncio.CancelledError(), SystemExit(2)])
async def test_call_that_breaks_off_by_itself_is_made_again_after_a_pause(
    tmp_path: Path, fault: BaseException
) -> None:
    """It was made again at once, for ever; or it ended the process."""
    bench = cluster_bench(tmp_path)
    bench.clusters.breaks = [fault] * 3
    async with bench.engine() as service:
        state = await bench.end(service, await bench.start(service, ONE_JOB))
        counts = keeper_of_clusters(service).counts

    assert state.status == COMPLETED
    assert counts["failed open"] == 3


def test_of_several_on_an_instance_that_is_not_known_the_others_stay() -> None:
    """Such are the jobs of a damaged resource; a released instance would be taken for an idle one."""
    places, state = Places(), ResourceState("r")
    for _ in range(3):
        places.restore(state, 7)
    places.leave(state, 7, 0)
    state.instances[7] = Instance(7, "token", "active")

    assert list(places.settle(state)) == []
    assert state.instances[7].reserved == 2


async def test_double_is_found_and_destroyed_when_the_first_has_ended_long_before(tmp_path: Path) -> None:
    """Tier tag: the first order was carried out late, when what the second one made was given back."""
    bench = cluster_bench(tmp_path, idle_after_s=1)
    bench.tier = "tag"
    bench.clusters.drowned = 1
    async with bench.engine() as service:
        state = await bench.end(service, await bench.start(service, ONE_JOB))
        clusters = bench.clusters
        await bench.clock.run(lambda: clusters.destroyed == ["j-1"], seconds=3_600)
        clusters.tokens["j-late"], clusters.stands["j-late"] = clusters.created[0], "ready"
        await bench.clock.run(lambda: not instances_of(service), seconds=3_600)

    assert state.status == COMPLETED
    assert clusters.destroyed == ["j-1", "j-late"]


async def test_order_that_is_refused_the_second_time_may_have_been_taken_the_first(tmp_path: Path) -> None:
    """Tier tag: it is looked for before another one is asked for, and found."""
    bench = cluster_bench(tmp_path)
    bench.tier = "tag"
    bench.clusters.drowned = 1
    async with bench.engine() as service:
        clusters, counts = bench.clusters, keeper_of_clusters(service).counts
        execution = await bench.start(service, ONE_JOB)
        await bench.clock.run(lambda: not clusters.drowned, seconds=3_600)
        clusters.refusals, token = 1, instances_of(service)[0].token
        await bench.clock.run(lambda: not clusters.refusals, seconds=3_600)
        clusters.tokens["j-late"], clusters.stands["j-late"] = token, "ready"
        state = await bench.end(service, execution)

    assert (state.status, counts["InstanceAskedAgain"], counts["InstanceRefused"]) == (COMPLETED, 1, 0)
    assert (clusters.created, clusters.submitted) == ([], [("j-late", "ready")])


async def test_order_that_is_refused_and_found_nowhere_makes_room_for_another(tmp_path: Path) -> None:
    bench = cluster_bench(tmp_path)
    bench.tier = "tag"
    bench.clusters.drowned = 1
    async with bench.engine() as service:
        clusters, counts = bench.clusters, keeper_of_clusters(service).counts
        execution = await bench.start(service, ONE_JOB)
        await bench.clock.run(lambda: not clusters.drowned, seconds=3_600)
        clusters.refusals = 1
        state = await bench.end(service, execution)

    assert (state.status, counts["InstanceAskedAgain"], counts["InstanceRefused"]) == (COMPLETED, 1, 1)
    assert len(clusters.created) == 1


async def test_those_who_come_where_all_is_taken_cost_next_to_nothing(tmp_path: Path) -> None:
    """Everything was looked at anew for each of them."""
    bench = cluster_bench(tmp_path, max_instances=3, per_instance=1)
    bench.service.duration_s = 1_000
    calls = 0

    def count(_frame: object, event: str, _what: object) -> None:
        nonlocal calls
        calls += event == "call"

    async with bench.engine() as service:
        for number in range(4):
            await bench.start(service, {**ONE_JOB, "name": f"w{number}"})
        await bench.clock.run(lambda: len(bench.clusters.submitted) == 3, seconds=600)
        sys.setprofile(count)
        kept_resources(service).wanted("emr")
        sys.setprofile(None)
        waiting = keeper_of_clusters(service).state.waiting

    assert waiting == 1
    assert calls < 15


async def test_cluster_whose_end_is_refused_is_looked_at_and_asked_again(tmp_path: Path) -> None:
    """It was asked once a minute for ever, and never looked at: that somebody ended it was not seen."""
    bench = cluster_bench(tmp_path, idle_after_s=60)
    clusters = bench.clusters
    clusters.protected = {"j-1"}
    async with bench.engine() as service:
        await bench.end(service, await bench.start(service, ONE_JOB))
        await bench.clock.run(lambda: len(clusters.protests) == 2, seconds=3_600)
        between_s = bench.clock.seconds
        (instance,) = instances_of(service)
        error, phase = instance.error, instance.phase
        clusters.stands["j-1"] = "gone"
        await bench.clock.run(lambda: not instances_of(service), seconds=3_600)

    assert (error, phase) == ("it is protected", "destroying")
    assert between_s > 300
    assert len(clusters.protests) == 2, "a check found it gone"


async def test_clusters_are_made_for_those_whom_the_rate_lets_begin(tmp_path: Path) -> None:
    """One was made for each who waited, and kept for as long as anybody waited for the rate."""
    limit = ResourceLimit(rate=1, rate_window_ms=3_600_000)
    bench = cluster_bench(tmp_path, max_instances=5, per_instance=1, idle_after_s=600, limit=limit)
    bench.service.duration_s = 5_000
    clusters, living = bench.clusters, []
    async with bench.engine() as service:
        for number in range(4):
            await bench.start(service, {**ONE_JOB, "name": f"w{number}"})
        for count in (1, 2, 3):
            await bench.clock.run(lambda count=count: len(clusters.submitted) == count, seconds=4_000)  # type: ignore[misc]  # bound
            living.append((len(clusters.created), len(instances_of(service))))
        hours = bench.clock.seconds / 3_600

    assert living == [(1, 1), (2, 2), (3, 2)], (
        "made when the rate lets one begin; the first one is given back"
    )
    assert 2 <= hours < 2.1
