"""A folder applied to a server and to a file: shown, done once, checked, pruned, refused whole."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from tests.cli.making import Json, call, task, workflow, write
from tests.cli.remote_calls import Shell
from tests.http.conftest import serving

SCHEDULE: Json = {
    "name": "nightly",
    "cronExpression": "0 0 3 * * ?",
    "startWorkflowRequest": {"name": "apply_me"},
}
HANDLER: Json = {
    "name": "on_order",
    "event": "asyncflow:orders",
    "active": True,
    "actions": [{"action": "start_workflow", "start_workflow": {"name": "apply_me"}}],
}
ROUTING: Json = {"name": "apply_me", "rules": [{"version": 2, "percentage": 10}], "default": 1}
LISTENER: Json = {
    "name": "ops",
    "listener": {"type": "webhook", "url": "https://example.com/x", "timeout": "5s", "patterns": ["task.*"]},
}
OBJECTS = [
    {"action": "create", "kind": "task", "name": "do", "version": 0, "fields": []},
    {"action": "create", "kind": "workflow", "name": "apply_me", "version": 1, "fields": []},
    {"action": "create", "kind": "workflow", "name": "apply_me", "version": 2, "fields": []},
    {"action": "create", "kind": "routing", "name": "apply_me", "version": 0, "fields": []},
    {"action": "create", "kind": "schedule", "name": "nightly", "version": 0, "fields": []},
    {"action": "create", "kind": "event handler", "name": "on_order", "version": 0, "fields": []},
    {"action": "create", "kind": "listener", "name": "ops", "version": 0, "fields": []},
]


def version(number: int, **more: object) -> Json:
    return {**workflow(task("do"), name="apply_me"), "version": number, **more}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with something of every kind, in both formats."""
    made = tmp_path / "flows"
    (made / "more").mkdir(parents=True)
    write(made / "one.json", version(1))
    write(made / "tasks.json", [{"name": "do", "retryCount": 1, "ownerEmail": "a@b.c"}])
    write(made / "more" / "bundle.json", {"workflows": [version(2)], "schedules": [SCHEDULE]})
    (made / "more" / "handler.yaml").write_text(json.dumps(HANDLER), encoding="utf-8")
    write(made / "routing.json", ROUTING)
    write(made / "listeners.json", {"listeners": [LISTENER]})
    (made / ".hidden.json").write_text("{", encoding="utf-8")
    return made


async def applied(shell: Shell, folder: Path, *more: str, code: int = 0) -> list[Json]:
    """What changed."""
    return await shell.rows("apply", "-f", folder, *more, code=code)


async def test_folder_is_applied_once_and_then_as_it_should_be(shell: Shell, folder: Path) -> None:
    assert await applied(shell, folder, "--check", code=1) == OBJECTS
    assert (await shell.server.get("/api/asyncflow/routing/apply_me")).status == 404

    assert await applied(shell, folder) == OBJECTS
    assert await applied(shell, folder) == []
    assert await applied(shell, folder, "--check") == []

    assert (await shell.server.get("/api/scheduler/schedules/nightly")).status == 200
    assert (await shell.server.get("/api/asyncflow/routing/apply_me")).status == 200


async def test_drift_is_shown_by_field_and_put_right(shell: Shell, folder: Path) -> None:
    await applied(shell, folder)
    changed = version(1, description="by hand", timeoutSeconds=60)
    await shell.registered(changed)
    await shell.server.post("/api/metadata/taskdefs", json=[{"name": "do", "retryCount": 9}])

    drift = await applied(shell, folder, "--check", code=1)
    printed = (await shell("apply", "-f", folder)).stdout

    assert [(each["action"], each["kind"]) for each in drift] == [("change", "task"), ("change", "workflow")]
    assert "timeoutSeconds: 60 -> 0" in str(drift[1]["fields"])
    assert "~ task do" in printed
    assert "retryCount: 9 -> 1" in printed
    assert await applied(shell, folder, "--check") == []


async def test_schedule_that_an_operator_paused_stays_paused(shell: Shell, folder: Path) -> None:
    await applied(shell, folder)
    await shell.server.put("/api/scheduler/schedules/nightly/pause")
    assert await applied(shell, folder, "--check") == []

    write(folder / "more" / "bundle.json", {"schedules": [{**SCHEDULE, "zoneId": "Europe/Berlin"}]})
    write(folder / "two.json", version(2))
    await applied(shell, folder)

    found = (await shell.server.get("/api/scheduler/schedules/nightly")).json
    assert isinstance(found, dict)
    assert (found["paused"], found["zoneId"]) == (True, "Europe/Berlin")


async def test_prune_deletes_what_no_file_has(shell: Shell, folder: Path) -> None:
    await applied(shell, folder)
    for file in ("more/handler.yaml", "more/bundle.json", "routing.json", "tasks.json"):
        (folder / file).unlink()

    kept = await applied(shell, folder, "--check")
    gone = await applied(shell, folder, "--prune")

    assert kept == []
    names = [(each["kind"], each["name"], each["version"]) for each in gone]
    assert names[:3] == [
        ("event handler", "on_order", 0),
        ("schedule", "nightly", 0),
        ("routing", "apply_me", 0),
    ]
    assert ("workflow", "apply_me", 2) in names
    assert ("workflow", "steps", 1) in names
    assert names[-1] == ("task", "do", 0)
    assert await applied(shell, folder, "--prune") == []


@pytest.mark.parametrize(
    ("content", "named"),
    [
        ("{", "bad.json"),
        ('{"name": "w", "tasks": [{"name": "x", "type": "JOIN"}]}', "tasks"),
        ('{"name": "s", "cronExpression": "nonsense", "startWorkflowRequest": {"name": "w"}}', "cron"),
        ('{"name": "h", "event": "e", "actions": []}', "No actions"),
        ('{"name": "apply_me", "rules": [{"version": 7, "percentage": 1}]}', "apply_me"),
        ('{"name": "unknown", "rules": [{"version": 7, "percentage": 1}]}', "version 7 of unknown"),
        ('{"name": "do", "retryCount": "many"}', "retryCount"),
        ('{"schedules": {}}', "schedules"),
        ("[1]", "bad.json[0]"),
        ("{}", "name"),
    ],
)
async def test_bad_file_refuses_all(shell: Shell, folder: Path, content: str, named: str) -> None:
    (folder / "bad.json").write_text(content, encoding="utf-8")
    before = (await shell.server.get("/api/metadata/workflow")).json

    done = await shell("apply", "-f", folder, code=2)

    assert named in done.stderr
    assert (await shell.server.get("/api/metadata/workflow")).json == before
    assert (await shell.server.get("/api/metadata/taskdefs")).json == []


async def test_same_object_twice_is_refused(shell: Shell, folder: Path) -> None:
    write(folder / "copy.json", version(1))

    done = await shell("apply", "-f", folder, code=2)

    assert "workflow apply_me version 1 stands in" in done.stderr


async def test_file_that_no_server_has_is_applied_in_one_turn(folder: Path, tmp_path: Path) -> None:
    database = tmp_path / "engine.db"

    async def applied_to_file(*more: str) -> tuple[int, object]:
        arguments: tuple[str | Path, ...] = ("apply", "-f", folder, "--db", database, "-o", "json", *more)
        done = await asyncio.to_thread(call, *arguments)
        return done.exit_code, json.loads(done.stdout)

    assert await applied_to_file("--check") == (1, OBJECTS)
    assert not database.exists()
    assert await applied_to_file() == (0, OBJECTS)
    assert await applied_to_file("--check") == (0, [])
    async with serving(database=database) as server:
        started = await server.post("/api/workflow/apply_me", json={})
        assert started.status == 200
        assert (await server.get("/api/asyncflow/routing/apply_me")).status == 200
        assert (await server.get("/api/scheduler/schedules/nightly")).status == 200
    assert await applied_to_file() == (0, [])


def test_where_to_apply_to_is_said_once(folder: Path) -> None:
    both = call("apply", "-f", folder, "--db", "x.db", "--server", "http://127.0.0.1:1")
    nobody = call("apply", "-f", folder, "--server", "http://127.0.0.1:1")
    missing = call("apply", "-f", folder / "nothing")
    unnamed = call("apply", "-f", "")

    assert (both.exit_code, nobody.exit_code, missing.exit_code, unnamed.exit_code) == (2, 4, 2, 2)
