"""Tasks are searched over HTTP, in brief and whole; and where large payloads go."""

from __future__ import annotations

import pytest

from asyncflow.model.values import JsonObject
from tests.http.conftest import Answer, Server
from tests.http.worker_calls import as_object, chain, polled, result, started

BRIEF = pytest.mark.route("GET /api/tasks/search")
WHOLE = pytest.mark.route("GET /api/tasks/search-v2")


def hits(answer: Answer) -> tuple[object, list[JsonObject]]:
    """How many there are, and those of this page."""
    found = as_object(answer)
    results = found["results"]
    assert isinstance(results, list)
    return found["totalHits"], results


async def three(server: Server) -> list[str]:
    """Three executions of two tasks, of which the first one has ended in one of them."""
    executions = [await started(server, *chain("alpha", "beta")) for _ in range(3)]
    await server.post("/api/tasks", json=result(await polled(server, "alpha"), outputData={"sum": 12}))
    return executions


@BRIEF
async def test_a_search_gives_summaries_and_how_many_there_are(server: Server) -> None:
    await three(server)

    total, page = hits(
        await server.get("/api/tasks/search", params={"query": "taskDefName = alpha", "size": 2})
    )

    assert (total, len(page)) == (3, 2)
    assert all(each["taskDefName"] == "alpha" for each in page)


@WHOLE
async def test_a_whole_search_gives_tasks(server: Server) -> None:
    await three(server)

    total, page = hits(await server.get("/api/tasks/search-v2", params={"query": "status = COMPLETED"}))

    assert total == 1
    assert [(task["outputData"], task["referenceTaskName"]) for task in page] == [({"sum": 12}, "alpha")]


@BRIEF
@WHOLE
@pytest.mark.parametrize("path", ["search", "search-v2"])
async def test_searches_are_sorted_paged_and_free_of_unknown_parameters(server: Server, path: str) -> None:
    executions = await three(server)
    params: dict[str, str | int] = {
        "sort": "workflowId:DESC",
        "query": "taskType = alpha",
        "queryId": "",
        "size": 1,
    }

    pages = [hits(await server.get(f"/api/tasks/{path}", params={**params, "start": i}))[1] for i in range(3)]

    ids = [each.get("workflowId") or each["workflowInstanceId"] for page in pages for each in page]
    assert ids == sorted(executions, reverse=True)


@BRIEF
@WHOLE
@pytest.mark.parametrize("path", ["search", "search-v2"])
@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("size", "5001"),
        ("size", "-1"),
        ("start", "-1"),
        ("start", "x"),
        ("query", "nothing ="),
        ("sort", "none"),
    ],
)
async def test_searches_are_refused_by_what_is_wrong(
    server: Server, path: str, name: str, value: str
) -> None:
    answer = await server.get(f"/api/tasks/{path}", params={name: value})

    assert answer.status == 400
    assert answer.message


@pytest.mark.route("GET /api/tasks/externalstoragelocation")
async def test_there_is_no_place_outside_for_payloads(server: Server) -> None:
    params = {"path": "a/b.json", "operation": "write", "payloadType": "TASK_OUTPUT"}

    assert (await server.get("/api/tasks/externalstoragelocation", params=params)).status == 404
    missing = await server.get("/api/tasks/externalstoragelocation", params={"path": "a"})
    assert missing.status == 400
    assert missing.message.startswith("operation: ")
