"""Lists of executions over HTTP: by query and free text, by tasks, what runs, what correlates."""

from __future__ import annotations

import pytest

from asyncflow.model.values import JsonObject
from tests.http.conftest import Answer, Server
from tests.http.worker_calls import as_list, as_object
from tests.http.workflow_calls import SET, SIMPLE, WAIT, begun, definition, refs, registered, shown

SEARCH = pytest.mark.route("GET /api/workflow/search")
SEARCH_WHOLE = pytest.mark.route("GET /api/workflow/search-v2")
BY_TASKS = pytest.mark.route("GET /api/workflow/search-by-tasks")
BY_TASKS_WHOLE = pytest.mark.route("GET /api/workflow/search-by-tasks-v2")
RUNNING = pytest.mark.route("GET /api/workflow/running/{name}")
CORRELATED = pytest.mark.route("GET /api/workflow/{name}/correlated/{correlationId}")
MANY_CORRELATED = pytest.mark.route("POST /api/workflow/{name}/correlated")


def results(answer: Answer) -> list[JsonObject]:
    """What a search found, in order."""
    found = as_object(answer)["results"]
    assert isinstance(found, list)
    return found


def ids(answer: Answer) -> list[object]:
    """The ids of what a search found, in order."""
    return [each["workflowId"] for each in results(answer)]


@SEARCH
@pytest.mark.parametrize(
    "query", ['correlationId = "c 1" ', " status IN (RUNNING) AND correlationId = 'c 1' ", "workflowType=a*"]
)
async def test_the_queries_that_clients_send_find_what_they_mean(server: Server, query: str) -> None:
    await registered(server, definition("abc", SIMPLE), definition("b", SIMPLE))
    body = {"name": "abc", "correlationId": "c 1", "input": {"x": 1}}
    wanted = (await server.post("/api/workflow", json=body)).text
    await server.post("/api/workflow", json={"name": "b", "correlationId": "c 2"})

    answer = await server.get("/api/workflow/search", params={"query": query, "queryId": "", "size": 10})

    assert ids(answer) == [wanted]
    (summary,) = results(answer)
    assert {"workflowType": "abc", "version": 1, "status": "RUNNING", "correlationId": "c 1"}.items() <= (
        summary.items()
    )
    assert str(summary["startTime"]).endswith("Z")
    assert isinstance(summary["input"], str)


@SEARCH
@SEARCH_WHOLE
async def test_pages_are_sorted_and_count_everything(server: Server) -> None:
    made = [await begun(server, SIMPLE, correlationId=f"c{n}") for n in range(5)]
    params = {"start": 1, "size": 2, "sort": "correlationId:DESC"}

    brief = await server.get("/api/workflow/search", params=params)
    whole = await server.get("/api/workflow/search-v2", params=params)

    assert ids(brief) == ids(whole) == [made[3], made[2]]
    assert as_object(brief)["totalHits"] == as_object(whole)["totalHits"] == 5
    first, _ = results(whole)
    assert (first["tasks"], first["input"]) == ([], {})


@SEARCH
async def test_free_text_and_top_level_narrow_a_search(server: Server) -> None:
    child = {
        "name": "c",
        "taskReferenceName": "c",
        "type": "SUB_WORKFLOW",
        "subWorkflowParam": {"name": "child"},
    }
    await registered(server, definition("child", WAIT))
    parent = await begun(server, child, input={"x": "haystack needle"})

    everything = await server.get("/api/workflow/search", params={"freeText": "*"})
    top = await server.get("/api/workflow/search", params={"topLevelOnly": "true"})
    needle = await server.get("/api/workflow/search", params={"freeText": "needle"})

    assert len(ids(everything)) == 2
    assert ids(top) == ids(needle) == [parent]


@SEARCH
@SEARCH_WHOLE
@BY_TASKS
@BY_TASKS_WHOLE
@pytest.mark.parametrize("path", ["search", "search-v2", "search-by-tasks", "search-by-tasks-v2"])
@pytest.mark.parametrize(
    "params", [{"size": 5_001}, {"start": -1}, {"query": "status ("}, {"sort": "nothing:ASC"}, {"size": "x"}]
)
async def test_a_search_that_cannot_be_read_is_400(
    server: Server, path: str, params: dict[str, str | int]
) -> None:
    assert (await server.get(f"/api/workflow/{path}", params=params)).status == 400


@BY_TASKS
@BY_TASKS_WHOLE
@pytest.mark.parametrize("path", ["search-by-tasks", "search-by-tasks-v2"])
async def test_executions_are_found_by_their_tasks(server: Server, path: str) -> None:
    await begun(server, SET)
    wanted = await begun(server, SIMPLE, {**SIMPLE, "taskReferenceName": "second"})

    params = {"query": "taskDefName = work AND status = SCHEDULED"}
    answer = await server.get(f"/api/workflow/{path}", params=params)

    assert (ids(answer), as_object(answer)["totalHits"]) == ([wanted], 1)


@RUNNING
async def test_running_executions_are_listed_by_name_version_and_time(server: Server) -> None:
    await registered(server, definition("w", SIMPLE), definition("w", SET, version=2))
    running = (await server.post("/api/workflow", json={"name": "w", "version": 1})).text
    ended = (await server.post("/api/workflow", json={"name": "w", "version": 2})).text
    at_ms = (await shown(server, ended))["createTime"]
    assert isinstance(at_ms, int)
    path = "/api/workflow/running/w"

    first = await server.get(path)
    second = await server.get(path, params={"version": 2})
    since = await server.get(path, params={"version": 2, "startTime": at_ms, "endTime": at_ms})
    before = await server.get(path, params={"version": 2, "startTime": 0, "endTime": at_ms - 1})

    assert [each.json for each in (first, second, since, before)] == [[running], [], [ended], []]


@CORRELATED
async def test_correlated_executions_are_shown(server: Server) -> None:
    await registered(server, definition("w", SIMPLE), definition("v", SIMPLE))
    made = [
        (await server.post("/api/workflow", json={"name": name, "correlationId": "a/b"})).text
        for name in ("w", "w", "v")
    ]
    await server.delete(f"/api/workflow/{made[0]}")
    path = "/api/workflow/w/correlated/a%2Fb"

    open_ = as_list(await server.get(path))
    closed = as_list(await server.get(path, params={"includeClosed": "True", "includeTasks": "True"}))

    assert [(each["workflowId"], each["tasks"]) for each in open_] == [(made[1], [])]
    assert {each["workflowId"]: refs(each) for each in closed} == {
        made[0]: [("work_1", "CANCELED")],
        made[1]: [("work_1", "SCHEDULED")],
    }
    assert as_list(await server.get("/api/workflow/w/correlated/none")) == []


@MANY_CORRELATED
async def test_executions_are_mapped_by_their_correlation_ids(server: Server) -> None:
    await registered(server, definition("w", SIMPLE))
    made = {
        key: (await server.post("/api/workflow", json={"name": "w", "correlationId": key})).text
        for key in "ab"
    }
    path = "/api/workflow/w/correlated"

    found = as_object(await server.post(path, json=["a", "b", "none"]))
    nothing = await server.post(path, json=[])

    assert isinstance(found["a"], list)
    assert isinstance(found["b"], list)
    assert {key: [each["workflowId"] for each in found[key]] for key in "ab"} == {  # type: ignore[attr-defined]
        key: [made[key]] for key in "ab"
    }
    assert (found["none"], nothing.json) == ([], {})


@pytest.mark.route("POST /api/workflow/correlated/batch")
async def test_executions_of_several_workflows_are_mapped_by_their_correlation_ids(server: Server) -> None:
    await registered(server, definition("w", SIMPLE), definition("v", SIMPLE))
    made = {
        name: (await server.post("/api/workflow", json={"name": name, "correlationId": "c"})).text
        for name in ("w", "v")
    }
    path = "/api/workflow/correlated/batch"

    found = as_object(
        await server.post(path, json={"workflowNames": ["w", "v"], "correlationIds": ["c", "d"]})
    )
    broken = await server.post(path, json={"workflowNames": "w", "correlationIds": [1]})

    assert isinstance(found["c"], list)
    assert {each["workflowId"] for each in found["c"]} == set(made.values())
    assert (found["d"], broken.status) == ([], 400)


@MANY_CORRELATED
@pytest.mark.parametrize("body", [{"a": 1}, [5], ["x"] * 1_001])
async def test_correlation_ids_are_a_list_of_texts(server: Server, body: object) -> None:
    assert (await server.post("/api/workflow/w/correlated", json=body)).status == 400


@pytest.mark.route("GET /api/workflow/externalstoragelocation")
@pytest.mark.route("GET /api/workflow/external-storage-location")
@pytest.mark.parametrize("path", ["externalstoragelocation", "external-storage-location"])
async def test_there_is_no_storage_outside(server: Server, path: str) -> None:
    params = {"path": "p", "operation": "READ", "payloadType": "WORKFLOW_INPUT"}

    assert (await server.get(f"/api/workflow/{path}", params=params)).status == 404


@SEARCH
@SEARCH_WHOLE
async def test_executions_are_told_apart_by_the_classifier_of_their_definition(server: Server) -> None:
    agent = {**definition("robot", SIMPLE), "metadata": {"agent_sdk": "x"}}
    named = {**definition("batch", SIMPLE), "metadata": {"classifier": "nightly", "agentDef": {}}}
    await registered(server, definition("plain", SIMPLE), agent, named)
    started = {
        name: (await server.post("/api/workflow", json={"name": name})).text
        for name in ("plain", "robot", "batch")
    }
    found = {
        classifier: ids(await server.get("/api/workflow/search", params={"classifier": classifier}))
        for classifier in ("workflow", "agent", "nightly", "other")
    }
    whole = await server.get("/api/workflow/search-v2", params={"classifier": "agent"})
    narrowed = await server.get(
        "/api/workflow/search", params={"classifier": "agent", "query": "workflowType = plain"}
    )

    assert found == {
        "workflow": [started["plain"]],
        "agent": [started["robot"]],
        "nightly": [started["batch"]],
        "other": [],
    }
    assert ids(whole) == [started["robot"]]
    assert ids(narrowed) == []


@MANY_CORRELATED
async def test_a_thousand_correlation_ids_are_looked_up(server: Server) -> None:
    await registered(server, definition("abc", SIMPLE))
    body = {"name": "abc", "correlationId": "c999"}
    wanted = (await server.post("/api/workflow", json=body)).text
    answer = await server.post("/api/workflow/abc/correlated", json=[f"c{n}" for n in range(1_000)])

    found = as_object(answer)
    assert len(found) == 1_000
    executions = found["c999"]
    assert isinstance(executions, list)
    assert [each["workflowId"] for each in executions] == [wanted]
