"""Commands that look at a server: lists, one execution, what came back, and no server at all."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.making import FUNCTIONS, call, write
from tests.cli.remote_calls import STEPS, Shell


@pytest.mark.parametrize("server", ["http://127.0.0.1:1", "http://127.0.0.1:1/api", "https://127.0.0.1:1"])
def test_no_server_has_a_code_of_its_own(server: str) -> None:
    done = call("workflow", "list", "--server", server)

    assert done.exit_code == 4
    assert done.stderr.startswith(f"asyncflow: no_server: {server.removesuffix('/api')}: ")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    "server", ["nonsense", "ftp://h", "http://", "http://h:99999", "http://h:0", "http://h?x=1", "http://[h"]
)
def test_an_address_that_is_none_is_a_usage_error(server: str) -> None:
    done = call("workflow", "list", "--server", server)

    assert done.exit_code == 2
    assert "http://127.0.0.1:8080" in done.stderr


def test_a_secret_in_an_address_is_refused_and_not_repeated() -> None:
    done = call("workflow", "list", "--server", "http://me:hunter2@127.0.0.1:1")

    assert done.exit_code == 2
    assert "hunter2" not in done.output


@pytest.mark.parametrize("name", ["ASYNCFLOW_SERVER", "CONDUCTOR_SERVER_URL"])
def test_the_environment_names_the_server(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("ASYNCFLOW_SERVER", raising=False)
    monkeypatch.setenv(name, "http://127.0.0.1:2/api/")
    done = call("task", "queues")

    assert done.exit_code == 4
    assert "http://127.0.0.1:2: " in done.stderr


async def test_list_filters_and_pages(shell: Shell) -> None:
    started = [await shell.started(correlationId="mine") for _ in range(3)]
    await shell.started("quick")
    listed = await shell.rows("workflow", "list", "--correlation-id", "mine", "--status", "running")
    page = await shell("workflow", "list", "--limit", "1", "--offset", "1", "--sort", "startTime:ASC")
    found = await shell.rows("workflow", "list", "--query", "status = COMPLETED OR status = FAILED")

    assert {row["workflowId"] for row in listed} == set(started)
    assert started[1] in page.stdout
    assert "2 of 4 executions" in page.stderr
    assert [row["workflowType"] for row in found] == ["quick"]


async def test_list_finds_words(shell: Shell) -> None:
    identity = await shell.started(input={"value": "rhubarb"})
    await shell.started()

    assert [row["workflowId"] for row in await shell.rows("workflow", "list", "--free-text", "rhubarb")] == [
        identity
    ]


async def test_a_query_that_cannot_be_read_is_one_line(shell: Shell) -> None:
    refused = await shell("workflow", "list", "--query", "nonsense", code=2)

    assert refused.stderr.startswith("asyncflow: server_refused: 400: query: ")
    assert len(refused.stderr.splitlines()) == 1


async def test_get_and_status_show_one(shell: Shell) -> None:
    identity = await shell.started(correlationId="mine")
    table = await shell("workflow", "get", identity, "--tasks")
    brief = await shell.one("workflow", "status", identity, "--result")

    assert f"execution       {identity}" in table.stdout
    assert "SCHEDULED" in table.stdout
    assert (brief["status"], brief["correlationId"]) == ("RUNNING", "mine")


async def test_jsonl_is_one_object_per_line(shell: Shell) -> None:
    await shell.started("quick")
    await shell.started("quick")
    lines = (await shell("workflow", "list", "-o", "jsonl")).stdout.splitlines()

    assert [json.loads(line)["workflowType"] for line in lines] == ["quick", "quick"]


def test_a_file_and_a_server_at_once_are_refused(tmp_path: Path) -> None:
    for more in (["--server", "http://h"], ["--query", "x = y"]):
        refused = call("workflow", "list", "--db", tmp_path / "x.db", *more)
        assert refused.exit_code == 2
        assert "--db reads a file" in refused.stderr


async def test_ids_are_never_parts_of_other_paths(shell: Shell) -> None:
    for identity in ("", ".", "..", "search", "../../health", "a/b?c#d%2f"):
        done = await shell("workflow", "get", identity, code=2)
        assert "Traceback" not in done.stderr


async def test_definitions_are_registered_shown_and_deleted(shell: Shell, tmp_path: Path) -> None:
    both = write(tmp_path / "both.json", [{**STEPS, "version": 2}, {"name": "first", "retryCount": 7}])
    await shell("definition", "create", both)
    latest = await shell.rows("definition", "list")
    every = await shell.rows("definition", "list", "--all-versions")
    tasks = await shell.rows("definition", "list", "--tasks")
    versions = await shell.rows("definition", "versions", "steps")
    await shell("definition", "delete", "steps", "--version", "2", "--yes")
    await shell("definition", "delete", "first", "--task", "--yes")

    assert {(row["name"], row["version"]) for row in latest} >= {("steps", 2)}
    assert len(every) == len(latest) + 1
    assert [(row["name"], row["retryCount"]) for row in tasks] == [("first", 7)]
    assert [row["version"] for row in versions] == [1, 2]
    assert (await shell.one("definition", "get", "steps"))["version"] == 1
    await shell("definition", "get", "first", "--task", code=2)


async def test_what_definition_get_prints_can_be_registered_again(shell: Shell) -> None:
    shown = await shell("definition", "get", "steps", "-o", "json")

    await shell("definition", "create", "-", given=shown.stdout)


@pytest.mark.parametrize(
    "arguments", [["steps"], ["steps", "--version", "1"], ["first", "--task"]], ids=" ".join
)
async def test_a_definition_is_not_deleted_by_accident(shell: Shell, arguments: list[str]) -> None:
    refused = await shell("definition", "delete", *arguments, code=2)

    assert "--yes" in refused.stderr or "--version" in refused.stderr


async def test_a_server_shows_itself(shell: Shell) -> None:
    health = await shell.one("server", "health")
    config = await shell.one("server", "config")
    await shell("server", "environment")
    await shell("server", "secrets")
    audit = await shell("audit", "--limit", "1")

    assert health["healthy"] is True
    assert health["version"]
    assert "asyncflow.version" in config
    assert "PUT /api/metadata/workflow" in audit.stdout


async def test_any_route_can_be_called(shell: Shell) -> None:
    identity = await shell.started()
    text = await shell("api", "get", "/api/version")
    size = await shell("api", "GET", "/api/tasks/queue/size", "--query", "taskType=first")
    await shell("api", "POST", f"/api/workflow/{identity}/variables", "--input", '{"a": 1}')
    refused = await shell("api", "GET", "//elsewhere", code=2)

    assert text.stdout
    assert size.stdout.strip() == "1"
    assert (await shell.one("workflow", "get", identity))["variables"] == {"a": 1}
    assert "PATH" in refused.stderr


async def test_workers_are_those_that_were_seen(shell: Shell) -> None:
    await shell.started()
    await shell.server.get("/api/tasks/poll/first", params={"workerid": "w1"})
    seen = await shell.rows("worker", "list")
    table = await shell("worker", "list")
    polls = await shell.rows("worker", "list", "--queue", "first")

    assert [(row["workerId"], row["inFlight"]) for row in seen] == [("w1", 1)]
    assert "busy" in table.stdout
    assert [(row["workerId"], row["queueName"]) for row in polls] == [("w1", "first")]
    assert await shell.rows("worker", "list", "--lost") == []


async def test_overview_and_why_say_what_is_waited_for(shell: Shell) -> None:
    first, second = await shell.started(), await shell.started("steps", correlationId="c")
    await shell("workflow", "pause", second)
    table = await shell("overview", "--limit", "1")
    found = await shell.one("overview", "--workflow", "steps")
    why = await shell.rows("workflow", "why", first)
    told = await shell("workflow", "why", first)
    ended = await shell("workflow", "why", await shell.started("quick"))

    assert "first: a worker for first, which none ever polled for" in table.stdout
    assert "1 of 2 open executions" in table.stderr
    assert found["totalHits"] == 2
    assert [(row["task"], row["kind"]) for row in why] == [("first", "worker")]
    assert "first" in told.stdout
    assert "nothing waits" in ended.stderr


async def test_resources_are_listed_and_shown(shell: Shell) -> None:
    await shell.server.post("/api/metadata/taskdefs", json=[{"name": "first", "concurrentExecLimit": 1}])
    for _ in range(2):
        await shell.started()
    await shell.server.get("/api/tasks/poll/first", params={"workerid": "w1"})
    listed = await shell.rows("resource", "list")
    name = str(listed[0]["name"])
    shown = await shell.one("resource", "get", name)
    table = await shell("resource", "list")
    missing = await shell("resource", "get", "nowhere", code=2)

    assert "first" in name
    assert {key: shown[key] for key in listed[0]} == listed[0]
    assert len(shown["held_by"]) == 1  # type: ignore[arg-type]
    assert name in table.stdout
    assert "no such resource: nowhere" in missing.stderr


async def test_what_a_server_lacks_is_said(shell: Shell) -> None:
    done = await shell("api", "GET", "/api/asyncflow/no/such", code=2)

    assert done.stderr.startswith("asyncflow: server_refused: 404: ")


def test_files_go_on_being_read(tmp_path: Path) -> None:
    (tmp_path / "functions.py").write_text(FUNCTIONS, encoding="utf-8")
    database = tmp_path / "kept.db"
    assert call("run", tmp_path / "functions.py", "--db", database, "--input", '{"value": 1}').exit_code == 0
    listed = json.loads(call("workflow", "list", "--db", database, "-o", "json").stdout)
    shown = json.loads(
        call("workflow", "get", listed[0]["workflowId"], "--db", database, "-o", "json").stdout
    )

    assert shown["output"] == {"value": 4}
