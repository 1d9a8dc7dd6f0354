"""Timeouts: which clock each has, what its policy does, and what an execution's own does."""

from __future__ import annotations

import pytest

from asyncflow.model import inputs
from asyncflow.model.effects import Timer
from asyncflow.model.state import ExecutionState
from asyncflow.testing.pure import World
from tests.decide.definitions import Json, task, workflow, world

TIMED: Json = {"timeoutSeconds": 10}


def timers(state: ExecutionState, number: int = 1) -> dict[str, int]:
    return {e.kind: e.due_ms for e in state.wanted.get(number, ()) if isinstance(e, Timer)}


def begin(definition: Json, *, local: bool = True, begun: bool = True) -> tuple[World, ExecutionState]:
    made = world("a") if local else world()
    given = {
        "name": "a",
        "retryCount": 1,
        "retryDelaySeconds": 0,
        "responseTimeoutSeconds": 3600,
        **definition,
    }
    made.register_task(**given)
    state = made.start(workflow(task("a")))
    if begun:
        made.begin(state, "a")
    return made, state


@pytest.mark.parametrize(
    ("definition", "kind", "local", "begun"),
    [
        (TIMED, "timeout", True, True),
        ({"timeoutSeconds": 3000, "responseTimeoutSeconds": 10}, "response", True, True),
        ({"responseTimeoutSeconds": 10}, "response", False, True),
        ({"pollTimeoutSeconds": 10}, "poll", False, False),
        ({"pollTimeoutSeconds": 10}, "poll", True, False),
        ({"totalTimeoutSeconds": 10}, "total", True, True),
        ({"totalTimeoutSeconds": 10}, "total", False, False),
    ],
)
def test_each_timeout_is_wanted_while_it_counts(
    definition: Json, kind: str, *, local: bool, begun: bool
) -> None:
    made, state = begin(definition, local=local, begun=begun)

    assert timers(state)[kind] == made.now_ms + 10_000


@pytest.mark.parametrize(
    ("definition", "begun", "elsewhere"),
    [
        ({"pollTimeoutSeconds": 10}, True, {"poll"}),
        ({"timeoutSeconds": 10, "responseTimeoutSeconds": 10}, False, {"timeout", "response"}),
    ],
)
def test_timeout_is_not_wanted_when_it_does_not_count(
    definition: Json, *, begun: bool, elsewhere: set[str]
) -> None:
    _, state = begin(definition, local=False, begun=begun)

    assert not timers(state).keys() & elsewhere


@pytest.mark.parametrize(
    ("policy", "records", "status"),
    [
        ("RETRY", ["TIMED_OUT", "SCHEDULED"], "RUNNING"),
        ("TIME_OUT_WF", ["TIMED_OUT"], "TIMED_OUT"),
        ("ALERT_ONLY", ["as it was"], "RUNNING"),
    ],
)
@pytest.mark.parametrize("kind", ["timeout", "poll", "total"])
def test_policy_says_what_a_timeout_does(policy: str, records: list[str], status: str, kind: str) -> None:
    field = {"timeout": "timeoutSeconds", "poll": "pollTimeoutSeconds", "total": "totalTimeoutSeconds"}[kind]
    made, state = begin({field: 10, "timeoutPolicy": policy}, begun=kind == "timeout")
    before = state.tasks[1].status
    if kind == "total" and policy == "RETRY":  # a used-up total timeout leaves no retry
        records, status = ["TIMED_OUT"], "TIMED_OUT"

    made.pass_time(made.now_ms + 10_000)

    assert [t.status for t in state.tasks.values()] == [each.replace("as it was", before) for each in records]
    assert state.status == status


@pytest.mark.parametrize("policy", ["RETRY", "TIME_OUT_WF", "ALERT_ONLY"])
def test_silence_is_always_a_timeout_with_the_retry_rules(policy: str) -> None:
    made, state = begin({"responseTimeoutSeconds": 10, "timeoutPolicy": policy}, local=False)
    made.pass_time(made.now_ms + 10_000)

    assert [t.status for t in state.tasks.values()] == ["TIMED_OUT", "SCHEDULED"]
    assert "responseTimeout: 10 exceeded for the taskId" in str(state.tasks[1].reason)


@pytest.mark.parametrize("tolerance", [{"optional": True}, {"permissive": True}])
def test_policy_time_out_wf_ends_the_execution_even_for_a_tolerated_task(tolerance: Json) -> None:
    made = world("a")
    made.register_task(name="a", retryCount=0, **TIMED, timeoutPolicy="TIME_OUT_WF")
    state = made.start(workflow(task("a", **tolerance), task("b")))
    made.begin(state, "a")
    made.pass_time()

    assert state.status == "TIMED_OUT"


def test_timed_out_twice_with_one_retry_times_the_execution_out() -> None:
    made, state = begin({**TIMED, "timeoutPolicy": "RETRY"})
    made.pass_time()
    assert [t.status for t in state.tasks.values()] == ["TIMED_OUT", "SCHEDULED"]
    made.begin(state, "a")
    made.pass_time()

    assert [t.status for t in state.tasks.values()] == ["TIMED_OUT", "TIMED_OUT"]
    assert state.status == "TIMED_OUT"


def test_lease_and_updates_put_silence_off_but_not_the_timeout() -> None:
    made, state = begin({"timeoutSeconds": 100, "responseTimeoutSeconds": 10}, local=False)
    began = made.now_ms
    made.now_ms += 5_000
    made.send(state.execution_id, inputs.ExtendLease(1))

    assert timers(state) == {"response": began + 15_000, "timeout": began + 100_000}


def test_callback_holds_the_poll_timeout_back() -> None:
    made, state = begin({"pollTimeoutSeconds": 10}, local=False)
    made.send(state.execution_id, inputs.UpdateTask(1, "IN_PROGRESS", {}, callback_after_s=30))

    assert timers(state)["poll"] == made.now_ms + 40_000


def test_start_delay_holds_the_poll_timeout_back() -> None:
    made = world()
    made.register_task(name="a", pollTimeoutSeconds=10)
    state = made.start(workflow(task("a", startDelay=5)))

    assert timers(state)["poll"] == made.now_ms + 15_000


def test_total_timeout_counts_from_the_first_attempt() -> None:
    made, state = begin({"totalTimeoutSeconds": 100})
    first = made.now_ms
    made.now_ms += 30_000
    made.fail(state, "a")

    assert timers(state, 2)["total"] == first + 100_000


def test_attempt_here_is_seen_alive_unless_its_author_asks_for_heartbeats() -> None:
    made = world("a")
    made.register_task(name="a", timeoutSeconds=0)
    state = made.start(workflow(task("a")))
    made.begin(state, "a")

    assert timers(state) == {}


def test_async_complete_task_has_no_silence() -> None:
    made = world()
    made.register_task(name="h", responseTimeoutSeconds=10, totalTimeoutSeconds=50)
    state = made.start(workflow(task("h", "HTTP", asyncComplete=True)))
    made.end(state, "h")

    assert timers(state).keys() == {"total"}


@pytest.mark.parametrize(("policy", "status"), [("TIME_OUT_WF", "TIMED_OUT"), ("ALERT_ONLY", "RUNNING")])
def test_execution_times_out_by_its_policy(policy: str, status: str) -> None:
    made = world()
    state = made.start(workflow(task("a"), timeoutSeconds=60, timeoutPolicy=policy))
    made.pass_time(made.now_ms + 60_000)

    assert state.status == status
    if status == "TIMED_OUT":
        assert str(state.reason).startswith("Workflow timed out after 60 seconds")
        assert made.task(state, "a").status == "CANCELED"


def test_resume_restarts_the_clock_of_the_execution() -> None:
    made = world()
    state = made.start(workflow(task("a"), timeoutSeconds=60, timeoutPolicy="TIME_OUT_WF"))
    made.pause(state)
    assert timers(state, 0) == {}
    made.now_ms += 100_000
    made.send(state.execution_id, inputs.ResumeExecution())

    assert timers(state, 0) == {"workflow": made.now_ms + 60_000}


def test_late_report_of_a_timed_out_attempt_is_ignored() -> None:
    made, state = begin({**TIMED, "timeoutPolicy": "RETRY"})
    made.pass_time()
    before = state.seq
    made.send(state.execution_id, inputs.AttemptEnded(1, "COMPLETED", {}))

    assert state.seq == before
