"""Children have what the executions above them hold: they wait for nobody who waits for them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.model.values import JsonObject
from tests.integration.engine_support import simple, workflow
from tests.integration.test_holds import SPAN, Visits

WITHIN_S = 60


def _given(task: JsonObject) -> JsonObject:
    return {**task, "inputParameters": {"who": "${workflow.input.who}"}}


def _user(name: str) -> JsonObject:
    return _given(simple(name, asyncflow={"resources": [SPAN]}))


def _child(ref: str, definition: JsonObject) -> JsonObject:
    return _given(
        {
            "name": ref,
            "taskReferenceName": ref,
            "type": "SUB_WORKFLOW",
            "subWorkflowParam": {"name": definition["name"], "workflowDefinition": definition},
        }
    )


def nested(where: str) -> JsonObject:
    """A hold over a child over a child, which need what is held, and the task behind them needs it too."""
    execution = {"asyncflow": {"resources": [SPAN]}} if where == "execution" else {}
    inner = {**workflow("inner", [_user("b")]), **execution}
    middle = {**workflow("middle", [_child("inner", inner)]), **execution}
    if where == "execution":
        tasks = [_given(simple("a")), _child("middle", middle), _given(simple("c"))]
        return {**workflow("outer", tasks), **execution}
    first = _given(simple("a", asyncflow={"resources": [{**SPAN, "hold": "from a to c"}]}))
    return workflow("outer", [first, _child("middle", middle), _user("c")])


@pytest.mark.parametrize("where", ["tasks", "execution"])
async def test_a_descendant_has_what_is_held_above_it(tmp_path: Path, where: str) -> None:
    visits = Visits()
    async with af.Engine(tmp_path / "a.db", tasks=visits.tasks()) as engine:
        started = [await engine.start(nested(where), {"who": str(n)}) for n in range(3)]
        await asyncio.wait_for(visits.waiting.wait(), WITHIN_S)
        visits.gate.set()
        async with asyncio.timeout(WITHIN_S):
            states = [await each.ended() for each in started]

    assert {state.status for state in states} == {"COMPLETED"}
    assert len(visits.groups) == 3, visits.seen


@pytest.mark.parametrize("where", ["tasks", "execution"])
async def test_a_descendant_goes_on_under_the_hold_over_a_restart(tmp_path: Path, where: str) -> None:
    before, after = Visits(), Visits()
    async with af.Engine(tmp_path / "a.db", tasks=before.tasks()) as engine:
        started = [await engine.start(nested(where), {"who": str(n)}) for n in range(2)]
        await asyncio.wait_for(before.waiting.wait(), WITHIN_S)
    after.gate.set()
    async with af.Engine(tmp_path / "a.db", tasks=after.tasks()) as engine, asyncio.timeout(WITHIN_S):
        states = [await engine.execution(each.id).ended() for each in started]

    assert {state.status for state in states} == {"COMPLETED"}
    assert before.groups == [before.seen[0][0]]
    assert after.groups[0] == before.seen[0][0]
    assert len(after.groups) == 2, after.seen


@pytest.mark.parametrize("where", ["tasks", "execution"])
async def test_the_end_of_the_outermost_gives_all_back(tmp_path: Path, where: str) -> None:
    visits = Visits()
    async with af.Engine(tmp_path / "a.db", tasks=visits.tasks()) as engine:
        started = [await engine.start(nested(where), {"who": str(n)}) for n in range(2)]
        await asyncio.wait_for(visits.waiting.wait(), WITHIN_S)
        first = int(visits.seen[0][0])
        await started[first].cancel("enough")
        visits.gate.set()
        async with asyncio.timeout(WITHIN_S):
            state = await started[1 - first].ended()
        usage = engine.service.engine.carry.admission.usage().get("table", {})

    assert state.status == "COMPLETED"
    assert visits.groups == [str(first), str(1 - first)]
    assert not usage.get("in_use")


async def test_a_hold_whose_last_task_is_over_stays_as_long_as_a_child_is_under_it(tmp_path: Path) -> None:
    """The child goes on beside the last task; nobody else has the table before it is over."""
    visits = Visits()
    inner = workflow("inner", [_user("b")])
    first = _given(simple("a", asyncflow={"resources": [{**SPAN, "hold": "from a to c"}]}))
    fork: JsonObject = {"name": "f", "taskReferenceName": "f", "type": "FORK_JOIN"}
    fork["forkTasks"] = [[_child("inner", inner)], [_given(simple("c"))]]
    join: JsonObject = {"name": "j", "taskReferenceName": "j", "type": "JOIN", "joinOn": ["inner", "c"]}
    body = workflow("beside", [first, fork, join])
    async with af.Engine(tmp_path / "a.db", tasks=visits.tasks()) as engine:
        started = [await engine.start(body, {"who": str(n)}) for n in range(2)]
        async with asyncio.timeout(WITHIN_S):
            while not {("0", "b"), ("0", "c")} <= {*visits.seen}:
                await started[0].why()
                await asyncio.sleep(0)
        reasons = await started[1].why()
        visits.gate.set()
        states = [await each.ended() for each in started]

    assert {state.status for state in states} == {"COMPLETED"}
    assert reasons[0]["kind"] == "admission"
    assert visits.groups == ["0", "1"], visits.seen


async def test_tasks_under_a_hold_are_given_its_fence(tmp_path: Path) -> None:
    """What the outside checks has to be the number of the lease, also in a child of the holder."""
    fences: list[tuple[str, int]] = []

    def said(name: str) -> object:
        @af.task(name=name, retries=0)
        async def say(ctx: af.TaskContext, who: str = "") -> None:
            fences.append((name, ctx.fence))

        return say

    names = ("a", "b", "c")
    async with af.Engine(tmp_path / "a.db", tasks=[said(name) for name in names]) as engine:  # type: ignore[misc]
        for number in range(2):
            await (await engine.start(nested("tasks"), {"who": str(number)})).ended()

    assert [name for name, _ in fences] == [*names, *names]
    first, second = {fence for _, fence in fences[:3]}, {fence for _, fence in fences[3:]}
    assert len(first) == len(second) == 1
    assert 0 < first.pop() < second.pop()
