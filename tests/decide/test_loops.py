"""DO_WHILE: iterations, conditions, lists, what is kept, what fails it, loops in loops."""

from __future__ import annotations

import pytest

from asyncflow.decide.gather import output_of
from asyncflow.decide.render import render_execution
from asyncflow.model import inputs
from asyncflow.model.limits import Limits
from asyncflow.model.state import ExecutionState
from asyncflow.testing.pure import World
from tests.decide.definitions import Json, fork, loop, switch, task, workflow, world


def refs(state: ExecutionState) -> list[str]:
    return [record.ref for record in state.tasks.values()]


def items(listed: object, **more: object) -> Json:
    return loop("l", task("a"), items="${workflow.input.list}", loopCondition="", **more)


def test_body_runs_until_the_condition_is_false() -> None:
    made = world()
    state = made.start(workflow(loop("l", task("a"), task("b"), times=2), task("c")))
    for ref in ("a__1", "b__1", "a__2", "b__2"):
        made.end(state, ref, {"r": ref})

    record = made.task(state, "l")
    assert record.status == "COMPLETED"
    assert output_of(state, record) == {
        "iteration": 2,
        "1": {"a": {"r": "a__1"}, "b": {"r": "b__1"}},
        "2": {"a": {"r": "a__2"}, "b": {"r": "b__2"}},
    }
    assert refs(state)[-1] == "c"


def test_body_runs_once_even_if_the_condition_never_holds() -> None:
    made = world()
    state = made.start(workflow(loop("l", task("a"), loopCondition="false")))
    made.end(state, "a__1")

    assert state.status == "COMPLETED"
    assert made.task(state, "l").iteration == 1


@pytest.mark.parametrize("value", [False, 0, -1, None, "true", [], {}])
def test_anything_but_true_or_a_positive_number_stops(value: object) -> None:
    made = World(scripts=lambda *_: value)
    state = made.start(workflow(loop("l", task("a"))))
    made.end(state, "a__1")

    assert state.status == "COMPLETED"


@pytest.mark.parametrize("value", [True, 1, 0.5])
def test_true_or_a_positive_number_goes_on(value: object) -> None:
    made = World(scripts=lambda *_: value)
    state = made.start(workflow(loop("l", task("a"))))
    made.end(state, "a__1")

    assert made.task(state, "a__2").iteration == 2


def test_condition_sees_inputs_output_so_far_and_outputs_of_body_tasks() -> None:
    seen: list[object] = []

    def look(_language: str, _source: str, given: object) -> object:
        seen.append(given)
        return False

    made = World(scripts=look)
    body = loop(
        "l", task("a"), loopCondition="$.max; $.l['1']; $.a.x", inputParameters={"max": "${workflow.input.n}"}
    )
    state = made.start(workflow(body), {"n": 5})
    made.end(state, "a__1", {"x": 1})

    assert seen == [{"max": 5, "l": {"iteration": 1, "1": {"a": {"x": 1}}}, "a": {"x": 1}}]


def test_condition_inputs_are_resolved_anew_for_each_iteration() -> None:
    made = World(scripts=lambda _l, _s, given: given["go"])
    setting = task("v", "SET_VARIABLE", inputParameters={"go": "${a.output.go}"})
    body = loop(
        "l", task("a"), setting, loopCondition="$.go", inputParameters={"go": "${workflow.variables.go}"}
    )
    state = made.start(workflow(body))
    made.end(state, "a__1", {"go": True})
    made.end(state, "a__2", {"go": False})

    assert state.status == "COMPLETED"


def test_plain_reference_means_the_latest_iteration() -> None:
    made = world()
    state = made.start(workflow(loop("l", task("a", inputParameters={"before": "${a.output.x}"}), times=2)))
    made.end(state, "a__1", {"x": 1})

    assert made.task(state, "a__2").input == {"before": 1}


def test_condition_that_fails_fails_the_loop_for_good() -> None:
    made = world()
    state = made.start(workflow(loop("l", task("a"), loopCondition="throw oh")))
    made.end(state, "a__1")

    assert made.task(state, "l").status == "FAILED_WITH_TERMINAL_ERROR"
    assert str(made.task(state, "l").reason).startswith("Unable to evaluate condition throw oh")
    assert state.status == "FAILED"


def test_body_failure_fails_the_execution_and_cancels_the_loop() -> None:
    made = world("a")
    made.register_task(name="a", retryCount=0)
    state = made.start(workflow(loop("l", task("a"))))
    made.fail(state, "a__1")

    assert state.status == "FAILED"
    assert made.task(state, "l").status == "CANCELED"


@pytest.mark.parametrize("nested", [False, True])
def test_permissive_body_failure_fails_the_loop_with_its_reason(*, nested: bool) -> None:
    made = world("a")
    made.register_task(name="a", retryCount=0)
    failing = task("a", permissive=True)
    body = switch("s", 1, {"1": [failing, task("b")]}) if nested else failing
    state = made.start(workflow(loop("l", body, *([] if nested else [task("b")]))))
    made.fail(state, "a__1", "bad")
    assert made.task(state, "l").status == "IN_PROGRESS"

    made.end(state, "b__1")

    assert (made.task(state, "l").status, made.task(state, "l").reason) == ("FAILED", "bad")
    assert state.status == "FAILED"


def test_retried_body_task_does_not_disturb_the_loop() -> None:
    made = world("a")
    made.register_task(name="a", retryCount=1, retryDelaySeconds=0)
    state = made.start(workflow(loop("l", task("a"), times=1)))
    made.fail(state, "a__1")

    assert [t.status for t in state.tasks.values()] == ["IN_PROGRESS", "FAILED", "SCHEDULED"]
    made.end(state, "a__1")
    assert state.status == "COMPLETED"


def test_optional_loop_lets_the_flow_go_on() -> None:
    made = world()
    state = made.start(workflow(loop("l", task("a"), loopCondition="throw oh", optional=True), task("b")))
    made.end(state, "a__1")

    assert made.task(state, "l").status == "COMPLETED_WITH_ERRORS"
    assert made.task(state, "b").status == "SCHEDULED"


# --- lists ----------------------------------------------------------------------------------------


def test_list_mode_goes_through_the_list() -> None:
    made = world()
    body = task("a", inputParameters={"item": "${l.output.loopItem}", "at": "${l.output.loopIndex}"})
    state = made.start(
        workflow(loop("l", body, items="${workflow.input.list}", loopCondition="")), {"list": ["x", "y"]}
    )

    assert made.task(state, "a__1").input == {"item": "x", "at": 0}
    made.end(state, "a__1")
    assert made.task(state, "a__2").input == {"item": "y", "at": 1}
    made.end(state, "a__2")
    assert state.status == "COMPLETED"


@pytest.mark.parametrize(("given", "times"), [([], 0), (None, 0), ("one", 1), ({"k": 1}, 1), ([1, 2, 3], 3)])
def test_list_mode_takes_one_value_for_a_list_of_one(given: object, times: int) -> None:
    made = world("a")
    state = made.start(workflow(items(given)), {"list": given})
    made.run()

    assert state.status == "COMPLETED"
    assert made.task(state, "l").iteration == times
    assert output_of(state, made.task(state, "l"))["iteration"] == times


def test_list_mode_by_input_key() -> None:
    made = world("a")
    state = made.start(workflow(loop("l", task("a"), loopCondition="", inputParameters={"_items": [1, 2]})))
    made.run()

    assert made.task(state, "l").iteration == 2


def test_list_and_condition_must_both_hold() -> None:
    made = world("a")
    both = loop("l", task("a"), items="${workflow.input.list}", loopCondition="$.l.iteration < 2")
    state = made.start(workflow(both), {"list": [1, 2, 3]})
    made.run()

    assert made.task(state, "l").iteration == 2


def test_list_that_became_shorter_ends_the_loop() -> None:
    made = world()
    setting = task("v", "SET_VARIABLE", inputParameters={"list": []})
    around = loop("l", task("a"), setting, items="${workflow.variables.list}", loopCondition="")
    state = made.start(workflow(around, variables={"list": [1, 2, 3]}))
    made.end(state, "a__1")

    assert state.status == "COMPLETED"
    assert made.task(state, "l").iteration == 1


# --- keeping and nesting --------------------------------------------------------------------------


def test_keep_last_n_forgets_older_iterations_with_all_that_was_in_them() -> None:
    made = world("a", "b")
    inner = loop("m", task("b"), times=2)
    body = [task("a"), *fork("f", [task("n", "NOOP")]), inner]
    around = loop("l", *body, times=4, inputParameters={"keepLastN": 2})
    state = made.start(workflow(around))
    made.run()

    assert state.status == "COMPLETED"
    output = output_of(state, made.task(state, "l"))
    assert sorted(output) == ["3", "4", "iteration"]
    assert {ref.split("__")[1] for ref in refs(state) if "__" in ref} == {"3", "4"}


def test_iteration_waits_for_branches_that_no_join_waits_for() -> None:
    made = world()
    stray = [task("s"), task("t")]
    body = fork("f", [task("a")], stray, join=["a"])
    state = made.start(workflow(loop("l", *body, times=2, inputParameters={"keepLastN": 1})))
    made.end(state, "a__1")
    assert made.task(state, "l").iteration == 1
    made.end(state, "s__1")
    assert made.task(state, "l").iteration == 1
    made.end(state, "t__1")

    assert made.task(state, "l").iteration == 2
    for ref in ("s__2", "t__2", "a__2"):
        made.end(state, ref)
    assert state.status == "COMPLETED"


def test_loop_in_a_loop_suffixes_twice() -> None:
    made = world("b")
    state = made.start(workflow(loop("l", loop("m", task("b"), times=2), task("n", "NOOP"), times=2)))
    made.run()

    assert [ref for ref in refs(state) if ref.startswith("b")] == ["b__1__1", "b__1__2", "b__2__1", "b__2__2"]
    assert made.task(state, "m__2").iteration == 2
    assert made.task(state, "n__2").iteration == 2
    assert state.status == "COMPLETED"


def test_fork_dynamic_fork_and_switch_in_a_body_have_its_suffix() -> None:
    made = world("a", "w")
    dynamic = task("d", "FORK_JOIN_DYNAMIC", inputParameters={"forkTaskInputs": [1], "forkTaskName": "w"})
    body = [
        *fork("f", [task("a")]),
        dynamic,
        task("d_join", "JOIN"),
        switch("s", 1, {"1": [task("b", "NOOP")]}),
    ]
    state = made.start(workflow(loop("l", *body, times=2)))
    made.run()

    assert state.status == "COMPLETED"
    assert {"a__1", "a__2", "f_join__2", "_w_0__1", "_d_w_0__2", "b__2"} <= set(refs(state))
    second = output_of(state, made.task(state, "l"))["2"]
    assert isinstance(second, dict)
    assert set(second) == {"f", "a", "f_join", "d", "_d_w_0", "d_join", "s", "b"}


@pytest.mark.parametrize(("limit", "status"), [(3, "COMPLETED"), (2, "FAILED")])
def test_iterations_are_limited_by_name(limit: int, status: str) -> None:
    made = world("a", limits=Limits(loop_iterations=limit))
    state = made.start(workflow(loop("l", task("a"), times=3)))
    made.run()

    assert state.status == status
    if status == "FAILED":
        assert "limit_exceeded: loop_iterations" in str(state.reason)


def test_answer_to_the_condition_of_an_older_iteration_is_stale() -> None:
    made = world()
    state = made.start(workflow(loop("l", task("a"), times=5)))
    made.end(state, "a__1")
    before = state.seq

    made.send(state.execution_id, inputs.ScriptEnded(1, value=True, iteration=1))

    assert state.seq == before


def test_paused_loop_enters_no_iteration_and_asks_again_when_resumed() -> None:
    made = world()
    state = made.start(workflow(loop("l", task("a"), times=2)))
    made.send(state.execution_id, inputs.AttemptAdmitted(2))
    made.send_alone(state, inputs.AttemptEnded(2, "COMPLETED", {}))
    made.send_alone(state, inputs.PauseExecution())
    made.send(state.execution_id, inputs.Evaluate())
    assert refs(state) == ["l", "a__1"]

    made.send(state.execution_id, inputs.ResumeExecution())

    assert refs(state) == ["l", "a__1", "a__2"]


@pytest.mark.parametrize("key", ["01", "3", "9" * 5_000, "body"])
def test_entry_that_a_loop_does_not_have_is_null(key: str) -> None:
    """Also one of more digits than Python makes a number of, which would have stopped the engine."""
    made = world("a")
    looping = loop("l", task("a"), times=2)
    state = made.start(
        workflow(looping, outputParameters={"one": "${l.output.1}", "x": f"${{l.output.{key}}}"})
    )
    made.run()

    assert state.output == {"one": {"a": {}}, "x": None}


def test_loop_named_like_a_task_of_its_own_body_fails_by_name() -> None:
    """Its record is found where that of the task should be, so that its output would hold itself."""
    made = world()
    state = made.start(workflow({**loop("l", task("a")), "taskReferenceName": "a__1"}))

    assert state.status == "FAILED"
    assert "Nothing can proceed" in str(state.reason)
    assert render_execution(state)["output"] == {"iteration": 1, "1": {"a": {}}}
