"""What nobody can tell about is shown, decided by a person and goes on: jobs and instances, over REST."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from asyncflow.app.logbook import AuditFilter
from tests.http.conftest import Answer, Server
from tests.http.undecided import UNDECIDED, Undecided, undecided_server

RESOURCE = "/api/asyncflow/resources/fake"


def shown(answer: Answer, status: int = 200) -> Any:
    assert answer.status == status, answer.text
    return answer.json if answer.body else None


@asynccontextmanager
async def stuck(*, creates: bool = False) -> AsyncIterator[tuple[Undecided, Server, str]]:
    """A server with an execution whose job, or whose instance, nobody can tell about; and its id."""
    async with undecided_server(creates=creates) as (made, server):
        yield made, server, await made.stuck(server)


async def decide(server: Server, task_id: str, **body: object) -> Answer:
    return await server.post(f"/api/asyncflow/tasks/{task_id}/decide", json=body)


async def test_a_job_that_nobody_can_tell_about_is_shown_wherever_one_looks() -> None:
    async with stuck() as (_, server, execution):
        (task,) = shown(await server.get(f"/api/workflow/{execution}"))["tasks"]
        (wait,) = shown(await server.get(f"/api/asyncflow/workflow/{execution}/why"))["waitsFor"]
        overview = shown(await server.get("/api/asyncflow/overview"))
        listed = shown(await server.get("/api/tasks/search", params={"query": f"state = {UNDECIDED}"}))
        others = shown(await server.get("/api/tasks/search", params={"query": "state = SUBMITTED"}))
        (job,) = shown(await server.get(f"{RESOURCE}/jobs"))["jobs"]

    assert (task["status"], task["asyncflow"]["state"]) == ("IN_PROGRESS", UNDECIDED)
    assert (wait["kind"], wait["job"]["decisions"]) == ("decision", ["resubmit", "adopt", "fail", "complete"])
    assert "neither a token nor a mark" in wait["job"]["reason"]
    assert [each["kind"] for each in overview["executions"][0]["waitsFor"]] == ["decision"]
    (row,) = listed["results"]
    assert (row["taskId"], row["asyncflow"]) == (task["taskId"], {"state": UNDECIDED})
    assert others["results"] == []
    assert (job["phase"], job["taskId"]) == (UNDECIDED, task["taskId"])


@pytest.mark.route("POST /api/asyncflow/tasks/{id}/decide")
@pytest.mark.parametrize(
    ("body", "status", "made"),
    [
        ({"decision": "resubmit"}, "COMPLETED", 2),
        ({"decision": "adopt", "handle": "job-1"}, "COMPLETED", 1),
        ({"decision": "fail", "output": {"seen": 1}}, "FAILED", 1),
        ({"decision": "complete", "output": {"rows": 12}}, "COMPLETED", 1),
    ],
)
async def test_what_is_decided_comes_true_and_is_kept_with_who_and_why(
    body: dict[str, object], status: str, made: int
) -> None:
    async with stuck() as (service, server, execution):
        task_id = await service.task_id(server, execution)
        answer = await decide(server, task_id, reason="I looked", **body)
        await service.ended(server, execution)
        found = shown(await server.get(f"/api/workflow/{execution}"))
        again = await decide(server, task_id, **body)
        listed = shown(await server.get("/api/tasks/search", params={"query": f"state = {UNDECIDED}"}))
        done = AuditFilter(object_id=task_id, outcome="done")
        (entry,) = (await server.services.logbook.audit_entries(done)).rows

    assert answer.status == 200, answer.text
    assert (found["status"], len(service.jobs.made)) == (status, made)
    assert found["tasks"][0]["outputData"] == body.get("output", {"name": "job"})
    assert again.status == 404
    assert listed["results"] == []
    assert (entry.caller, entry.object_kind) == ("anonymous", "tasks")
    assert entry.reason.startswith(f"{body['decision']}: ")
    assert entry.reason.endswith("I looked")


@pytest.mark.route("POST /api/asyncflow/tasks/{id}/decide")
async def test_a_decision_that_makes_no_sense_changes_nothing() -> None:
    async with stuck() as (service, server, execution):
        task_id = await service.task_id(server, execution)
        wrong = [
            await decide(server, task_id, decision="adopt"),
            await decide(server, task_id, decision="fail", handle="job-1"),
            await decide(server, task_id, decision="resubmit", output={}),
            await decide(server, task_id, decision="complete", outputs={}),
            await decide(server, task_id, decision="complete", output=[1]),
        ]
        (task,) = shown(await server.get(f"/api/workflow/{execution}"))["tasks"]

    assert [each.status for each in wrong] == [400] * 5
    assert task["asyncflow"]["state"] == UNDECIDED


@pytest.mark.route("POST /api/asyncflow/resources/{name}/instances/{number}/decide")
@pytest.mark.parametrize("body", [{"decision": "adopt", "handle": "j-1"}, {"decision": "absent"}])
async def test_an_instance_is_decided_and_the_job_runs_there(body: dict[str, object]) -> None:
    async with stuck(creates=True) as (service, server, execution):
        (wait,) = shown(await server.get(f"/api/asyncflow/workflow/{execution}/why"))["waitsFor"]
        before = shown(await server.get(RESOURCE))
        path = f"{RESOURCE}/instances/1/decide"
        answer = shown(await server.post(path, json={**body, "reason": "seen in the console"}))
        await service.ended(server, execution)
        found = shown(await server.get(f"/api/workflow/{execution}"))
        again = await server.post(path, json=body)
        history = shown(await server.get(f"{RESOURCE}/history"))["events"]

    assert (wait["kind"], wait["reason"]) == ("admission", "closed")
    assert [each["phase"] for each in before["instances"]] == ["undecided"]
    assert answer["name"] == "fake"
    assert found["status"] == "COMPLETED"
    assert len(service.created) == (1 if body["decision"] == "adopt" else 2)
    assert again.status in (404, 409)
    assert any("seen in the console" in str(each.get("reason")) for each in history)


@pytest.mark.route("POST /api/asyncflow/resources/{name}/instances/{number}/decide")
async def test_an_instance_is_decided_only_where_there_is_something_to_decide() -> None:
    async with stuck(creates=True) as (_, server, _execution):
        path = f"{RESOURCE}/instances/1/decide"
        wrong = [
            await server.post(path, json={"decision": "adopt"}),
            await server.post(path, json={"decision": "absent", "handle": "j-1"}),
            await server.post(path, json={"decision": "create"}),
            await server.post(path, json={"decision": "absent", "why": "x"}),
            await server.post(f"{RESOURCE}/instances/9/decide", json={"decision": "absent"}),
            await server.post(
                "/api/asyncflow/resources/none/instances/1/decide", json={"decision": "absent"}
            ),
        ]
        (instance,) = shown(await server.get(RESOURCE))["instances"]

    assert [each.status for each in wrong] == [400, 400, 400, 400, 404, 404]
    assert instance["phase"] == "undecided"
