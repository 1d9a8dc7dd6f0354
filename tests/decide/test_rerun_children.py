"""Smart reruns whose selectors mean tasks of sub-workflows: only what is concerned there runs again."""

from __future__ import annotations

import asyncio

from asyncflow.app.reruns import planned
from asyncflow.decide.rerun_plan import RerunPlan, RerunRequest, command_of
from asyncflow.model.inputs import RerunExecution
from asyncflow.model.state import ExecutionState, TaskState
from asyncflow.model.values import JsonObject
from asyncflow.testing.states import differences
from tests.decide.reopening_support import simple, sub, workflow
from tests.decide.rerun_support import Rerun, actions, reasons


def link(ref: str, before: str) -> JsonObject:
    return {**simple(ref), "inputParameters": {"of": f"${{{before}}}"}}


def value(task: TaskState) -> JsonObject:
    return {"v": task.ref}


INNER = workflow(
    "inner",
    simple("x"),
    link("y", "x.output.v"),
    link("z", "y.output.v"),
    outputParameters={"v": "${z.output.v}"},
)
MIDDLE = workflow("middle", simple("m"), sub("inside", "inner"), outputParameters={"v": "${inside.output.v}"})
OUTER = workflow("outer", simple("a"), sub("child", "middle"), link("b", "child.output.v"))


def made() -> Rerun:
    return Rerun(OUTER, outcome=value, others=(INNER, MIDDLE))


def plan_of(rerun: Rerun, *changed: str, completed: str = "keep") -> RerunPlan:
    async def load(stream: str) -> ExecutionState:
        return rerun.world.states[stream]

    return asyncio.run(planned(load, rerun.state, RerunRequest(changed, completed)))


def below(rerun: Rerun, *refs: str) -> ExecutionState:
    """The execution below a chain of SUB_WORKFLOW tasks."""
    state = rerun.state
    for ref in refs:
        state = rerun.world.child(state, ref)
    return state


def check(rerun: Rerun) -> None:
    """All is done, and is what the journal says."""
    for identity, state in rerun.world.states.items():
        assert state.status == "COMPLETED"
        assert differences(state, rerun.world.fold(identity)) == []


def test_only_the_selected_task_of_a_child_runs_again_where_it_comes_out_as_before() -> None:
    rerun = made()
    before = below(rerun, "child", "inside").execution_id

    plan = plan_of(rerun, "ref:y")

    assert actions(plan) == {"a": "reuse", "child": "redo", "b": "redo"}
    assert reasons(plan)["child"] == "ref:y means inside below it"
    assert rerun.apply(plan) == ["y"]
    assert below(rerun, "child", "inside").execution_id == before
    check(rerun)


def test_a_new_result_in_a_child_goes_on_through_all_that_reads_it() -> None:
    rerun = made()
    rerun.outcome = lambda task: {"v": f"{task.ref} again"}

    assert rerun.apply(plan_of(rerun, "name:y")) == ["b", "y", "z"]
    assert rerun.state.by_ref["b"].input == {"of": "z again"}
    check(rerun)


def test_a_child_behind_what_runs_again_is_a_new_one_and_runs_whole() -> None:
    rerun = made()

    assert rerun.apply(plan_of(rerun, "ref:m", "ref:z")) == ["m", "x", "y", "z"]
    check(rerun)


def test_a_child_that_is_selected_itself_runs_whole() -> None:
    rerun = made()
    before = below(rerun, "child").execution_id

    assert rerun.apply(plan_of(rerun, "ref:child", "ref:y")) == ["m", "x", "y", "z"]
    assert below(rerun, "child").execution_id != before
    check(rerun)


def test_all_that_is_finished_runs_again_in_new_children() -> None:
    rerun = made()

    assert rerun.apply(plan_of(rerun, "ref:y", completed="redo")) == ["a", "b", "m", "x", "y", "z"]
    check(rerun)


def test_a_child_that_changed_since_answers_and_stays_as_it_is() -> None:
    rerun = made()
    plan = plan_of(rerun, "ref:y")
    inner = below(rerun, "child", "inside")
    rerun.world.send(inner.execution_id, RerunExecution(inner.by_ref["z"].number))
    rerun.go_on()
    command = command_of(plan, {})._replace(epoch=rerun.state.epoch, seq=rerun.state.seq)
    rerun.world.send(rerun.state.execution_id, command)
    assert rerun.go_on() == []
    check(rerun)
