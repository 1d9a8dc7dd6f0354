"""Checklist, commands on executions: C119 to C127 by their numbers, on a real engine."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import asyncflow as af
from asyncflow.errors import NotFound, Refused
from asyncflow.model.events import Event, ExecutionResumed, TaskScheduled
from asyncflow.model.statuses import CANCELED, COMPLETED, FAILED, TERMINATED
from tests.integration.hostile import Json, end_of, gives, task, workflow

HUMAN = task("HUMAN", "h")
FAILS = task("TERMINATE", "t", inputParameters={"terminationStatus": "FAILED"})


class Switchboard:
    """A task that fails until it is mended, and counts its calls by name."""

    def __init__(self) -> None:
        self.mended = False
        self.calls: list[str] = []

    def functions(self) -> list[af.sdk.tasks.TaskFunction[..., object]]:
        @af.task(retries=0)
        async def steady(who: str = "steady") -> str:
            self.calls.append(who)
            return who

        @af.task(retries=0)
        async def brittle(who: str = "brittle") -> str:
            self.calls.append(who)
            if not self.mended:
                raise ValueError("not mended")
            return who

        return [steady, brittle]


def child(ref: str, body: Json) -> Json:
    return task("SUB_WORKFLOW", ref, subWorkflowParam={"name": body["name"], "workflowDefinition": body})


def beside(*branch: Json) -> list[Json]:
    """The branch in a fork, with a task that succeeds beside it."""
    last = branch[-1]["taskReferenceName"]
    other = task(ref="steady", inputParameters={"who": "beside"})
    return [
        task("FORK_JOIN", "f", forkTasks=[list(branch), [other]]),
        task("JOIN", "j", joinOn=[last, "steady"]),
    ]


async def scheduled(execution: af.Execution, ref: str) -> None:
    async with asyncio.timeout(60):
        async for recorded in execution.events():
            if isinstance(recorded.event, TaskScheduled) and recorded.event.ref == ref:
                return


async def test_c119_terminate_cancels_what_is_pending_gives_its_reason_and_schedules_nothing_more() -> None:
    async with af.Engine() as engine:
        execution = await engine.start(workflow(*beside(HUMAN), gives("never")))
        await scheduled(execution, "h")
        await execution.cancel("not wanted any more")
        shown = await execution.get()
        await execution.cancel("asked again: changes nothing")

        assert (shown["status"], shown["reasonForIncompletion"]) == (TERMINATED, "not wanted any more")
        statuses = {each["referenceTaskName"]: each["status"] for each in shown["tasks"]}  # type: ignore[attr-defined]
        assert (statuses["h"], statuses["j"]) == (CANCELED, CANCELED)
        assert "a" not in statuses
        with pytest.raises(Refused):
            await execution.pause()


async def test_c119_what_a_terminated_task_held_goes_to_the_next_at_once() -> None:
    begun: asyncio.Queue[str] = asyncio.Queue()

    @af.task(retries=0)
    async def holds(who: str) -> None:
        await begun.put(who)
        await asyncio.get_running_loop().create_future()

    one = task(
        ref="holds",
        inputParameters={"who": "${workflow.input.who}"},
        asyncflow={"resources": [{"name": "printer"}]},
    )
    async with af.Engine(tasks=[holds], resources={"printer": af.ResourceLimit(max_concurrent=1)}) as engine:
        first = await engine.start(workflow(one), {"who": "first"})
        async with asyncio.timeout(60):
            assert await begun.get() == "first"
            await engine.start(workflow(one), {"who": "second"})
            assert begun.empty()
            await first.cancel()
            assert await begun.get() == "second"


@pytest.mark.parametrize("compensate", [False, True])
async def test_c120_failure_workflow_follows_a_termination_only_where_asked(compensate: bool) -> None:  # noqa: FBT001
    async with af.Engine() as engine:
        await engine.service.register_workflow(workflow(gives("${workflow.input.reason}"), name="clean-up"))
        execution = await engine.start(workflow(HUMAN, failureWorkflow="clean-up"))
        await engine.service.terminate(execution.id, "why", failure_workflow=compensate)
        started = (await execution.ended()).output.get("conductor.failure_workflow")

        assert (started is not None) == compensate
        if compensate:
            assert await engine.execution(str(started)).result() == {"result": "why"}


async def test_c120_failure_workflow_follows_a_failure_by_itself() -> None:
    async with af.Engine() as engine:
        await engine.service.register_workflow(
            workflow(gives("${workflow.input.failureStatus}"), name="clean-up")
        )
        state = await end_of(engine, workflow(FAILS, failureWorkflow="clean-up"))
        started = str(state.output["conductor.failure_workflow"])

        assert await engine.execution(started).result() == {"result": FAILED}


async def test_c121_retry_goes_on_from_the_failed_task_and_keeps_what_is_done() -> None:
    board = Switchboard()
    async with af.Engine(tasks=board.functions()) as engine:
        execution = await engine.start(workflow(task(ref="steady"), task(ref="brittle"), gives("end")))
        assert (await execution.ended()).status == FAILED
        board.mended = True
        await execution.retry()

        assert await execution.result() == {"result": "end"}
        assert board.calls == ["steady", "brittle", "brittle"]


async def test_c121_retry_takes_up_what_was_terminated_and_refuses_what_is_done() -> None:
    async with af.Engine() as engine:
        execution = await engine.start(workflow(gives(1), HUMAN))
        with pytest.raises(NotFound, match="RUNNING"):  # Conductor's word for it
            await execution.retry()
        await execution.cancel()
        await execution.retry()
        await execution.signal("h", {"n": 2})

        assert await execution.result() == {"n": 2}
        with pytest.raises(Refused):
            await execution.retry()


@pytest.mark.parametrize(("resume", "outer"), [(True, 1), (False, 2)])
async def test_c122_failed_child_is_resumed_at_its_failure_or_started_again(resume: bool, outer: int) -> None:  # noqa: FBT001
    board = Switchboard()
    innermost = workflow(task(ref="steady", inputParameters={"who": "inner"}), task(ref="brittle"), name="c3")
    middle = workflow(*beside(child("sub", innermost)), name="c2")
    body = workflow(*beside(child("sub", middle)), name="c1")
    async with af.Engine(tasks=board.functions()) as engine:
        execution = await engine.start(body)
        async with asyncio.timeout(60):
            assert (await execution.ended()).status == FAILED
            board.mended = True
            await execution.retry(resume_children=resume)
            await execution.result()

        assert board.calls.count("inner") == outer
        assert board.calls.count("brittle") == 2


@pytest.mark.parametrize("latest", [False, True])
async def test_c123_restart_begins_again_on_the_old_or_the_latest_definition(latest: bool) -> None:  # noqa: FBT001
    async with af.Engine() as engine:
        await engine.service.register_workflow(workflow(HUMAN, gives("old")))
        execution = await engine.start("w")
        with pytest.raises(Refused):
            await execution.restart()
        await execution.signal("h")
        assert await execution.result() == {"result": "old"}
        await engine.service.register_workflow(workflow(gives("new"), version=2))
        await execution.restart(latest_definition=latest)
        if not latest:
            await execution.signal("h")

        assert await execution.result() == {"result": "new" if latest else "old"}


@pytest.mark.parametrize("end", ["complete", "fail", "terminate"])
async def test_c123_restart_is_possible_from_every_end(end: str) -> None:
    async with af.Engine() as engine:
        execution = await engine.start(workflow(HUMAN))
        if end == "terminate":
            await execution.cancel()
        else:
            await execution.signal(
                "h", status=COMPLETED if end == "complete" else "FAILED_WITH_TERMINAL_ERROR"
            )
        assert (await execution.ended()).is_ended
        await execution.restart()
        await execution.signal("h", {"again": True})

        assert await execution.result() == {"again": True}


SHAPES: dict[str, list[Json]] = {
    "list": [gives(1), task(ref="steady"), gives(2, "b")],
    "fork": [task("FORK_JOIN", "f", forkTasks=[[task(ref="steady")], [gives(1)]]),
             task("JOIN", "j", joinOn=["steady", "a"])],
    "switch": [task("SWITCH", "s", evaluatorType="value-param", expression="k", inputParameters={"k": "x"},
                    decisionCases={"x": [task(ref="steady")]})],
    "loop": [task("DO_WHILE", "l", loopCondition="$.l['iteration'] < 3", loopOver=[task(ref="steady")])],
}  # fmt: skip


@pytest.mark.parametrize("shape", SHAPES)
async def test_c124_rerun_from_a_task_runs_it_and_what_follows_with_changed_input(shape: str) -> None:
    board = Switchboard()
    async with af.Engine(tasks=board.functions()) as engine:
        execution = await engine.start(
            workflow(*SHAPES[shape], outputParameters={"n": "${workflow.input.n}"})
        )
        await execution.result()
        before = len(board.calls)
        tasks = (await execution.get())["tasks"]
        chosen = next(each for each in tasks if each["taskType"] == "steady")  # type: ignore[attr-defined]
        await execution.rerun(
            from_task=str(chosen["taskId"]), task_input={"who": "changed"}, workflow_input={"n": 9}
        )

        assert await execution.result() == {"n": 9}
        assert len(board.calls) > before
        assert board.calls[before] == "changed"


async def test_c125_pause_lets_what_runs_finish_and_starts_nothing() -> None:
    gate, begun = asyncio.Event(), asyncio.Event()

    @af.task(retries=0)
    async def runs() -> str:
        begun.set()
        await gate.wait()
        return "finished"

    async with af.Engine(tasks=[runs]) as engine:
        execution = await engine.start(workflow(task(ref="runs"), gives("after")))
        await begun.wait()
        await execution.pause("lunch")
        gate.set()
        async with asyncio.timeout(60):
            async for recorded in execution.events():
                if type(recorded.event).__name__ == "TaskEnded":
                    break
        shown = await execution.get()

        assert shown["status"] == "PAUSED"
        assert [each["status"] for each in shown["tasks"]] == [COMPLETED]  # type: ignore[attr-defined]
        await execution.resume()
        assert await execution.result() == {"result": "after"}


async def test_c126_resume_schedules_what_is_next_in_its_own_turn() -> None:
    async with af.Engine() as engine:
        execution = await engine.start(workflow(task("HUMAN", "first"), task("HUMAN", "second")))
        await execution.pause()
        await execution.signal("first")
        await execution.resume()
        shown = await execution.get()
        history = (await engine.service.engine._store.read_streams([execution.id]))[execution.id]
        events: list[tuple[int, Event]] = [(each.seq, each.event) for each in history]
        resumed = next(seq for seq, event in events if isinstance(event, ExecutionResumed))
        second = next(
            seq for seq, event in events if isinstance(event, TaskScheduled) and event.ref == "second"
        )
        turns = await _turns_of(engine, execution.id, {resumed, second})

        assert [each["referenceTaskName"] for each in shown["tasks"]] == ["first", "second"]  # type: ignore[attr-defined]
        assert len(turns) == 1


async def _turns_of(engine: af.Engine, stream: str, seqs: set[int]) -> set[int]:
    """The turns in which these events of a stream were committed."""
    found: set[int] = set()
    async for turns in engine.service.engine._store.read_turns(0):
        for turn in turns:
            for name, first, events in turn.entries:
                if name == stream and seqs & set(range(first, first + len(events))):
                    found.add(turn.number)
    return found


async def test_c127_executions_stay_until_somebody_removes_them(tmp_path: Path) -> None:
    file = tmp_path / "flow.db"
    async with af.Engine(file) as engine:
        ids = [(await engine.start(workflow(gives(index)))).id for index in range(300)]
    async with af.Engine(file) as engine:
        outputs = [await engine.execution(identity).result() for identity in ids]

    assert outputs == [{"result": index} for index in range(300)]
