"""R90 to R92 and R96: what grows without end is stopped at a named limit, and the engine goes on."""

from __future__ import annotations

import asyncio

import pytest

import asyncflow as af
from asyncflow.errors import LimitExceeded
from asyncflow.model.limits import Limits
from asyncflow.model.state import ExecutionState
from asyncflow.model.statuses import COMPLETED, FAILED, TERMINATED
from tests.integration.hostile import end_of, gives, hostile_engine, is_well, task, workflow

SUB = {"name": "again"}


def loop(*body: dict[str, object], condition: str = "true", **fields: object) -> dict[str, object]:
    return task("DO_WHILE", "l", loopCondition=condition, loopOver=list(body), **fields)


async def test_r90_loop_without_end_stops_at_its_limit() -> None:
    async with hostile_engine(limits=Limits(loop_iterations=50)) as engine:
        state = await end_of(engine, workflow(loop(task("NOOP", "n"))))

        assert state.status == FAILED
        assert "limit_exceeded: loop_iterations: at most 50" in str(state.reason)
        assert state.latest["n"].iteration == 50


async def test_r90_loop_of_a_thousand_million_iterations_stops_at_its_limit() -> None:
    counted = task(
        "DO_WHILE",
        "l",
        loopCondition="$.l['iteration'] < 1000000000",
        loopOver=[task("NOOP", "n")],
    )
    async with hostile_engine(limits=Limits(loop_iterations=30)) as engine:
        state = await end_of(engine, workflow(counted))

        assert state.status == FAILED
        assert "loop_iterations: at most 30" in str(state.reason)


async def test_r90_loop_at_its_limit_completes() -> None:
    counted = loop(task("NOOP", "n"), condition="$.l['iteration'] < 30")
    async with hostile_engine(limits=Limits(loop_iterations=30)) as engine:
        assert (await end_of(engine, workflow(counted))).status == COMPLETED


async def test_r90_workflow_that_is_its_own_child_stops() -> None:
    async with hostile_engine() as engine:
        await engine.register(workflow(task("SUB_WORKFLOW", "s", subWorkflowParam=SUB), name="again"))
        state = await end_of(engine, "again")

        assert state.status == FAILED
        assert "sub-workflow depth" in deepest_reason(engine.service.engine.turns.states)


async def test_r90_workflows_that_are_each_others_children_stop() -> None:
    async with hostile_engine() as engine:
        await engine.register(workflow(task("NOOP", "n"), name="b"))
        await engine.register(
            workflow(task("SUB_WORKFLOW", "s", subWorkflowParam={"name": "b", "version": 2}), name="a")
        )
        await engine.register(
            workflow(task("SUB_WORKFLOW", "s", subWorkflowParam={"name": "a"}), name="b", version=2)
        )
        state = await end_of(engine, "a")

        assert state.status == FAILED
        assert "sub-workflow depth" in deepest_reason(engine.service.engine.turns.states)


async def test_r90_definition_that_hands_itself_on_stops() -> None:
    """A child given by an expression, which is the definition itself: known to no registry."""
    inner = workflow(
        task(
            "SUB_WORKFLOW",
            "s",
            subWorkflowParam={"name": "q", "workflowDefinition": "${workflow.input.d}"},
            inputParameters={"d": "${workflow.input.d}"},
        ),
        name="q",
    )
    async with hostile_engine() as engine:
        state = await end_of(engine, inner, {"d": inner})

        assert state.status == FAILED
        assert "sub-workflow depth" in deepest_reason(engine.service.engine.turns.states)


async def test_r90_failure_workflow_that_fails_and_names_itself_stops() -> None:
    fails = task("TERMINATE", "t", inputParameters={"terminationStatus": "FAILED"})
    async with hostile_engine() as engine:
        await engine.register(workflow(fails, name="again", failureWorkflow="again"))
        state = await end_of(engine, "again")
        states = engine.service.engine.turns.states.values()

        assert state.status == FAILED
        assert 2 < len([each for each in states if each.name == "again"]) < 200


async def test_r90_execution_that_starts_itself_for_ever_keeps_nobody_waiting() -> None:
    request = {"startWorkflow": {"name": "storm", "input": {}}}
    async with hostile_engine() as engine:
        await engine.register(workflow(task("START_WORKFLOW", "s", inputParameters=request), name="storm"))
        await engine.start("storm")
        for _ in range(3):
            await is_well(engine)
        await engine.service.unregister_workflow("storm", 1)


async def test_r90_self_nesting_variable_stops_before_it_cannot_be_stored() -> None:
    grow = task("SET_VARIABLE", "v", inputParameters={"x": {"x": "${workflow.variables.x}"}})
    async with hostile_engine() as engine:
        state = await end_of(engine, workflow(loop(grow), variables={"x": 1}))

        assert state.status == FAILED
        assert "payload_depth" in str(state.reason)


async def test_r90_self_doubling_input_stops_before_it_fills_memory() -> None:
    """Each iteration holds the last one twice: 2^n bytes, at no cost until they are written."""
    first = task("NOOP", "n", inputParameters={"x": ["${n.input.x}", "${n.input.x}", "0123456789"]})
    async with hostile_engine() as engine:
        state = await end_of(engine, workflow(loop(first)))

        assert state.status == FAILED
        assert "payload_" in str(state.reason)


async def test_r90_template_that_names_a_large_output_a_thousand_times_is_refused() -> None:
    bomb = task("NOOP", "n", inputParameters={"x": ["${a.output.result}"] * 1_000})
    async with hostile_engine() as engine:
        state = await end_of(
            engine, workflow(gives("${workflow.input.text}"), bomb), {"text": "x" * 1_000_000}
        )

        assert state.status == FAILED
        assert "limit_exceeded: payload_bytes: input of task n: at most 2097152" in str(state.reason)


async def test_r90_output_parameters_that_multiply_are_refused() -> None:
    body = workflow(gives("${workflow.input.text}"), outputParameters={"x": ["${a.output.result}"] * 1_000})
    async with hostile_engine() as engine:
        state = await end_of(engine, body, {"text": "x" * 1_000_000})

        assert "payload_bytes" in str(state.output["error"])


def deepest_reason(states: dict[str, ExecutionState]) -> str:
    return " ".join(str(state.reason) for state in states.values())


@pytest.mark.parametrize(("size", "status"), [(1_000, COMPLETED), (1_001, FAILED)])
async def test_r91_output_at_its_limit_and_one_past_it(size: int, status: str) -> None:
    @af.task(retries=0)
    async def fill(size: int) -> dict[str, str]:
        return {"x": "y" * (size - len('{"x":""}'))}

    async with hostile_engine(fill, limits=Limits(payload_bytes=1_000)) as engine:
        state = await end_of(engine, workflow(task(ref="fill", inputParameters={"size": size})))

        assert state.status == status
        assert status == COMPLETED or "payload_too_large: task output: at most 1000, got 1001" in str(
            state.reason
        )


@pytest.mark.parametrize(("size", "fits"), [(1_000, True), (1_001, False)])
async def test_r91_input_at_its_limit_and_one_past_it(size: int, fits: bool) -> None:  # noqa: FBT001
    given: dict[str, object] = {"x": "y" * (size - len('{"x":""}'))}
    async with hostile_engine(limits=Limits(payload_bytes=1_000)) as engine:
        if fits:
            assert (await end_of(engine, workflow(task("NOOP", "n")), given)).status == COMPLETED
        else:
            with pytest.raises(
                LimitExceeded, match="payload_too_large: input in bytes: at most 1000, got 1001"
            ):
                await engine.start(workflow(task("NOOP", "n")), given)


@pytest.mark.parametrize(("width", "status"), [(20, COMPLETED), (21, FAILED)])
async def test_r92_fan_out_at_its_limit_and_one_past_it(width: int, status: str) -> None:
    fork = task(
        "FORK_JOIN_DYNAMIC",
        "f",
        inputParameters={
            "forkTaskName": "n",
            "forkTaskType": "NOOP",
            "forkTaskInputs": "${workflow.input.each}",
        },
    )
    body = workflow(fork, task("JOIN", "j"))
    async with hostile_engine(limits=Limits(fork_width=20)) as engine:
        state = await end_of(engine, body, {"each": [{"i": index} for index in range(width)]})

        assert state.status == status
        assert status == COMPLETED or "fork_width: at most 20, got 21" in str(state.reason)


async def test_r92_branches_that_each_hold_a_large_value_are_refused_by_size() -> None:
    fork = task(
        "FORK_JOIN_DYNAMIC",
        "f",
        inputParameters={
            "forkTaskName": "n",
            "forkTaskType": "NOOP",
            "forkTaskInputs": [{"x": ["${workflow.input.text}"] * 8} for _ in range(3)],
        },
    )
    async with hostile_engine(limits=Limits(payload_bytes=100_000)) as engine:
        state = await end_of(engine, workflow(fork, task("JOIN", "j")), {"text": "x" * 50_000})

        assert state.status == FAILED
        assert "payload_bytes" in str(state.reason)


async def test_r96_history_stops_cleanly_at_its_limit() -> None:
    async with hostile_engine(limits=Limits(history_events=500)) as engine:
        state = await end_of(engine, workflow(loop(task("NOOP", "n"))))

        assert state.status == FAILED
        assert "limit_exceeded: history_events: at most 500" in str(state.reason)
        assert 500 < state.seq < 520


async def test_r96_history_counts_over_restarts() -> None:
    body = workflow(loop(task("NOOP", "n"), condition="$.l['iteration'] < 10"))
    async with hostile_engine(limits=Limits(history_events=150)) as engine:
        execution = await engine.start(body)
        ends = []
        async with asyncio.timeout(60):
            for _ in range(8):
                state = await execution.ended()
                ends.append(state.status)
                if state.status != COMPLETED:
                    break
                await execution.restart()

        assert ends[0] == COMPLETED
        assert ends[-1] == FAILED
        assert TERMINATED not in ends


async def test_r96_history_warns_once_at_a_tenth(caplog: pytest.LogCaptureFixture) -> None:
    body = workflow(loop(task("NOOP", "n"), condition="$.l['iteration'] < 30"))
    async with hostile_engine(limits=Limits(history_events=1_000)) as engine:
        state = await end_of(engine, body)

    warned = [record for record in caplog.records if "a tenth of its history" in record.message]
    assert (state.status, len(warned)) == (COMPLETED, 1)
    assert warned[0].execution == state.execution_id  # type: ignore[attr-defined]
