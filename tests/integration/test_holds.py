"""Leases that span tasks, in the engine: nobody comes in between, not after a restart either."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

import asyncflow as af
from asyncflow.model.values import JsonObject
from tests.integration.engine_support import simple, workflow

SPAN: JsonObject = {"name": "table", "mode": "exclusive", "key": "k"}


class Visits:
    """Who was where, in order; with a gate that one of them waits at."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.gate = asyncio.Event()
        self.waiting = asyncio.Event()

    async def visit(self, who: str, place: str) -> None:
        self.seen.append((who, place))
        if place == "b" and not self.gate.is_set():
            self.waiting.set()
            await self.gate.wait()

    def tasks(self) -> list[Any]:  # decorated functions of several kinds
        """Functions `a`, `b` and `c`, which say that they were visited."""

        @af.task(retries=0)
        async def a(who: str) -> None:
            await self.visit(who, "a")

        @af.task(retries=0)
        async def b(who: str) -> None:
            await self.visit(who, "b")

        @af.task(retries=0)
        async def c(who: str) -> None:
            await self.visit(who, "c")

        return [a, b, c]

    @property
    def groups(self) -> list[str]:
        """Who came, in order, each visit in a row counted once."""
        found: list[str] = []
        for who, _ in self.seen:
            if found[-1:] != [who]:
                found.append(who)
        return found


def definition(where: str) -> JsonObject:
    """Three tasks that must not mix with those of another execution."""
    given: JsonObject = {"inputParameters": {"who": "${workflow.input.who}"}}
    if where == "execution":
        tasks = [{**simple(name), **given} for name in "abc"]
        return {**workflow("spanning", tasks), "asyncflow": {"resources": [SPAN]}}
    first = {**simple("a", asyncflow={"resources": [{**SPAN, "hold": "from a to c"}]}), **given}
    middle = {**simple("b", asyncflow={"resources": [SPAN, {"name": "other"}]}), **given}
    return workflow("spanning", [first, middle, {**simple("c"), **given}])


@pytest.mark.parametrize("where", ["tasks", "execution"])
async def test_nobody_comes_between_the_tasks_of_a_hold(tmp_path: Path, where: str) -> None:
    visits = Visits()
    async with af.Engine(tmp_path / "a.db", tasks=visits.tasks()) as engine:
        started = [await engine.start(definition(where), {"who": str(n)}) for n in range(4)]
        await asyncio.wait_for(visits.waiting.wait(), 60)
        reasons = [await each.why() for each in started]
        visits.gate.set()
        states = [await each.ended() for each in started]

    assert {state.status for state in states} == {"COMPLETED"}
    assert len(visits.groups) == 4, visits.seen
    assert sorted(str(entry[0]["kind"]) for entry in reasons) == ["admission"] * 3 + ["attempt"]


@pytest.mark.parametrize("where", ["tasks", "execution"])
async def test_hold_goes_on_over_a_restart(tmp_path: Path, where: str) -> None:
    before, after = Visits(), Visits()
    async with af.Engine(tmp_path / "a.db", tasks=before.tasks()) as engine:
        started = [await engine.start(definition(where), {"who": str(n)}) for n in range(3)]
        await asyncio.wait_for(before.waiting.wait(), 60)
    after.gate.set()
    async with af.Engine(tmp_path / "a.db", tasks=after.tasks()) as engine:
        states = [await engine.execution(each.id).ended() for each in started]

    assert {state.status for state in states} == {"COMPLETED"}
    first = before.seen[0][0]
    assert before.groups == [first]
    assert after.groups[0] == first
    assert len(after.groups) == 3, after.seen


@pytest.mark.parametrize("where", ["tasks", "execution"])
async def test_end_of_a_holder_lets_the_next_one_in(tmp_path: Path, where: str) -> None:
    visits = Visits()
    async with af.Engine(tmp_path / "a.db", tasks=visits.tasks()) as engine:
        started = [await engine.start(definition(where), {"who": str(n)}) for n in range(2)]
        await asyncio.wait_for(visits.waiting.wait(), 60)
        first = int(visits.seen[0][0])
        await started[first].cancel("enough")
        visits.gate.set()
        state = await started[1 - first].ended()

    assert state.status == "COMPLETED"
    assert visits.groups == [str(first), str(1 - first)]
