"""Running executions go on under another version of their definition, or are refused with every reason."""

from __future__ import annotations

import pytest

from asyncflow.decide.migration_plan import MigrationPlan, plan_migration
from asyncflow.errors import InvalidInput, Refused
from asyncflow.model.definition import parse_workflow
from asyncflow.model.graph import Graph
from asyncflow.model.inputs import MigrateExecution, ResumeExecution
from asyncflow.model.state import ExecutionState
from asyncflow.model.statuses import COMPLETED, RUNNING
from asyncflow.testing.pure import World
from asyncflow.testing.states import differences
from tests.decide.definitions import (
    Json,
    after,
    child,
    dynamic_fork,
    fork,
    loop,
    switch,
    task,
    workflow,
    world,
)
from tests.decide.test_laws import check_derived, check_waiting

LEFT = [task("x"), task("y")]
RIGHT = [task("z")]


def graph_of(made: World, *tasks: Json, **more: object) -> Graph:
    """The graph of a second version."""
    return made.catalog.inline(parse_workflow(workflow(*tasks, **{"version": 2, **more})))


def migrate(made: World, state: ExecutionState, graph: Graph, **mapping: str) -> None:
    """Migrate, and hold the laws that every step holds."""
    made.send(state.execution_id, MigrateExecution(graph.hash, mapping))
    folded = made.fold(state.execution_id)
    assert differences(state, folded) == []
    check_derived(state, folded)
    check_waiting(state)


def reasons(made: World, state: ExecutionState, graph: Graph, **mapping: str) -> str:
    """Why a migration is refused; nothing was recorded."""
    before = len(made.journal[state.execution_id])
    with pytest.raises(Refused) as caught:
        made.send(state.execution_id, MigrateExecution(graph.hash, mapping))
    assert len(made.journal[state.execution_id]) == before
    return str(caught.value)


def plan(state: ExecutionState, graph: Graph, **mapping: str) -> MigrationPlan:
    return plan_migration(state, graph, mapping)


def statuses(state: ExecutionState) -> dict[str, str]:
    return {each.ref: each.status for each in state.tasks.values()}


# --- sequences ------------------------------------------------------------------------------------


def test_what_lies_ahead_is_what_the_new_version_says() -> None:
    made = world()
    state = made.start(workflow(task("a"), task("b"), task("c")))
    made.end(state, "a")
    graph = graph_of(made, task("a"), task("b"), task("d"), variables={"v": 1})

    migrate(made, state, graph)

    assert (state.version, state.graph, state.variables) == (2, graph, {"v": 1})
    made.run()
    assert statuses(state) == {"a": COMPLETED, "b": COMPLETED, "d": COMPLETED}
    assert state.status == COMPLETED


def test_migration_finds_the_reference_of_a_task_under_way_by_its_new_name() -> None:
    made = world()
    state = made.start(workflow(task("a"), task("b")))
    made.end(state, "a", {"n": 7})
    renamed = task("second", name="b")
    last = task("last", inputParameters={"n": "${first.output.n}"})

    migrate(made, state, graph_of(made, task("first", name="a"), renamed, last), a="first", b="second")
    made.end(state, "second")

    assert made.task(state, "last").input == {"n": 7}
    assert set(statuses(state)) == {"first", "second", "last"}


def test_new_task_before_what_is_done_is_passed_and_named() -> None:
    made = world()
    state = made.start(workflow(task("a"), task("b")))
    made.end(state, "a")
    graph = graph_of(made, task("new"), task("a"), task("b"))

    found = plan(state, graph)
    migrate(made, state, graph)
    made.run()

    assert (found.passed, found.under_way, found.problems) == (["new"], ["b"], [])
    assert "new" not in statuses(state)


def test_task_that_is_gone_stays_as_history_and_nothing_follows_it() -> None:
    made = world()
    state = made.start(workflow(task("a"), task("b"), task("c")))
    made.end(state, "a")
    made.end(state, "b", {"kept": 1})
    graph = graph_of(made, task("a"), task("c"), task("d"))

    found = plan(state, graph)
    migrate(made, state, graph)
    made.run()

    assert found.detached == [made.task(state, "b").number]
    assert made.task(state, "b").output == {"kept": 1}
    assert statuses(state)["d"] == COMPLETED


def test_paused_execution_goes_on_in_the_new_version_when_it_is_resumed() -> None:
    made = world()
    state = made.start(workflow(task("a"), task("b")))
    made.pause(state)
    made.end(state, "a")
    graph = graph_of(made, task("a"), task("between"), task("b"))

    found = plan(state, graph)
    migrate(made, state, graph)
    assert set(statuses(state)) == {"a"}
    made.send(state.execution_id, ResumeExecution())

    assert found.next == ["between"]
    assert set(statuses(state)) == {"a", "between"}
    assert state.status == RUNNING


def test_running_task_without_a_target_is_refused_with_every_reason() -> None:
    made = world()
    state = made.start(workflow(*fork("f", LEFT, RIGHT)))

    found = reasons(made, state, graph_of(made, task("other")))

    assert "x: is SCHEDULED and has no place" in found
    assert "z: is SCHEDULED and has no place" in found


@pytest.mark.parametrize(
    ("tasks", "mapping", "reason"),
    [
        ([task("a"), task("b", name="else")], {}, "with those who do b"),
        ([task("a"), task("b", "HUMAN")], {}, "under way as SIMPLE and is HUMAN"),
        ([task("b"), task("a")], {}, "stands before what has begun"),
        ([task("a"), task("q")], {"nobody": "q"}, "the present definition has no such task"),
        ([task("a"), task("b")], {"b": "nowhere"}, "leads to nowhere"),
        ([task("a"), task("b")], {"a": "b"}, "would both be b"),
        ([switch("a", "x", {"x": [task("n")]}), task("b")], {}, ""),
        ([task("q"), task("b"), switch("s", "x", {"x": [task("a")]})], {}, "was moved needs another name"),
    ],
)
def test_what_does_not_fit_is_refused(tasks: list[Json], mapping: dict[str, str], reason: str) -> None:
    made = world()
    state = made.start(workflow(task("a"), task("b")))
    made.end(state, "a")
    graph = graph_of(made, *tasks)

    if not reason:  # what is over may become anything
        migrate(made, state, graph, **mapping)
        return
    assert reason in reasons(made, state, graph, **mapping)


def test_ended_execution_and_other_workflow_are_refused() -> None:
    made = world()
    state = made.start(workflow(task("a")))
    assert "another workflow" in reasons(made, state, graph_of(made, task("a"), name="v"))
    made.end(state, "a")
    assert "restart takes another version" in reasons(made, state, graph_of(made, task("a"), task("b")))
    with pytest.raises(InvalidInput):
        made.send(state.execution_id, MigrateExecution("unknown"))


def test_migration_to_the_same_definition_changes_nothing() -> None:
    made = world()
    state = made.start(workflow(task("a")))
    before = len(made.journal[state.execution_id])

    migrate(made, state, state.graph)

    assert len(made.journal[state.execution_id]) == before


# --- forks, choices, loops, DAGs --------------------------------------------------------------------


def test_open_fork_keeps_its_shape_and_its_join_counts_by_new_names() -> None:
    made = world()
    state = made.start(workflow(*fork("f", LEFT, RIGHT)))
    made.end(state, "x")
    renamed = fork("f", [task("x"), task("why", name="y")], RIGHT)
    graph = graph_of(made, *renamed, task("end"))

    assert "not the same there" in reasons(
        made, state, graph_of(made, *fork("f", LEFT, [task("z"), task("q")]))
    )
    migrate(made, state, graph, y="why")
    made.end(state, "why", {"n": 1})
    made.end(state, "z")

    assert made.task(state, "f_join").more is not None
    assert statuses(state)["end"] == "SCHEDULED"


def test_fork_that_is_over_may_have_any_shape() -> None:
    made = world()
    state = made.start(workflow(*fork("f", LEFT, RIGHT), task("g")))
    for ref in ("x", "y", "z"):
        made.end(state, ref)
    graph = graph_of(made, *fork("f", [task("x")], [task("never")]), task("g"), task("h"))

    migrate(made, state, graph)
    made.run()

    assert "never" not in statuses(state)
    assert statuses(state)["h"] == COMPLETED


def test_dynamic_fork_goes_on_under_the_new_version() -> None:
    made = world("t")
    listed: Json = {"forkTaskInputs": [{"k": 1}, {"k": 2}], "forkTaskName": "t"}
    state = made.start(workflow(*dynamic_fork("f", listed)))

    migrate(made, state, graph_of(made, *dynamic_fork("f", listed), task("end")))
    assert "no place" in reasons(made, state, graph_of(made, task("end")))
    for each in [each for each in state.tasks.values() if each.fork_index >= 0]:
        made.end(state, each.ref)

    assert statuses(state)["end"] == "SCHEDULED"


def test_case_under_way_may_change_behind_where_it_stands() -> None:
    made = world()
    state = made.start(workflow(switch("s", "1", {"1": LEFT}), task("end")))
    graph = graph_of(made, switch("s", "1", {"1": [*LEFT, task("more")], "2": RIGHT}), task("end"))
    inserted = graph_of(made, switch("s", "1", {"1": [task("new"), *LEFT]}), task("end"))
    made.end(state, "x")

    assert "is new in s" in reasons(made, state, inserted)
    migrate(made, state, graph)
    made.end(state, "y")
    assert statuses(state)["more"] == "SCHEDULED"
    made.run()

    assert statuses(state)["end"] == COMPLETED


def test_loop_under_way_keeps_its_body_and_takes_new_inputs() -> None:
    made = world()
    state = made.start(workflow(loop("l", task("x"))))
    changed = task("x", inputParameters={"n": 5})

    assert "not the same" in reasons(made, state, graph_of(made, loop("l", task("x"), task("y"))))
    migrate(made, state, graph_of(made, loop("l", changed, times=3), task("end")))
    made.run()

    assert made.task(state, "x__3").input == {"n": 5}
    assert statuses(state)["end"] == COMPLETED


def test_dag_begins_what_is_free_and_counts_what_is_done() -> None:
    made = world()
    state = made.start(workflow(task("a"), after("b", "a"), after("c", "a")))
    made.end(state, "a")
    graph = graph_of(
        made, task("a"), after("b", "a"), after("c", "a"), after("d", "a"), after("e", "b", "c", "d")
    )

    found = plan(state, graph)
    migrate(made, state, graph)

    assert found.next == ["d"]
    assert statuses(state)["d"] == "SCHEDULED"
    for ref in ("b", "c", "d"):
        assert "e" not in statuses(state)
        made.end(state, ref)
    assert statuses(state)["e"] == "SCHEDULED"
    assert "a sequence" not in reasons(made, state, graph_of(made, task("a"), task("b")))


def test_child_goes_on_and_its_parent_hears_of_its_end() -> None:
    made = world()
    state = made.start(workflow(child("c", workflow(task("inner"), name="inner"))))
    graph = graph_of(made, child("c", workflow(task("inner"), name="inner")), task("end"))

    migrate(made, state, graph)
    made.end(made.child(state, "c"), "inner")

    assert statuses(state) == {"c": COMPLETED, "end": "SCHEDULED"}
