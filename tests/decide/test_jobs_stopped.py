"""Jobs that are to be cancelled while their record goes on: timeouts, and code that changed."""

from __future__ import annotations

import pytest

from asyncflow.errors import InvalidInput
from asyncflow.model import inputs
from tests.decide.definitions import Json, workflow
from tests.decide.job_cases import (
    accept,
    begun,
    job_task,
    job_world,
    over,
    timers,
    to_cancel,
)

TIMED: Json = {"timeoutSeconds": 50, "responseTimeoutSeconds": 10, "pollTimeoutSeconds": 10}


def test_timeout_asks_for_the_cancel_and_waits_for_it() -> None:
    made, state, job = begun(definition={**TIMED, "timeoutPolicy": "TIME_OUT_WF"})
    assert timers(state) == {"timeout": made.now_ms + 50_000}, "nobody has to answer or poll a job"

    made.pass_time()

    assert (state.tasks[1].status, job.ends_as) == ("IN_PROGRESS", "TIMED_OUT")
    assert to_cancel(state) == {1: True}
    assert timers(state) == {"grace": made.now_ms + 300_000}
    over(made, state, job, "failed", reason="killed")
    assert (state.tasks[1].status, state.status) == ("TIMED_OUT", "TIMED_OUT")
    assert "(the job: failed: killed)" in (state.tasks[1].reason or "")


def test_job_that_succeeds_after_its_timeout_completes_its_task() -> None:
    made, state, job = begun(definition=TIMED)
    made.pass_time()

    over(made, state, job)

    assert state.status == "COMPLETED"
    assert "cancelled_too_late" in (state.past_jobs[1].notes or {})


def test_grace_ends_the_record_and_the_job_goes_on_being_cancelled() -> None:
    made, state, job = begun(definition={**TIMED, "retryCount": 1, "timeoutPolicy": "RETRY"})
    made.catalog.cancel_graces["cluster"] = 20
    made.pass_time()
    assert timers(state) == {"grace": made.now_ms + 20_000}

    made.pass_time()

    assert (state.tasks[1].status, state.tasks[2].status) == ("TIMED_OUT", "SCHEDULED")
    assert (to_cancel(state), job.ends_as) == ({1: True}, "")
    second = accept(made, state, "a")
    over(made, state, job, "cancelled")
    over(made, state, second)
    assert state.status == "COMPLETED"


def test_alert_only_timeout_leaves_the_job_alone() -> None:
    made, state, _ = begun(definition={**TIMED, "timeoutPolicy": "ALERT_ONLY"})

    made.pass_time()

    assert to_cancel(state) == {1: False}


def test_total_timeout_of_a_job_that_was_not_admitted_ends_at_once() -> None:
    made = job_world()
    made.register_task(name="a", retryCount=3, totalTimeoutSeconds=10)
    state = made.start(workflow(job_task("a")))

    made.pass_time()

    assert (state.tasks[1].status, state.status) == ("TIMED_OUT", "TIMED_OUT")


def test_termination_during_the_grace_is_not_held_up() -> None:
    made, state, job = begun(definition=TIMED)
    made.pass_time()

    made.terminate(state, "enough")

    assert (state.status, job.ends_as) == ("TERMINATED", "")
    assert (state.wanted, to_cancel(state)) == ({}, {1: True})


def test_job_of_old_code_is_replaced_without_a_retry() -> None:
    made, state, job = begun(definition=TIMED)
    made.send(state.execution_id, inputs.StopJob(1, "code changed", "REPLACED"))
    assert timers(state).keys() == {"timeout"}, "two must not run side by side: there is no grace"

    over(made, state, job, "cancelled")

    assert (state.tasks[1].state, state.tasks[2].status) == ("REPLACED", "SCHEDULED")
    assert state.tasks[2].retry_count == 0


def test_timeout_overrules_a_replacement_that_does_not_come() -> None:
    made, state, job = begun(definition=TIMED)
    made.send(state.execution_id, inputs.StopJob(1, "code changed", "REPLACED"))

    made.pass_time()

    assert job.ends_as == "TIMED_OUT"
    assert timers(state).keys() == {"grace"}


def test_stop_asked_twice_or_for_an_end_that_cannot_be() -> None:
    made, state, _ = begun()
    with pytest.raises(InvalidInput, match="endsAs"):
        made.send(state.execution_id, inputs.StopJob(1, "x", "COMPLETED"))
    made.send(state.execution_id, inputs.StopJob(1, "first"))
    before = len(made.journal[state.execution_id])

    made.send(state.execution_id, inputs.StopJob(1, "second"))

    assert len(made.journal[state.execution_id]) == before
    over(made, state, state.jobs[1], "cancelled")
    assert (state.tasks[1].status, state.status) == ("CANCELED", "TERMINATED")
