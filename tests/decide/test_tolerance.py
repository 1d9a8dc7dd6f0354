"""Failures that do not matter: optional, permissive, and failures weighed at the end."""

from __future__ import annotations

import pytest

from tests.decide.definitions import Json, child, fork, loop, task, workflow, world

NONE: Json = {"taskDefinition": {"name": "x", "retryCount": 0}}


def weighing(*tasks: Json, above: float) -> Json:
    return workflow(*tasks, asyncflow={"failIfFailedWeightAbove": above})


def weighed(ref: str, weight: float, **more: object) -> Json:
    return task(ref, asyncflow={"weight": weight}, **NONE, **more)


def test_optional_failure_is_completed_with_errors_and_keeps_its_output() -> None:
    made = world()
    state = made.start(workflow(task("a", optional=True, **NONE), task("b")))
    made.end(state, "a", {"partly": 1}, status="FAILED", reason="bad")
    record = made.task(state, "a")

    assert (record.status, record.output, record.reason) == ("COMPLETED_WITH_ERRORS", {"partly": 1}, "bad")
    made.end(state, "b")
    assert state.status == "COMPLETED"
    assert not state.failed_refs


@pytest.mark.parametrize("tolerance", ["optional", "permissive"])
def test_retries_come_before_tolerance(tolerance: str) -> None:
    made = world()
    definition = {"name": "a", "retryCount": 1, "retryDelaySeconds": 0}
    state = made.start(workflow(task("a", taskDefinition=definition, **{tolerance: True})))
    made.fail(state, "a")

    assert [t.status for t in state.tasks.values()] == ["FAILED", "SCHEDULED"]


def test_permissive_failure_goes_on_and_fails_the_execution_at_its_end() -> None:
    made = world()
    state = made.start(
        workflow(task("a", permissive=True, **NONE), task("b", permissive=True, **NONE), task("c"))
    )
    made.fail(state, "a", "first")
    made.fail(state, "b", "second")
    assert state.status == "RUNNING"

    made.end(state, "c")

    assert state.status == "FAILED"
    assert "reason: 'first'" in str(state.reason)
    assert "reason: 'second'" in str(state.reason)
    assert state.failed_number == 1


def test_optional_wins_over_permissive() -> None:
    made = world()
    state = made.start(workflow(task("a", permissive=True, optional=True, **NONE)))
    made.fail(state, "a")

    assert state.status == "COMPLETED"


def test_permissive_superseded_by_a_good_attempt_fails_nothing() -> None:
    made = world()
    definition = {"name": "a", "retryCount": 1, "retryDelaySeconds": 0}
    state = made.start(workflow(task("a", permissive=True, taskDefinition=definition)))
    made.fail(state, "a")
    made.end(state, "a")

    assert state.status == "COMPLETED"


def test_optional_child_lets_the_parent_complete() -> None:
    made = world()
    inner = workflow(task("x", **NONE), name="inner")
    state = made.start(workflow(*fork("f", [child("s", inner, optional=True)])))
    made.fail(made.child(state, "s"), "x")

    assert made.task(state, "s").status == "COMPLETED_WITH_ERRORS"
    assert made.task(state, "f_join").status == "COMPLETED_WITH_ERRORS"
    assert state.status == "COMPLETED"


# --- weights --------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("weights", "failed", "above", "status"),
    [
        ([1, 1, 1], 1, 0.3, "FAILED"),
        ([1, 1, 1], 1, 1 / 3, "COMPLETED"),
        ([1, 1, 1], 1, 0.5, "COMPLETED"),
        ([0.1, 1, 1], 1, 0.3, "COMPLETED"),
        ([3, 1, 1], 1, 0.5, "FAILED"),
        ([0, 1], 1, 0.0, "COMPLETED"),
        ([1, 1], 0, 0.0, "COMPLETED"),
        ([1], 1, 1.0, "COMPLETED"),
        ([0], 1, 0.0, "COMPLETED"),
    ],
)
def test_execution_fails_above_the_share_of_failed_weight(
    weights: list[float], failed: int, above: float, status: str
) -> None:
    made = world()
    state = made.start(weighing(*(weighed(f"t{n}", weight) for n, weight in enumerate(weights)), above=above))
    for n in range(len(weights)):
        made.end(state, f"t{n}", status="FAILED" if n < failed else "COMPLETED")

    assert state.status == status
    if status == "FAILED":
        assert str(state.reason).startswith("Failed weight")
        assert "t0" in str(state.reason)


def test_weight_of_the_task_definition_counts_unless_the_task_has_its_own() -> None:
    made = world()
    heavy = {"name": "x", "retryCount": 0, "asyncflow": {"weight": 10}}
    state = made.start(
        weighing(
            task("a", taskDefinition=heavy),
            task("b", taskDefinition=heavy, asyncflow={"weight": 1}),
            above=0.5,
        )
    )
    made.end(state, "a")
    made.fail(state, "b")

    assert state.status == "COMPLETED"


def test_optional_failure_weighs_nothing_as_failed() -> None:
    made = world()
    state = made.start(weighing(weighed("a", 5, optional=True), weighed("b", 1), above=0.0))
    made.fail(state, "a")
    made.end(state, "b")

    assert state.status == "COMPLETED"


@pytest.mark.parametrize(("above", "status"), [(0.5, "COMPLETED"), (0.4, "FAILED")])
def test_failures_in_forks_are_weighed_without_the_operators(above: float, status: str) -> None:
    made = world()
    state = made.start(weighing(*fork("f", [weighed("a", 1)], [weighed("b", 1)]), above=above))
    made.fail(state, "a")
    assert state.status == "RUNNING"
    made.end(state, "b")

    assert made.task(state, "f_join").status == "COMPLETED_WITH_ERRORS"
    assert state.status == status


@pytest.mark.parametrize(("above", "status"), [(0.5, "COMPLETED"), (0.4, "FAILED")])
def test_failures_in_loops_are_weighed_by_iteration(above: float, status: str) -> None:
    made = world()
    state = made.start(weighing(loop("l", weighed("a", 1), times=2), above=above))
    made.fail(state, "a__1")
    made.end(state, "a__2")

    assert state.status == status


@pytest.mark.parametrize(("above", "status"), [(0.5, "COMPLETED"), (0.4, "FAILED")])
def test_failed_sub_workflow_is_weighed_as_one_task(above: float, status: str) -> None:
    made = world()
    inner = workflow(task("x", **NONE), name="inner")
    state = made.start(weighing(child("s", inner), weighed("b", 1), above=above))
    made.fail(made.child(state, "s"), "x")
    made.end(state, "b")

    assert state.status == status


def test_child_weighs_its_own_failures() -> None:
    made = world()
    inner = {**weighing(weighed("x", 1), weighed("y", 9), above=0.2), "name": "inner"}
    state = made.start(workflow(child("s", inner)))
    made.fail(made.child(state, "s"), "x")
    made.end(made.child(state, "s"), "y")

    assert state.status == "COMPLETED"


def test_weighed_failure_runs_the_failure_workflow() -> None:
    made = world()
    made.register(workflow(task("c"), name="cleanup"))
    body = {**weighing(weighed("a", 1), above=0.5), "failureWorkflow": "cleanup"}
    state = made.start(body)
    made.fail(state, "a")

    assert state.status == "FAILED"
    assert state.output["conductor.failure_workflow"] in made.states
