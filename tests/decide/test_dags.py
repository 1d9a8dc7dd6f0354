"""`dependsOn`: a list as any DAG, with every operator in it and around it."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from asyncflow.model.state import ExecutionState
from tests.decide.definitions import Json, after, child, fork, loop, switch, task, workflow, world


def open_refs(state: ExecutionState) -> set[str]:
    return {record.ref for record in state.tasks.values() if not record.is_ended}


def depending(made: Json, *needs: str) -> Json:
    return {**made, "asyncflow": {"dependsOn": list(needs)}}


def test_tasks_start_when_all_they_depend_on_has_ended() -> None:
    made = world()
    state = made.start(
        workflow(after("a"), after("b"), after("c", "a"), after("d", "a", "b"), after("e", "c", "d"))
    )
    assert open_refs(state) == {"a", "b"}
    made.end(state, "a")
    assert open_refs(state) == {"b", "c"}
    made.end(state, "c")
    assert open_refs(state) == {"b"}
    made.end(state, "b")
    assert open_refs(state) == {"d"}
    made.end(state, "d")
    made.end(state, "e")

    assert state.status == "COMPLETED"


def test_task_without_depends_on_follows_the_one_before() -> None:
    made = world()
    state = made.start(workflow(task("a"), task("b"), after("c"), task("d")))
    assert open_refs(state) == {"a", "c"}
    made.end(state, "c")

    assert open_refs(state) == {"a", "d"}


def test_same_dependency_named_twice_counts_once() -> None:
    made = world()
    state = made.start(workflow(after("a"), after("b", "a", "a")))
    made.end(state, "a")

    assert open_refs(state) == {"b"}


def test_switch_in_a_dag_is_done_with_the_last_of_its_case() -> None:
    made = world()
    chosen = depending(switch("s", 1, {"1": [task("x"), task("y")]}))
    state = made.start(workflow(chosen, after("b", "s"), after("c")))
    made.end(state, "x")
    assert open_refs(state) == {"y", "c"}
    made.end(state, "y")

    assert open_refs(state) == {"b", "c"}


def test_switch_without_a_branch_is_done_at_once() -> None:
    made = world()
    state = made.start(workflow(depending(switch("s", 9, {"1": [task("x")]})), after("b", "s")))

    assert open_refs(state) == {"b"}


def test_dag_in_a_case_is_done_when_all_of_it_is() -> None:
    made = world()
    inner = [after("x"), after("y"), after("z", "x")]
    state = made.start(workflow(switch("s", 1, {"1": inner}), task("b")))
    assert open_refs(state) == {"x", "y"}
    made.end(state, "x")
    made.end(state, "z")
    assert open_refs(state) == {"y"}
    made.end(state, "y")

    assert open_refs(state) == {"b"}


def test_fork_and_join_in_a_dag_make_others_wait_for_the_join() -> None:
    made = world()
    [forked, join] = fork("f", [task("x")], [task("y")])
    tasks = [after("a"), depending(forked, "a"), depending(join, "f"), after("b", "f_join"), after("c", "f")]
    state = made.start(workflow(*tasks))
    made.end(state, "a")
    assert open_refs(state) == {"x", "y", "f_join", "c"}
    made.end(state, "x")
    made.end(state, "y")

    assert open_refs(state) == {"b", "c"}


def test_dynamic_fork_in_a_dag_makes_others_wait_for_the_join() -> None:
    made = world("w")
    given = {"forkTaskInputs": [1, 2], "forkTaskName": "w"}
    forked = depending(task("f", "FORK_JOIN_DYNAMIC", inputParameters=given))
    state = made.start(workflow(forked, depending(task("j", "JOIN"), "f"), after("b", "j"), after("c")))
    made.end(state, "_w_0")
    made.end(state, "_w_1")

    assert open_refs(state) == {"b", "c"}


def test_dag_in_a_loop_begins_anew_in_each_iteration() -> None:
    made = world()
    state = made.start(workflow(loop("l", after("a"), after("b"), after("c", "a", "b"), times=2), task("z")))
    for iteration in (1, 2):
        assert open_refs(state) == {"l", f"a__{iteration}", f"b__{iteration}"}
        for ref in ("b", "a", "c"):
            made.end(state, f"{ref}__{iteration}")

    assert open_refs(state) == {"z"}


def test_loop_and_child_in_a_dag_are_done_with_their_ends() -> None:
    made = world()
    inner = workflow(task("x"), name="inner")
    state = made.start(
        workflow(depending(loop("l", task("a"), times=1)), depending(child("s", inner)), after("b", "l", "s"))
    )
    made.end(state, "a__1")
    assert open_refs(state) == {"s"}
    made.end(made.child(state, "s"), "x")

    assert open_refs(state) == {"b"}


def test_dag_in_a_branch_and_join_on_one_of_its_tasks() -> None:
    made = world()
    branch = [after("x"), after("y"), after("z", "x", "y")]
    state = made.start(workflow(*fork("f", branch, [task("b")])))
    for ref in ("b", "y", "x", "z"):
        made.end(state, ref)

    assert state.status == "COMPLETED"


def test_tolerated_failure_frees_what_depends_on_it() -> None:
    made = world()
    none = {"name": "a", "retryCount": 0}
    state = made.start(workflow({**after("a"), "optional": True, "taskDefinition": none}, after("b", "a")))
    made.fail(state, "a")

    assert open_refs(state) == {"b"}


@given(st.integers(0, 2**32))
def test_any_dag_runs_each_task_once_after_what_it_needs(seed: int) -> None:
    """Order of starting respects every edge, whatever order the tasks end in."""
    dice = random.Random(seed)
    count = dice.randint(1, 12)
    needs = {n: dice.sample(range(n), dice.randint(0, min(n, 3))) for n in range(count)}
    made = world()
    state = made.start(workflow(*(after(f"t{n}", *(f"t{m}" for m in needs[n])) for n in range(count))))
    ended: list[str] = []
    while not state.is_ended:
        ref = dice.choice(sorted(open_refs(state)))
        assert all(f"t{m}" in ended for m in needs[int(ref[1:])])
        made.end(state, ref)
        ended.append(ref)

    assert sorted(ended) == sorted(f"t{n}" for n in range(count))
    assert len(state.tasks) == count
