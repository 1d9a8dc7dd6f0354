"""Starts spread over versions by rules: sticky, by condition, rolled back, counted side by side."""

from __future__ import annotations

import pytest

from asyncflow.app.routing_rules import position
from tests.http.conftest import Answer, Server
from tests.http.worker_calls import as_object
from tests.http.workflow_calls import definition, registered, shown

PUT = pytest.mark.route("PUT /api/asyncflow/routing/{name}")
GET = pytest.mark.route("GET /api/asyncflow/routing/{name}")
LIST = pytest.mark.route("GET /api/asyncflow/routing")
DELETE = pytest.mark.route("DELETE /api/asyncflow/routing/{name}")
ROLLBACK = pytest.mark.route("POST /api/asyncflow/routing/{name}/rollback")
COUNTS = pytest.mark.route("GET /api/asyncflow/workflow/{name}/versions")

BASE = "/api/asyncflow/routing"


@pytest.fixture
async def versions(server: Server) -> Server:
    """A server on which `w` has versions 1 to 3, each of which ends by itself."""
    await registered(server, *(definition("w", version=each) for each in (1, 2, 3)))
    return server


async def ruled(server: Server, *rules: object, **more: object) -> Answer:
    return await server.put(f"{BASE}/w", json={"rules": list(rules), **more})


async def version_of(server: Server, **request: object) -> int:
    """The version that a start which names none gets."""
    answer = await server.post("/api/workflow", json={"name": "w", **request})
    assert answer.status == 200, answer.text
    found = (await shown(server, answer.text))["workflowVersion"]
    assert isinstance(found, int)
    return found


async def said_of(server: Server, **request: object) -> object:
    """Which rule chose the version of a start, as the execution tells."""
    answer = await server.post("/api/workflow", json={"name": "w", **request})
    ours = (await shown(server, answer.text))["asyncflow"]
    assert isinstance(ours, dict)
    return ours.get("routing")


@PUT
async def test_percentage_sticks_to_the_correlation_id(versions: Server) -> None:
    assert (await ruled(versions, {"version": 3, "percentage": 30}, default=1)).status == 200
    ids = [f"customer {number}" for number in range(60)]

    first = {each: await version_of(versions, correlationId=each) for each in ids}
    again = {each: await version_of(versions, correlationId=each) for each in ids}

    assert first == again
    assert first == {each: 3 if position("w", each) < 30 else 1 for each in ids}
    assert set(first.values()) == {1, 3}


@PUT
async def test_larger_percentage_keeps_whoever_had_the_version(versions: Server) -> None:
    ids = [f"c{number}" for number in range(40)]
    await ruled(versions, {"version": 3, "percentage": 20}, {"version": 2, "percentage": 20}, default=1)
    before = {each for each in ids if await version_of(versions, correlationId=each) == 3}
    await ruled(versions, {"version": 3, "percentage": 60}, default=1)
    after = {each for each in ids if await version_of(versions, correlationId=each) == 3}

    assert before < after


@PUT
async def test_condition_sees_the_input_and_comes_in_order(versions: Server) -> None:
    await ruled(versions, {"version": 2, "when": "$.tier === 'gold'"}, {"version": 3, "percentage": 100})

    assert await version_of(versions, input={"tier": "gold"}) == 2
    assert await version_of(versions, input={"tier": "tin"}) == 3


@PUT
async def test_execution_says_which_rule_chose_its_version(versions: Server) -> None:
    await ruled(versions, {"version": 2, "when": "$.x.y"}, {"version": 3, "percentage": 100})

    chosen = await said_of(versions)
    await ruled(versions, {"version": 2, "when": "$.x.y"})
    failed = await said_of(versions)
    named = await said_of(versions, version=1)

    assert chosen == "rule 2: 100 %"
    assert failed == "highest version; rule 1 passed over: script_error"
    assert named is None


@PUT
async def test_condition_that_fails_holds_for_nobody(versions: Server) -> None:
    await ruled(versions, {"version": 2, "when": "$.a.b.c"}, default=1)

    assert await version_of(versions) == 1


@PUT
async def test_start_that_names_a_version_is_not_routed(versions: Server) -> None:
    await ruled(versions, {"version": 3, "percentage": 100}, default=1)

    assert await version_of(versions, version=2) == 2


@PUT
async def test_start_by_name_alone_is_routed(versions: Server) -> None:
    await ruled(versions, default=1)

    named = await versions.post("/api/workflow/w", json={})

    assert (await shown(versions, named.text))["workflowVersion"] == 1


@PUT
async def test_version_that_is_gone_is_passed_over(versions: Server) -> None:
    await ruled(versions, {"version": 3, "percentage": 100})
    assert (await versions.delete("/api/metadata/workflow/w/3")).status == 200

    assert await version_of(versions) == 2


@PUT
@GET
@LIST
@DELETE
async def test_rules_are_stored_shown_and_forgotten(versions: Server) -> None:
    stored = await ruled(versions, {"version": 3, "percentage": 12.5}, default=2)
    found = await versions.get(f"{BASE}/w")
    listed = await versions.get(BASE)
    again = await versions.put(f"{BASE}/w", json=found.json)

    assert stored.json == found.json
    assert listed.json == [found.json]
    assert as_object(found)["rules"] == [{"version": 3, "percentage": 12.5}]
    assert (again.status, as_object(again)["default"]) == (200, 2)
    assert (await versions.delete(f"{BASE}/w")).status == 200
    assert (await versions.get(f"{BASE}/w")).status == 404
    assert (await versions.delete(f"{BASE}/w")).status == 404
    assert await version_of(versions) == 3


@PUT
@pytest.mark.parametrize(
    ("body", "named"),
    [
        ({"rules": {}}, "rules"),
        ({"rules": [1]}, "rules[0]"),
        ({"rules": [{"version": 1}]}, "percentage or a condition"),
        ({"rules": [{"version": 1, "percentage": 5, "when": "true"}]}, "rules[0]"),
        ({"rules": [{"version": 1, "percentage": 101}]}, "rules[0].percentage"),
        ({"rules": [{"version": 1, "percentage": True}]}, "rules[0].percentage"),
        ({"rules": [{"version": "1", "percentage": 1}]}, "rules[0].version"),
        ({"rules": [{"version": 1, "percent": 1}]}, "rules[0].percent"),
        ({"rules": [{"version": 1, "when": " "}]}, "rules[0].when"),
        ({"rules": [{"version": 1, "percentage": 60}, {"version": 2, "percentage": 60}]}, "120"),
        ({"rules": [{"version": 9, "percentage": 1}]}, "version 9"),
        ({"default": 9}, "version 9"),
        ({"defaults": 1}, "defaults"),
        ({"name": "other"}, "name"),
    ],
)
async def test_rules_that_are_none_are_refused(versions: Server, body: dict[str, object], named: str) -> None:
    answer = await versions.put(f"{BASE}/w", json=body)

    assert answer.status == 400
    assert named in answer.message
    assert (await versions.get(f"{BASE}/w")).status == 404


@PUT
async def test_rules_of_a_workflow_that_is_not_there_are_refused(versions: Server) -> None:
    assert (await versions.put(f"{BASE}/nobody", json={"rules": []})).status == 404


@ROLLBACK
async def test_one_call_sends_everybody_back(versions: Server) -> None:
    await ruled(versions, {"version": 3, "percentage": 100}, default=1)
    assert await version_of(versions, correlationId="c") == 3

    answer = await versions.post(f"{BASE}/w/rollback")
    again = await versions.post(f"{BASE}/w/rollback")

    assert (answer.status, again.json) == (200, answer.json)
    assert as_object(answer)["rolledBack"] == {"rules": [{"version": 3, "percentage": 100}], "default": 1}
    assert await version_of(versions, correlationId="c") == 1


@ROLLBACK
async def test_way_back_without_a_default_is_the_highest_version_in_no_rule(versions: Server) -> None:
    await ruled(versions, {"version": 3, "percentage": 100})
    assert as_object(await versions.post(f"{BASE}/w/rollback"))["default"] == 2
    await ruled(versions, *({"version": each, "percentage": 30} for each in (1, 2, 3)))

    assert (await versions.post(f"{BASE}/w/rollback")).status == 409
    assert (await versions.post(f"{BASE}/nobody/rollback")).status == 404


@COUNTS
async def test_versions_are_counted_side_by_side(versions: Server) -> None:
    await ruled(versions, {"version": 3, "when": "$.new"}, default=1)
    for given in ({"new": True}, {}, {}):
        await version_of(versions, input=given)

    answer = as_object(await versions.get("/api/asyncflow/workflow/w/versions"))

    counted = answer["versions"]
    assert isinstance(counted, list)
    assert [(each["version"], each["starts"], each["completed"], each["failed"]) for each in counted] == [
        (1, 2, 2, 0),
        (2, 0, 0, 0),
        (3, 1, 1, 0),
    ]
    assert [each["p95Ms"] is None for each in counted] == [False, True, False]
    assert as_object_of(answer["routing"])["default"] == 1
    assert (await versions.get("/api/asyncflow/workflow/nobody/versions")).status == 404


def as_object_of(value: object) -> dict[str, object]:
    assert isinstance(value, dict)
    return value
