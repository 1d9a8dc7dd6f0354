"""Tasks performed again because another process took their execution up: order, values, and what waits."""

from __future__ import annotations

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncflow.decide.evolve_recovery import earlier_output
from asyncflow.decide.render import render_task
from asyncflow.decide.waiting import waits_for
from asyncflow.model.inputs import (
    AttemptAdmitted,
    AttemptEnded,
    AttemptInterrupted,
    RecoverTasks,
    ResumeExecution,
)
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.statuses import COMPLETED, FAILED
from asyncflow.model.values import JsonObject
from asyncflow.testing.pure import World
from asyncflow.testing.states import differences
from tests.decide.definitions import evaluate
from tests.decide.random_histories import random_world
from tests.decide.reopening_support import fork, loop, simple, workflow
from tests.decide.test_laws import check_derived

AGAIN: JsonObject = {"executeWhenRecovering": True}


def again(ref: str, **more: object) -> JsonObject:
    return simple(ref, **{"asyncflow": AGAIN, **more})


def open_refs(state: ExecutionState) -> set[str]:
    """The records that something is wanted of."""
    return {state.tasks[number].ref for number in state.wanted if number > 0}


def recovered(world: World, state: ExecutionState) -> ExecutionState:
    """The execution as another process has it, and what it does first."""
    world.recover(state.execution_id)
    world.send(state.execution_id, RecoverTasks())
    return world.states[state.execution_id]


def begun(*tasks: JsonObject, ended: str = "", **more: object) -> tuple[World, ExecutionState]:
    """A world with an execution in which so many tasks have ended, each with its name."""
    world = World(scripts=evaluate)
    state = world.start(workflow("w", *tasks, **more))
    for ref in ended.split():
        world.end(state, ref, {"v": ref})
    return world, state


def test_tasks_that_ask_are_performed_again_one_after_the_other() -> None:
    world, state = begun(again("a"), simple("b"), again("c"), simple("d"), ended="a b c")

    state = recovered(world, state)
    assert open_refs(state) == {"a"}
    world.end(state, "a", {"v": "new"})
    assert open_refs(state) == {"c"}
    world.end(state, "c", {"v": "c"})
    assert open_refs(state) == {"d"}
    world.end(state, "d")
    assert state.status == COMPLETED


def test_what_asks_for_nothing_goes_on_at_once() -> None:
    world, state = begun(simple("a"), again("b"), simple("c"), ended="a")

    state = recovered(world, state)
    assert open_refs(state) == {"b"}
    assert not state.recovering


@pytest.mark.parametrize("definition", [True, False])
def test_the_flag_counts_on_a_task_and_on_its_definition(definition: bool) -> None:  # noqa: FBT001
    kept: JsonObject = {"taskDefinition": {"name": "a", "asyncflow": AGAIN}} if definition else {}
    world, state = begun(simple("a", **kept), simple("b"), ended="a")

    assert open_refs(recovered(world, state)) == ({"a"} if definition else {"b"})


def test_a_result_replaces_the_one_before_and_what_followed_stays() -> None:
    read = simple("b", inputParameters={"of": "${a.output.v}"})
    world, state = begun(again("a"), read, simple("c"), ended="a b", outputParameters={"a": "${a.output.v}"})

    state = recovered(world, state)
    world.end(state, "a", {"v": "new"})
    world.end(state, "c")

    assert state.by_ref["b"].input == {"of": "a"}
    assert state.by_ref["b"].starts == 1
    assert state.output == {"a": "new"}


def test_the_result_before_is_read_meanwhile_and_told() -> None:
    world, state = begun(again("a"), simple("b"), ended="a")
    state = recovered(world, state)
    task = state.by_ref["a"]

    assert task.output == {"v": "a"}
    assert earlier_output(state, task) == {"v": "a"}
    shown = render_task(state, task)["asyncflow"]
    assert isinstance(shown, dict)
    assert (shown["recovered"], shown["previousOutputs"]) == (True, {"v": "a"})


def test_ended_tasks_outside_that_come_meanwhile_lead_on_afterwards() -> None:
    branches = fork("f", [again("a")], [simple("b"), simple("c")])
    world, state = begun(*branches, simple("end"), ended="a")
    world.begin(state, "b")

    state = recovered(world, state)
    world.send(state.execution_id, AttemptEnded(state.by_ref["b"].number, COMPLETED, {}))
    assert open_refs(state) == {"a"}
    assert "c" not in state.by_ref
    world.end(state, "a")
    assert open_refs(state) == {"c"}
    world.end(state, "c")
    world.end(state, "end")
    assert state.status == COMPLETED


def test_iterations_of_a_loop_are_performed_again_in_order() -> None:
    world, state = begun(loop("l", again("i"), times=3), simple("end"), ended="i__1 i__2")

    state = recovered(world, state)
    assert open_refs(state) == {"i__1"}
    world.end(state, "i__1")
    assert open_refs(state) == {"i__2"}
    world.end(state, "i__2")
    assert open_refs(state) == {"i__3"}


def test_a_failure_is_tried_again_and_then_fails_the_execution_where_a_retry_goes_on() -> None:
    tries: JsonObject = {"retryCount": 1, "taskDefinition": {"name": "a", "retryDelaySeconds": 0}}
    world, state = begun(again("a", **tries), again("b"), simple("c"), ended="a b")

    state = recovered(world, state)
    world.fail(state, "a")
    assert open_refs(state) == {"a"}
    assert earlier_output(state, state.by_ref["a"]) == {"v": "a"}
    world.fail(state, "a")
    assert state.status == FAILED
    world.retry(state)
    assert open_refs(state) == {"a"}
    world.end(state, "a")
    assert open_refs(state) == {"b"}
    world.end(state, "b")
    assert open_refs(state) == {"c"}


def test_a_recovery_that_is_broken_off_begins_anew_in_the_same_order() -> None:
    world, state = begun(again("a"), again("b"), again("c"), simple("d"), ended="a b c")
    state = recovered(world, state)
    world.end(state, "a", {"v": "2"})
    assert open_refs(state) == {"b"}

    state = recovered(world, state)
    assert open_refs(state) == {"a"}
    for ref in "abc":
        assert earlier_output(state, state.by_ref[ref]) == {"v": "2" if ref == "a" else ref}
        world.end(state, ref, {"v": ref})
    assert open_refs(state) == {"d"}


def test_an_attempt_that_was_broken_off_waits_for_those_that_are_performed_again() -> None:
    world = World(local=frozenset({"a", "b"}))
    state = world.start(workflow("w", again("a"), simple("b")))
    world.end(state, "a")
    world.begin(state, "b")

    state = recovered(world, state)
    world.send(state.execution_id, AttemptInterrupted(state.by_ref["b"].number, "gone", 0))
    assert open_refs(state) == {"a"}
    world.send(state.execution_id, AttemptAdmitted(state.by_ref["b"].number))
    assert state.by_ref["b"].starts == 0
    (entry,) = [each for each in waits_for(state) if each.get("task") == "b"]
    assert (entry["kind"], entry["of"]) == ("recovery", "a")


def test_a_paused_execution_performs_nothing_again_before_it_is_resumed() -> None:
    world, state = begun(again("a"), simple("b"), ended="a")
    world.pause(state)

    state = recovered(world, state)
    assert state.by_ref["a"].is_ended
    world.send(state.execution_id, ResumeExecution())
    assert open_refs(state) == {"a"}


def test_a_terminated_recovery_is_over() -> None:
    world, state = begun(again("a"), simple("b"), ended="a")
    state = recovered(world, state)

    world.terminate(state)
    assert not state.wanted
    world.restart(state)
    assert not state.recovering


@settings(deadline=None)
@given(st.integers(0, 2**32))
def test_recoveries_at_random_moments_end_as_an_unbroken_run_does(seed: int) -> None:
    """Tasks that give the same again change nothing of an execution but when it ends."""
    unbroken, definition = random_world(seed, ends=False)
    broken, _ = random_world(seed, ends=False)
    _mark(definition, random.Random(seed))
    for world in (unbroken, broken):
        world.start(definition, {"n": 1, "list": [1, 2]})
    dice = random.Random(seed)
    for _ in range(200):
        found = [task for _, task in broken.runnable()]
        if not found:
            break
        _step(broken)
        if dice.random() < 0.3:
            for identity in list(broken.states):
                state = recovered(broken, broken.states[identity])
                assert differences(state, broken.fold(identity)) == []
                check_derived(state, broken.fold(identity))
    for world in (unbroken, broken):
        world.run(_outcome)

    for identity, state in unbroken.states.items():
        other = broken.states[identity]
        assert other.status == state.status
        assert _results(other) == _results(state)


def _mark(definition: JsonObject, dice: random.Random) -> None:
    """Let some of all tasks in a definition ask."""
    if definition.get("type") == "SIMPLE" and dice.random() < 0.5:
        own = definition.get("asyncflow")
        definition["asyncflow"] = {**(own if isinstance(own, dict) else {}), **AGAIN}
    for value in list(definition.values()):
        for each in value if isinstance(value, list) else [value]:
            if isinstance(each, dict):
                _mark(each, dice)
            elif isinstance(each, list):
                for inner in each:
                    _mark(inner, dice)


def _outcome(task: TaskState) -> JsonObject:
    return {"v": task.ref}


def _step(world: World) -> None:
    state, task = next(iter(world.runnable()))
    world.send(state.execution_id, AttemptAdmitted(task.number))
    world.send(state.execution_id, AttemptEnded(task.number, COMPLETED, _outcome(task)))


def _results(state: ExecutionState) -> dict[str, object]:
    return {ref: (task.status, task.output) for ref, task in state.by_ref.items()}
