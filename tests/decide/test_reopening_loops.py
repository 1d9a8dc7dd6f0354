"""Cases 65 to 73: loops and choices that run again."""

from __future__ import annotations

import pytest

from asyncflow.errors import ScriptError
from asyncflow.model.state import ExecutionState
from asyncflow.model.values import JsonObject
from asyncflow.testing.pure import World
from tests.decide.reopening_support import (
    dynamic_fork,
    fork,
    identity,
    kept,
    loop,
    rows,
    simple,
    sub,
    switch,
    system,
    workflow,
    world,
)

INNER = workflow("c", system("inline", "INLINE", evaluatorType="javascript", expression="1 + 1"), simple("k"))


def test_case_65_retry_of_a_failed_body() -> None:
    made = world(workflow("p", loop("loop", simple("t"), times=2)))
    state = made.start("p")
    made.fail(state, "t__1")
    assert (state.status, rows(state)) == ("FAILED", ["loop X", "t__1 F"])
    number = state.by_ref["loop"].number
    made.retry(state)

    assert rows(state) == ["loop I", "t__1 F*", "t__1 S"]
    assert (state.by_ref["loop"].number, state.by_ref["loop"].retry_count) == (number, 0)
    made.run()
    assert (state.status, rows(state)) == ("COMPLETED", ["loop C", "t__1 F*", "t__1 C", "t__2 C"])


def test_case_66_retry_by_policy_in_a_body() -> None:
    made = world(workflow("p", loop("loop", simple("t", retryCount=1), times=2)))
    state = made.start("p")
    made.fail(state, "t__1")

    assert rows(state) == ["loop I", "t__1 F*", "t__1 S"]
    assert state.by_ref["t__1"].retry_count == 1


# --- 67 and 68: children in an iteration ---------------------------------------------------------------


def looping(failing: int) -> tuple[World, ExecutionState, ExecutionState, ExecutionState]:
    """A loop over a fork of two children, whose first fails in this iteration."""
    made = world(workflow("p", loop("loop", *fork("fork", [sub("a", "c")], [sub("b", "c")]), times=2)), INNER)
    parent = made.start("p")
    for iteration in range(1, failing):
        for ref in (f"a__{iteration}", f"b__{iteration}"):
            made.end(made.child(parent, ref), "k")
    one, other = made.child(parent, f"a__{failing}"), made.child(parent, f"b__{failing}")
    made.now_ms += 1_000
    made.fail(one, "k")
    assert (parent.status, other.status) == ("FAILED", "TERMINATED")
    return made, parent, one, other


def test_case_67_rerun_in_a_child_of_the_first_iteration() -> None:
    made, parent, one, other = looping(1)
    made.rerun(one, "k")

    assert rows(parent) == ["loop I", "fork__1 C", "a__1 I", "b__1 I", "fork_join__1 I"]
    assert made.child(parent, "b__1") is other
    made.run()
    assert (parent.status, parent.by_ref["loop"].iteration) == ("COMPLETED", 2)


@pytest.mark.parametrize("how", ["rerun child", "retry parent with resume"])
def test_case_68_a_later_iteration_leaves_the_earlier_untouched(how: str) -> None:
    made, parent, one, other = looping(2)
    refs = ("fork__1", "a__1", "b__1", "fork_join__1")
    done = kept(parent, *refs), kept(other, "inline")
    if how == "rerun child":
        made.rerun(one, "k")
    else:
        made.retry(parent, resume=True)

    assert kept(parent, *refs) == done[0]
    assert (made.child(parent, "a__2"), made.child(parent, "b__2")) == (one, other)
    assert [t.ref for t in other.tasks.values() if not t.is_ended] == ["k"]
    made.run()
    assert parent.status == "COMPLETED"
    assert (kept(parent, *refs), kept(other, "inline")) == done


def test_case_69_rerun_from_a_child_in_the_second_iteration() -> None:
    made = world(workflow("p", loop("loop", sub("sub", "c"), times=2)), workflow("c", simple("k")))
    parent = made.start("p", task_to_domain={"k": "d1"})
    made.end(made.child(parent, "sub__1"), "k")
    done = kept(parent, "sub__1")
    child = made.child(parent, "sub__2")
    made.terminate(child)
    assert (parent.status, rows(parent)) == ("TERMINATED", ["loop X", "sub__1 C", "sub__2 X"])
    before = parent.by_ref["sub__2"].input
    made.rerun(parent, "sub__2")

    assert (parent.status, rows(parent)) == ("RUNNING", ["loop I", "sub__1 C", "sub__2 I"])
    assert (parent.task_to_domain, parent.by_ref["sub__2"].input) == ({"k": "d1"}, before)
    fresh = made.child(parent, "sub__2")
    assert fresh is not child
    assert (fresh.task_to_domain, fresh.by_ref["k"].domain) == ({"k": "d1"}, "d1")
    made.run()
    assert (parent.status, kept(parent, "sub__1")) == ("COMPLETED", done)


# --- 70 and 71: reruns in loops -----------------------------------------------------------------------------


def second_iteration_failed() -> tuple[World, ExecutionState]:
    made = world(workflow("p", loop("loop", simple("t1"), simple("t2"), times=3), simple("after")))
    state = made.start("p", task_to_domain={"t1": "d1"})
    for ref in ("t1__1", "t2__1", "t1__2"):
        made.end(state, ref)
    made.fail(state, "t2__2")
    assert rows(state) == ["loop X", "t1__1 C", "t2__1 C", "t1__2 C", "t2__2 F"]
    return made, state


def test_case_70_rerun_from_a_loop_begins_it_again() -> None:
    """Switched off in the reference; this is the result it means."""
    made, state = second_iteration_failed()
    old = identity(state, state.by_ref["t1__1"])
    made.rerun(state, "loop")

    assert rows(state) == ["loop I", "t1__1 S"]
    first = state.by_ref["t1__1"]
    assert (state.by_ref["loop"].iteration, first.iteration, first.domain) == (1, 1, "d1")
    assert identity(state, first) != old
    made.run()
    assert (state.status, state.by_ref["loop"].iteration, rows(state)[-1]) == ("COMPLETED", 3, "after C")


@pytest.mark.parametrize("ref", ["t1__2", "t2__2"])
def test_case_71_rerun_from_a_body_task_of_an_iteration(ref: str) -> None:
    """Switched off in the reference; this is the result it means."""
    made, state = second_iteration_failed()
    done = kept(state, "t1__1", "t2__1")
    made.rerun(state, ref)

    expected = ["loop I", "t1__1 C", "t2__1 C", "t1__2 S"]
    assert rows(state) == (expected if ref == "t1__2" else [*expected[:3], "t1__2 C", "t2__2 S"])
    assert state.by_ref["loop"].iteration == 2
    made.run()
    assert (state.status, kept(state, "t1__1", "t2__1")) == ("COMPLETED", done)
    assert state.by_ref["loop"].iteration == 3


def test_case_71_rerun_from_an_earlier_iteration_forgets_the_later() -> None:
    made, state = second_iteration_failed()
    made.rerun(state, "t2__1")

    assert rows(state) == ["loop I", "t1__1 C", "t2__1 S"]
    assert state.by_ref["loop"].iteration == 1
    made.run()
    assert (state.status, rows(state)[-1]) == ("COMPLETED", "after C")


def test_rerun_in_a_loop_over_a_list_takes_the_element_of_the_iteration_back() -> None:
    looping = {**loop("loop", simple("t")), "loopCondition": "", "items": "${workflow.input.items}"}
    looping["loopOver"] = [simple("t", inputParameters={"item": "${loop.output.loopItem}"})]
    made = world(workflow("p", looping))
    state = made.start("p", {"items": ["x", "y", "z"]})
    made.end(state, "t__1")
    made.end(state, "t__2")
    made.fail(state, "t__3")
    made.rerun(state, "t__2")
    made.end(state, "t__2")

    assert [state.by_ref[f"t__{n}"].input["item"] for n in (1, 2, 3)] == ["x", "y", "z"]
    made.run()
    assert state.status == "COMPLETED"


@pytest.mark.parametrize("iteration", [1, 2])
def test_rerun_of_a_dynamic_fork_in_an_iteration(iteration: int) -> None:
    looping = loop("loop", *dynamic_fork("fork"), times=2)
    made = world(workflow("p", looping))
    state = made.start("p", {"tasks": [simple("x1"), simple("x2")]})
    made.run()
    assert state.status == "COMPLETED"
    first = kept(state, "fork__1", "x1__1", "x2__1")
    made.rerun(state, f"fork__{iteration}")

    assert state.by_ref["loop"].iteration == iteration
    assert state.by_ref[f"x1__{iteration}"].status == "SCHEDULED"
    assert ("x1__2" in state.by_ref) == (iteration == 2)
    made.run()
    assert state.status == "COMPLETED"
    if iteration == 2:
        assert kept(state, "fork__1", "x1__1", "x2__1") == first


def test_a_loop_that_failed_on_its_condition_asks_it_again() -> None:
    made = world(workflow("p", loop("loop", simple("t"), times=1)))
    good, made.scripts = made.scripts, broken
    state = made.start("p")
    made.end(state, "t__1")
    assert (state.status, rows(state)) == ("FAILED", ["loop FT", "t__1 C"])
    made.scripts = good
    made.retry(state)

    assert (state.status, rows(state)) == ("COMPLETED", ["loop C", "t__1 C"])
    assert state.by_ref["loop"].retry_count == 1


def broken(language: str, source: str, given: object) -> JsonObject:
    raise ScriptError("no such thing")


# --- 72 and 73: choices -------------------------------------------------------------------------


@pytest.mark.parametrize("inside", [False, True], ids=["outside", "in_a_loop"])
def test_case_72_rerun_from_a_switch_takes_another_branch(inside: bool) -> None:  # noqa: FBT001
    """Switched off in the reference, which never takes a new branch; this is the result it means."""
    choose = switch("choose", "${workflow.input.to}", one=[simple("a")], two=[simple("b")])
    made = world(workflow("p", loop("loop", choose, times=1) if inside else choose))
    state = made.start("p", {"to": "one"})
    made.fail(state, "a")
    suffix = "__1" if inside else ""
    before = state.by_ref[f"choose{suffix}"].number
    made.rerun(state, f"choose{suffix}", task_input={"to": "two"})

    assert rows(state) == [*(["loop I"] if inside else []), f"choose{suffix} C", f"b{suffix} S"]
    assert state.by_ref[f"choose{suffix}"].number == before
    made.run()
    assert state.status == "COMPLETED"


@pytest.mark.parametrize("param", ["case", "to"])
def test_case_72_a_switch_that_chooses_by_an_input_called_case(param: str) -> None:
    choose = switch("choose", "one", one=[simple("a")], two=[simple("b")])
    choose["expression"], choose["inputParameters"] = param, {param: "one"}
    made = world(workflow("p", choose))
    state = made.start("p")
    made.fail(state, "a")
    made.rerun(state, "choose")
    assert rows(state) == ["choose C", "a S"]
    made.fail(state, "a")
    made.rerun(state, "choose", task_input={param: "two"})

    assert rows(state) == ["choose C", "b S"]


def test_case_73_rerun_from_the_first_task_runs_everything_again() -> None:
    """Switched off in the reference; this is the result it means."""
    inline = {"evaluatorType": "javascript", "expression": "1 + 1"}
    choose = switch("choose", "go", go=[system("inline2", "INLINE", **inline)])
    made = world(workflow("p", system("inline1", "INLINE", **inline), system("wait", "WAIT"), choose))
    state = made.start("p")
    made.end(state, "wait")
    assert (state.status, len(state.tasks)) == ("COMPLETED", 4)
    made.rerun(state, "inline1")

    assert rows(state) == ["inline1 C", "wait I"]
    made.end(state, "wait")
    assert (state.status, rows(state)) == ("COMPLETED", ["inline1 C", "wait C", "choose C", "inline2 C"])
    assert sorted(task.seq for task in state.tasks.values()) == [1, 2, 3, 4]
