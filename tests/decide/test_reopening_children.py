"""Cases 38 to 46 and 48 to 51: parallel children, of which one failed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from asyncflow.model.state import ExecutionState
from asyncflow.testing.pure import World
from tests.decide.reopening_support import (
    child_id,
    dynamic_fork,
    fork,
    kept,
    rows,
    simple,
    sub,
    workflow,
    world,
)

ONE = workflow("c", simple("k"))
PAIR = workflow("c", simple("k1"), simple("k2"))


# --- 38 to 40: two children ------------------------------------------------------------------------


def two_children() -> tuple[World, ExecutionState, ExecutionState, ExecutionState]:
    made = world(workflow("p", *fork("fork", [sub("a", "c")], [sub("b", "c")])), PAIR)
    parent = made.start("p")
    one, other = made.child(parent, "a"), made.child(parent, "b")
    made.end(one, "k1")
    made.end(other, "k1")
    made.now_ms += 1_000
    made.fail(one, "k2")
    assert rows(parent) == ["fork C", "a F", "b X", "fork_join X"]
    assert (other.status, rows(other)) == ("TERMINATED", ["k1 C", "k2 X"])
    return made, parent, one, other


@pytest.mark.parametrize("how", ["case_38_retry", "case_39_rerun"])
def test_case_38_39_and_40_children_go_on_with_what_they_had(how: str) -> None:
    made, parent, one, other = two_children()
    before = child_id(parent, "a"), child_id(parent, "b")
    done = kept(one, "k1"), kept(other, "k1")
    if how == "case_38_retry":
        made.retry(one)
    else:
        made.rerun(one, "k2")

    assert rows(parent) == ["fork C", "a I", "b I", "fork_join I"]
    assert (child_id(parent, "a"), child_id(parent, "b")) == before
    assert parent.by_ref["a"].reason is None
    assert other.status == "RUNNING"
    made.run()
    assert {parent.status, one.status, other.status} == {"COMPLETED"}
    assert (kept(one, "k1"), kept(other, "k1")) == done
    assert [t.ref for t in other.tasks.values()].count("k1") == 1


# --- 41 to 44 and 48 to 51: three children, in a static and in a dynamic fork --------------------------

Three = tuple[World, ExecutionState, ExecutionState, ExecutionState, ExecutionState]


def three_children(*, dynamic: bool, status: str = "FAILED_WITH_TERMINAL_ERROR") -> Three:
    """a failed, b was cancelled, c completed."""
    tasks = [sub(ref, "c") for ref in ("a", "b", "c")]
    forking = dynamic_fork("fork") if dynamic else fork("fork", *[[task] for task in tasks])
    made = world(workflow("p", *forking), PAIR)
    parent = made.start("p", {"tasks": tasks} if dynamic else {})
    one, two, three = (made.child(parent, ref) for ref in ("a", "b", "c"))
    made.end(three, "k1")
    made.end(three, "k2")
    made.end(one, "k1")
    made.now_ms += 1_000
    made.fail(one, "k2", status=status)
    assert rows(parent) == ["fork C", "a F", "b X", "c C", "fork_join X"]
    assert three.status == "COMPLETED"
    return made, parent, one, two, three


DYNAMIC = pytest.mark.parametrize("dynamic", [False, True], ids=["static", "case_50_dynamic"])
Operation = Callable[[World, ExecutionState, ExecutionState, ExecutionState], None]


def finish(made: World, parent: ExecutionState) -> None:
    made.run()
    assert parent.status == "COMPLETED"
    assert all(made.child(parent, ref).status == "COMPLETED" for ref in ("a", "b", "c"))


@DYNAMIC
@pytest.mark.parametrize(
    "operation",
    [
        pytest.param(lambda made, p, a, b: made.rerun(a, "k2"), id="case_41_rerun_the_failed_child"),
        pytest.param(lambda made, p, a, b: made.rerun(b, "k1"), id="case_42_rerun_the_cancelled_child"),
        pytest.param(lambda made, p, a, b: made.retry(p, resume=True), id="case_49_retry_with_resume"),
        pytest.param(lambda made, p, a, b: made.retry(a), id="retry_the_failed_child"),
    ],
)
def test_case_41_42_49_and_50_both_children_go_on(*, dynamic: bool, operation: Operation) -> None:
    made, parent, one, two, three = three_children(dynamic=dynamic)
    done = kept(parent, "fork", "c"), kept(one, "k1"), kept(three, "k1", "k2")
    operation(made, parent, one, two)

    assert rows(parent) == ["fork C", "a I", "b I", "c C", "fork_join I"]
    assert (made.child(parent, "a"), made.child(parent, "b")) == (one, two)
    assert {one.status, two.status} == {"RUNNING"}
    finish(made, parent)
    assert (kept(parent, "fork", "c"), kept(one, "k1"), kept(three, "k1", "k2")) == done


@pytest.mark.parametrize("status", ["FAILED", "FAILED_WITH_TERMINAL_ERROR"])
def test_case_49_resume_takes_every_kind_of_failure(status: str) -> None:
    made, parent, one, _, _ = three_children(dynamic=False, status=status)
    made.retry(parent, resume=True)

    assert rows(one)[0] == "k1 C"
    assert rows(one)[-1] == "k2 S"
    assert len(one.tasks) == 3
    finish(made, parent)


@DYNAMIC
def test_case_43_rerun_from_the_cancelled_child(*, dynamic: bool) -> None:
    made, parent, _, _, three = three_children(dynamic=dynamic)
    done = kept(parent, "fork", "c")
    made.rerun(parent, "b")

    assert rows(parent) == ["fork C", "a I", "b I", "c C", "fork_join I"]
    assert parent.by_ref["a"].reason is None
    assert {made.child(parent, ref).status for ref in ("a", "b")} == {"RUNNING"}
    finish(made, parent)
    assert (kept(parent, "fork", "c"), made.child(parent, "c")) == (done, three)


@DYNAMIC
def test_case_44_rerun_from_the_failed_child_gives_both_new_children(*, dynamic: bool) -> None:
    """Switched off in the reference; this is the result it means."""
    made, parent, one, two, three = three_children(dynamic=dynamic)
    done = kept(parent, "fork", "c")
    made.rerun(parent, "a")

    assert rows(parent) == ["fork C", "a I", "b I", "c C", "fork_join I"]
    assert made.child(parent, "a") is not one
    assert made.child(parent, "b") is not two
    finish(made, parent)
    assert (kept(parent, "fork", "c"), made.child(parent, "c")) == (done, three)


@DYNAMIC
def test_case_48_retry_without_resume_starts_new_children(*, dynamic: bool) -> None:
    made, parent, one, two, three = three_children(dynamic=dynamic)
    done = kept(parent, "fork", "c")
    made.retry(parent)

    assert rows(parent) == ["fork C", "a F*", "b X*", "c C", "fork_join I", "a I", "b I"]
    assert made.child(parent, "a") is not one
    assert made.child(parent, "b") is not two
    finish(made, parent)
    assert (kept(parent, "fork", "c"), made.child(parent, "c")) == (done, three)


def test_case_51_rerun_from_a_dynamic_fork_makes_all_branches_anew() -> None:
    """Switched off in the reference; this is the result it means."""
    made, parent, *children = three_children(dynamic=True)
    made.rerun(parent, "fork")

    assert rows(parent) == ["fork C", "a I", "b I", "c I", "fork_join I"]
    assert not {made.child(parent, ref).execution_id for ref in ("a", "b", "c")} & {
        child.execution_id for child in children
    }
    finish(made, parent)


def test_case_51_a_dynamic_fork_takes_its_branches_from_what_is_known_now() -> None:
    made, parent, *_ = three_children(dynamic=True)
    number = parent.by_ref["fork"].number
    made.rerun(parent, number, workflow_input={"tasks": [sub("d", "c")]})

    assert rows(parent) == ["fork C", "d I", "fork_join I"]
    made.run()
    assert parent.status == "COMPLETED"


# --- 45 and 46 ---------------------------------------------------------------------------------------


def test_case_45_rerun_from_a_child_task_starts_a_new_child() -> None:
    made = world(workflow("p", sub("sub", "c")), PAIR)
    parent = made.start("p")
    child = made.child(parent, "sub")
    made.end(child, "k1")
    made.fail(child, "k2")
    before = parent.by_ref["sub"].input
    made.rerun(parent, "sub", task_input={"ignored": True})

    fresh = made.child(parent, "sub")
    assert rows(parent) == ["sub I"]
    assert parent.by_ref["sub"].input == before
    assert (fresh is not child, rows(fresh)) == (True, ["k1 S"])
    made.run()
    assert parent.status == "COMPLETED"


def test_case_46_rerun_from_a_child_deep_in_a_branch_keeps_the_other() -> None:
    """Switched off in the reference; this is the result it means."""
    tasks = [
        simple("first"),
        *fork("fork", [sub("sub1", "c")], [simple("t"), sub("sub2", "c")]),
        simple("last"),
    ]
    made = world(workflow("p", *tasks), ONE)
    parent = made.start("p")
    made.end(parent, "first")
    made.end(parent, "t")
    made.end(made.child(parent, "sub1"), "k")
    done = kept(parent, "first", "fork", "sub1", "t")
    old = made.child(parent, "sub2")
    made.now_ms += 1_000
    made.fail(old, "k")
    made.rerun(parent, "sub2")

    assert rows(parent) == ["first C", "fork C", "sub1 C", "t C", "fork_join I", "sub2 I"]
    assert made.child(parent, "sub2") is not old
    made.end(made.child(parent, "sub2"), "k")
    assert rows(parent)[-2:] == ["sub2 C", "last S"]
    made.run()
    assert (parent.status, kept(parent, "first", "fork", "sub1", "t")) == ("COMPLETED", done)
