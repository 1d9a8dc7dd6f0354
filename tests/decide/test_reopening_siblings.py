"""Cases 33 to 37 and 52: what becomes of the parallel branches that a failure cancelled."""

from __future__ import annotations

import pytest

from asyncflow.model.state import ExecutionState
from asyncflow.model.values import JsonObject
from asyncflow.testing.pure import World
from tests.decide.reopening_support import (
    fork,
    identity,
    kept,
    loop,
    rows,
    simple,
    sub,
    workflow,
    world,
)

ONE = workflow("c", simple("k"))


def failing(
    *branches: list[JsonObject], child: JsonObject = ONE
) -> tuple[World, ExecutionState, ExecutionState]:
    """A fork with these branches beside a SUB_WORKFLOW task `sub`, not failed yet."""
    made = world(workflow("p", *fork("fork", [sub("sub", "c")], *branches)), child)
    parent = made.start("p")
    return made, parent, made.child(parent, "sub")


# --- 33 to 37: simple siblings --------------------------------------------------------------------


def test_case_33_a_cancelled_sibling_is_scheduled_again() -> None:
    made, parent, child = failing([simple("s")])
    before = identity(parent, parent.by_ref["s"])
    made.fail(child, "k")
    assert rows(parent) == ["fork C", "sub F", "s X", "fork_join X"]
    made.retry(child)

    assert (parent.status, rows(parent)) == ("RUNNING", ["fork C", "sub I", "s S", "fork_join I"])
    assert identity(parent, parent.by_ref["s"]) == before
    assert parent.by_ref["s"].retry_count == 1
    made.end(child, "k")
    assert parent.status == "RUNNING"
    made.end(parent, "s")
    assert parent.status == "COMPLETED"


def test_case_34_all_cancelled_siblings_are_scheduled_again() -> None:
    made, parent, child = failing([simple("s1")], [simple("s2")])
    made.fail(child, "k")
    made.retry(child)

    assert rows(parent) == ["fork C", "sub I", "s1 S", "s2 S", "fork_join I"]
    made.run()
    assert parent.status == "COMPLETED"


def test_case_35_what_completed_around_the_fork_is_not_run_again() -> None:
    child_definition = workflow("c", simple("a"), simple("b"))
    tasks = [simple("before"), *fork("fork", [sub("sub", "c")], [simple("s")]), simple("after")]
    made = world(workflow("p", *tasks), child_definition)
    parent = made.start("p")
    made.end(parent, "before")
    child = made.child(parent, "sub")
    made.end(child, "a")
    done = kept(parent, "before", "fork"), kept(child, "a")
    made.now_ms += 1_000
    made.fail(child, "b")
    made.retry(child)

    assert rows(parent) == ["before C", "fork C", "sub I", "s S", "fork_join I"]
    assert rows(child) == ["a C", "b F*", "b S"]
    made.end(child, "b")
    made.end(parent, "s")
    assert rows(parent)[-1] == "after S"
    made.end(parent, "after")
    assert parent.status == "COMPLETED"
    assert (kept(parent, "before", "fork"), kept(child, "a")) == done


def test_case_36_failing_and_retrying_repeatedly() -> None:
    made, parent, child = failing([simple("s")])
    for _ in range(2):
        made.fail(child, "k")
        assert parent.by_ref["s"].status == "CANCELED"
        made.retry(child)
        assert parent.by_ref["s"].status == "SCHEDULED"
    made.run()

    assert (parent.status, len(parent.tasks)) == ("COMPLETED", 4)


def test_case_37_a_cancelled_loop_goes_on_in_its_iteration() -> None:
    made, parent, child = failing([loop("loop", simple("body"), times=2)])
    made.end(parent, "body")
    first = kept(parent, "body__1")
    made.fail(child, "k")
    assert (parent.by_ref["loop"].status, parent.by_ref["body__2"].status) == ("CANCELED", "CANCELED")
    made.retry(child)

    assert (parent.by_ref["loop"].status, parent.by_ref["loop"].iteration) == ("IN_PROGRESS", 2)
    assert parent.by_ref["body__2"].status == "SCHEDULED"
    made.run()
    assert (parent.status, kept(parent, "body__1")) == ("COMPLETED", first)
    assert "body__3" not in parent.by_ref


# --- 52: three levels ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sibling", ["simple", "children_at_two_levels"])
def test_case_52_cancelled_siblings_at_every_level(sibling: str) -> None:
    """With children as siblings at two levels it is switched off in the reference; this is what it means."""

    def branch(name: str) -> list[JsonObject]:
        return [simple(name)] if sibling == "simple" else [sub(name, "other")]

    made = world(
        workflow("root", *fork("f0", [sub("sub", "mid")], branch("s0"))),
        workflow("mid", *fork("f1", [sub("sub", "leaf")], branch("s1"))),
        workflow("leaf", *fork("f2", [simple("k")], [simple("s2")])),
        workflow("other", simple("o1"), simple("o2")),
    )
    root = made.start("root")
    mid = made.child(root, "sub")
    leaf = made.child(mid, "sub")
    others = []
    if sibling != "simple":
        others = [made.child(root, "s0"), made.child(mid, "s1")]
        made.end(others[0], "o1")
    made.fail(leaf, "k")
    assert {root.status, mid.status, leaf.status} == {"FAILED"}
    made.retry(leaf)

    mark = "S" if sibling == "simple" else "I"
    assert rows(root) == ["f0 C", "sub I", f"s0 {mark}", "f0_join I"]
    assert rows(mid) == ["f1 C", "sub I", f"s1 {mark}", "f1_join I"]
    assert rows(leaf) == ["f2 C", "k F*", "s2 X*", "f2_join I", "k S", "s2 S"]
    if others:
        assert [made.child(root, "s0"), made.child(mid, "s1")] == others
        assert rows(others[0]) == ["o1 C", "o2 X*", "o2 S"]
    made.run()
    assert {state.status for state in made.states.values()} == {"COMPLETED"}
