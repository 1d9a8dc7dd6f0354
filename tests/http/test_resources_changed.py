"""Resources over REST, changed as it is easy to get wrong: made anew, resized in part, misconfigured."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.http.conftest import serving
from tests.http.test_resources import PATH, SETTINGS, holding, shown, started


@pytest.mark.route("PUT /api/asyncflow/resources/{name}")
async def test_a_deleted_resource_that_is_made_again_as_it_was_is_open(tmp_path: Path) -> None:
    body = {"type": "gate", "max_concurrent": 1}
    async with serving(engine=SETTINGS, database=tmp_path / "a.db") as server:
        shown(await server.put(f"{PATH}/made", json=body))
        shown(await server.delete(f"{PATH}/made"))
        again = shown(await server.put(f"{PATH}/made", json=body))
    async with serving(engine=SETTINGS, database=tmp_path / "a.db") as server:
        kept = shown(await server.get(f"{PATH}/made"))

    assert (again["source"], again["limit"]) == ("document", 1)
    assert (kept["source"], kept["limit"], kept["state"]) == ("document", 1, "ready")


@pytest.mark.route("PUT /api/asyncflow/resources/{name}")
@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"rate": "20/0s"}, "made.rate: "),
        ({"rate": "0/1m"}, "made.rate: "),
        ({"poll": {"first": 0}}, "poll"),
        ({"cancel_grace": -1}, "made.cancel_grace"),
    ],
)
async def test_a_setting_that_cannot_hold_is_refused_and_not_kept(
    tmp_path: Path, body: dict[str, object], said: str
) -> None:
    async with serving(engine=SETTINGS, database=tmp_path / "a.db") as server:
        refused = await server.put(f"{PATH}/made", json=body)
        found = shown(await server.get(PATH))
    async with serving(engine=SETTINGS, database=tmp_path / "a.db") as server:
        after = shown(await server.get(PATH))

    assert refused.status == 400
    assert said in refused.message
    assert "made" not in [each["name"] for each in found["resources"] + after["resources"]]


@pytest.mark.route("POST /api/asyncflow/resources/{name}/resize")
async def test_what_has_no_instances_has_none_to_resize() -> None:
    async with serving(engine=SETTINGS) as server:
        instances = await server.post(f"{PATH}/plain/resize", json={"instances": {"max": 2}})
        each = await server.post(f"{PATH}/plain/resize", json={"perInstance": 2})
        much = await server.post(f"{PATH}/plain/resize", json={"maxConcurrent": 2_000_000_000})

    assert (instances.status, each.status, much.status) == (400, 400, 400)
    assert "instances.max: a resource of type limit has no instances" in instances.message
    assert "perInstance: a resource of type limit has no instances" in each.message
    assert "maxConcurrent: a whole number from 0 to 1000000000 is expected" in much.message


@pytest.mark.route("POST /api/asyncflow/resources/{name}/resize")
async def test_a_size_that_is_not_given_stays_as_it_is(tmp_path: Path) -> None:
    """Also over a restart, and when a limit of the configuration file is resized for the time being."""
    async with serving(engine=SETTINGS, database=tmp_path / "a.db") as server:
        shown(await server.post(f"{PATH}/ships/resize", json={"instances": {"max": 5}}))
        second = shown(await server.post(f"{PATH}/ships/resize", json={"instances": {"min": 2}}))
        third = shown(await server.post(f"{PATH}/ships/resize", json={"maxConcurrent": 9}))
        fault = await server.post(f"{PATH}/ships/resize", json={"instances": {"min": 6}})
    async with serving(engine=SETTINGS, database=tmp_path / "a.db") as server:
        after = shown(await server.get(f"{PATH}/ships"))

    assert (second["minInstances"], second["maxInstances"]) == (2, 5)
    assert (third["minInstances"], third["maxInstances"], third["limit"]) == (2, 5, 9)
    assert (after["minInstances"], after["maxInstances"], after["limit"]) == (2, 5, 4)
    assert (fault.status, "instances: min is 6, and max is 5" in fault.message) == (400, True)


@pytest.mark.route("PUT /api/asyncflow/resources/{name}")
@pytest.mark.route("DELETE /api/asyncflow/resources/{name}")
async def test_what_is_awaited_is_neither_deleted_nor_given_another_type() -> None:
    async with serving(engine=SETTINGS) as server:
        shown(await server.put(f"{PATH}/made", json={"type": "gate"}))
        await server.post(f"{PATH}/made/drain")
        await started(server, holding("made"))
        assert not await server.services.workers.poll("work", worker_id="w1", timeout_ms=10)
        deleted = await server.delete(f"{PATH}/made")
        other = await server.put(f"{PATH}/made", json={"type": "limit"})
        same = await server.put(f"{PATH}/made", json={"type": "gate", "tray": 2})

    assert (deleted.status, other.status, same.status) == (409, 409, 200)
    assert "made is in use (1 waiting)" in deleted.message
    assert "made is of type gate and in use (1 waiting)" in other.message
