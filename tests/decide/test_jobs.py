"""Jobs: from the intent to the recorded end, and what each end means for the record."""

from __future__ import annotations

import pytest

from asyncflow.model import events as ev
from asyncflow.model import inputs
from asyncflow.model.effects import Admit
from tests.decide.definitions import Json, fork, task, workflow
from tests.decide.job_cases import (
    GRANTS,
    accept,
    admit,
    begun,
    events,
    job_task,
    job_world,
    over,
    shown,
    to_cancel,
)


def test_task_of_a_job_type_waits_for_admission_and_its_start_is_the_intent() -> None:
    made = job_world()
    state = made.start(workflow(job_task("a", inputParameters={"x": 1})))
    assert state.tasks[1].executor == "job"
    assert state.wanted[1] == (Admit(1, 0),)

    job = admit(made, state, "a")

    assert (job.serial, job.phase, job.resource, job.instance) == (1, "intent", "cluster", "cluster/1")
    assert (job.input, job.grants, job.fence, job.origin.code_version) == ({"x": 1}, GRANTS, 7, "w@1")
    assert state.tasks[1].status == "IN_PROGRESS"
    assert state.tasks[1].grants is None, "the job holds them"
    assert (state.wanted, to_cancel(state)) == ({}, {1: False})


def test_accepted_job_that_succeeds_completes_its_task() -> None:
    made, state, job = begun()
    assert (job.phase, job.handle) == ("submitted", "h1")

    over(made, state, job, counts={"rowsOut": 5}, ended_ms=77)

    assert (state.tasks[1].status, state.tasks[1].output) == ("COMPLETED", {"r": 1})
    assert state.status == "COMPLETED"
    assert (state.jobs, state.job_of, state.wanted) == ({}, {}, {})
    assert events(made, state, ev.JobEnded) == [ev.JobEnded(1, "succeeded", "", 77, False, {"rowsOut": 5})]
    assert state.past_jobs[1].grants is None


@pytest.mark.parametrize(
    ("word", "more", "status", "record_state"),
    [
        ("failed", {"reason": "bad"}, "FAILED", None),
        ("failed", {"reason": "bad", "is_final": True}, "FAILED_WITH_TERMINAL_ERROR", None),
        ("rejected", {"reason": "bad"}, "FAILED", None),
        ("cancelled", {}, "FAILED", None),
        ("absent", {}, "FAILED", None),
        ("lost", {}, "FAILED", "LOST"),
    ],
)
def test_end_without_success_is_a_failure(
    word: str, more: Json, status: str, record_state: str | None
) -> None:
    made, state, job = begun()

    over(made, state, job, word, **more)

    record = state.tasks[1]
    assert (record.status, record.state, state.status) == (status, record_state, "FAILED")
    assert record.reason


def test_failure_is_tried_again_as_a_job_of_its_own() -> None:
    made, state, job = begun(definition={"retryCount": 1, "retryDelaySeconds": 0})

    over(made, state, job, "failed", reason="bad")
    second = accept(made, state, "a")

    assert (second.serial, second.number, second.origin.attempt) == (2, 2, 2)
    over(made, state, second)
    assert state.status == "COMPLETED"


def test_failure_that_is_final_is_not_tried_again() -> None:
    made, state, job = begun(definition={"retryCount": 3})

    over(made, state, job, "failed", reason="bad", is_final=True)

    assert state.status == "FAILED"


def test_job_whose_instance_is_gone_is_replaced_without_a_retry() -> None:
    made, state, job = begun(definition={"retryCount": 0})

    over(made, state, job, "moved", reason="instance gone")

    first, second = state.tasks[1], state.tasks[2]
    assert (first.status, first.state, first.superseded) == ("CANCELED", "MOVED", True)
    assert (second.status, second.retry_count, second.executor) == ("SCHEDULED", 0, "job")
    over(made, state, accept(made, state, "a"))
    assert state.status == "COMPLETED"


def test_optional_job_that_fails_does_not_end_the_execution() -> None:
    made, state, job = begun(task("w"), optional=True)

    over(made, state, job, "lost")

    assert (state.tasks[1].status, state.tasks[1].state) == ("COMPLETED_WITH_ERRORS", "LOST")
    assert state.status == "RUNNING"


def test_async_complete_waits_for_an_update_after_the_job() -> None:
    made, state, job = begun(asyncComplete=True)

    over(made, state, job)
    assert (state.tasks[1].status, state.jobs) == ("IN_PROGRESS", {})
    made.send(state.execution_id, inputs.UpdateTask(1, "COMPLETED", {"x": 1}))

    assert state.status == "COMPLETED"


def test_worker_elsewhere_may_be_asked_for_instead() -> None:
    made = job_world()
    state = made.start(workflow(job_task("a", asyncflow={"executor": "remote"})))

    assert state.tasks[1].executor == "remote"


def test_domain_of_workers_does_not_take_a_job_away() -> None:
    made = job_world()
    state = made.start(workflow(job_task("a")), task_to_domain={"*": "mine"})

    assert (state.tasks[1].executor, state.tasks[1].domain) == ("job", None)


def test_grants_are_held_from_the_intent_to_the_recorded_end() -> None:
    made, state, job = begun(definition={"retryCount": 1, "retryDelaySeconds": 0})

    made.send(state.execution_id, inputs.UpdateTask(1, "FAILED", {}, reason="by hand"))
    assert state.jobs[1].grants == GRANTS, "its record has ended, it has not"
    made.terminate(state)
    assert made.fold(state.execution_id).jobs[1].grants == GRANTS
    over(made, state, job, "cancelled")

    assert state.jobs == {}


def test_pause_lets_what_was_begun_go_on_and_begins_nothing() -> None:
    made = job_world()
    state = made.start(workflow(*fork("f", [job_task("a")], [job_task("b")])))
    job = accept(made, state, "a")

    made.pause(state)
    number = made.task(state, "b").number
    made.send(state.execution_id, inputs.AttemptAdmitted(number, GRANTS, resource="cluster"))

    assert state.tasks[number].status == "SCHEDULED"
    assert (state.wanted, to_cancel(state)) == ({}, {1: False})
    over(made, state, job)
    assert made.task(state, "a").status == "COMPLETED"
    made.send(state.execution_id, inputs.ResumeExecution())
    assert state.wanted[number] == (Admit(number, 0),)


def test_states_shown_of_a_job_from_beginning_to_end() -> None:
    made = job_world()
    state = made.start(workflow(job_task("a")))
    seen: list[object] = [shown(state)["state"]]
    job = admit(made, state, "a")
    seen.append(shown(state)["state"])
    made.send(state.execution_id, inputs.JobAccepted(job.serial, "h"))
    seen.append(shown(state)["state"])
    made.send(state.execution_id, inputs.StopJob(job.serial, "x"))
    seen.append(shown(state)["state"])
    over(made, state, job, "cancelled")
    seen.append(shown(state)["state"])

    assert seen == ["SCHEDULED", "INTENT", "SUBMITTED", "CANCELLING", "CANCELED"]
    last = shown(state)["job"]
    assert isinstance(last, dict)
    assert (last["state"], last["handle"], last["resource"]) == ("CANCELLED", "h", "cluster")
    assert "token" not in last


def test_migration_leaves_the_code_version_of_the_intent() -> None:
    made, state, job = begun(task("w"))
    newer = made.catalog.inline(
        made.catalog.add(state.graph.definition).definition.model_copy(update={"version": 2})
    )

    made.send(state.execution_id, inputs.MigrateExecution(newer.hash))

    assert (state.version, job.origin.code_version) == (2, "w@1")
    over(made, state, job)
    assert made.task(state, "w").status == "SCHEDULED"


def test_note_is_recorded_once() -> None:
    made, state, job = begun()
    note = inputs.JobSeen(job.serial, "progress", "", {"done": 3})
    made.send(state.execution_id, note)
    before = len(made.journal[state.execution_id])

    made.send(state.execution_id, note)

    assert len(made.journal[state.execution_id]) == before
    assert shown(state)["job"]["notes"] == {"progress": {"reason": "", "data": {"done": 3}}}  # type: ignore[index]
