"""What reopening refuses, and which inputs a record that runs again has."""

from __future__ import annotations

import pytest

from asyncflow.errors import InvalidInput, NotFound, Refused
from asyncflow.model.inputs import Evaluate, RetryExecution
from asyncflow.model.state import ExecutionState
from asyncflow.testing.pure import World
from tests.decide.reopening_support import dynamic_fork, rows, simple, system, workflow, world

TWO = workflow("two", simple("t1"), simple("t2"))


def completed() -> tuple[World, ExecutionState]:
    made = world(TWO)
    state = made.start("two")
    made.run()
    return made, state


def failed() -> tuple[World, ExecutionState]:
    made = world(TWO)
    state = made.start("two")
    made.fail(state, "t1")
    return made, state


def test_retry_of_a_running_execution_finds_no_ended_one() -> None:
    made = world(TWO)
    state = made.start("two")
    with pytest.raises(NotFound):
        made.retry(state)

    assert state.epoch == 0


def test_retry_of_a_completed_execution_is_refused() -> None:
    made, state = completed()
    with pytest.raises(Refused):
        made.retry(state)
    made.retry(state, resume=True)

    assert (state.status, state.epoch) == ("COMPLETED", 0)


def test_retry_of_an_execution_without_tasks_is_refused() -> None:
    made = world(TWO)
    state = made.start(workflow("empty"))
    with pytest.raises(Refused):
        made.retry(state)

    assert state.is_ended


def test_restart_of_a_running_execution_is_refused() -> None:
    made = world(TWO)
    state = made.start("two")
    with pytest.raises(Refused):
        made.restart(state)

    assert state.epoch == 0


def test_restart_under_an_unknown_definition_is_refused() -> None:
    made, state = failed()
    with pytest.raises(InvalidInput):
        made.restart(state, definition="nowhere")

    assert state.status == "FAILED"


def test_rerun_from_an_unknown_task_is_refused() -> None:
    made, state = failed()
    with pytest.raises(InvalidInput):
        made.rerun(state, 99)

    assert (state.status, state.epoch) == ("FAILED", 0)


def test_rerun_replaces_workflow_input_and_correlation() -> None:
    made = world(workflow("w", simple("t1"), simple("t2", inputParameters={"x": "${workflow.input.x}"})))
    state = made.start("w", {"x": 1})
    made.end(state, "t1")
    made.fail(state, "t2")
    made.rerun(state, 1, workflow_input={"x": 2}, correlation_id="c2")
    made.end(state, "t1")

    assert (state.input, state.correlation_id) == ({"x": 2}, "c2")
    assert state.by_ref["t2"].input == {"x": 2}
    assert not state.failed_refs


def test_rerun_keeps_the_stored_input_of_the_task_itself() -> None:
    made = world(workflow("w", simple("t1", inputParameters={"x": "${workflow.input.x}"})))
    state = made.start("w", {"x": 1})
    made.fail(state, "t1")
    made.rerun(state, 1, workflow_input={"x": 2})

    assert state.by_ref["t1"].input == {"x": 1}


def test_retry_resolves_inputs_anew() -> None:
    made = world(
        workflow(
            "w",
            system("v", "SET_VARIABLE", x=1),
            simple("t1", inputParameters={"x": "${workflow.variables.x}"}),
        )
    )
    state = made.start("w")
    made.end(state, "t1", status="FAILED", reason="boom")
    made.retry(state)
    made.set_variables(state, x=2)
    made.fail(state, "t1")
    made.retry(state)

    assert [t.input for t in state.tasks.values() if t.ref == "t1"] == [{"x": 1}, {"x": 1}, {"x": 2}]


def test_rerun_from_a_skipped_task_is_refused() -> None:
    made = world(TWO)
    state = made.start("two")
    made.skip(state, "t2")
    made.fail(state, "t1")
    with pytest.raises(InvalidInput):
        made.rerun(state, "t2")
    made.rerun(state, "t1")
    made.end(state, "t1")

    assert (state.status, rows(state)) == ("COMPLETED", ["t2 K", "t1 C"])


def test_rerun_from_an_attempt_that_was_superseded_takes_its_place_back() -> None:
    made, state = failed()
    made.retry(state)
    made.run()
    assert rows(state) == ["t1 F*", "t1 C", "t2 C"]
    made.rerun(state, 1)

    assert rows(state) == ["t1 S"]
    assert (state.by_ref["t1"].number, state.by_ref["t1"].superseded) == (1, False)
    made.run()
    assert (state.status, rows(state)) == ("COMPLETED", ["t1 C", "t2 C"])


def test_retry_by_command_has_the_total_timeout_anew() -> None:
    made = world(workflow("w", simple("t1")))
    made.register_task(
        name="t1", retryCount=0, totalTimeoutSeconds=60, timeoutSeconds=30, responseTimeoutSeconds=30
    )
    state = made.start("w")
    made.fail(state, "t1")
    made.now_ms += 3_600_000
    made.retry(state)
    made.pass_time(made.now_ms + 1_000)

    assert rows(state) == ["t1 F*", "t1 S"]


def test_a_task_that_fails_as_soon_as_it_begins_again_fails_the_parent_too() -> None:
    bad = system("bad", "WAIT", duration="1 s", until="2020-01-01")
    made = world(
        workflow("c", bad),
        workflow("p", {**system("sub", "SUB_WORKFLOW"), "subWorkflowParam": {"name": "c"}}),
    )
    parent = made.start("p")
    child = made.child(parent, "sub")
    assert (child.status, parent.status) == ("FAILED", "FAILED")
    for again in (made.retry, made.rerun, made.restart):
        again(child)

        assert (child.status, parent.status, rows(parent)) == ("FAILED", "FAILED", ["sub F"])


@pytest.mark.parametrize("slice_size", [4, 2_000])
def test_reopening_is_sliced_and_goes_on_after_recovery(slice_size: int) -> None:
    listed = [simple(f"x{n}") for n in range(20)]
    made = world(workflow("p", *dynamic_fork("fork"), simple("last")))
    state = made.start("p", {"tasks": listed})
    for n in range(5):
        made.end(state, f"x{n}")
    made.fail(state, "x19")
    made.slice_size = slice_size
    made.send_alone(state, RetryExecution())
    left = len(state.repairs)
    made.recover(state.execution_id)
    state = made.states[state.execution_id]
    assert len(state.repairs) == left
    assert bool(left) == (slice_size == 4)
    made.send(state.execution_id, Evaluate())

    assert not state.repairs
    assert [row for row in rows(state) if row.endswith("*")] == [
        *[f"x{n} X*" for n in range(5, 19)],
        "x19 F*",
    ]
    made.run()
    assert (state.status, state.by_ref["fork_join"].status, state.by_ref["last"].status) == ("COMPLETED",) * 3


def test_an_execution_that_ends_while_it_is_being_repaired_can_be_retried_again() -> None:
    made = world(workflow("p", *dynamic_fork("fork")))
    state = made.start("p", {"tasks": [simple(f"x{n}") for n in range(20)]})
    made.fail(state, "x0")
    made.slice_size = 4
    made.send_alone(state, RetryExecution())
    assert state.repairs
    made.terminate(state)
    assert (state.status, len(state.repairs)) == ("TERMINATED", 0)
    made.retry(state)
    made.run()

    assert state.status == "COMPLETED"
    assert sum(not task.superseded for task in state.tasks.values()) == 22
