"""Many executions started with one request: each is begun or refused for itself, in order."""

from __future__ import annotations

import asyncio

import pytest

from asyncflow.app.audit import Deed
from asyncflow.app.callers import ANONYMOUS
from tests.http.conftest import Server
from tests.http.worker_calls import as_list, as_object
from tests.http.workflow_calls import SIMPLE, WAIT, definition, registered, shown, status_of

PATH = "/api/asyncflow/workflow/bulk/start"


@pytest.mark.route("POST /api/asyncflow/workflow/bulk/start")
async def test_each_is_begun_or_refused_for_itself_in_order(server: Server) -> None:
    await registered(server, definition("known", WAIT))
    bad = {"name": "w", "workflowDef": {"name": "w", "version": 1, "tasks": []}}
    given = [{"name": "known", "input": {"x": 1}}, {"name": "unknown"}, bad, 7, {"name": "known"}]

    outcomes = as_list(await server.post(PATH, json=given))

    assert [each.get("status") for each in outcomes] == [None, 404, 400, 400, None]
    assert outcomes[1]["message"] == "No such workflow defined. name=unknown, version=null"
    assert "tasks" in str(outcomes[2]["message"])
    assert (await shown(server, str(outcomes[0]["workflowId"])))["input"] == {"x": 1}
    assert await status_of(server, str(outcomes[4]["workflowId"])) == "RUNNING"


async def test_a_thousand_are_begun_and_no_more(server: Server) -> None:
    await registered(server, definition("known", SIMPLE))
    one = {"name": "known"}

    outcomes = as_list(await server.post(PATH, json=[one] * 1_000))
    more, none = await server.post(PATH, json=[one] * 1_001), await server.post(PATH, json=[])

    assert len({str(each["workflowId"]) for each in outcomes}) == 1_000
    assert server.services.workers.queue_size("work") == 1_000
    assert (more.status, none.status) == (400, 400)
    assert server.services.workers.queue_size("work") == 1_000


async def test_the_same_list_again_with_the_same_key_begins_nothing(server: Server) -> None:
    await registered(server, definition("known", WAIT))
    given = [{"name": "known", "input": {"n": n}} for n in range(20)]
    headers = {"Idempotency-Key": "nightly-7"}

    once, again = await asyncio.gather(*(server.post(PATH, json=given, headers=headers) for _ in range(2)))
    other = as_list(await server.post(PATH, json=[{"name": "known", "input": {"n": 99}}], headers=headers))

    assert once.json == again.json
    assert len({str(each["workflowId"]) for each in as_list(once)}) == 20
    assert other[0]["status"] == 409


async def test_the_audit_names_what_was_begun(server: Server) -> None:
    await registered(server, definition("known", WAIT))
    outcomes = as_list(await server.post(PATH, json=[{"name": "known"}, {"name": "known"}, {"name": "no"}]))
    await server.services.audit.record(ANONYMOUS, Deed("later", "server", [], ""), "done")

    found = await server.get("/api/asyncflow/audit", params={"action": f"POST {PATH}"})
    told = {each["objectId"] for each in as_object(found)["results"]}  # type: ignore[attr-defined]
    assert told == {each["workflowId"] for each in outcomes[:2]}
