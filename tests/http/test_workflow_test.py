"""`POST /api/workflow/test`: a definition played with mocks in virtual time, leaving no trace (C137)."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.http.conftest import Server
from tests.http.worker_calls import as_object
from tests.http.workflow_calls import SET, SIMPLE, WAIT, definition, refs, registered

pytestmark = pytest.mark.route("POST /api/workflow/test")

FAILED = {"status": "FAILED", "output": {"why": "no"}}
CHILD = {
    "name": "c",
    "taskReferenceName": "c_1",
    "type": "SUB_WORKFLOW",
    "subWorkflowParam": {"name": "child"},
}

ANSWERED = {"got": "${c_1.output.got}"}


async def played(
    server: Server, *tasks: Mapping[str, object], mocks: Mapping[str, object] | None = None, **more: object
) -> dict[str, object]:
    """The execution that a test of these tasks gives."""
    outputs = {"outputParameters": ANSWERED} if CHILD in tasks else {}
    body = {
        "name": "w",
        "workflowDef": definition("w", *tasks, **outputs),
        "taskRefToMockOutput": mocks or {},
    }
    answer = await server.post("/api/workflow/test", json={**body, **more})
    assert answer.status == 200, answer.text
    return as_object(answer)


def tasks_of(found: dict[str, object]) -> list[dict[str, object]]:
    tasks = found["tasks"]
    assert isinstance(tasks, list)
    return tasks


def worker(ref: str, **fields: object) -> dict[str, object]:
    """A task for a worker, retried once after an hour."""
    described = {"name": "work", "retryCount": 1, "retryDelaySeconds": 3_600}
    return {"name": "work", "taskReferenceName": ref, "type": "SIMPLE", "taskDefinition": described, **fields}


async def test_a_failed_attempt_and_the_one_after_it_are_both_shown(server: Server) -> None:
    task = worker("a", inputParameters={"x": "${workflow.input.x}"})
    mocks = {"a": [FAILED, {"output": {"got": 2}}]}
    found = await played(server, task, mocks=mocks, input={"x": 1}, correlationId="c")

    assert (found["status"], found["output"], found["correlationId"]) == ("COMPLETED", {"got": 2}, "c")
    assert refs(found) == [("a", "FAILED"), ("a", "COMPLETED")]
    first, second = tasks_of(found)
    assert (first["outputData"], second["outputData"], second["inputData"]) == (
        {"why": "no"},
        {"got": 2},
        {"x": 1},
    )
    assert second["retriedTaskId"] == first["taskId"]
    assert int(str(second["startTime"])) - int(str(first["endTime"])) >= 3_600_000


async def test_nothing_of_a_test_is_stored_or_offered_to_workers(server: Server) -> None:
    found = await played(server, SIMPLE)

    assert refs(found) == [("work_1", "SCHEDULED")]
    assert (await server.get("/api/tasks/poll/work")).status == 204
    assert (await server.get(f"/api/workflow/{found['workflowId']}")).status == 404
    assert as_object(await server.get("/api/workflow/search"))["totalHits"] == 0
    assert server.services.executions.engine.turns.number == 0


async def test_a_registered_definition_is_tested_by_name_and_version(server: Server) -> None:
    await server.post("/api/metadata/taskdefs", json=[{"name": "work", "retryCount": 0}])
    await registered(server, definition("w", SIMPLE), definition("w", SIMPLE, SET, version=2))
    body = {"name": "w", "version": 1, "taskRefToMockOutput": {"work_1": [FAILED]}}
    found = as_object(await server.post("/api/workflow/test", json=body))

    assert (found["status"], found["workflowVersion"], refs(found)) == ("FAILED", 1, [("work_1", "FAILED")])


async def test_every_kind_of_outside_task_takes_its_mock(server: Server) -> None:
    http = {
        "name": "h",
        "taskReferenceName": "h",
        "type": "HTTP",
        "inputParameters": {"http_request": {"uri": "http://192.0.2.1/", "method": "GET"}},
    }
    human = {"name": "p", "taskReferenceName": "p", "type": "HUMAN"}
    timed = {**WAIT, "taskReferenceName": "timed", "inputParameters": {"duration": "1 day"}}
    mocks = {ref: [{"output": {"of": ref}}] for ref in ("h", "p", "wait_1", "timed")}
    found = await played(server, http, human, WAIT, timed, mocks=mocks)

    assert found["status"] == "COMPLETED"
    assert [task["outputData"]["of"] for task in tasks_of(found)] == ["h", "p", "wait_1", "timed"]  # type: ignore[index]


async def test_a_test_stops_at_a_task_without_a_mock(server: Server) -> None:
    found = await played(server, worker("a"), worker("b"), mocks={"a": [{}], "other": [{}]})

    assert found["status"] == "RUNNING"
    assert refs(found) == [("a", "COMPLETED"), ("b", "SCHEDULED")]


async def test_mocks_are_used_up_one_by_one(server: Server) -> None:
    found = await played(server, worker("a"), mocks={"a": [FAILED]})

    assert (found["status"], refs(found)) == ("RUNNING", [("a", "FAILED"), ("a", "SCHEDULED")])


async def test_times_of_mocks_pass_beside_each_other_and_not_for_real(server: Server) -> None:
    branches = [[worker("a")], [worker("b")]]
    fork = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN", "forkTasks": branches}
    join = {"name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": ["a", "b"]}
    mocks = {"a": [{"executionTime": 60_000, "queueWaitTime": 5_000}], "b": [{"executionTime": 40_000}]}
    found = await played(server, fork, join, mocks=mocks)

    by_ref = {task["referenceTaskName"]: task for task in tasks_of(found)}
    begun = int(str(found["createTime"]))
    assert found["status"] == "COMPLETED"
    assert by_ref["a"]["queueWaitTime"] == 5_000
    assert [int(str(by_ref[ref]["endTime"])) - begun for ref in "ab"] == [65_000, 40_000]
    assert int(str(found["endTime"])) - begun == 65_000


async def test_a_timeout_ends_an_attempt_that_takes_too_long(server: Server) -> None:
    described = {"name": "work", "retryCount": 0, "timeoutSeconds": 60, "responseTimeoutSeconds": 60}
    task = {**SIMPLE, "taskDefinition": {**described, "timeoutPolicy": "RETRY"}}
    found = await played(server, task, mocks={"work_1": [{"executionTime": 61_000}]})

    assert (found["status"], refs(found)) == ("TIMED_OUT", [("work_1", "TIMED_OUT")])


async def test_an_attempt_in_progress_takes_the_next_mock(server: Server) -> None:
    going_on = {"status": "IN_PROGRESS", "output": {"half": 1}, "executionTime": 1_000}
    found = await played(server, worker("a"), mocks={"a": [going_on, {"output": {"whole": 2}}]})

    (task,) = tasks_of(found)
    assert (task["status"], task["outputData"]) == ("COMPLETED", {"half": 1, "whole": 2})


async def test_a_timed_wait_without_a_mock_passes_by_itself(server: Server) -> None:
    timed = {**WAIT, "inputParameters": {"duration": "2 days"}}
    found = await played(server, timed, SET)

    assert found["status"] == "COMPLETED"
    assert int(str(found["endTime"])) - int(str(found["createTime"])) == 2 * 86_400_000


async def test_operators_and_scripts_run_for_real(server: Server) -> None:
    inline = {
        "name": "i",
        "taskReferenceName": "i",
        "type": "INLINE",
        "inputParameters": {"evaluatorType": "graaljs", "expression": "$.n * 2", "n": "${workflow.input.n}"},
    }
    jq = {
        "name": "q",
        "taskReferenceName": "q",
        "type": "JSON_JQ_TRANSFORM",
        "inputParameters": {"queryExpression": ".n + 1", "n": "${i.output.result}"},
    }
    loop = {
        "name": "l",
        "taskReferenceName": "l",
        "type": "DO_WHILE",
        "loopCondition": "$.l.iteration < 3",
        "loopOver": [worker("a")],
    }
    mocks = {f"a__{n}": [{"output": {"n": n}}] for n in (1, 2, 3)}
    found = await played(server, inline, jq, loop, mocks=mocks, input={"n": 5})

    by_ref = {task["referenceTaskName"]: task for task in tasks_of(found)}
    assert found["status"] == "COMPLETED"
    assert by_ref["q"]["outputData"]["result"] == 11  # type: ignore[index]
    assert by_ref["l"]["outputData"]["iteration"] == 3  # type: ignore[index]


@pytest.mark.parametrize("inline", [True, False])
async def test_children_are_played_by_requests_of_their_own(server: Server, inline: bool) -> None:  # noqa: FBT001
    child = definition("child", worker("inner"), outputParameters={"got": "${inner.output.v}"})
    request: dict[str, object] = {
        "name": "child",
        "taskRefToMockOutput": {"inner": [FAILED, {"output": {"v": 9}}]},
    }
    if inline:
        request["workflowDef"] = child
    else:
        await registered(server, child)
    found = await played(server, CHILD, subWorkflowTestRequest={"c_1": request})

    assert (found["status"], found["output"]) == ("COMPLETED", {"got": 9})


async def test_a_child_can_be_answered_for_as_a_whole(server: Server) -> None:
    await registered(server, definition("child", worker("inner")))
    found = await played(server, CHILD, mocks={"c_1": [{"output": {"got": "told"}}]})

    assert (found["status"], found["output"]) == ("COMPLETED", {"got": "told"})


async def test_a_child_without_mocks_stays_open(server: Server) -> None:
    await registered(server, definition("child", worker("inner")))

    assert (await played(server, CHILD, mocks={"inner": [{}]}))["status"] == "RUNNING"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"name": "none"}, 404),
        ({"workflowDef": {"name": "w", "tasks": []}}, 400),
        ({"workflowDef": definition("w", CHILD)}, 404),
        ({"workflowDef": definition("w"), "taskRefToMockOutput": {"a": [{"status": "SKIPPED"}]}}, 400),
        ({"workflowDef": definition("w"), "taskRefToMockOutput": {"a": [{"executionTime": -1}]}}, 400),
        ({"workflowDef": definition("w"), "taskRefToMockOutput": {"a": {}}}, 400),
        ({"workflowDef": definition("w"), "input": None}, 400),
        ({"workflowDef": definition("w"), "subWorkflowTestRequest": {"c": 5}}, 400),
        ([], 400),
    ],
)
async def test_a_test_that_cannot_be_is_refused(server: Server, body: object, status: int) -> None:
    assert (await server.post("/api/workflow/test", json=body)).status == status


async def test_an_endless_test_ends_with_what_there_is(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("asyncflow.app.simulation.MOST_ROUNDS", 50)
    timed = {**WAIT, "inputParameters": {"duration": "1s"}}
    loop = {
        "name": "l",
        "taskReferenceName": "l",
        "type": "DO_WHILE",
        "loopCondition": "true",
        "loopOver": [timed],
    }
    found = await played(server, loop)

    assert found["status"] == "RUNNING"
    assert len(tasks_of(found)) > 10
