"""Jobs of which nobody can tell: a person decides."""

from __future__ import annotations

import pytest

from asyncflow.decide.waiting import waits_for
from asyncflow.errors import InvalidInput, NotFound, Refused
from asyncflow.model import events as ev
from asyncflow.model import inputs
from asyncflow.model.state import ExecutionState
from asyncflow.testing.pure import World
from tests.decide.definitions import Json
from tests.decide.job_cases import (
    begun,
    events,
    over,
    shown,
    to_cancel,
)


def stuck() -> tuple[World, ExecutionState]:
    made, state, job = begun(definition={"retryCount": 0})
    made.send(state.execution_id, inputs.JobStuck(job.serial, "no answer, and no look-up"))
    return made, state


def test_undecided_job_shows_that_it_needs_a_decision() -> None:
    made, state = stuck()

    facts = shown(state)

    assert (state.tasks[1].status, facts["state"]) == ("IN_PROGRESS", "NEEDS_DECISION")
    assert (state.wanted, to_cancel(state)) == ({}, {1: False})
    assert waits_for(state)[0]["kind"] == "decision"
    assert made.fold(state.execution_id).jobs[1].reason == "no answer, and no look-up"


def test_resubmit_has_it_handed_in_again_under_the_same_serial() -> None:
    made, state = stuck()
    state.dirty.clear()

    made.send(state.execution_id, inputs.DecideJob(1, "resubmit", by="me"))

    assert (state.jobs[1].phase, state.jobs[1].handle) == ("intent", "")
    assert -1 in state.dirty, "the runtime is told though the effect is the same"
    assert events(made, state, ev.JobDecided) == [ev.JobDecided(1, "resubmit", by="me")]


def test_adopt_goes_on_with_the_handle_given() -> None:
    made, state = stuck()

    made.send(state.execution_id, inputs.DecideJob(1, "adopt", handle="found"))

    assert (state.jobs[1].phase, state.jobs[1].handle) == ("submitted", "found")
    over(made, state, state.jobs[1])
    assert state.status == "COMPLETED"


@pytest.mark.parametrize(
    ("decision", "status", "output"), [("complete", "COMPLETED", {"x": 1}), ("fail", "FAILED", {"x": 1})]
)
def test_person_may_say_how_it_ended(decision: str, status: str, output: Json) -> None:
    made, state = stuck()

    made.send(state.execution_id, inputs.DecideJob(1, decision, output=output, reason="looked at it"))

    assert (state.tasks[1].status, state.tasks[1].output, state.status) == (status, output, status)
    assert (state.jobs, state.wanted) == ({}, {})


def test_cancelled_job_may_be_decided_after_its_execution_ended() -> None:
    made, state = stuck()
    made.terminate(state)
    assert shown(state)["job"]["state"] == "NEEDS_DECISION"  # type: ignore[index]
    with pytest.raises(Refused, match="1 of them for a person to decide"):
        made.send(state.execution_id, inputs.RemoveExecution())

    made.send(state.execution_id, inputs.DecideJob(1, "resubmit"))

    assert (state.jobs, state.wanted) == ({}, {}), "that it is not there is what was wanted"
    assert events(made, state, ev.JobEnded) == [ev.JobEnded(1, "absent", "decided by a person", is_last=True)]


@pytest.mark.parametrize(
    ("command", "refusal", "text"),
    [
        (inputs.DecideJob(1, "nothing"), InvalidInput, "decision"),
        (inputs.DecideJob(1, "adopt"), InvalidInput, "handle"),
        (inputs.DecideJob(1, "fail", handle="h"), InvalidInput, "handle"),
        (inputs.DecideJob(1, "fail", serial=9), NotFound, "a"),
        (inputs.DecideJob(9, "fail"), NotFound, "9"),
        (inputs.DecideJob(1, "fail"), Refused, "submitted: there is nothing to decide"),
    ],
)
def test_decision_that_does_not_fit_is_refused(
    command: inputs.DecideJob, refusal: type[Exception], text: str
) -> None:
    made, state, _ = begun()
    before = len(made.journal[state.execution_id])

    with pytest.raises(refusal, match=text):
        made.send(state.execution_id, command)

    assert len(made.journal[state.execution_id]) == before


def test_answer_that_comes_after_all_needs_no_decision_any_more() -> None:
    made, state = stuck()

    made.send(state.execution_id, inputs.JobAccepted(1, "late", adopted=True))

    assert (state.jobs[1].phase, state.jobs[1].handle, state.jobs[1].reason) == ("submitted", "late", "")
