"""Operations on many executions over HTTP: each for itself, with a word on every one that failed."""

from __future__ import annotations

import pytest

from tests.http.conftest import Server
from tests.http.worker_calls import as_object, polled, result
from tests.http.workflow_calls import SET, SIMPLE, begun, refs, status_of

NOWHERE = "0190a000-0000-7000-8000-000000000000"
ONCE = {**SIMPLE, "taskDefinition": {"name": "work", "retryCount": 0}}
ALL = [
    ("PUT", "pause"),
    ("PUT", "resume"),
    ("POST", "restart"),
    ("POST", "retry"),
    ("POST", "terminate"),
    ("DELETE", "remove"),
    ("DELETE", "terminate-remove"),
    ("POST", "search"),
]


async def done(server: Server, method: str, name: str, ids: object, **params: str) -> dict[str, object]:
    """The answer to a bulk operation; it must be 200."""
    answer = await server.call(method, f"/api/workflow/bulk/{name}", json=ids, params=params)
    assert answer.status == 200, answer.text
    return as_object(answer)


@pytest.mark.route("PUT /api/workflow/bulk/pause")
@pytest.mark.route("PUT /api/workflow/bulk/resume")
async def test_what_succeeds_is_told_from_what_fails(server: Server) -> None:
    running, ended = await begun(server, SIMPLE), await begun(server, SET)

    paused = await done(server, "PUT", "pause", [running, ended, NOWHERE, running])
    statuses = await status_of(server, running)
    resumed = await done(server, "PUT", "resume", [running])

    assert paused["bulkSuccessfulResults"] == [running]
    assert paused["message"] == "Bulk Request has been processed."
    assert paused["bulkErrorResults"] == {
        ended: f"execution {ended} is COMPLETED: it cannot be paused",
        NOWHERE: f"No such workflow found by id: {NOWHERE}",
    }
    assert (statuses, resumed["bulkErrorResults"]) == ("PAUSED", {})


@pytest.mark.route("POST /api/workflow/bulk/restart")
async def test_many_are_restarted(server: Server) -> None:
    ids = [await begun(server, ONCE) for _ in range(2)]
    for _ in ids:
        await server.post("/api/tasks", json=result(await polled(server), "FAILED"))

    answer = await done(server, "POST", "restart", ids, useLatestDefinitions="false")
    latest = await done(server, "POST", "restart", ids, useLatestDefinitions="true")

    assert answer["bulkSuccessfulResults"] == ids
    assert set(latest["bulkErrorResults"]) == set(ids)  # type: ignore[call-overload]
    assert [await status_of(server, each) for each in ids] == ["RUNNING", "RUNNING"]


@pytest.mark.route("POST /api/workflow/bulk/retry")
async def test_many_are_retried(server: Server) -> None:
    execution = await begun(server, ONCE)
    await server.post("/api/tasks", json=result(await polled(server), "FAILED"))

    answer = await done(server, "POST", "retry", [execution])

    assert answer["bulkSuccessfulResults"] == [execution]
    assert (await polled(server))["retryCount"] == 1


@pytest.mark.route("POST /api/workflow/bulk/terminate")
async def test_as_many_as_may_be_are_terminated(server: Server) -> None:
    ids = [await begun(server, SIMPLE) for _ in range(20)]

    answer = await done(server, "POST", "terminate", [*ids, *(f"{n}" for n in range(980))], reason="enough")
    found = as_object(await server.get(f"/api/workflow/{ids[7]}"))

    assert (answer["bulkSuccessfulResults"], len(answer["bulkErrorResults"])) == (ids, 980)  # type: ignore[arg-type]
    assert (found["status"], found["reasonForIncompletion"]) == ("TERMINATED", "enough")


@pytest.mark.route("DELETE /api/workflow/bulk/remove")
@pytest.mark.route("DELETE /api/workflow/bulk/terminate-remove")
async def test_many_are_removed(server: Server) -> None:
    running, ended = await begun(server, SIMPLE), await begun(server, SET)

    removed = await done(server, "DELETE", "remove", [running, ended])
    both = await done(server, "DELETE", "terminate-remove", [running, ended], reason="r")

    assert (removed["bulkSuccessfulResults"], set(removed["bulkErrorResults"])) == ([ended], {running})  # type: ignore[call-overload]
    assert (both["bulkSuccessfulResults"], set(both["bulkErrorResults"])) == ([running], {ended})  # type: ignore[call-overload]
    assert (await server.get(f"/api/workflow/{running}")).status == 404


@pytest.mark.route("POST /api/workflow/bulk/search")
@pytest.mark.parametrize(("include", "tasks"), [("true", [("set_1", "COMPLETED")]), ("false", [])])
async def test_many_are_shown_whole(server: Server, include: str, tasks: list[tuple[str, str]]) -> None:
    ids = [await begun(server, SET) for _ in range(2)]

    answer = await done(server, "POST", "search", [NOWHERE, *ids], includeTasks=include)
    none = await done(server, "POST", "search", [NOWHERE])

    found = answer["bulkSuccessfulResults"]
    assert isinstance(found, list)
    assert [(each["workflowId"], refs(each)) for each in found] == [(each, tasks) for each in ids]
    assert answer["bulkErrorResults"] == {NOWHERE: f"No such workflow found by id: {NOWHERE}"}
    assert none["bulkSuccessfulResults"] == []


@pytest.mark.parametrize(("method", "name"), ALL)
@pytest.mark.parametrize("ids", [[], ["x"] * 1_001, [5], {"ids": []}, None])
async def test_a_list_of_one_to_a_thousand_ids_is_needed(
    server: Server, method: str, name: str, ids: object
) -> None:
    answer = await server.call(method, f"/api/workflow/bulk/{name}", json=ids)

    assert answer.status == 400
    if isinstance(ids, list) and len(ids) > 1:
        assert str(as_object(answer)["message"]).startswith("Cannot process more than 1000 workflows")
