"""Resources over REST, changed as it is easy to get wrong: made anew, resized in part, misconfigured."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import pytest

from asyncflow.app.documents import Documents
from asyncflow.app.services import Services
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.values import JsonObject
from tests.http.conftest import serving
from tests.http.test_resources import PATH, SETTINGS, holding, shown, started

if TYPE_CHECKING:
    from _typeshed import TraceFunction


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


@pytest.mark.route("PUT /api/asyncflow/resources/{name}")
async def test_a_secret_is_named_and_not_kept_in_the_journal(tmp_path: Path) -> None:
    database = tmp_path / "a.db"
    settings = replace(SETTINGS, secrets={"printer": "hunter2"})
    async with serving(engine=settings, database=database) as server:
        refused = await server.put(f"{PATH}/made", json={"type": "gate", "password": "hunter2"})

        fine = await server.put(f"{PATH}/password", json={"type": "gate", "password": "${secret:printer}"})

    assert (fine.status, shown(fine)["settings"]["config"]) == (200, {"password": "${secret:printer}"})
    assert (refused.status, "made.password: it is kept in the journal" in refused.message) == (400, True)
    assert b"hunter2" not in database.read_bytes()


def _steps(services: Services, count: int) -> int:
    """How many instructions of Python a list of resources takes."""
    steps = 0

    def trace(frame: FrameType, event: str, _: object) -> TraceFunction:
        nonlocal steps
        frame.f_trace_opcodes = True
        steps += event == "opcode"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        shown = services.resources.all(count=count)["resources"]
    finally:
        sys.settrace(before)
    assert isinstance(shown, list)
    assert len(shown) == count
    return steps


async def test_a_list_of_resources_costs_as_much_as_there_are() -> None:
    """It took the square of that: everything was looked up anew for each of them."""
    steps = []
    for count in (50, 200):
        resources = {f"r{number}": ResourceSettings("gate") for number in range(count)}
        async with serving(engine=replace(SETTINGS, resources=resources)) as server:
            steps.append(_steps(server.services, count))

    assert steps[1] < 6 * steps[0], steps


@pytest.mark.route("PUT /api/asyncflow/resources/{name}")
@pytest.mark.route("DELETE /api/asyncflow/resources/{name}")
async def test_stored_settings_that_cannot_be_used_stop_no_start(tmp_path: Path) -> None:
    """Such as an early release kept: it is named, and made usable or deleted."""
    unusable: JsonObject = {"type": "limit", "limit": {"rate": 20, "rate_window_ms": 0}}
    async with serving(engine=SETTINGS, database=tmp_path / "a.db") as server:
        documents = Documents(server.services.executions.engine, "resource")
        for name in ("one", "two"):
            await documents.save(name, unusable)
    async with serving(engine=SETTINGS, database=tmp_path / "a.db") as server:
        found = shown(await server.get(f"{PATH}/one"))
        health = (await server.get("/health")).text
        mended = shown(await server.put(f"{PATH}/one", json={"type": "gate"}))
        shown(await server.delete(f"{PATH}/two"))
        left = [each["name"] for each in shown(await server.get(PATH))["resources"]]

    assert (found["state"], found["reason"]) == ("unusable", "rate: a rate needs a window")
    assert "unusable: one, two" in health
    assert mended["state"] in {"closed", "ready"}  # its manager opens by itself
    assert ("one" in left, "two" in left) == (True, False)


@pytest.mark.route("POST /api/asyncflow/resources/{name}/resume")
async def test_what_is_open_is_resumed_without_a_trace() -> None:
    async with serving(engine=SETTINGS) as server:
        shown(await server.post(f"{PATH}/fixed/drain"))
        for _ in range(3):
            shown(await server.post(f"{PATH}/fixed/resume"))
        history = shown(await server.get(f"{PATH}/fixed/history"))["events"]

    assert [each["event"] for each in history] == ["ResourceResumed", "ResourceDrained", "ResourceConfigured"]
