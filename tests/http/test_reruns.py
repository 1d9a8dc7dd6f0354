"""Smart reruns over HTTP: planned, edited, carried out once, and refused where they do not fit."""

from __future__ import annotations

import pytest

from asyncflow.model.values import JsonObject
from tests.http.conftest import Answer, Server
from tests.http.worker_calls import as_object
from tests.http.workflow_calls import begun, shown, status_of

PLAN = pytest.mark.route("POST /api/asyncflow/workflow/{id}/rerun/plan")
APPLY = pytest.mark.route("POST /api/asyncflow/workflow/{id}/rerun/apply")


def inline(ref: str, **inputs: object) -> JsonObject:
    """A task whose result is what it is given, as one number."""
    return {
        "name": ref,
        "taskReferenceName": ref,
        "type": "INLINE",
        "inputParameters": {"evaluatorType": "javascript", "expression": "$.a + 1", **inputs},
    }


CHAIN = (
    inline("one", a="${workflow.input.day}"),
    inline("two", a="${one.output.result}"),
    inline("three", a="${workflow.input.other}"),
)


async def ended(server: Server) -> str:
    execution = await begun(server, *CHAIN, input={"day": 1, "other": 5})
    assert await status_of(server, execution) == "COMPLETED"
    return execution


def path(execution: str, verb: str) -> str:
    return f"/api/asyncflow/workflow/{execution}/rerun/{verb}"


def tasks_of(shape: JsonObject) -> list[JsonObject]:
    """The tasks of a plan, or of an execution as it is shown."""
    tasks = shape["tasks"]
    assert isinstance(tasks, list)
    return tasks


def actions(plan: JsonObject) -> dict[object, tuple[object, object]]:
    return {task["taskReferenceName"]: (task["action"], task["reason"]) for task in tasks_of(plan)}


def results(execution: JsonObject) -> dict[object, object]:
    """The result of every task shown, by reference name."""
    found = {}
    for task in tasks_of(execution):
        output = task["outputData"]
        assert isinstance(output, dict)
        found[task["referenceTaskName"]] = output["result"]
    return found


def applied(answer: Answer) -> tuple[int, object, object]:
    """The status of an answer to apply, and what it says was done."""
    told = as_object(answer)
    return answer.status, told["applied"], told["alreadyApplied"]


@PLAN
@APPLY
async def test_a_changed_key_is_planned_and_carried_out_once(server: Server) -> None:
    execution = await ended(server)
    before = await shown(server, execution)
    answer = await server.post(path(execution, "plan"), json={"changed": ["input:other=7"]})
    plan = as_object(answer)

    assert answer.status == 200
    assert actions(plan)["one"] == ("reuse", "nothing it depends on changed")
    assert actions(plan)["three"] == ("redo", "changed input key other")
    assert (await shown(server, execution)) == before
    first = await server.post(path(execution, "apply"), json=plan)
    assert applied(first) == (200, True, False)
    after = await shown(server, execution)
    assert results(after) == {"one": 2, "two": 3, "three": 8}
    assert after["input"] == {"day": 1, "other": 7}
    again = await server.post(path(execution, "apply"), json=plan)
    assert applied(again) == (200, False, True)
    assert (await shown(server, execution)) == after


@APPLY
async def test_a_plan_of_another_moment_is_refused(server: Server) -> None:
    execution = await ended(server)
    old = (await server.post(path(execution, "plan"), json={"changed": ["ref:one"]})).json
    new = (await server.post(path(execution, "plan"), json={"changed": ["input:day=2"]})).json
    assert (await server.post(path(execution, "apply"), json=new)).status == 200
    refused = await server.post(path(execution, "apply"), json=old)

    assert refused.status == 409
    assert "make another one" in refused.text


@APPLY
async def test_actions_are_changed_by_hand_where_they_can_be(server: Server) -> None:
    execution = await ended(server)
    plan = as_object(await server.post(path(execution, "plan"), json={"changed": ["input:day=2"]}))
    assert actions(plan)["two"] == ("redo", "depends on one")
    for task in tasks_of(plan):
        if task["taskReferenceName"] == "two":
            task["action"] = "reuse"
    assert (await server.post(path(execution, "apply"), json=plan)).status == 200
    after = await shown(server, execution)

    assert results(after) == {"one": 3, "two": 3, "three": 6}


@PLAN
@APPLY
@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ("ref:four", "no task of this execution"),
        ("colour:red", "no such selector"),
        ("input:dya=2", "the input has no such key"),
        ("ref:", "ref of what?"),
    ],
)
async def test_a_selector_that_means_nothing_is_refused_by_name(
    server: Server, changed: str, named: str
) -> None:
    execution = await ended(server)
    answer = await server.post(path(execution, "plan"), json={"changed": [changed]})

    assert answer.status == 400
    assert named in answer.text
    assert changed in answer.text


@PLAN
@APPLY
async def test_what_is_no_plan_is_refused(server: Server) -> None:
    execution = await ended(server)
    plan = as_object(await server.post(path(execution, "plan")))
    broken: list[JsonObject] = [
        {},
        {**plan, "workflowId": "other"},
        {**plan, "seq": "1"},
        {**plan, "tasks": [{"taskId": "other", "action": "redo"}]},
        {**plan, "tasks": [{**tasks_of(plan)[0], "action": "perhaps"}]},
        {**plan, "changed": "ref:one"},
        {**plan, "cutOff": "sometimes"},
    ]
    for body in broken:
        assert (await server.post(path(execution, "apply"), json=body)).status == 400, body
    for verb in ("plan", "apply"):
        assert (await server.post(path("no-such-execution", verb), json=plan)).status in (400, 404)
    assert await status_of(server, execution) == "COMPLETED"


@PLAN
async def test_an_execution_that_goes_on_has_no_plan(server: Server) -> None:
    execution = await begun(server, {"name": "w", "taskReferenceName": "w", "type": "HUMAN"})
    answer = await server.post(path(execution, "plan"), json={})

    assert answer.status == 409
