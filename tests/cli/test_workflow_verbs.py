"""`asyncflow workflow` against a server: what is asked of one execution, and of many."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.cli.making import Json, call, task, workflow, write
from tests.cli.remote_calls import STEPS, Shell


def ids(rows: list[Json]) -> set[object]:
    return {row["workflowId"] for row in rows}


# --- beginning ------------------------------------------------------------------------------------


async def test_create_registers_and_refuses_a_second_time(shell: Shell, tmp_path: Path) -> None:
    file = write(tmp_path / "new.json", {**STEPS, "name": "new"})

    await shell("workflow", "create", file)
    refused = await shell("workflow", "create", file, code=2)
    await shell("workflow", "create", file, "--overwrite")

    assert "already exists" in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
    assert (await shell.server.get("/api/metadata/workflow/new")).status == 200


async def test_create_names_the_field_that_is_wrong(shell: Shell) -> None:
    refused = await shell(
        "workflow", "create", "-", given='{"name": "bad", "tasks": [{"name": "x"}]}', code=2
    )

    assert refused.stderr.startswith("asyncflow: invalid_definition: tasks[0].taskReferenceName: ")
    assert refused.stdout == ""


async def test_create_with_check_registers_nothing(shell: Shell, tmp_path: Path) -> None:
    await shell("workflow", "create", write(tmp_path / "new.json", {**STEPS, "name": "new"}), "--check")

    assert (await shell.server.get("/api/metadata/workflow/new")).status == 404


async def test_start_prints_the_id_alone(shell: Shell) -> None:
    done = await shell(
        "workflow", "start", "steps", "--input", '{"value": 3}', "--correlation-id", "c", "--priority", "0"
    )
    shown = await shell.one("workflow", "get", done.stdout.strip())

    assert (shown["input"], shown["correlationId"]) == ({"value": 3}, "c")
    assert done.stderr == ""


async def test_start_takes_a_request_or_a_definition_from_a_file(shell: Shell, tmp_path: Path) -> None:
    request = write(tmp_path / "request.json", {"name": "steps", "input": {"value": 1}})
    inline = write(tmp_path / "inline.json", {**STEPS, "name": "nowhere"})

    first = await shell("workflow", "start", "--file", request, "--domain", "*=night")
    second = await shell("workflow", "start", "--file", inline)

    assert (await shell.one("workflow", "get", first.stdout.strip()))["taskToDomain"] == {"*": "night"}
    assert (await shell.one("workflow", "get", second.stdout.strip()))["workflowName"] == "nowhere"


async def test_start_with_the_same_key_starts_once(shell: Shell) -> None:
    first, second = [await shell("workflow", "start", "steps", "--idempotency-key", "k") for _ in range(2)]

    assert first.stdout == second.stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["steps", "--domain", "oops"], "TASK=DOMAIN"),
        ([], "name a workflow"),
        (["nowhere"], "404: No such workflow"),
        (["steps", "--input", "[]"], "--input: must be a JSON object"),
    ],
)
async def test_start_says_what_is_wrong(shell: Shell, arguments: list[str], said: str) -> None:
    refused = await shell("workflow", "start", *arguments, code=2)

    assert said in refused.stderr
    assert refused.stdout == ""


async def test_execute_waits_and_tells_by_its_code_how_it_ended(shell: Shell) -> None:
    done = await shell.one("workflow", "execute", "quick")
    failed = await shell("workflow", "execute", "doomed", code=1)
    waiting = await shell.one("workflow", "execute", "steps", "--wait", "1")

    assert (done["status"], waiting["status"]) == ("COMPLETED", "RUNNING")
    assert "FAILED" in failed.stdout


async def test_execute_gives_the_task_it_stands_at(shell: Shell) -> None:
    await shell.registered(workflow(task("hold", "WAIT"), name="holding"))
    at_none = await shell("workflow", "execute", "steps", "--wait", "1", "--return", "BLOCKING_TASK")
    at_one = await shell.one("workflow", "execute", "holding", "--wait", "9", "--return", "BLOCKING_TASK")

    assert (at_none.stdout, at_none.stderr) == ("", "asyncflow: it stands at no task\n")
    assert at_one["referenceTaskName"] == "hold"


async def test_a_definition_is_played_with_mocks(shell: Shell, tmp_path: Path) -> None:
    mocks = {"first": [{"output": {"value": 7}}], "hold": [{"output": {}}]}
    file = write(tmp_path / "test.json", {"name": "steps", "taskRefToMockOutput": mocks})
    done = await shell.one("workflow", "test", file)

    assert (done["status"], done["output"]) == ("COMPLETED", {"value": 7})


# --- one ------------------------------------------------------------------------------------------


async def test_pause_and_resume_one(shell: Shell) -> None:
    identity = await shell.started()

    await shell("workflow", "pause", identity)
    paused = await shell.status(identity)
    await shell("workflow", "resume", identity)
    again = await shell("workflow", "resume", identity, code=2)

    assert (paused, await shell.status(identity)) == ("PAUSED", "RUNNING")
    assert again.stderr.startswith("asyncflow: server_refused: 409: ")


async def test_an_ended_execution_is_retried_restarted_and_rerun(shell: Shell) -> None:
    identity = await shell.started(input={"value": 1})
    await shell("workflow", "terminate", identity, "--reason", "enough")
    terminated = await shell.one("workflow", "get", identity)
    await shell("workflow", "retry", identity)
    await shell("workflow", "terminate", identity)
    await shell("workflow", "restart", identity, "--latest")
    await shell("workflow", "terminate", identity)
    rerun = await shell("workflow", "rerun", identity, "--input", '{"value": 2}')
    shown = await shell.one("workflow", "get", identity)

    assert (terminated["status"], terminated["reasonForIncompletion"]) == ("TERMINATED", "enough")
    assert rerun.stdout.strip() == identity
    assert (shown["status"], shown["input"]) == ("RUNNING", {"value": 2})


async def test_skip_set_and_signal(shell: Shell) -> None:
    identity, second = await shell.started(), await shell.started()
    await shell("workflow", "skip", identity, "hold")
    await shell("workflow", "set", identity, '{"seen": [1]}')
    await shell("task", "complete", identity, "first")
    await shell("task", "complete", second, "first")
    shown = await shell.one("workflow", "signal", second, "--wait", "5", "--input", '{"a": 1}')

    assert await shell.status(identity) == "COMPLETED"
    assert (await shell.one("workflow", "get", identity))["variables"] == {"seen": [1]}
    assert shown["status"] == "COMPLETED"
    assert await shell.status(second) == "COMPLETED"


async def test_signal_of_failure_fails(shell: Shell) -> None:
    identity = await shell.started()
    await shell("task", "complete", identity, "first")
    await shell("workflow", "signal", identity, "--fail")

    assert await shell.status(identity) == "FAILED"


async def test_decide_and_release_change_nothing_that_goes_on(shell: Shell) -> None:
    identity = await shell.started()
    await shell("workflow", "decide", identity)
    await shell("workflow", "release", identity)

    assert await shell.status(identity) == "RUNNING"


async def test_delete_asks_and_nobody_answers(shell: Shell) -> None:
    identity = await shell.started("quick")
    refused = await shell("workflow", "delete", identity, code=2)
    kept = await shell.server.get(f"/api/workflow/{identity}")
    await shell("workflow", "delete", identity, "--yes")

    assert "--yes" in refused.stderr
    assert kept.status == 200
    assert (await shell.server.get(f"/api/workflow/{identity}")).status == 404


async def test_delete_ends_first_what_goes_on_if_told_to(shell: Shell) -> None:
    identity = await shell.started()
    refused = await shell("workflow", "delete", identity, "--yes", code=2)
    await shell("workflow", "delete", identity, "--yes", "--terminate", "--reason", "r")

    assert "only one that ended is removed" in refused.stderr
    assert (await shell.server.get(f"/api/workflow/{identity}")).status == 404


async def test_an_execution_migrates_to_a_version(shell: Shell) -> None:
    identity = await shell.started()
    await shell.registered({**STEPS, "version": 2})
    planned = await shell.one("workflow", "migrate", identity, "--dry-run")
    before = await shell.one("workflow", "get", identity)
    done = await shell.one("workflow", "migrate", identity, "--version", "2")
    after = await shell.one("workflow", "get", identity)
    odd = await shell("workflow", "migrate", identity, "--map", "x", code=2)

    assert (planned["possible"], planned["migrated"], done["migrated"]) == (True, False, True)
    assert (before["workflowVersion"], after["workflowVersion"]) == (1, 2)
    assert "OLD=NEW" in odd.stderr


@pytest.mark.parametrize("verb", ["pause", "resume", "retry", "restart", "terminate", "decide", "release"])
async def test_a_verb_on_what_is_not_there_is_one_line(shell: Shell, verb: str) -> None:
    refused = await shell("workflow", verb, "nowhere", code=2)

    assert refused.stderr == "asyncflow: server_refused: 404: No such workflow found by id: nowhere\n"


# --- many -----------------------------------------------------------------------------------------


async def test_a_dry_run_lists_and_does_nothing(shell: Shell) -> None:
    mine = {await shell.started(correlationId="mine") for _ in range(3)}
    await shell.started(correlationId="other")

    listed = await shell.rows("workflow", "terminate", "--query", "correlationId = mine", "--dry-run")
    named = await shell.rows("workflow", "terminate", *sorted(mine), "--dry-run")

    assert ids(listed) == ids(named) == mine
    assert {row["status"] for row in listed} == {"RUNNING"}
    assert {await shell.status(each) for each in mine} == {"RUNNING"}


async def test_a_query_reaches_all_of_it_and_nothing_else(shell: Shell) -> None:
    mine = {await shell.started(correlationId="it's") for _ in range(3)}
    other = await shell.started(correlationId="other")
    unsure = await shell("workflow", "pause", "--query", r"correlationId = 'it\'s'", code=2)
    paused = await shell.rows("workflow", "pause", "--query", r"correlationId = 'it\'s'", "--yes")

    assert "pause 3 executions?" in unsure.stderr
    assert ids(paused) == mine
    assert {await shell.status(each) for each in mine} == {"PAUSED"}
    assert await shell.status(other) == "RUNNING"


@pytest.mark.parametrize(
    ("verbs", "status"),
    [
        (["pause", "resume"], "RUNNING"),
        (["terminate", "retry"], "RUNNING"),
        (["terminate", "restart"], "RUNNING"),
        (["terminate --failure-workflow", "retry --children"], "RUNNING"),
        (["decide", "release", "terminate --reason r"], "TERMINATED"),
    ],
)
async def test_verbs_on_several_ids(shell: Shell, verbs: list[str], status: str) -> None:
    several = [await shell.started() for _ in range(2)]
    for verb in verbs:
        rows = await shell.rows("workflow", *verb.split(), *several)
        assert [row["outcome"] for row in rows] == ["done", "done"]

    assert {await shell.status(each) for each in several} == {status}


async def test_what_is_refused_is_told_beside_what_was_done(shell: Shell) -> None:
    running, ended = await shell.started(), await shell.started("quick")
    done = await shell("workflow", "pause", running, ended, "nowhere", "-o", "json", code=2)
    outcomes = {row["workflowId"]: row["outcome"] for row in json.loads(done.stdout)}

    assert outcomes[running] == "done"
    assert "COMPLETED" in outcomes[ended]
    assert "No such workflow" in outcomes["nowhere"]
    assert "2 of 3 were refused" in done.stderr


async def test_ids_come_from_stdin(shell: Shell) -> None:
    several = [await shell.started("quick") for _ in range(2)]
    await shell("workflow", "delete", "-", "--yes", given="\n".join(several))

    assert (await shell.rows("workflow", "list", "--name", "quick")) == []


async def test_more_than_one_request_may_hold_are_all_reached(shell: Shell) -> None:
    for _ in range(1_001):
        await shell.started("quick")
    rows = await shell.rows("workflow", "delete", "--query", "workflowType = quick", "--yes")

    assert len(rows) == 1_001
    assert (await shell.rows("workflow", "list", "--name", "quick")) == []


@pytest.mark.parametrize("arguments", [[], ["some-id", "--query", "status = FAILED"]])
def test_a_selection_is_ids_or_a_query(arguments: list[str]) -> None:
    refused = call("workflow", "pause", *arguments)

    assert refused.exit_code == 2
    assert "--query" in refused.stderr


async def test_a_query_that_finds_nothing_is_no_error(shell: Shell) -> None:
    done = await shell("workflow", "pause", "--query", "correlationId = nobody", "--yes")

    assert "no execution meets that" in done.stderr
