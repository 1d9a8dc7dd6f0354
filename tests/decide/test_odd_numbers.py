"""Numbers of definitions that no registration refused: they mean none, and never stop the engine."""

from __future__ import annotations

import pytest

from asyncflow.decide.policy import retry_delay_s
from asyncflow.model.effects import Timer
from asyncflow.model.graph import Policy
from asyncflow.model.state import ExecutionState
from tests.decide.definitions import Json, dynamic_fork, task, workflow, world


def timers(state: ExecutionState) -> list[str]:
    return [e.kind for effects in state.wanted.values() for e in effects if isinstance(e, Timer)]


@pytest.mark.parametrize(
    "field",
    ["backoffJitterMs", "retryDelaySeconds", "backoffScaleFactor", "maxRetryDelaySeconds"],
)
def test_negative_delay_of_an_embedded_definition_is_none(field: str) -> None:
    made = world("a")
    embedded = {"name": "a", "retryDelaySeconds": 0, "retryLogic": "LINEAR_BACKOFF", field: -1}
    state = made.start(workflow(task("a", taskDefinition=embedded)))
    made.begin(state, "a")
    made.fail(state, "a")

    assert [(t.status, t.due_ms) for t in state.tasks.values()] == [("FAILED", 0), ("SCHEDULED", 0)]


def test_negative_timeouts_of_an_embedded_definition_are_none() -> None:
    made = world("a")
    names = ("timeoutSeconds", "responseTimeoutSeconds", "pollTimeoutSeconds", "totalTimeoutSeconds")
    embedded: Json = {"name": "a", **dict.fromkeys(names, -1)}
    state = made.start(workflow(task("a", taskDefinition=embedded)))

    assert timers(state) == []
    made.begin(state, "a")
    assert timers(state) == []


def test_negative_limits_of_an_embedded_definition_are_none() -> None:
    made = world("a")
    embedded = {"name": "a", "concurrentExecLimit": -1, "rateLimitPerFrequency": -1}
    policy = made.task(made.start(workflow(task("a", taskDefinition=embedded))), "a").node.policy

    assert (policy.concurrency, policy.rate) == (0, 0)


def test_negative_timeout_of_a_workflow_is_none() -> None:
    state = world("a").start(workflow(task("a"), timeoutSeconds=-5, timeoutPolicy="TIME_OUT_WF"))

    assert timers(state) == []


@pytest.mark.parametrize(("given", "delay_s"), [(-3, 0), (1e300, 2**31 - 1)])
def test_retry_delay_that_nobody_checked_is_held_within_bounds(given: float, delay_s: float) -> None:
    assert retry_delay_s(Policy(retry_delays=(given,)), 0) == delay_s


def test_negative_start_delay_of_a_forked_task_is_none() -> None:
    made = world()
    listed = [{"input": 1, "startDelay": -5}]
    inputs: Json = {"forkTaskInputs": listed, "forkTaskName": "t", "forkTaskType": "HTTP"}
    state = made.start(workflow(*dynamic_fork("f", inputs)))

    assert [t.due_ms for t in state.tasks.values()] == [0] * len(state.tasks)
