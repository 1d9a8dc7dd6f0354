"""`asyncflow task` against a server: looking, ending by hand, logs and queues."""

from __future__ import annotations

import pytest

from tests.cli.remote_calls import Shell


async def test_tasks_are_listed_by_execution_and_by_search(shell: Shell) -> None:
    identity, other = await shell.started(), await shell.started()
    of_one = await shell.rows("task", "list", identity)
    found = await shell.rows("task", "list", "--name", "first", "--status", "SCHEDULED")
    narrowed = await shell.rows("task", "list", other, "--query", "status = SCHEDULED")
    page = await shell("task", "list", "--limit", "1")

    assert [row["referenceTaskName"] for row in of_one] == ["first"]
    assert {row["workflowId"] for row in found} == {identity, other}
    assert [row["workflowId"] for row in narrowed] == [other]
    assert "1 of 2 tasks" in page.stderr


async def test_a_task_is_completed_by_its_id(shell: Shell) -> None:
    identity = await shell.started()
    task_id = await shell.task_id(identity, "first")
    await shell("task", "complete", task_id, "--input", '{"value": 4}')
    again = await shell("task", "complete", task_id, code=2)
    shown = await shell.one("task", "get", task_id)

    assert (shown["status"], shown["outputData"]) == ("COMPLETED", {"value": 4})
    assert "has ended COMPLETED already" in again.stderr


async def test_a_task_is_completed_by_its_reference(shell: Shell) -> None:
    identity = await shell.started()
    await shell("task", "complete", identity, "first", "--input", '{"value": 4}')
    again = await shell("task", "complete", identity, "first", code=2)

    assert (await shell.one("task", "get", await shell.task_id(identity, "first")))["status"] == "COMPLETED"
    assert f"no such open task: first of execution {identity}" in again.stderr


async def test_a_task_fails_with_a_reason(shell: Shell) -> None:
    identity = await shell.started()
    await shell("task", "fail", await shell.task_id(identity, "first"), "--terminal", "--reason", "disk full")
    shown = await shell.one("workflow", "get", identity)

    assert shown["status"] == "FAILED"
    assert "disk full" in str(shown["reasonForIncompletion"])


async def test_a_reason_needs_the_id(shell: Shell) -> None:
    refused = await shell("task", "fail", await shell.started(), "first", "--reason", "r", code=2)

    assert "--reason" in refused.stderr


async def test_progress_is_kept_and_the_task_goes_on(shell: Shell) -> None:
    identity = await shell.started()
    task_id = await shell.task_id(identity, "first")
    await shell("task", "progress", task_id, "--input", '{"done": 0.5}')
    shown = await shell.one("task", "get", task_id)

    assert shown["outputData"] == {"done": 0.5}
    assert shown["status"] in {"IN_PROGRESS", "SCHEDULED"}


async def test_log_lines_are_added_and_shown_harmlessly(shell: Shell) -> None:
    task_id = await shell.task_id(await shell.started(), "first")
    await shell("task", "log", task_id, "--add", "one")
    await shell("task", "log", task_id, "--add", 'say "\x1b[31mred"')
    table = await shell("task", "log", task_id)
    rows = await shell.rows("task", "log", task_id)

    assert [row["log"] for row in rows] == ["one", 'say "\x1b[31mred"']
    assert "\x1b" not in table.stdout


async def test_queues_tell_what_waits_and_what_workers_have(shell: Shell) -> None:
    for _ in range(2):
        await shell.started()
    polled = await shell.server.get("/api/tasks/poll/first", params={"workerid": "w"})
    assert isinstance(polled.json, dict)
    taken = await shell.rows("task", "queues", "first")
    pending = await shell.rows("task", "pending", "first")
    await shell("task", "release", str(polled.json["taskId"]), "--reason", "moving on")
    given_back = await shell.rows("task", "queues")

    assert taken == [{"queue": "first", "size": 1, "uacked": 1}]
    assert len(pending) == 2
    assert given_back == [{"queue": "first", "size": 2, "uacked": 0}]
    assert await shell.rows("task", "queues", "other") == []


@pytest.mark.parametrize("verb", ["get", "complete", "fail", "progress", "release"])
async def test_a_task_that_is_not_there_is_one_line(shell: Shell, verb: str) -> None:
    refused = await shell("task", verb, "nowhere", code=2)

    assert refused.stderr.startswith("asyncflow: server_refused: 404: ")
    assert len(refused.stderr.splitlines()) == 1
