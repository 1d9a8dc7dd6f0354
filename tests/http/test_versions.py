"""Migration of running executions over HTTP: dry run, done, refused, and found again after a restart."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.http.conftest import Answer, Server, serving
from tests.http.worker_calls import as_object
from tests.http.workflow_calls import WAIT, definition, refs, registered, shown

MIGRATE = pytest.mark.route("POST /api/workflow/{id}/migrate")
UPGRADE = pytest.mark.route("POST /api/workflow/{id}/upgrade")


def waiting(ref: str) -> dict[str, object]:
    return {**WAIT, "taskReferenceName": ref}


async def started(server: Server, *tasks: Mapping[str, object]) -> str:
    """An execution of version 1 of `w`, made of these tasks."""
    await registered(server, definition("w", *tasks))
    answer = await server.post("/api/workflow/w", json={})
    assert answer.status == 200, answer.text
    return answer.text


async def migrated(server: Server, execution: str, **body: object) -> Answer:
    return await server.post(f"/api/workflow/{execution}/migrate", json=body)


async def ended(server: Server, execution: str, ref: str) -> None:
    answer = await server.post(f"/api/tasks/{execution}/{ref}/COMPLETED", json={})
    assert answer.status == 200, answer.text


@MIGRATE
async def test_dry_run_says_what_would_become_of_it_and_changes_nothing(server: Server) -> None:
    execution = await started(server, waiting("a"), waiting("b"))
    await ended(server, execution, "a")
    await registered(server, definition("w", waiting("new"), waiting("second"), waiting("c"), version=2))
    before = await shown(server, execution)

    answer = await migrated(server, execution, version=2, mapping={"b": "second"}, dryRun=True)

    assert answer.status == 200
    assert answer.json == {
        "workflowId": execution,
        "name": "w",
        "fromVersion": 1,
        "toVersion": 2,
        "possible": True,
        "migrated": False,
        "mapped": {"b": "second"},
        "detached": ["a"],
        "underWay": ["b"],
        "next": [],
        "passed": ["new"],
        "problems": [],
    }
    assert await shown(server, execution) == before


@MIGRATE
async def test_execution_goes_on_in_the_highest_version_unless_told(server: Server) -> None:
    execution = await started(server, waiting("a"))
    for version in (2, 3):
        await registered(server, definition("w", waiting("a"), waiting(f"b{version}"), version=version))

    answer = await migrated(server, execution)
    await ended(server, execution, "a")

    after = await shown(server, execution)
    assert as_object(answer)["migrated"] is True
    assert after["workflowVersion"] == 3
    assert refs(after) == [("a", "COMPLETED"), ("b3", "IN_PROGRESS")]


@MIGRATE
async def test_what_has_no_place_is_refused_and_named(server: Server) -> None:
    execution = await started(server, waiting("a"))
    await registered(server, definition("w", waiting("b"), version=2))

    dry = await migrated(server, execution, dryRun=True)
    answer = await migrated(server, execution)

    assert as_object(dry)["possible"] is False
    assert as_object(dry)["problems"] == [
        {"task": "a", "reason": "is IN_PROGRESS and has no place in the new definition"}
    ]
    assert answer.status == 409
    assert "a: is IN_PROGRESS and has no place" in answer.message
    assert (await shown(server, execution))["workflowVersion"] == 1


@MIGRATE
@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({"version": "two"}, 400, "version"),
        ({"version": True}, 400, "version"),
        ({"mapping": ["a"]}, 400, "mapping"),
        ({"mapping": {"a": 1}}, 400, "mapping"),
        ({"dryRun": "yes"}, 400, "dryRun"),
        ({"version": 9}, 404, "version 9"),
        ({"mapping": {"x": "a"}}, 409, "x: the mapping names it"),
    ],
)
async def test_malformed_request_is_refused(
    server: Server, body: dict[str, object], status: int, named: str
) -> None:
    execution = await started(server, waiting("a"))

    answer = await migrated(server, execution, **body)

    assert answer.status == status
    assert named in answer.message


@MIGRATE
@UPGRADE
async def test_execution_that_is_not_there_is_not_found(server: Server) -> None:
    for path in ("migrate", "upgrade"):
        answer = await server.post(f"/api/workflow/{'0' * 8}-0000-4000-8000-{'0' * 12}/{path}", json={})
        assert answer.status == 404


@UPGRADE
async def test_upgrade_is_the_same_in_another_form(server: Server) -> None:
    execution = await started(server, waiting("a"))
    await registered(server, definition("w", waiting("a"), waiting("b"), version=2))
    path = f"/api/workflow/{execution}/upgrade"

    for name in ("v", ["w"], {"w": 1}, 5):
        other = await server.post(path, json={"name": name, "version": 2})
        assert (other.status, other.message.partition(":")[0]) == (400, "name")
    changed = await server.post(path, json={"name": "w", "version": 2, "workflowInput": {"x": 1}})
    answer = await server.post(path, json={"name": "w", "version": 2, "taskOutput": {}})

    assert changed.status == 400
    assert (answer.status, as_object(answer)["toVersion"]) == (200, 2)
    assert (await shown(server, execution))["workflowVersion"] == 2


@MIGRATE
async def test_migration_survives_a_restart(tmp_path: Path) -> None:
    file = tmp_path / "engine.db"
    async with serving(database=file) as server:
        execution = await started(server, waiting("a"))
        await registered(server, definition("w", waiting("first"), waiting("b"), version=2))
        assert (await migrated(server, execution, mapping={"a": "first"})).status == 200
        before = await shown(server, execution)

    async with serving(database=file) as server:
        assert await shown(server, execution) == before
        await ended(server, execution, "first")

        assert refs(await shown(server, execution)) == [("first", "COMPLETED"), ("b", "IN_PROGRESS")]


@MIGRATE
async def test_execution_that_awaits_a_slot_begins_in_the_version_it_was_taken_to(server: Server) -> None:
    limited = {"rateLimitConfig": {"rateLimitKey": "one", "concurrentExecLimit": 1}}
    await registered(server, definition("w", waiting("a"), **limited))
    first, second = [(await server.post("/api/workflow/w", json={})).text for _ in range(2)]
    assert refs(await shown(server, second)) == []
    await registered(server, definition("w", waiting("b"), version=2, **limited))

    assert (await migrated(server, second)).status == 200
    assert refs(await shown(server, second)) == []
    await ended(server, first, "a")

    assert refs(await shown(server, second)) == [("b", "IN_PROGRESS")]
