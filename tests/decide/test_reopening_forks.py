"""Cases 53 to 56 and 74: forks and joins that were broken off, and DAG lists beside them."""

from __future__ import annotations

import pytest

from asyncflow.model.values import JsonObject
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


def test_case_53_retry_in_a_dynamic_fork() -> None:
    made = world(workflow("p", simple("prep"), *dynamic_fork("fork")))
    state = made.start("p", {"tasks": [simple("x1"), simple("x2")]})
    made.end(state, "prep")
    made.fail(state, "x1")
    assert rows(state) == ["prep C", "fork C", "x1 F", "x2 X", "fork_join X"]
    join = identity(state, state.by_ref["fork_join"])
    made.retry(state)

    assert rows(state) == ["prep C", "fork C", "x1 F*", "x2 X*", "fork_join I", "x1 S", "x2 S"]
    assert identity(state, state.by_ref["fork_join"]) == join
    assert state.by_ref["fork_join"].retry_count == 0
    made.end(state, "x1")
    assert state.status == "RUNNING"
    made.end(state, "x2")
    assert state.status == "COMPLETED"


def test_case_54_retry_after_permissive_failures() -> None:
    branches = fork("fork", [simple("p1"), simple("p3", permissive=True)], [simple("p2", permissive=True)])
    made = world(workflow("p", *branches, simple("next")))
    state = made.start("p")
    made.end(state, "p1")
    made.fail(state, "p2")
    made.fail(state, "p3")
    assert state.status == "FAILED"
    assert rows(state) == ["fork C", "p1 C", "p2 F", "fork_join F", "p3 F"]
    join = state.by_ref["fork_join"]
    made.retry(state)

    assert rows(state) == ["fork C", "p1 C", "p2 F*", "fork_join I", "p3 F*", "p2 S", "p3 S"]
    assert (state.by_ref["fork_join"], join.retry_count) == (join, 0)
    made.end(state, "p2")
    made.end(state, "p3")
    assert rows(state)[-1] == "next S"
    made.run()
    assert state.status == "COMPLETED"


def test_case_55_rerun_from_the_head_of_a_branch() -> None:
    """Switched off in the reference, which deletes t2 and the JOIN and hangs; this is the result it means."""
    made = world(workflow("p", *fork("fork", [simple("t1")], [simple("t2")]), simple("next")))
    state = made.start("p")
    made.end(state, "t2")
    made.fail(state, "t1", status="FAILED_WITH_TERMINAL_ERROR")
    before = [identity(state, state.by_ref[ref]) for ref in ("t1", "t2", "fork_join")]
    made.rerun(state, "t1")

    assert (state.status, rows(state)) == ("RUNNING", ["fork C", "t1 S", "t2 S", "fork_join I"])
    assert [identity(state, state.by_ref[ref]) for ref in ("t1", "t2", "fork_join")] == before
    made.run()
    assert (state.status, rows(state)[-1]) == ("COMPLETED", "next C")


def test_rerun_from_a_later_branch_keeps_the_earlier_ones() -> None:
    made = world(workflow("p", *fork("fork", [simple("t1")], [simple("t2")])))
    state = made.start("p")
    made.end(state, "t1")
    done = kept(state, "t1")
    made.fail(state, "t2")
    made.rerun(state, "t2")
    made.run()

    assert (state.status, kept(state, "t1")) == ("COMPLETED", done)


def test_rerun_from_within_a_branch_keeps_what_runs_beside_it() -> None:
    made = world(workflow("p", *fork("fork", [simple("a"), simple("b")], [simple("c"), simple("d")])))
    state = made.start("p")
    for ref in ("a", "c", "d"):
        made.end(state, ref)
    done = kept(state, "a", "c", "d")
    made.fail(state, "b")
    made.rerun(state, "b")

    assert rows(state) == ["fork C", "a C", "c C", "fork_join I", "b S", "d C"]
    made.run()
    assert (state.status, kept(state, "a", "c", "d")) == ("COMPLETED", done)


def test_rerun_in_a_dynamic_fork_keeps_the_other_members() -> None:
    made = world(workflow("p", *dynamic_fork("fork"), simple("next")))
    state = made.start("p", {"tasks": [simple(f"x{i}") for i in range(4)]})
    for ref in ("x0", "x2"):
        made.end(state, ref)
    done = kept(state, "x0", "x2")
    made.fail(state, "x1")
    made.rerun(state, "x1")

    assert rows(state) == ["fork C", "x0 C", "x1 S", "x2 C", "x3 S", "fork_join I"]
    made.run()
    assert (state.status, kept(state, "x0", "x2"), rows(state)[-1]) == ("COMPLETED", done, "next C")


def test_case_56_rerun_from_a_case_reopens_the_waits_beside_it() -> None:
    """Switched off in the reference; this is the result it means."""
    branches = fork(
        "fork",
        [system("timer", "WAIT", duration="1 hour")],
        [system("signal", "WAIT")],
        [switch("choose", "go", go=[simple("s")])],
        [simple("other")],
    )
    branches[1]["joinOn"] = ["timer", "signal", "s", "other"]
    made = world(workflow("p", *branches))
    state = made.start("p")
    made.fail(state, "s")
    assert rows(state) == ["fork C", "timer X", "signal X", "choose C", "s F", "other X", "fork_join X"]
    made.rerun(state, "s")

    assert rows(state) == ["fork C", "timer I", "signal I", "choose C", "s S", "other S", "fork_join I"]
    made.end(state, "s")
    made.end(state, "other")
    made.end(state, "signal")
    assert state.status == "RUNNING"
    made.pass_time(made.now_ms + 3_600_000)
    assert state.status == "COMPLETED"


# --- 74: operators as targets -------------------------------------------------------------------------------


def test_case_74_rerun_from_a_join_evaluates_it_again() -> None:
    """Read from the code of the reference, which leaves the JOIN scheduled and hangs."""
    made = world(workflow("p", *fork("fork", [simple("t1")], [simple("t2")]), simple("next")))
    state = made.start("p")
    made.end(state, "t1")
    made.end(state, "t2")
    made.fail(state, "next")
    before = state.by_ref["fork_join"].number
    made.rerun(state, "fork_join")

    assert rows(state) == ["fork C", "t1 C", "t2 C", "fork_join C", "next S"]
    assert state.by_ref["fork_join"].number == before
    made.run()
    assert state.status == "COMPLETED"


def test_case_74_rerun_from_a_join_waits_for_members_that_run_again() -> None:
    made = world(workflow("p", *fork("fork", [simple("t1")], [simple("t2", permissive=True)])))
    state = made.start("p")
    made.end(state, "t1")
    made.fail(state, "t2")
    assert rows(state) == ["fork C", "t1 C", "t2 F", "fork_join F"]
    made.rerun(state, "fork_join")

    assert rows(state) == ["fork C", "t1 C", "t2 S", "fork_join I"]
    made.run()
    assert state.status == "COMPLETED"


def test_case_74_rerun_from_a_static_fork_expands_it_again() -> None:
    made = world(workflow("p", *fork("fork", [simple("a"), simple("b")], [simple("c")]), simple("next")))
    state = made.start("p")
    for ref in ("a", "b", "c"):
        made.end(state, ref)
    made.fail(state, "next")
    before = state.by_ref["fork"].number
    made.rerun(state, "fork")

    assert rows(state) == ["fork C", "a S", "c S", "fork_join I"]
    assert state.by_ref["fork"].number == before
    made.run()
    assert (state.status, rows(state)[-1]) == ("COMPLETED", "next C")


@pytest.mark.parametrize("taken", ["one", "two"])
def test_case_74_rerun_from_an_exclusive_join(taken: str) -> None:
    join: JsonObject = {"name": "x", "taskReferenceName": "x", "type": "EXCLUSIVE_JOIN", "joinOn": ["a", "b"]}
    choose = switch("choose", "${workflow.input.to}", one=[simple("a")], two=[simple("b")])
    made = world(workflow("p", choose, join, simple("next")))
    state = made.start("p", {"to": taken})
    ref = "a" if taken == "one" else "b"
    made.end(state, ref, {"v": 1})
    made.fail(state, "next")
    made.rerun(state, "x")

    assert rows(state) == ["choose C", f"{ref} C", "x C", "next S"]
    assert state.by_ref["x"].output == {"v": 1}


# --- lists that are any DAG ---------------------------------------------------------------------


def after(task: JsonObject, *refs: str) -> JsonObject:
    return {**task, "asyncflow": {"dependsOn": list(refs)}}


DIAMOND = workflow(
    "dag",
    after(simple("a")),
    after(simple("b"), "a"),
    after(simple("c"), "a"),
    after(simple("d"), "b", "c"),
    after(simple("e"), "c"),
)


def test_retry_in_a_dag_goes_on_with_what_was_done() -> None:
    made = world(DIAMOND)
    state = made.start("dag")
    made.end(state, "a")
    made.end(state, "c")
    done = kept(state, "a", "c")
    made.fail(state, "b")
    assert rows(state) == ["a C", "b F", "c C", "e X"]
    made.retry(state)

    assert rows(state) == ["a C", "b F*", "c C", "e X*", "b S", "e S"]
    made.end(state, "b")
    assert state.by_ref["d"].status == "SCHEDULED"
    made.run()
    assert (state.status, kept(state, "a", "c")) == ("COMPLETED", done)


def test_rerun_in_a_dag_removes_what_depends_on_the_task_and_nothing_else() -> None:
    made = world(DIAMOND)
    state = made.start("dag")
    made.run()
    assert state.status == "COMPLETED"
    done = kept(state, "a", "c", "e")
    made.now_ms += 1_000
    made.rerun(state, "b")

    assert sorted(rows(state)) == ["a C", "b S", "c C", "e C"]
    made.end(state, "b")
    assert state.by_ref["d"].status == "SCHEDULED"
    made.run()
    assert (state.status, kept(state, "a", "c", "e")) == ("COMPLETED", done)


def test_rerun_of_a_dependency_reopens_a_join_in_a_dag_whose_fork_stays() -> None:
    forking, join = fork("fork", [simple("t1")], [simple("t2")])
    made = world(
        workflow("dag", after(simple("x")), after(forking), after(join, "fork", "x"), simple("last"))
    )
    state = made.start("dag")
    made.run()
    assert state.status == "COMPLETED"
    number = state.by_ref["fork_join"].number
    made.rerun(state, "x")
    made.end(state, "x")

    assert (state.by_ref["fork_join"].number, state.by_ref["last"].status) == (number, "SCHEDULED")
    made.run()
    assert state.status == "COMPLETED"


# --- what an early end left undone --------------------------------------------------------------


def test_rerun_begins_the_branches_that_an_early_failure_never_let_begin() -> None:
    bad = system("bad", "WAIT", duration="1 s", until="2020-01-01")
    made = world(workflow("p", *fork("fork", [bad], [simple("t")])))
    state = made.start("p")
    assert (state.status, rows(state)) == ("FAILED", ["fork C", "bad FT"])
    made.rerun(state, "bad", task_input={})

    assert rows(state) == ["fork C", "bad I", "t S", "fork_join I"]
    made.end(state, "bad")
    made.end(state, "t")
    assert state.status == "COMPLETED"


def test_retry_goes_on_with_a_dynamic_fork_that_was_cut_off() -> None:
    made = world(workflow("p", *dynamic_fork("fork")))
    bad = {
        "name": "x1",
        "taskReferenceName": "x1",
        "type": "SUB_WORKFLOW",
        "subWorkflowParam": {"name": "later"},
    }
    state = made.start("p", {"tasks": [simple("x0"), bad, simple("x2")]})
    assert (state.status, rows(state)) == ("FAILED", ["fork C", "x0 X", "x1 X"])
    made.register(workflow("later", simple("k")))
    made.retry(state)

    assert rows(state) == ["fork C", "x0 X*", "x1 X*", "x0 S", "x1 I", "x2 S", "fork_join I"]
    made.run()
    assert state.status == "COMPLETED"


def test_rerun_inside_a_loop_in_a_branch_reopens_the_join_outside() -> None:
    made = world(
        workflow("p", *fork("fork", [loop("loop", simple("b"), times=2)], [simple("t")]), simple("next"))
    )
    state = made.start("p")
    made.run()
    assert state.status == "COMPLETED"
    done = kept(state, "b__1", "t")
    made.rerun(state, "b__2")

    assert sorted(rows(state)) == ["b__1 C", "b__2 S", "fork C", "fork_join I", "loop I", "t C"]
    made.run()
    assert (state.status, kept(state, "b__1", "t")) == ("COMPLETED", done)


def test_retry_of_a_permissive_failure_before_what_is_done_ends_the_loop_rightly() -> None:
    body = [simple("b1", permissive=True), simple("b2")]
    made = world(workflow("p", loop("loop", *body, times=2)))
    state = made.start("p")
    made.fail(state, "b1__1")
    made.end(state, "b2__1")
    assert (state.status, rows(state)) == ("FAILED", ["loop F", "b1__1 F", "b2__1 C"])
    made.retry(state)

    assert rows(state) == ["loop I", "b1__1 F*", "b2__1 C", "b1__1 S"]
    made.end(state, "b1__1")
    assert rows(state)[-1] == "b1__2 S"
    made.run()
    assert state.status == "COMPLETED"


def test_rerun_of_a_sub_workflow_removes_what_was_behind_it() -> None:
    made = world(workflow("p", sub("sub", "c"), simple("after")), workflow("c", simple("k")))
    state = made.start("p")
    made.run()
    made.rerun(state, "sub")

    assert rows(state) == ["sub I"]
    made.run()
    assert (state.status, rows(state)) == ("COMPLETED", ["sub C", "after C"])
