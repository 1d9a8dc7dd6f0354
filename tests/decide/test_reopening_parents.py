"""Cases 47 and 57 to 64: what an execution and the one above it owe each other."""

from __future__ import annotations

import pytest

from asyncflow.model.inputs import ChildEnded, ChildReopened, RetryExecution
from asyncflow.model.state import ExecutionState
from asyncflow.model.values import JsonObject, JsonValue
from asyncflow.testing.pure import World
from tests.decide.reopening_support import (
    child_id,
    fork,
    identity,
    kept,
    rows,
    simple,
    sub,
    system,
    workflow,
    world,
)

ONE = workflow("c", simple("k"))
PAIR = workflow("c", simple("k1"), simple("k2"))


def parent_and_child(**more: JsonValue) -> tuple[World, ExecutionState, ExecutionState]:
    made = world(workflow("p", sub("sub", "c", **more)), ONE)
    parent = made.start("p")
    return made, parent, made.child(parent, "sub")


def reopen(made: World, state: ExecutionState, how: str) -> None:
    if how == "restart":
        made.restart(state)
    elif how == "retry":
        made.retry(state)
    else:
        made.rerun(state)


def test_case_47_and_64_rerun_inside_a_child_revives_the_parent() -> None:
    """The service finds the child that a task id belongs to, then asks the child, as here."""
    tasks = [
        simple("first"),
        *fork("fork", [sub("sub1", "c")], [simple("t"), sub("sub2", "c")]),
        simple("last"),
    ]
    made = world(workflow("p", *tasks), PAIR)
    parent = made.start("p")
    made.end(parent, "first")
    made.end(parent, "t")
    other, child = made.child(parent, "sub1"), made.child(parent, "sub2")
    made.end(other, "k1")
    made.end(other, "k2")
    made.end(child, "k1")
    done = kept(parent, "first", "fork", "sub1", "t"), kept(child, "k1")
    made.now_ms += 1_000
    made.fail(child, "k2")
    records = [identity(parent, task) for task in parent.tasks.values()]
    made.rerun(child, "k2")

    assert (parent.status, child.status) == ("RUNNING", "RUNNING")
    assert [identity(parent, task) for task in parent.tasks.values()] == records
    assert rows(parent) == ["first C", "fork C", "sub1 C", "t C", "fork_join I", "sub2 I"]
    assert rows(child) == ["k1 C", "k2 S"]
    made.run()
    assert (parent.status, rows(parent)[-1]) == ("COMPLETED", "last C")
    assert (kept(parent, "first", "fork", "sub1", "t"), kept(child, "k1")) == done


@pytest.mark.parametrize("how", ["retry", "restart", "rerun"])
def test_case_57_an_optional_child_runs_again_for_itself(how: str) -> None:
    made = world(workflow("p", *fork("fork", [sub("sub", "c", optional=True)], [simple("t")])), ONE)
    parent = made.start("p")
    child = made.child(parent, "sub")
    made.end(parent, "t")
    made.fail(child, "k")
    before = ["fork C", "sub E", "t C", "fork_join E"]
    assert (parent.status, rows(parent)) == ("COMPLETED", before)
    epoch = parent.epoch
    reopen(made, child, how)

    assert (child.status, parent.status, rows(parent), parent.epoch) == (
        "RUNNING",
        "COMPLETED",
        before,
        epoch,
    )
    made.run()
    assert (child.status, parent.status, rows(parent)) == ("COMPLETED", "COMPLETED", before)


@pytest.mark.parametrize("how", ["restart", "retry"])
def test_case_58_an_orphan_does_not_touch_the_parent_that_left_it(how: str) -> None:
    made, parent, orphan = parent_and_child()
    made.fail(orphan, "k")
    made.restart(parent)
    fresh = made.child(parent, "sub")
    before = parent.seq
    reopen(made, orphan, how)
    assert orphan.status == "RUNNING"
    made.terminate(orphan)

    assert (parent.status, parent.seq, made.child(parent, "sub")) == ("RUNNING", before, fresh)
    made.run()
    assert parent.status == "COMPLETED"


def test_case_58_a_child_left_by_a_rerun_does_not_touch_the_parent() -> None:
    made, parent, orphan = parent_and_child()
    made.fail(orphan, "k")
    made.rerun(parent, "sub")
    before = parent.seq
    made.retry(orphan)
    made.end(orphan, "k")

    assert (orphan.status, parent.status, parent.seq) == ("COMPLETED", "RUNNING", before)


def test_case_59_retry_of_a_child_after_the_parents_timeout() -> None:
    definition = workflow("p", sub("sub", "c"), timeoutSeconds=10, timeoutPolicy="TIME_OUT_WF")
    made = world(definition, workflow("c", simple("k"), outputParameters={"v": "${k.output.v}"}))
    parent = made.start("p")
    child = made.child(parent, "sub")
    made.pass_time(made.now_ms + 10_000)
    assert (parent.status, rows(parent)) == ("TIMED_OUT", ["sub X"])
    assert (child.status, rows(child)) == ("TERMINATED", ["k X"])
    made.retry(child)

    assert rows(child) == ["k X*", "k S"]
    assert (parent.status, rows(parent)) == ("RUNNING", ["sub I"])
    made.end(child, "k", {"v": 5})
    assert parent.status == "COMPLETED"
    assert parent.output["v"] == 5


def test_case_60_terminating_a_child_terminates_the_parent() -> None:
    made, parent, child = parent_and_child()
    made.terminate(child, "because")

    assert (parent.status, rows(parent)) == ("TERMINATED", ["sub X"])
    assert "because" in (parent.reason or "")


def test_case_61_two_terminated_permissive_children_terminate_the_parent() -> None:
    branches = fork("fork", [sub("a", "c", permissive=True)], [sub("b", "c", permissive=True)])
    made = world(workflow("p", *branches), ONE)
    parent = made.start("p")
    made.terminate(made.child(parent, "a"))
    assert parent.status == "RUNNING"
    made.terminate(made.child(parent, "b"))

    assert (parent.status, rows(parent)) == ("TERMINATED", ["fork C", "a X", "b X", "fork_join X"])


def test_case_62_a_retry_by_policy_starts_a_new_child() -> None:
    definition: JsonObject = {"name": "sub", "retryCount": 1, "retryDelaySeconds": 0}
    branches = fork("fork", [sub("sub", "c", taskDefinition=definition)], [simple("s")])
    made = world(workflow("p", *branches), ONE)
    parent = made.start("p")
    child = made.child(parent, "sub")
    made.fail(child, "k")

    assert (parent.status, rows(parent)) == ("RUNNING", ["fork C", "sub F*", "s S", "fork_join I", "sub I"])
    assert made.child(parent, "sub") is not child
    made.run()
    assert parent.status == "COMPLETED"


def test_case_63_terminate_ends_children_with_the_reason() -> None:
    end = system("end", "TERMINATE", terminationStatus="COMPLETED", terminationReason="enough")
    made = world(workflow("p", *fork("fork", [sub("sub", "c")], [simple("s")], [simple("t"), end])), ONE)
    parent = made.start("p")
    child = made.child(parent, "sub")
    made.end(parent, "t")

    assert (parent.status, parent.reason) == ("COMPLETED", "enough")
    assert rows(parent) == ["fork C", "sub X", "s X", "t C", "fork_join X", "end C"]
    assert child.status == "TERMINATED"
    assert child.reason == "Parent workflow has been terminated with reason: enough"


@pytest.mark.parametrize("how", ["retry", "restart", "rerun"])
def test_case_64_the_parent_waits_for_the_child_again(how: str) -> None:
    made, parent, child = parent_and_child()
    made.fail(child, "k")
    number = parent.by_ref["sub"].number
    reopen(made, child, how)

    sub_task = parent.by_ref["sub"]
    assert (parent.status, rows(parent), sub_task.number) == ("RUNNING", ["sub I"], number)
    assert (parent.reason, parent.failed_number, parent.failed_refs) == (None, 0, {})
    assert parent.retried_ms == made.now_ms
    note = parent_note(made, parent)
    assert note == f"Sub workflow {child.execution_id} {how}."
    made.run()
    assert parent.status == "COMPLETED"


def parent_note(made: World, parent: ExecutionState) -> str:
    """What was written into the log of the task that waits for a child again."""
    notes = [getattr(recorded.event, "note", "") for recorded in made.journal[parent.execution_id]]
    return next(str(note) for note in notes if note)


# --- messages between executions are answered whatever the state ---------------------------------------


def test_a_running_parent_waits_for_a_permissive_child_that_runs_again() -> None:
    branches = fork("fork", [sub("sub", "c", permissive=True)], [simple("s")])
    made = world(workflow("p", *branches), ONE)
    parent = made.start("p")
    child = made.child(parent, "sub")
    made.fail(child, "k")
    assert (parent.status, rows(parent)) == ("RUNNING", ["fork C", "sub F", "s S", "fork_join I"])
    made.retry(child)

    assert rows(parent) == ["fork C", "sub I", "s S", "fork_join I"]
    made.end(parent, "s")
    assert parent.status == "RUNNING"
    made.end(child, "k")
    assert parent.status == "COMPLETED"


def test_a_sibling_that_completed_meanwhile_is_heard_again() -> None:
    made = world(workflow("p", *fork("fork", [sub("a", "c")], [sub("b", "c", permissive=True)])), ONE)
    parent = made.start("p")
    one, other = made.child(parent, "a"), made.child(parent, "b")
    made.fail(one, "k")
    assert rows(parent)[2] == "b X"
    made.send_alone(other, RetryExecution())  # the message to the parent is lost, as after its removal
    made.end(other, "k")
    assert other.status == "COMPLETED"
    made.retry(one)

    assert rows(parent)[2] == "b C"
    made.end(one, "k")
    assert parent.status == "COMPLETED"


def test_a_sibling_that_ended_itself_is_heard_again() -> None:
    ending = workflow("e", simple("w"), system("end", "TERMINATE", terminationStatus="FAILED"))
    made = world(workflow("p", *fork("fork", [sub("a", "c")], [sub("b", "e")])), ONE, ending)
    parent = made.start("p")
    one, other = made.child(parent, "a"), made.child(parent, "b")
    made.end(other, "w")
    assert (other.status, parent.status) == ("FAILED", "FAILED")
    made.retry(one)

    assert (other.status, rows(other)) == ("FAILED", ["w C", "end C"])
    assert parent.status == "FAILED"


def test_a_sibling_that_was_terminated_between_two_tasks_goes_on() -> None:
    made = world(
        workflow("p", *fork("fork", [sub("a", "c")], [sub("b", "d")])),
        ONE,
        workflow("d", simple("x"), simple("y")),
    )
    parent = made.start("p")
    one, other = made.child(parent, "a"), made.child(parent, "b")
    made.pause(other)
    made.end(other, "x")
    made.fail(one, "k")
    assert (other.status, rows(other)) == ("TERMINATED", ["x C"])
    made.retry(one)

    assert (other.status, rows(other)) == ("RUNNING", ["x C", "y S"])
    made.run()
    assert parent.status == "COMPLETED"


@pytest.mark.parametrize("message", ["number", "child", "open"])
def test_a_reopened_child_that_is_not_waited_for_changes_nothing(message: str) -> None:
    made, parent, child = parent_and_child()
    if message != "open":
        made.fail(child, "k")
    seq, number = parent.seq, parent.by_ref["sub"].number
    given = ChildReopened(
        99 if message == "number" else number, "other" if message == "child" else child.execution_id, "retry"
    )
    made.send(parent.execution_id, given)

    assert parent.seq == seq


def test_an_end_of_the_child_left_behind_counts_for_nothing() -> None:
    made, parent, child = parent_and_child()
    made.fail(child, "k")
    made.rerun(parent, "sub")
    number = parent.by_ref["sub"].number
    made.send(parent.execution_id, ChildEnded(number, child.execution_id, "COMPLETED", {}, None))

    assert (parent.status, rows(parent)) == ("RUNNING", ["sub I"])
    assert child_id(parent, "sub") != child.execution_id
