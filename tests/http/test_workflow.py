"""Executions over HTTP: started by name and by definition, shown whole, in part and by page."""

from __future__ import annotations

import pytest

from tests.http.conftest import Server
from tests.http.worker_calls import as_list, as_object
from tests.http.workflow_calls import SET, SIMPLE, WAIT, begun, definition, refs, registered, shown

START = pytest.mark.route("POST /api/workflow")
BY_NAME = pytest.mark.route("POST /api/workflow/{name}")
GET = pytest.mark.route("GET /api/workflow/{id}")
STATUS = pytest.mark.route("GET /api/workflow/{id}/status")
TASKS = pytest.mark.route("GET /api/workflow/{id}/tasks")
NOWHERE = "0190a000-0000-7000-8000-000000000000"


@START
@GET
async def test_a_started_execution_is_shown_in_conductors_shape(server: Server) -> None:
    await registered(server, definition("w", SIMPLE))
    body = {
        "name": "w",
        "version": 1,
        "input": {"x": None},
        "correlationId": "c",
        "priority": 7,
        "idempotencyStrategy": "FAIL",
    }
    started = await server.post("/api/workflow", json=body)

    found = await shown(server, started.text)

    assert started.headers["Content-Type"].startswith("text/plain")
    assert {
        "workflowName": "w",
        "workflowVersion": 1,
        "status": "RUNNING",
        "input": {"x": None},
        "correlationId": "c",
        "priority": 7,
        "workflowId": started.text,
    }.items() <= found.items()
    assert found["startTime"] == found["createTime"]
    assert refs(found) == [("work_1", "SCHEDULED")]


@START
async def test_the_highest_version_is_started_unless_one_is_named(server: Server) -> None:
    await registered(server, *(definition("w", version=version) for version in (1, 3, 2)))
    versions = [
        (await shown(server, (await server.post("/api/workflow", json={"name": "w", **more})).text))[
            "workflowVersion"
        ]
        for more in ({}, {"version": None}, {"version": 2}, {"version": 1})
    ]

    assert versions == [3, 3, 2, 1]


@START
async def test_an_inline_definition_runs_without_being_registered(server: Server) -> None:
    execution = await begun(server, SET, input={"x": 5})

    found = await shown(server, execution)

    assert (found["status"], found["variables"]) == ("COMPLETED", {"seen": 5})
    assert as_list(await server.get("/api/metadata/workflow")) == []


@START
async def test_a_request_says_who_starts_where_callers_are_not_known(server: Server) -> None:
    named, unnamed = await begun(server, SET, createdBy="me"), await begun(server, SET)

    assert ((await shown(server, named))["createdBy"], (await shown(server, unnamed))["createdBy"]) == (
        "me",
        "",
    )


@START
@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        ({"name": "none"}, 404, "No such workflow defined. name=none, version=null"),
        ({"name": "w", "version": 9}, 404, "No such workflow defined. name=w, version=9"),
        ({}, 400, "name: Workflow name cannot be null or empty"),
        ({"name": "w", "input": None}, 400, "NULL input passed when starting workflow"),
        ({"name": "w", "input": [1]}, 400, "Validation failed, check below errors for detail."),
        ({"name": "w", "priority": 100}, 400, "priority: 100 should be maximum 99"),
        ({"name": "w", "priority": -1}, 400, "priority: -1 should be minimum 0"),
        ({"workflowDef": {"name": "x"}}, 400, "Validation failed, check below errors for detail."),
        ([1], 400, "body: a JSON object is expected"),
    ],
)
async def test_a_start_that_cannot_be_is_refused(
    server: Server, body: object, status: int, said: str
) -> None:
    await registered(server, definition("w"))
    answer = await server.post("/api/workflow", json=body)

    assert (answer.status, as_object(answer)["message"]) == (status, said)
    assert as_object(await server.get("/api/workflow/search"))["totalHits"] == 0


@START
async def test_a_start_whose_literal_sub_workflow_is_missing_is_refused_by_name(server: Server) -> None:
    child = {
        "name": "c",
        "taskReferenceName": "c",
        "type": "SUB_WORKFLOW",
        "subWorkflowParam": {"name": "none"},
    }
    await registered(server, definition("w", child))

    answer = await server.post("/api/workflow", json={"name": "w"})

    assert answer.status == 404
    assert "none" in str(as_object(answer)["message"])


@BY_NAME
async def test_a_start_by_name_takes_its_input_as_the_body(server: Server) -> None:
    await registered(server, definition("w"), definition("w", version=2))
    params = {"version": 1, "correlationId": "c 1", "priority": 3}
    answer = await server.post("/api/workflow/w", json={"x": 1}, params=params)

    found = await shown(server, answer.text)

    assert (found["input"], found["correlationId"], found["priority"]) == ({"x": 1}, "c 1", 3)
    assert found["workflowVersion"] == 1


@BY_NAME
async def test_a_start_by_name_needs_no_body_and_takes_none_for_nothing(server: Server) -> None:
    await registered(server, definition("w"))
    answer = await server.post("/api/workflow/w", params={"correlationId": "None", "version": ""})

    assert answer.status == 200
    assert "correlationId" not in await shown(server, answer.text)


@BY_NAME
async def test_a_start_by_name_of_nothing_is_refused(server: Server) -> None:
    none = await server.post("/api/workflow/none", json={})
    broken = await server.post("/api/workflow/none", json={}, params={"priority": "high"})

    assert none.status == 404
    assert as_object(none)["message"] == "No such workflow found by name: none, version: null"
    assert broken.status == 400


@GET
async def test_the_definition_is_shown_with_a_task_definition_in_every_task(server: Server) -> None:
    """Registered, embedded, or the one Conductor makes up; in tasks within tasks and system tasks as well."""
    await server.post("/api/metadata/taskdefs", json=[{"name": "work", "retryCount": 9}])
    inner = {"name": "other", "taskReferenceName": "o", "type": "SIMPLE"}
    loop = {
        "name": "loop",
        "taskReferenceName": "l",
        "type": "DO_WHILE",
        "loopCondition": "false",
        "loopOver": [inner],
    }
    execution = await begun(server, SIMPLE, loop, WAIT)

    found = await shown(server, execution)

    whole = found["workflowDefinition"]
    tasks = found["tasks"]
    assert isinstance(whole, dict)
    assert isinstance(tasks, list)
    work, looping, wait = (each["taskDefinition"] for each in whole["tasks"])
    assert (work["name"], work["retryCount"]) == ("work", 9)
    assert (wait["name"], wait["retryCount"], wait["responseTimeoutSeconds"]) == ("wait", 0, 0)
    assert looping["name"] == "loop"
    assert whole["tasks"][1]["loopOver"][0]["taskDefinition"]["retryCount"] == 3
    assert tasks[0]["workflowTask"] == whole["tasks"][0]
    assert tasks[0]["taskDefinition"]["retryCount"] == 9


@GET
async def test_a_task_of_a_loop_names_the_loop_and_what_its_definition_says(server: Server) -> None:
    described = {"name": "work", "isolationGroupId": "g", "executionNameSpace": "n"}
    loop = {
        "name": "loop",
        "taskReferenceName": "l",
        "type": "DO_WHILE",
        "loopCondition": "false",
        "loopOver": [{**SIMPLE, "taskDefinition": described}],
    }
    limited = {"rateLimitKey": "k", "concurrentExecLimit": 5}
    body = {"workflowDef": definition("w", loop, rateLimitConfig=limited)}
    found = await shown(server, (await server.post("/api/workflow", json=body)).text)

    tasks = found["tasks"]
    assert isinstance(tasks, list)
    looping, work = tasks
    assert work["parentTaskId"] == looping["taskId"]
    assert (work["isolationGroupId"], work["executionNameSpace"]) == ("g", "n")
    assert (work["loopOverTask"], work["iteration"]) == (True, 1)
    assert found["rateLimitKey"] == "k"


@GET
async def test_an_execution_is_shown_without_its_tasks(server: Server) -> None:
    execution = await begun(server, SIMPLE)

    found = await shown(server, execution, includeTasks="False", summarize="true")

    assert found["tasks"] == []
    assert "workflowDefinition" in found


@GET
@STATUS
@TASKS
@pytest.mark.parametrize("identity", [NOWHERE, "not an id", "%00", "a%2Fb"])
async def test_an_execution_that_is_not_there_is_404(server: Server, identity: str) -> None:
    answers = [await server.get(f"/api/workflow/{identity}{rest}") for rest in ("", "/status", "/tasks")]

    assert [each.status for each in answers] == [404, 404, 404]
    assert str(as_object(answers[0])["message"]).startswith("No such workflow found by id: ")


@STATUS
async def test_a_status_shows_what_is_asked_for(server: Server) -> None:
    execution = await begun(server, SET, input={"x": 5}, correlationId="c")
    path = f"/api/workflow/{execution}/status"

    bare = as_object(await server.get(path))
    full = as_object(await server.get(path, params={"includeOutput": "true", "includeVariables": "True"}))

    assert bare == {"workflowId": execution, "status": "COMPLETED", "correlationId": "c"}
    assert full == {**bare, "output": {}, "variables": {"seen": 5}}


@TASKS
async def test_tasks_are_paged_and_chosen_by_status(server: Server) -> None:
    more = [{**SET, "taskReferenceName": f"s{n}"} for n in range(20)]
    path = f"/api/workflow/{await begun(server, *more, SIMPLE)}/tasks"

    first = as_object(await server.get(path))
    rest = as_object(await server.get(path, params={"start": 15, "count": 100}))
    open_ = as_object(
        await server.get(path, params=[("status", "SCHEDULED,FAILED"), ("status", "IN_PROGRESS")])
    )

    assert (first["totalHits"], len(first["results"])) == (21, 15)  # type: ignore[arg-type]
    assert [t["referenceTaskName"] for t in rest["results"]] == ["s15", "s16", "s17", "s18", "s19", "work_1"]  # type: ignore[attr-defined]
    assert (open_["totalHits"], open_["results"][0]["referenceTaskName"]) == (1, "work_1")  # type: ignore[index]


@TASKS
async def test_a_page_of_tasks_has_bounds(server: Server) -> None:
    path = f"/api/workflow/{await begun(server, SIMPLE)}/tasks"

    assert (await server.get(path, params={"count": 5_001})).status == 400
    assert (await server.get(path, params={"start": -1})).status == 400
    assert as_object(await server.get(path, params={"start": 7}))["results"] == []


@START
async def test_a_large_definition_is_refused_as_a_small_one_is(server: Server) -> None:
    """It is read in a thread; what is wrong with it is told all the same."""
    tasks = [{**SET, "taskReferenceName": f"s{n}", "description": "x" * 100} for n in range(400)]
    good = await server.post("/api/workflow", json={"workflowDef": definition("w", *tasks)})
    bad = await server.post("/api/workflow", json={"workflowDef": definition("w", *tasks, tasks[0])})
    registering = await server.post("/api/metadata/workflow", json=definition("w", *tasks, tasks[0]))

    assert (good.status, bad.status, registering.status) == (200, 400, 400)
    assert "should be unique" in bad.text


@GET
async def test_a_large_execution_is_streamed_whole_and_in_order(server: Server) -> None:
    branches = [[{**SIMPLE, "taskReferenceName": f"b{n}"}] for n in range(6_000)]
    fork = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN", "forkTasks": branches}
    join = {"name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": ["b0"]}
    execution = await begun(server, fork, join)

    answer = await server.get(f"/api/workflow/{execution}")

    assert answer.headers.get("Transfer-Encoding") == "chunked"
    found = refs(as_object(answer))
    assert [ref for ref, _ in found if str(ref).startswith("b")] == [f"b{n}" for n in range(6_000)]
    assert len(found) == 6_002
