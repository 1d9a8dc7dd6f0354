"""An execution as a whole: output, pause, terminate, failure workflow, errors while scheduling."""

from __future__ import annotations

import pytest

from asyncflow.errors import InvalidInput, NotFound, Refused
from asyncflow.model import inputs
from asyncflow.model.effects import Admit, Timer
from asyncflow.model.limits import Limits
from asyncflow.model.state import ExecutionState
from tests.decide.definitions import Json, child, fork, loop, task, workflow, world

NONE: Json = {"taskDefinition": {"name": "x", "retryCount": 0}}
CLEANUP = workflow(task("c"), name="cleanup")


def refs(state: ExecutionState) -> list[str]:
    return [record.ref for record in state.tasks.values()]


def test_output_is_what_output_parameters_say() -> None:
    made = world()
    state = made.start(workflow(task("a"), outputParameters={"x": "${a.output.x}", "s": "${a.status}"}))
    made.end(state, "a", {"x": 1})

    assert state.output == {"x": 1, "s": "COMPLETED"}


def test_output_is_that_of_the_last_task_by_default() -> None:
    made = world()
    state = made.start(workflow(task("a"), task("b"), task("s")))
    made.skip(state, "s", {"skipped": 1})
    made.end(state, "a", {"x": 1})
    made.end(state, "b", {"y": 2})

    assert state.output == {"y": 2}


def test_definition_without_tasks_completes_and_says_so() -> None:
    state = world().start(workflow())

    assert (state.status, state.reason) == ("COMPLETED", "No tasks found to be executed")


@pytest.mark.parametrize(("given", "seen"), [({"x": 1}, {"x": 1, "y": 2}), ({}, {})])
def test_input_template_fills_an_input_that_is_not_empty(given: Json, seen: Json) -> None:
    state = world().start(workflow(task("a"), inputTemplate={"x": 9, "y": 2}), given)

    assert state.input == seen


def test_second_start_of_the_same_execution_changes_nothing() -> None:
    made = world()
    state = made.start(workflow(task("a")))
    before = state.seq
    made.send(state.execution_id, inputs.StartExecution(state.graph.hash, {}))

    assert state.seq == before


# --- pause ----------------------------------------------------------------------------------------


def test_paused_execution_finishes_what_runs_and_starts_nothing_new() -> None:
    made = world("a", "b")
    made.register_task(name="a", retryCount=1, retryDelaySeconds=0)
    state = made.start(workflow(*fork("f", [task("a"), task("z")], [task("b")], [task("w")])))
    made.begin(state, "a")
    made.pause(state)

    assert state.wanted.keys() == {2, 4}, "only what runs, and what workers elsewhere are offered, goes on"
    made.send(state.execution_id, inputs.AttemptEnded(2, "COMPLETED", {}))
    assert made.task(state, "a").status == "COMPLETED"
    assert "z" not in state.by_ref
    made.send(state.execution_id, inputs.AttemptAdmitted(3))
    assert made.task(state, "b").status == "SCHEDULED", "a grant that crosses the pause is not used"
    made.begin(state, "w")
    assert made.task(state, "w").status == "IN_PROGRESS", "workers elsewhere may still take what is scheduled"


def test_resume_schedules_and_admits_in_the_same_step() -> None:
    made = world("a", "b")
    state = made.start(workflow(task("a"), task("b")))
    made.begin(state, "a")
    made.pause(state)
    made.send(state.execution_id, inputs.AttemptEnded(1, "COMPLETED", {}))
    made.send(state.execution_id, inputs.Evaluate())
    assert refs(state) == ["a"]

    step = made.send_alone(state, inputs.ResumeExecution())

    assert step == []
    assert refs(state) == ["a", "b"]
    assert state.wanted[2] == (Admit(2, 0),)
    assert state.retried_ms == made.now_ms


def test_failure_during_a_pause_counts_when_it_is_resumed() -> None:
    made = world()
    state = made.start(workflow(task("a", **NONE)))
    made.pause(state)
    made.fail(state, "a")
    assert state.status == "PAUSED"

    made.send(state.execution_id, inputs.ResumeExecution())

    assert state.status == "FAILED"


def test_retry_due_during_a_pause_is_made_when_it_is_resumed() -> None:
    made = world()
    made.register_task(name="a", retryCount=1, retryDelaySeconds=5)
    state = made.start(workflow(task("a")))
    made.pause(state)
    made.fail(state, "a")
    assert len(state.tasks) == 1
    made.now_ms += 60_000
    made.send(state.execution_id, inputs.ResumeExecution())

    assert made.task(state, "a").due_ms == made.now_ms + 5_000


def test_held_back_child_does_not_begin_during_a_pause() -> None:
    made = world()
    inner = workflow(task("x"), name="inner")
    state = made.start(workflow(child("s", inner, startDelay=5)))
    made.pause(state)
    made.now_ms += 60_000
    made.send(state.execution_id, inputs.TimerDue(1, "due"))
    assert len(made.states) == 1

    made.send(state.execution_id, inputs.ResumeExecution())
    assert state.wanted[1] == (Timer(1, "due", made.now_ms - 55_000),)
    made.pass_time(made.now_ms)
    assert len(made.states) == 2


def test_pause_and_resume_in_the_wrong_state_are_refused() -> None:
    made = world()
    state = made.start(workflow(task("a")))
    with pytest.raises(Refused):
        made.send(state.execution_id, inputs.ResumeExecution())
    made.pause(state)
    before = state.seq
    made.pause(state)
    assert state.seq == before
    made.terminate(state)
    for command in (inputs.PauseExecution(), inputs.ResumeExecution()):
        with pytest.raises(Refused):
            made.send(state.execution_id, command)


# --- terminate ------------------------------------------------------------------------------------


def test_terminate_cancels_what_is_open_with_a_reason() -> None:
    made = world("a")
    state = made.start(workflow(*fork("f", [task("a")], [loop("l", task("b"))])))
    made.begin(state, "a")
    made.terminate(state, "enough")

    assert (state.status, state.reason) == ("TERMINATED", "enough")
    assert {t.status for t in state.tasks.values()} == {"COMPLETED", "CANCELED"}
    assert (state.wanted, state.open_count) == ({}, 0)


@pytest.mark.parametrize("status", ["COMPLETED", "FAILED", "TIMED_OUT", "TERMINATED"])
def test_terminate_of_an_ended_execution(status: str) -> None:
    made = world()
    state = made.start(workflow(task("a", **NONE)))
    if status == "TERMINATED":
        made.terminate(state, "first")
    else:
        made.end(state, "a", status=status)
    if status == "COMPLETED":
        with pytest.raises(Refused):
            made.terminate(state, "second")
        return
    made.terminate(state, "second")

    assert state.status == "TERMINATED"
    assert state.reason == ("first" if status == "TERMINATED" else "second")


def test_ended_execution_refuses_variables_and_skips() -> None:
    made = world()
    state = made.start(workflow(task("a"), task("b")))
    with pytest.raises(NotFound):
        made.skip(state, "nobody")
    with pytest.raises(Refused):
        made.skip(state, "a")
    made.terminate(state)
    with pytest.raises(Refused):
        made.skip(state, "b")
    with pytest.raises(Refused):
        made.set_variables(state, x=1)


def test_variables_from_outside_are_limited() -> None:
    made = world(limits=Limits(variables_bytes=20))
    state = made.start(workflow(task("a")))

    with pytest.raises(InvalidInput, match="variables"):
        made.set_variables(state, x="x" * 20)
    assert state.variables == {}


# --- errors while scheduling ----------------------------------------------------------------------

BIG: Json = {"big": "x" * 600}


def growing(place: str) -> list[Json]:
    """Tasks of which one gets more than it may once the variable `big` is set and `a` has ended."""
    grown = task("b", inputParameters={"x": "${workflow.variables.big}"})
    listed = {"forkTaskInputs": [{"x": "${workflow.variables.big}"}], "forkTaskName": "a"}
    return {
        "next": [task("a"), grown],
        "retry": [task("a", inputParameters=grown["inputParameters"])],
        "loop": [loop("l", task("a"), grown)],
        "iteration": [loop("l", task("b", inputParameters=grown["inputParameters"]), task("a"))],
        "child": [
            task("a"),
            child("s", workflow(task("x"), name="inner"), inputParameters=grown["inputParameters"]),
        ],
        "fork": [task("a"), task("f", "FORK_JOIN_DYNAMIC", inputParameters=listed), task("j", "JOIN")],
        "beside": [*fork("f", [task("a"), grown], [task("c")])],
    }[place]


@pytest.mark.parametrize("place", ["next", "retry", "loop", "iteration", "child", "fork", "beside"])
def test_input_over_a_limit_ends_the_execution_by_name_and_leaves_nothing_open(place: str) -> None:
    made = world("a", "b", limits=Limits(payload_bytes=500))
    made.register_task(name="a", retryCount=1, retryDelaySeconds=0)
    made.register_task(name="b", retryCount=0)
    state = made.start(workflow(*growing(place)))
    if place == "iteration":
        made.end(state, "b")
    made.set_variables(state, **BIG)

    made.end(state, "a", status="FAILED" if place == "retry" else "COMPLETED")

    assert state.status == "FAILED"
    assert "limit_exceeded" in str(state.reason)
    assert (state.open_count, state.wanted) == (0, {})


def test_first_task_that_cannot_be_made_fails_the_execution_and_not_the_start() -> None:
    made = world(limits=Limits(payload_bytes=500))
    state = made.start(workflow(task("b", inputParameters={"x": "${workflow.variables.big}"}), variables=BIG))

    assert state.status == "FAILED"
    assert state.tasks == {}


@pytest.mark.parametrize("given", [inputs.ResumeExecution(), inputs.SkipTask("nobody", {}, {})])
def test_refused_command_leaves_no_event(given: inputs.Input) -> None:
    made = world()
    state = made.start(workflow(task("a")))
    before = state.seq
    with pytest.raises((Refused, NotFound)):
        made.send(state.execution_id, given)

    assert state.seq == before == len(made.journal[state.execution_id])
