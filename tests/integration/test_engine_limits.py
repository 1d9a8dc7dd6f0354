"""Laws: what a limit allows holds through the whole engine, live, across restarts, and fails by name."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.model.events import AttemptStarted
from asyncflow.model.inputs import Evaluate, PauseExecution, ResumeExecution
from asyncflow.model.values import JsonObject
from asyncflow.runtime.command_task import CommandPolicy
from asyncflow.runtime.engine import EngineSettings
from tests.integration.engine_support import simple, workflow
from tests.integration.waiting import until


class Gauge:
    """How many were inside at once, at most, and a gate they wait at."""

    def __init__(self) -> None:
        self.inside = self.most = self.calls = 0
        self.gate = asyncio.Event()
        self.changed = asyncio.Event()

    async def enter(self) -> None:
        self.calls += 1
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.changed.set()
        try:
            await self.gate.wait()
        finally:
            self.inside -= 1

    async def until_inside(self, count: int) -> None:
        async with asyncio.timeout(60):
            while self.inside < count:
                self.changed.clear()
                await self.changed.wait()


@pytest.mark.parametrize("which", ["definition", "registered", "resource"])
async def test_no_more_run_at_once_than_a_limit_allows(tmp_path: Path, which: str) -> None:
    gauge = Gauge()

    @af.task(retries=0)
    async def work() -> None:
        await gauge.enter()

    body = workflow("limited", [simple("work")])
    if which == "definition":
        body["tasks"][0]["taskDefinition"]["concurrentExecLimit"] = 3  # type: ignore[index]
    elif which == "resource":
        body["tasks"][0]["asyncflow"] = {"resources": [{"name": "slots"}]}  # type: ignore[index]
    resources = {"slots": af.ResourceLimit(3)}
    async with af.Engine(tmp_path / "a.db", tasks=[work], resources=resources) as engine:
        if which == "registered":
            await engine.service.register_task({"name": "work", "concurrentExecLimit": 3, "retryCount": 0})
        started = [await engine.start(body) for _ in range(10)]
        await gauge.until_inside(3)
        reason = await started[-1].why()
        gauge.gate.set()
        states = [await each.ended() for each in started]

    assert gauge.most == 3
    assert {state.status for state in states} == {"COMPLETED"}
    assert reason[0]["kind"] == "admission"
    assert reason[0]["state"] == "waiting"


async def test_grants_that_come_together_and_were_given_back_begin_nothing(tmp_path: Path) -> None:
    gauge = Gauge()

    @af.task(retries=0, resources=["slots"])
    async def work() -> None:
        await gauge.enter()

    forked = {"type": "FORK_JOIN_DYNAMIC", "name": "fork", "taskReferenceName": "fork"}
    given = {"forkTaskName": "work", "forkTaskInputs": [{}] * 12}
    join = {"type": "JOIN", "name": "join", "taskReferenceName": "join"}
    body = {"name": "many", "version": 1, "tasks": [{**forked, "inputParameters": given}, join]}
    slots = {"slots": af.ResourceLimit(1)}
    async with af.Engine(tmp_path / "a.db", tasks=[work], resources=slots) as engine:
        await engine.service.register_task(work.definition())
        execution = await engine.start(body)
        await gauge.until_inside(1)
        inner = engine.service.engine
        for each in (PauseExecution(), ResumeExecution()):  # all ask anew, behind the grants on their way
            inner.turns.report(execution.id, each)
        inner.carry.set_limit("slots", af.ResourceLimit(100))
        inner.carry.set_limit("slots", af.ResourceLimit(1))
        await inner.turns.submit(execution.id, Evaluate())
        held = inner.admission.in_use("slots")
        gauge.gate.set()
        ended = await execution.ended()

    assert (held, gauge.most, gauge.calls, ended.status) == (1, 1, 12, "COMPLETED")


async def test_limit_registered_later_holds_for_executions_that_began_before(tmp_path: Path) -> None:
    gauge = Gauge()

    @af.task(retries=0)
    async def first() -> None:
        pass

    @af.task(retries=0)
    async def work() -> None:
        await gauge.enter()

    body = workflow("w", [{"name": "w", "taskReferenceName": "w", "type": "WAIT"}, simple("work")])
    async with af.Engine(tmp_path / "a.db", tasks=[first, work]) as engine:
        started = [await engine.start(body) for _ in range(6)]
        await engine.service.register_task({"name": "work", "concurrentExecLimit": 1})
        for each in started:
            await each.signal("w")
        await gauge.until_inside(1)
        await engine.service.register_task({"name": "work", "concurrentExecLimit": 4})
        await gauge.until_inside(4)
        gauge.gate.set()
        for each in started:
            await each.ended()

    assert gauge.most == 4
    assert gauge.calls == 6


async def test_grants_survive_a_restart_and_waiters_follow(tmp_path: Path) -> None:
    gauge = Gauge()
    fences: list[int] = []

    @af.task(retries=0)
    async def work(ctx: af.TaskContext) -> None:
        fences.append(ctx.fence)
        await gauge.enter()

    use = {"resources": [{"name": "table", "mode": "exclusive", "key": "${workflow.input.day}"}]}
    body = workflow("w", [simple("work", asyncflow=use)])
    async with af.Engine(tmp_path / "a.db", tasks=[work]) as engine:
        started = [await engine.start(body, {"day": "monday"}) for _ in range(3)]
        await gauge.until_inside(1)
    gauge.inside = 0
    async with af.Engine(tmp_path / "a.db", tasks=[work]) as engine:
        await gauge.until_inside(1)
        gauge.gate.set()
        states = [await engine.execution(each.id).ended() for each in started]

    assert gauge.most == 1
    assert {state.status for state in states} == {"COMPLETED"}
    assert fences == sorted(set(fences))
    assert len(fences) == 4


@pytest.mark.parametrize(
    ("extension", "named"),
    [
        ({"resources": [{"name": "${workflow.input.missing}"}]}, "asyncflow.resources[0].name"),
        (
            {"resources": [{"name": "t", "mode": "exclusive", "key": "${workflow.input.missing}"}]},
            "asyncflow.resources[0].key",
        ),
        ({"resources": [{"name": "t"}], "priority": "${workflow.input.missing}"}, "asyncflow.priority"),
        ({"resources": [{"name": "small", "weight": 9}]}, "weight on resource small"),
    ],
)
async def test_need_that_comes_to_nothing_fails_the_task_by_name(
    tmp_path: Path, extension: JsonObject, named: str
) -> None:
    @af.task(retries=0)
    async def work() -> None:
        pass

    resources = {"small": af.ResourceLimit(2)}
    async with af.Engine(tmp_path / "a.db", tasks=[work], resources=resources) as engine:
        execution = await engine.start(workflow("w", [simple("work", asyncflow=extension)]))
        state = await execution.ended()

    assert state.status == "FAILED"
    assert named in (state.tasks[1].reason or "")


async def test_terminating_a_holder_hands_its_slot_on(tmp_path: Path) -> None:
    gauge = Gauge()

    @af.task(retries=0)
    async def work() -> None:
        await gauge.enter()

    body = workflow("w", [simple("work", asyncflow={"resources": [{"name": "one"}]})])
    async with af.Engine(tmp_path / "a.db", tasks=[work], resources={"one": af.ResourceLimit(1)}) as engine:
        first, second = await engine.start(body), await engine.start(body)
        await gauge.until_inside(1)
        await first.cancel("make room")
        async with asyncio.timeout(60):
            while gauge.calls < 2:
                gauge.changed.clear()
                await gauge.changed.wait()
        gauge.gate.set()

        assert (await second.ended()).status == "COMPLETED"


async def test_rate_counts_starts_of_the_process_before(tmp_path: Path) -> None:
    calls: list[str] = []

    @af.task(retries=0)
    async def work(ctx: af.TaskContext) -> None:
        calls.append(ctx.execution_id)

    body = workflow("w", [simple("work", asyncflow={"resources": [{"name": "slow"}]})])
    resources = {"slow": af.ResourceLimit(rate=2, rate_window_ms=3_600_000)}
    async with af.Engine(tmp_path / "a.db", tasks=[work], resources=resources) as engine:
        for _ in range(2):
            await engine.run(body)
    async with af.Engine(tmp_path / "a.db", tasks=[work], resources=resources) as engine:
        third = await engine.start(body)
        await engine.service.engine.views_caught_up()
        reason = await third.why()

    assert len(calls) == 2
    assert reason[0]["kind"] == "admission"


async def test_function_missing_after_a_restart_is_waited_for_by_name(tmp_path: Path) -> None:
    gauge = Gauge()

    @af.task(retries=0)
    async def work() -> None:
        await gauge.enter()

    async with af.Engine(tmp_path / "a.db", tasks=[work]) as engine:
        started = await engine.start(workflow("w", [simple("work")]))
        await gauge.until_inside(1)
    gauge.gate.set()
    async with af.Engine(tmp_path / "a.db") as engine:
        execution = engine.execution(started.id)
        await until(lambda: engine.service.engine.carry.admitting.unloaded)
        reason = await execution.why()
        engine.load(work)
        state = await execution.ended()

    assert reason[0]["state"] == "function_not_loaded"
    assert reason[0]["name"] == "work"
    assert state.status == "COMPLETED"


async def test_command_tasks_stand_under_limits_too(tmp_path: Path) -> None:
    def command(ref: str) -> JsonObject:
        return {
            "name": "command",
            "taskReferenceName": ref,
            "type": "COMMAND",
            "inputParameters": {"executable": "/bin/true"},
            "asyncflow": {"resources": [{"name": "one"}]},
        }

    settings = EngineSettings(commands=CommandPolicy(enabled=True, root=tmp_path))
    resources = {"one": af.ResourceLimit(1)}
    async with af.Engine(tmp_path / "a.db", settings=settings, resources=resources) as engine:
        runs = [await engine.start(workflow("w", [command("a"), command("b")])) for _ in range(3)]
        states = [await each.ended() for each in runs]
        usage = engine.service.engine.admission.usage()
        started = [
            recorded.event
            for each in runs
            async for recorded in each.events()
            if isinstance(recorded.event, AttemptStarted)
        ]

    assert {state.status for state in states} == {"COMPLETED"}
    assert len(started) == 6
    assert all(event.grants == [["one", 1, None, ""]] for event in started)
    assert usage["one"]["in_use"] == 0
