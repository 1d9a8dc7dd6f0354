"""What every kind of open record says it waits for."""

from __future__ import annotations

import pytest

from asyncflow.decide.waiting import waits_for
from asyncflow.model import inputs
from asyncflow.model.state import ExecutionState
from tests.decide.definitions import Json, child, fork, loop, task, workflow, world

INNER = workflow(task("x"), name="inner")


def entry(state: ExecutionState, ref: str) -> Json:
    [found] = [each for each in waits_for(state) if each.get("task") == ref]
    return found


@pytest.mark.parametrize(
    ("made_of", "expected"),
    [
        (task("t", name="here"), {"kind": "admission", "executor": "loop"}),
        (task("t", name="here", startDelay=5), {"kind": "admission", "notBeforeMs": 1_005_000}),
        (task("t", name="far"), {"kind": "worker", "name": "far"}),
        (task("t", "JDBC", name="label"), {"kind": "worker", "name": "JDBC"}),
        (task("t", "HTTP"), {"kind": "admission", "executor": "http"}),
        (task("t", "WAIT", inputParameters={"duration": "5s"}), {"kind": "time", "atMs": 1_005_000}),
        (task("t", "WAIT", inputParameters={"until": "1970-01-02"}), {"kind": "time", "clock": "wall"}),
        (task("t", "WAIT"), {"kind": "update"}),
        (task("t", "HUMAN"), {"kind": "update"}),
        (task("t", "EVENT", sink="conductor", asyncComplete=True), {"kind": "update"}),
        (child("t", INNER, startDelay=5), {"kind": "time", "atMs": 1_005_000}),
        (loop("t", task("a")), {"kind": "body", "iteration": 1}),
    ],
)
def test_open_record_says_what_it_waits_for(made_of: Json, expected: Json) -> None:
    made = world("here")
    found = entry(made.start(workflow(made_of)), "t")

    assert {key: found[key] for key in expected} == expected


def test_begun_attempts_say_who_performs_them() -> None:
    made = world("here")
    state = made.start(workflow(*fork("f", [task("here")], [task("far")])))
    for ref, worker in (("here", ""), ("far", "w7")):
        made.send(state.execution_id, inputs.AttemptAdmitted(made.task(state, ref).number, worker_id=worker))

    assert entry(state, "here")["kind"] == "attempt"
    assert (entry(state, "far")["kind"], entry(state, "far")["workerId"]) == ("report", "w7")


def test_worker_task_names_its_domain_and_its_timeouts() -> None:
    made = world()
    made.register_task(name="far", pollTimeoutSeconds=9)
    state = made.start(workflow(task("far")), task_to_domain={"far": "d"})

    assert entry(state, "far")["domain"] == "d"
    assert entry(state, "far")["timeouts"] == [{"kind": "poll", "atMs": made.now_ms + 9_000}]


def test_join_names_its_open_members_and_those_never_scheduled() -> None:
    made = world()
    state = made.start(workflow(*fork("f", [task("a")], [task("b")], join=["a", "b", "nobody"])))
    made.end(state, "a")
    found = entry(state, "f_join")

    assert (found["kind"], found["count"], found["tasks"]) == ("members", 2, ["b", "nobody"])
    assert found["notScheduled"] == ["nobody"]


def test_sub_workflow_names_its_child() -> None:
    made = world()
    state = made.start(workflow(child("s", INNER)))

    assert entry(state, "s")["executionId"] == made.child(state, "s").execution_id


def test_script_that_is_asked_is_waited_for() -> None:
    made = world()
    state = made.start(workflow(task("a"), task("i", "INLINE", inputParameters={"expression": "1"})))
    made.send_alone(state, inputs.AttemptEnded(1, "COMPLETED", {}))

    assert entry(state, "i")["kind"] == "script"


def test_retry_is_waited_for_until_its_time() -> None:
    made = world()
    made.register_task(name="i", retryCount=1, retryDelaySeconds=7)
    state = made.start(workflow(task("i", "LAMBDA", inputParameters={"scriptExpression": "throw x"})))

    assert (entry(state, "i")["kind"], entry(state, "i")["atMs"]) == ("time", made.now_ms + 7_000)


def test_paused_execution_waits_to_be_resumed() -> None:
    made = world("here")
    state = made.start(workflow(*fork("f", [task("here")], [child("s", INNER, startDelay=5)])))
    made.pause(state)

    assert waits_for(state)[0] == {"kind": "resume"}
    assert entry(state, "here")["kind"] == "resume"
    assert entry(state, "s")["kind"] == "resume"


def test_deferred_work_waits_for_a_turn() -> None:
    made = world(slice_size=5)
    state = made.start(workflow(task("a"), *(task(f"n{n}", "NOOP") for n in range(20))))
    made.send_alone(state, inputs.AttemptEnded(1, "COMPLETED", {}))

    assert waits_for(state)[0]["kind"] == "turn"


def test_ended_execution_waits_for_nothing() -> None:
    made = world()
    state = made.start(workflow(task("a")))
    made.terminate(state)

    assert waits_for(state) == []
