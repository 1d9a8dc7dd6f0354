"""Laws: no more executions of a key are open than its limit allows, whatever is done to them meanwhile."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

import asyncflow as af
from asyncflow.errors import Refused
from asyncflow.ids import task_id
from asyncflow.model.values import JsonObject
from tests.integration.engine_support import child, waiting, workflow
from tests.integration.waiting import until

KEY = "${workflow.input.of}"
A: dict[str, Any] = {"of": "a"}


def limited(most: int = 1, *, key: str = KEY, policy: str = "QUEUE", **fields: Any) -> dict[str, Any]:
    """A workflow that stays open until it is signalled."""
    config = {"rateLimitKey": key, "concurrentExecLimit": most, "policy": policy}
    return {**workflow("limited", [waiting()], rateLimitConfig=config), **fields}


async def waits(*executions: af.Execution) -> list[bool]:
    """Which of them are shown as waiting; these have no task records yet."""
    shown = [await each.get() for each in executions]
    assert [not each["tasks"] for each in shown] == [each["rateLimited"] for each in shown]
    return [bool(each["rateLimited"]) for each in shown]


async def test_start_beyond_the_limit_waits_and_begins_when_another_ends(tmp_path: Path) -> None:
    async with af.Engine(tmp_path / "a.db") as engine:
        first, second, other = [await engine.start(limited(), {"of": of}) for of in "aab"]
        held, reason, apart = await second.get(), await second.why(), await waits(other)
        await first.signal("wait")
        after = await waits(first, second)

    assert (held["rateLimited"], held["rateLimitKey"], held["status"]) == (True, "a", "RUNNING")
    assert held["tasks"] == []
    assert apart == [False], "another key is another limit"
    assert [(each["kind"], each["resource"]) for each in reason] == [("admission", "workflow:a")]
    (holder,) = cast("list[JsonObject]", reason[0]["holders"])
    assert (holder["execution_id"], holder["number"], holder["weight"]) == (first.id, 0, 1)
    assert (holder["what"], holder["workflow"]) == ("execution", "limited")
    assert after == [False, False]


async def test_slot_is_handed_on_in_the_turn_that_frees_it(tmp_path: Path) -> None:
    async with af.Engine(tmp_path / "a.db") as engine:
        first, second = [await engine.start(limited(), A) for _ in range(2)]
        before = engine.service.engine.turns.number
        await first.signal("wait")

        assert engine.service.engine.turns.number == before + 1
        assert await waits(second) == [False]


@pytest.mark.parametrize(
    "priority", [{}, {"asyncflow": {"priority": "${workflow.input.urgency}"}}], ids=["request", "expression"]
)
async def test_most_urgent_is_served_first(tmp_path: Path, priority: dict[str, Any]) -> None:
    body = limited(**priority)
    async with af.Engine(tmp_path / "a.db") as engine:
        first = await engine.start(body, {**A, "urgency": 1})
        low, high = [
            await engine.start(body, {**A, "urgency": each}, priority=None if priority else each)
            for each in (3, 80)
        ]
        await first.signal("wait")

        assert await waits(low, high) == [True, False]


async def test_rejected_start_leaves_nothing_behind(tmp_path: Path) -> None:
    body = limited(policy="REJECT")
    async with af.Engine(tmp_path / "a.db") as engine:
        first = await engine.start(body, A)
        with pytest.raises(Refused, match="workflow:a"):
            await engine.start(body, A)
        here = list(engine.service.engine.turns.states)
        await first.signal("wait")
        again = await engine.start(body, A)

        assert here == [first.id]
        assert await waits(again) == [False]


async def test_rejected_child_fails_its_parent_instead_of_leaving_it_to_wait(tmp_path: Path) -> None:
    async with af.Engine(tmp_path / "a.db") as engine:
        await engine.register(limited(policy="REJECT", key="k"))
        await engine.start(limited(policy="REJECT", key="k"))
        parent = await engine.start(workflow("parent", [child("limited")]))
        state = await parent.ended()

    assert state.status == "FAILED"
    assert "rejects" in str(state.reason)


@pytest.mark.parametrize("what", ["cancel", "pause", "timeout"])
async def test_one_that_waits_can_be_ended_or_held_and_lets_others_pass(tmp_path: Path, what: str) -> None:
    more: dict[str, Any] = {"timeoutSeconds": 1, "timeoutPolicy": "TIME_OUT_WF"} if what == "timeout" else {}
    async with af.Engine(tmp_path / "a.db") as engine:
        first = await engine.start(limited(), A)
        second, third = await engine.start(limited(**more), A), await engine.start(limited(), A)
        if what == "timeout":
            assert (await second.ended()).status == "TIMED_OUT"
        else:
            await (second.cancel() if what == "cancel" else second.pause())
        await first.signal("wait")
        passed = await waits(third)
        if what == "pause":
            await second.resume()
            assert await waits(second) == [True]
            await third.signal("wait")
            assert await waits(second) == [False]

    assert passed == [False]


@pytest.mark.parametrize("operation", ["restart", "retry", "rerun", "rerun_task"])
async def test_one_that_is_opened_again_waits_for_a_slot_and_then_goes_on(
    tmp_path: Path, operation: str
) -> None:
    async with af.Engine(tmp_path / "a.db") as engine:
        first = await engine.start(limited(), A)
        await first.cancel()
        second = await engine.start(limited(), A)
        if operation == "rerun_task":
            await first.rerun(from_task=task_id(first.id, 1))
        else:
            await getattr(first, operation)()
        assert (await first.get())["rateLimited"]
        waited = engine.service.engine.admission.usage()["workflow:a"]
        await second.signal("wait")
        assert not (await first.get())["rateLimited"]
        await first.signal("wait")
        state = await first.ended()

    assert (waited["in_use"], waited["waiting"]) == (1, 1)
    assert state.status == "COMPLETED"


async def test_child_of_one_that_has_a_slot_needs_none_of_the_same_limit(tmp_path: Path) -> None:
    inner = limited(key="k")
    config = inner["rateLimitConfig"]
    async with af.Engine(tmp_path / "a.db") as engine:
        await engine.register(inner)
        await engine.register(workflow("middle", [child("limited")]))
        parent = await engine.start(workflow("outer", [child("middle")], rateLimitConfig=config))
        other = await engine.start(limited(key="k"))
        held = await waits(other)
        (lowest,) = [s for s in engine.service.engine.turns.states.values() if s.depth == 2]
        await engine.execution(lowest.execution_id).signal("wait")
        state = await parent.ended()

        assert held == [True]
        assert state.status == "COMPLETED"
        assert await waits(other) == [False]


async def test_limit_registered_later_holds_for_what_waits(tmp_path: Path) -> None:
    async with af.Engine(tmp_path / "a.db") as engine:
        await engine.register(limited(1))
        started = [await engine.start("limited", A) for _ in range(5)]
        assert await waits(*started) == [False, True, True, True, True]
        await engine.register(limited(3, version=2))
        await until(lambda: engine.service.engine.admission.in_use("workflow:a") == 3)
        assert await waits(*started) == [False, False, False, True, True]
        await engine.register(limited(2, version=3))
        await started[0].signal("wait")
        assert await waits(*started[1:]) == [False, False, True, True], "those above the limit keep theirs"
        await engine.register(workflow("limited", [waiting()], version=4))
        await until(lambda: engine.service.engine.admission.in_use("workflow:a") == 4)


async def test_least_limit_of_workflows_with_one_key_holds(tmp_path: Path) -> None:
    async with af.Engine(tmp_path / "a.db") as engine:
        wide = [await engine.start(limited(3, name="wide"), A) for _ in range(2)]
        narrow = await engine.start(limited(2, name="narrow"), A)
        third = await engine.start(limited(3, name="wide"), A)
        assert await waits(*wide, narrow, third) == [False, False, True, True]
        await narrow.cancel()

        assert await waits(third) == [False]


async def test_slots_and_the_queue_survive_a_restart(tmp_path: Path) -> None:
    async with af.Engine(tmp_path / "a.db") as engine:
        ids = [(await engine.start(limited(2), A)).id for _ in range(5)]
    async with af.Engine(tmp_path / "a.db") as engine:
        started = [engine.execution(each) for each in ids]
        await until(lambda: engine.service.engine.admission.usage()["workflow:a"]["waiting"] == 3)
        assert await waits(*started) == [False, False, True, True, True]
        await started[1].signal("wait")
        assert await waits(*started) == [False, False, False, True, True]
        for each in (started[0], *started[2:]):
            await each.signal("wait")
        states = [await each.ended() for each in started]
        slots = engine.service.engine.carry.slots

        assert {each.status for each in states} == {"COMPLETED"}
        assert slots.in_memory == 0, "keys come from data"


async def test_key_that_comes_to_nothing_is_the_name_of_the_workflow(tmp_path: Path) -> None:
    async with af.Engine(tmp_path / "a.db") as engine:
        definition = limited(key="${workflow.correlationId}")
        first, second = [await engine.start(definition) for _ in range(2)]

        assert await waits(first, second) == [False, True]
        await first.signal("wait")
        await second.signal("wait")
        assert {(await each.ended()).status for each in (first, second)} == {"COMPLETED"}


@pytest.mark.parametrize("key", ["${workflow.input}", "${workflow.input.long}"])
async def test_key_that_is_no_text_fails_the_execution_by_name(tmp_path: Path, key: str) -> None:
    async with af.Engine(tmp_path / "a.db") as engine:
        state = await (await engine.start(limited(key=key), {"long": "x" * 2_000})).ended()

    assert state.status == "FAILED"
    assert "rateLimitConfig.rateLimitKey" in str(state.reason)
