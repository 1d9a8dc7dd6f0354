"""Smart reruns under another definition: what still fits is reused, what is new or another runs."""

from __future__ import annotations

import pytest

from asyncflow.decide.rerun_plan import RerunPlan, RerunRequest, command_of, plan_rerun
from asyncflow.errors import InvalidInput
from asyncflow.model.definition import parse_workflow
from asyncflow.model.values import JsonObject
from asyncflow.testing.states import differences
from tests.decide.reopening_support import fork, loop, simple, workflow
from tests.decide.rerun_support import Rerun, actions, reasons


def link(ref: str, before: str = "", **more: object) -> JsonObject:
    """A task that reads the one before."""
    given: JsonObject = {"of": f"${{{before}.output.of}}"} if before else {}
    return {**simple(ref), "inputParameters": given, **more}


CHAIN = (link("a"), link("b", "a"), link("c", "b"))


def planned(made: Rerun, *tasks: JsonObject, **request: object) -> RerunPlan:
    newer = made.world.catalog.inline(parse_workflow({**workflow("chain", *tasks), "version": 2}))
    made.world._graphs[newer.hash] = newer  # held, as the engine's caller does
    asked = RerunRequest(cut_off="inputs", **request)  # type: ignore[arg-type]
    return plan_rerun(made.state, asked, graph=newer)


def carried_out(made: Rerun, plan: RerunPlan) -> list[str]:
    made.world.send(made.state.execution_id, command_of(plan, {}))
    ran = sorted(made.go_on())
    assert differences(made.state, made.world.fold(made.state.execution_id)) == []
    assert made.state.status == "COMPLETED"
    return ran


@pytest.mark.parametrize("place", [0, 1, 2, 3])
def test_scenario_12_only_an_unrelated_new_task_runs_wherever_it_is(place: int) -> None:
    """HyperFlow: indexes shift and records of other steps are used, with no error."""
    made = Rerun(workflow("chain", *CHAIN))
    tasks = [*CHAIN[:place], link("new"), *CHAIN[place:]]

    plan = planned(made, *tasks)

    assert set(actions(plan).values()) == {"reuse"}
    assert plan.added == ("new",)
    assert carried_out(made, plan) == ["new"]
    assert made.state.version == 2
    assert [task.ref for task in made.state.tasks.values()] == [task["taskReferenceName"] for task in tasks]


def test_a_task_that_is_another_runs_with_what_reads_its_new_result() -> None:
    made = Rerun(workflow("chain", *CHAIN))
    made.outcome = lambda task: {"of": f"{task.ref} again"}

    plan = planned(made, CHAIN[0], {**CHAIN[1], "name": "better"}, CHAIN[2])

    assert actions(plan) == {"a": "reuse", "b": "redo", "c": "redo"}
    assert reasons(plan)["b"] == "it is done by better in version 2"
    assert carried_out(made, plan) == ["b", "c"]


def test_another_input_is_a_change() -> None:
    made = Rerun(workflow("chain", *CHAIN))

    plan = planned(made, CHAIN[0], CHAIN[1], link("c", "a"))

    assert reasons(plan)["c"] == "its input is made otherwise in version 2"
    assert carried_out(made, plan) == ["c"]


def test_a_task_that_is_gone_is_left_aside() -> None:
    made = Rerun(workflow("chain", *CHAIN))

    plan = planned(made, CHAIN[0], CHAIN[1])

    assert reasons(plan)["c"] == "version 2 has no such task: its result is left aside"
    assert carried_out(made, plan) == []
    assert list(made.state.by_ref) == ["a", "b"]


def test_a_failed_task_runs_again_beside_the_change() -> None:
    made = Rerun(workflow("chain", *CHAIN), fails={"b"})
    made.fails.clear()

    plan = planned(made, link("new"), *CHAIN)

    assert actions(plan) == {"a": "reuse", "b": "redo"}
    assert carried_out(made, plan) == ["b", "c", "new"]


def test_forks_and_loops_are_made_anew_and_what_is_in_them_is_reused() -> None:
    around = [*fork("f", [simple("x")], [simple("y")]), loop("l", simple("i"), times=2)]
    made = Rerun(workflow("chain", *around))

    plan = planned(made, *fork("f", [simple("x")], [simple("y")], [simple("z")]), around[2])

    assert carried_out(made, plan) == ["z"]


def test_selectors_add_to_it() -> None:
    made = Rerun(workflow("chain", *CHAIN))

    plan = planned(made, link("new"), *CHAIN, changed=("ref:c",))

    assert carried_out(made, plan) == ["c", "new"]


def test_order_does_not_count_under_another_definition() -> None:
    made = Rerun(workflow("chain", *CHAIN))
    newer = made.world.catalog.inline(parse_workflow({**workflow("chain", *CHAIN), "version": 2}))

    with pytest.raises(InvalidInput, match="only inputs count"):
        plan_rerun(made.state, RerunRequest(), graph=newer)
