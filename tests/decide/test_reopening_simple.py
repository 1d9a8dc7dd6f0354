"""Cases 1 to 17: restart, retry and rerun of executions without children."""

from __future__ import annotations

import pytest

from asyncflow.errors import NotFound, Refused, ScriptError
from asyncflow.model import inputs
from asyncflow.model.state import ExecutionState
from asyncflow.model.values import JsonMapping, JsonValue
from asyncflow.testing.pure import World
from tests.decide.reopening_support import child_id, identity, rows, simple, sub, system, workflow, world

TWO = workflow("two", simple("t1"), simple("t2"), outputParameters={"got": "${t2.output.value}"})


def completed() -> tuple[World, ExecutionState]:
    made = world(TWO)
    state = made.start("two")
    made.end(state, "t1")
    made.end(state, "t2", {"value": 1})
    assert state.status == "COMPLETED"
    return made, state


def failed() -> tuple[World, ExecutionState]:
    made = world(TWO)
    state = made.start("two")
    made.fail(state, "t1")
    assert (state.status, rows(state)) == ("FAILED", ["t1 F"])
    return made, state


def test_case_01_rerun_without_task_begins_again() -> None:
    made, state = completed()
    identity_before = state.execution_id
    for _ in range(3):
        made.rerun(state)

        assert (state.execution_id, state.status, rows(state)) == (identity_before, "RUNNING", ["t1 S"])
        assert state.by_ref["t1"].seq == 1
        made.run(lambda _: {"value": 2})
        assert (state.status, state.output) == ("COMPLETED", {"got": 2})


def test_case_02_rerun_from_a_task_keeps_what_was_before() -> None:
    made, state = completed()
    first, second = state.by_ref["t1"], state.by_ref["t2"]
    ended, id_before = first.ended_ms, identity(state, second)
    made.now_ms += 5_000
    made.rerun(state, "t2")

    assert rows(state) == ["t1 C", "t2 S"]
    assert first.ended_ms == ended
    assert identity(state, state.by_ref["t2"]) == id_before
    made.end(state, "t2", {"value": 7})
    assert (state.status, state.output) == ("COMPLETED", {"got": 7})


def test_case_03_rerun_from_the_failed_task() -> None:
    made = world(workflow("w", system("sync", "NOOP"), simple("t1")))
    state = made.start("w")
    made.fail(state, "t1")
    made.rerun(state, "t1")

    assert (state.status, rows(state)) == ("RUNNING", ["sync C", "t1 S"])
    made.end(state, "t1")
    assert state.status == "COMPLETED"


@pytest.mark.parametrize("number", [0, 1])
def test_case_04_rerun_of_a_running_execution_is_refused(number: int) -> None:
    made = world(TWO)
    state = made.start("two")
    if number:
        with pytest.raises(Refused):
            made.rerun(state, "t1")
    else:
        with pytest.raises(Refused):
            made.rerun(state)

    assert (state.epoch, rows(state)) == (0, ["t1 S"])


def test_case_05_rerun_with_task_input_runs_a_script_at_once() -> None:
    def jq(language: str, source: str, given: JsonMapping) -> JsonValue:
        if given.get("value") == "bad":
            raise ScriptError("cannot iterate")
        return [given.get("value")]

    made = World(scripts=jq)
    made.register(workflow("w", system("jq", "JSON_JQ_TRANSFORM", queryExpression=".value", value="bad")))
    state = made.start("w")
    assert state.status == "FAILED"
    made.rerun(state, "jq", task_input={"queryExpression": ".value", "value": 3})

    assert state.status == "COMPLETED"
    assert state.by_ref["jq"].output == {"result": 3, "resultList": [3]}


def test_case_06_rerun_from_a_timer_opens_it_again() -> None:
    made = world(workflow("w", system("wait", "WAIT", duration="60 seconds")))
    state = made.start("w")
    before = state.by_ref["wait"].callback_after_s
    made.terminate(state)
    made.now_ms += 30_000
    made.rerun(state, "wait")

    wait = state.by_ref["wait"]
    assert (state.status, rows(state)) == ("RUNNING", ["wait I"])
    assert (wait.callback_after_s, wait.starts) == (before, 0)
    made.pass_time(made.now_ms + 59_000)
    assert state.status == "RUNNING"
    made.pass_time(made.now_ms + 1_000)
    assert state.status == "COMPLETED"


def test_case_07_retry_makes_another_attempt() -> None:
    made, state = failed()
    made.now_ms += 1_000
    made.retry(state)

    old, new = state.tasks[1], state.tasks[2]
    assert (state.status, rows(state)) == ("RUNNING", ["t1 F*", "t1 S"])
    assert (new.retry_of, new.retry_count, new.reason) == (old.number, 1, None)
    assert (old.settled, state.retried_ms, state.reason) == (True, made.now_ms, None)
    assert (state.failed_number, list(state.failed_refs)) == (1, ["t1"])


@pytest.mark.parametrize("how", ["retry", "restart"])
def test_case_08_a_terminated_execution_goes_on_or_begins_again(how: str) -> None:
    made = world(TWO)
    state = made.start("two")
    made.end(state, "t1")
    made.terminate(state, "enough")
    assert (state.status, rows(state)) == ("TERMINATED", ["t1 C", "t2 X"])
    (made.retry if how == "retry" else made.restart)(state)

    assert state.status == "RUNNING"
    assert rows(state) == (["t1 C", "t2 X*", "t2 S"] if how == "retry" else ["t1 S"])
    made.run()
    assert state.status == "COMPLETED"


def test_case_09_retry_after_the_workflow_timeout() -> None:
    made = world(workflow("w", simple("t1"), timeoutSeconds=10, timeoutPolicy="TIME_OUT_WF"))
    state = made.start("w")
    made.pass_time(made.now_ms + 10_000)
    assert (state.status, rows(state)) == ("TIMED_OUT", ["t1 X"])
    made.now_ms += 100_000
    made.retry(state)

    assert (state.status, rows(state)) == ("RUNNING", ["t1 X*", "t1 S"])
    made.end(state, "t1")
    assert state.status == "COMPLETED"


def test_case_10_retry_of_a_timeout_between_two_tasks_goes_on() -> None:
    made = world(workflow("w", simple("t1"), simple("t2"), timeoutSeconds=10, timeoutPolicy="TIME_OUT_WF"))
    state = made.start("w")
    made.begin(state, "t1")
    made.slice_size = 1  # what follows t1 is left to another turn, and the timeout comes first
    made.send_alone(state, inputs.AttemptEnded(1, "COMPLETED", {}))
    made.slice_size = 2_000
    assert rows(state) == ["t1 C"]
    made.now_ms += 10_000
    made.send(state.execution_id, inputs.TimerDue(0, "workflow"))
    assert (state.status, rows(state)) == ("TIMED_OUT", ["t1 C"])
    made.retry(state)

    assert (state.status, rows(state)) == ("RUNNING", ["t1 C", "t2 S"])
    made.end(state, "t2")
    assert state.status == "COMPLETED"


def test_case_11_a_task_that_times_out_twice_times_the_workflow_out() -> None:
    made = world(
        workflow(
            "w",
            simple(
                "t1",
                retryCount=1,
                taskDefinition={
                    "name": "t1",
                    "retryCount": 1,
                    "retryDelaySeconds": 0,
                    "timeoutSeconds": 5,
                    "timeoutPolicy": "RETRY",
                    "responseTimeoutSeconds": 5,
                },
            ),
        )
    )
    state = made.start("w")
    made.begin(state, "t1")
    made.pass_time(made.now_ms + 5_000)
    assert rows(state) == ["t1 T*", "t1 S"]
    made.begin(state, "t1")
    made.pass_time(made.now_ms + 5_000)

    assert (state.status, rows(state)) == ("TIMED_OUT", ["t1 T*", "t1 T"])


def test_case_12_restart_begins_again_with_leading_synchronous_tasks_done() -> None:
    made = world(workflow("w", system("sync", "NOOP"), simple("t1")))
    state = made.start("w", {"a": 1})
    made.fail(state, "t1")
    old = set(state.tasks)
    made.now_ms += 1_000
    made.restart(state)

    assert (state.status, rows(state)) == ("RUNNING", ["sync C", "t1 S"])
    assert state.by_ref["sync"].settled
    assert not old & set(state.tasks)
    assert (state.input, state.created_ms, state.ended_ms, state.retried_ms) == ({"a": 1}, made.now_ms, 0, 0)
    assert (state.output, state.reason, state.failed_number) == ({}, None, 0)
    assert list(state.failed_refs) == ["t1"]


@pytest.mark.parametrize("latest", [True, False], ids=["case_13_latest", "case_14_as_it_was"])
def test_case_13_and_14_restart_takes_the_newest_definition_only_if_asked(latest: bool) -> None:  # noqa: FBT001
    made, state = completed()
    made.register({**TWO, "version": 2, "tasks": [simple("t1"), simple("t2"), simple("t3")]})
    graph = made.catalog.latest("two", None)
    assert graph is not None
    made.restart(state, definition=graph.hash if latest else None)
    made.end(state, "t1")
    made.end(state, "t2")

    assert state.status == ("RUNNING" if latest else "COMPLETED")
    assert state.version == (2 if latest else 1)
    if latest:
        made.end(state, "t3")
        assert state.status == "COMPLETED"


def test_case_15_restartable_matters_only_for_completed_executions() -> None:
    made = world(workflow("w", simple("t1"), restartable=False))
    state = made.start("w")
    made.fail(state, "t1")
    made.restart(state)
    made.end(state, "t1")
    assert state.status == "COMPLETED"
    with pytest.raises(NotFound):
        made.restart(state)

    assert state.status == "COMPLETED"


def test_case_16_task_to_domain_survives_restarts() -> None:
    made = world(workflow("c", simple("k")), workflow("p", sub("s", "c")))
    state = made.start("p", task_to_domain={"k": "d1"})
    seen = set()
    for _ in range(3):
        seen.add(child_id(state, "s"))
        child = made.child(state, "s")
        assert (state.task_to_domain, child.task_to_domain) == ({"k": "d1"}, {"k": "d1"})
        assert child.by_ref["k"].domain == "d1"
        made.terminate(state)
        made.restart(state)

    assert len(seen) == 3


def test_case_17_retry_takes_a_terminal_failure_too() -> None:
    made = world(workflow("w", simple("t1", retryCount=5)))
    state = made.start("w")
    made.fail(state, "t1", status="FAILED_WITH_TERMINAL_ERROR")
    assert (state.status, rows(state)) == ("FAILED", ["t1 FT"])
    made.retry(state)

    assert (state.status, rows(state)) == ("RUNNING", ["t1 FT*", "t1 S"])
