"""Retries: every policy's delays, caps, jitter, what is retried and what a new attempt looks like."""

from __future__ import annotations

from itertools import pairwise

import pytest

from asyncflow.decide.policy import retry_delay_s
from asyncflow.decide.render import render_task
from asyncflow.model.graph import Policy
from asyncflow.model.state import ExecutionState
from asyncflow.testing.pure import World
from tests.decide.definitions import Json, fork, task, workflow, world

MAX = 2**31 - 1


@pytest.mark.parametrize(
    ("policy", "delays"),
    [
        (Policy(retry_logic="FIXED", retry_delay=5), [5, 5, 5]),
        (Policy(retry_logic="FIXED", retry_delay=60, max_retry_delay=10), [10, 10]),
        (Policy(retry_logic="LINEAR_BACKOFF", retry_delay=2, backoff_scale=1), [2, 4, 6]),
        (Policy(retry_logic="LINEAR_BACKOFF", retry_delay=2, backoff_scale=3), [6, 12, 18]),
        (
            Policy(retry_logic="LINEAR_BACKOFF", retry_delay=2, backoff_scale=3, max_retry_delay=10),
            [6, 10, 10],
        ),
        (Policy(retry_logic="EXPONENTIAL_BACKOFF", retry_delay=1), [1, 2, 4, 8]),
        (Policy(retry_logic="EXPONENTIAL_BACKOFF", retry_delay=1, max_retry_delay=5), [1, 2, 4, 5, 5]),
        (Policy(retry_delays=(300, 600)), [300, 600, 600]),
        (Policy(retry_delays=(0.5,)), [0.5, 0.5]),
        (Policy(retry_delays=()), [0]),
        (Policy(retry_delay=0), [0, 0]),
    ],
)
def test_delay_follows_the_formula(policy: Policy, delays: list[float]) -> None:
    assert [retry_delay_s(policy, n) for n in range(len(delays))] == delays


@pytest.mark.parametrize("n", [31, 62, 63, 10_000])
def test_delay_that_overflows_is_the_largest(n: int) -> None:
    policy = Policy(retry_logic="EXPONENTIAL_BACKOFF", retry_delay=1)

    assert retry_delay_s(policy, n) == MAX


def failing(made: World, ref: str = "a", **definition: object) -> ExecutionState:
    made.register_task(name="a", **definition)
    return made.start(workflow(task(ref, name="a")))


def test_attempts_follow_at_the_delays_in_virtual_time() -> None:
    made = world("a")
    state = failing(made, asyncflow={"retryDelays": [300, 600]})
    starts = [made.now_ms]
    for _ in range(2):
        made.fail(state, "a")
        assert state.status == "RUNNING"
        made.pass_time()
        starts.append(made.now_ms)
    made.fail(state, "a")

    assert [later - sooner for sooner, later in pairwise(starts)] == [300_000, 600_000]
    assert state.status == "FAILED"
    assert [t.retry_count for t in state.tasks.values()] == [0, 1, 2]


def test_new_attempt_is_a_record_of_its_own() -> None:
    made = world("a")
    state = failing(made, retryCount=1, retryDelaySeconds=7)
    made.begin(state, "a")
    made.fail(state, "a", "bad")
    old, new = state.tasks.values()

    assert (old.superseded, old.settled, old.status) == (True, True, "FAILED")
    assert (new.retry_of, new.retry_count, new.status, new.starts) == (1, 1, "SCHEDULED", 0)
    assert (new.seq, new.output, new.reason, new.first_scheduled_ms) == (2, {}, "bad", old.first_scheduled_ms)
    shown = render_task(state, new)
    assert (shown["callbackAfterSeconds"], shown["startDelayInSeconds"]) == (7, 7)
    assert shown["retriedTaskId"] == render_task(state, old)["taskId"]


def test_new_attempt_sees_its_input_anew_over_the_old_one() -> None:
    made = world("a")
    made.register_task(name="a", retryCount=1, retryDelaySeconds=0)
    given = {"v": "${workflow.variables.v}", "id": "${CPEWF_TASK_ID}"}
    state = made.start(workflow(task("a", inputParameters=given), variables={"v": 1}))
    made.set_variables(state, v=2)
    made.fail(state, "a")
    old, new = state.tasks.values()

    assert (old.input["v"], new.input["v"]) == (1, 2)
    assert old.input["id"] != new.input["id"]
    assert new.input["id"] == render_task(state, new)["taskId"]


def test_new_attempt_of_a_forked_task_sees_its_element_anew() -> None:
    made = world("a")
    made.register_task(name="a", retryCount=1, retryDelaySeconds=0)
    listed = [{"v": "${workflow.variables.v}"}]
    forked = task(
        "f",
        "FORK_JOIN_DYNAMIC",
        inputParameters={"forkTaskInputs": "${workflow.input.l}", "forkTaskName": "a"},
    )
    state = made.start(workflow(forked, task("j", "JOIN"), variables={"v": 1}), {"l": listed})
    made.set_variables(state, v=2)
    made.fail(state, "_a_0")

    assert made.task(state, "_a_0").input == {"v": 2, "__index": 0}
    made.end(state, "_a_0")
    assert state.status == "COMPLETED"


@pytest.mark.parametrize("jitter", [1, 500, 5_000])
def test_jitter_lies_within_its_span_and_is_not_shown(jitter: int) -> None:
    seen = set()
    for entropy in range(20):
        made = world("a", entropy=entropy)
        state = failing(made, retryCount=1, retryDelaySeconds=3, backoffJitterMs=jitter)
        made.fail(state, "a")
        due = made.task(state, "a").due_ms - made.now_ms
        assert 3_000 <= due <= 3_000 + jitter
        assert render_task(state, made.task(state, "a"))["callbackAfterSeconds"] == 3
        seen.add(due)

    assert len(seen) > 1


@pytest.mark.parametrize(
    ("options", "definition", "attempts"),
    [
        ({}, None, 4),
        ({"retryCount": 0}, None, 1),
        ({"retryCount": 1}, None, 2),
        ({}, {"name": "x", "retryCount": 2}, 3),
        ({"retryCount": 0}, {"name": "x", "retryCount": 2}, 1),
        ({"type": "HTTP"}, None, 1),
        ({"type": "HTTP", "retryCount": 2}, None, 3),
        ({"type": "HTTP"}, {"name": "x", "retryCount": 1}, 2),
        ({"type": "DYNAMIC", "dynamicTaskNameParam": "n", "inputParameters": {"n": "a"}}, None, 1),
    ],
)
def test_number_of_attempts_is_the_tasks_else_its_definitions(
    options: Json, definition: Json | None, attempts: int
) -> None:
    made = world("a")
    embedded = {} if definition is None else {"taskDefinition": {**definition, "retryDelaySeconds": 0}}
    state = made.start(workflow({**task("a"), **options, **embedded}))
    for _ in range(attempts):
        assert state.status == "RUNNING"
        made.fail(state, "a")
        made.pass_time()

    assert state.status == "FAILED"
    assert len(state.tasks) == attempts


@pytest.mark.parametrize("status", ["FAILED_WITH_TERMINAL_ERROR", "CANCELED"])
def test_terminal_and_cancelled_attempts_are_not_retried(status: str) -> None:
    made = world("a")
    state = failing(made, retryCount=5)
    made.end(state, "a", status=status)

    assert state.is_ended
    assert len(state.tasks) == 1


def test_join_and_switch_are_never_retried() -> None:
    made = world("a")
    made.register_task(name="f_join", retryCount=3)
    none = {"name": "a", "retryCount": 0}
    state = made.start(workflow(*fork("f", [task("a", permissive=True, taskDefinition=none)])))
    made.fail(state, "a")

    assert state.status == "FAILED"
    assert len([t for t in state.tasks.values() if t.ref == "f_join"]) == 1


def test_end_of_the_execution_names_the_task_that_ended_it() -> None:
    made = world("a")
    state = failing(made, retryCount=0)
    made.fail(state, "a", "bad")
    identity = render_task(state, made.task(state, "a"))["taskId"]

    assert state.reason == f"Task {identity} failed with status: FAILED and reason: 'bad'"
    assert state.failed_number == 1
    assert (list(state.failed_refs), list(state.failed_names)) == (["a"], ["a"])


def test_failed_attempt_before_a_good_one_stays_named() -> None:
    made = world("a")
    state = failing(made, retryCount=1, retryDelaySeconds=0)
    made.fail(state, "a")
    made.end(state, "a")

    assert state.status == "COMPLETED"
    assert list(state.failed_refs) == ["a"]


@pytest.mark.parametrize(("status", "ends"), [("FAILED", "FAILED"), ("TIMED_OUT", "TIMED_OUT")])
@pytest.mark.parametrize("tolerance", [{}, {"optional": True}, {"permissive": True}])
def test_used_up_total_timeout_ends_everything(status: str, ends: str, tolerance: Json) -> None:
    made = world("a")
    made.register_task(
        name="a", retryCount=5, retryDelaySeconds=0, totalTimeoutSeconds=10, timeoutPolicy="ALERT_ONLY"
    )
    state = made.start(workflow(task("a", **tolerance), task("b")))
    made.end(state, "a", status=status)
    assert state.status == "RUNNING"
    made.now_ms += 10_000

    made.end(state, "a", status=status)

    assert state.status == ends
    assert "exceeded total timeout of 10 seconds" in str(state.reason)
    assert "No further retries will be attempted" in str(state.reason)
