"""Jobs whose record or execution ends before them."""

from __future__ import annotations

import pytest

from asyncflow.decide.waiting import waits_for
from asyncflow.errors import Refused
from asyncflow.model import events as ev
from asyncflow.model import inputs
from tests.decide.definitions import task, workflow
from tests.decide.job_cases import (
    accept,
    begun,
    events,
    job_task,
    job_world,
    over,
    shown,
    to_cancel,
)


def test_terminate_leaves_the_cancel_wanted_until_the_end_is_recorded() -> None:
    made, state, job = begun()

    made.terminate(state, "enough")

    ended = events(made, state, ev.ExecutionEnded)[0]
    assert isinstance(ended, ev.ExecutionEnded)
    assert (state.status, ended.open_jobs, job.cancel) == ("TERMINATED", 1, "enough")
    assert (state.wanted, to_cancel(state)) == ({}, {1: True})
    assert [entry["kind"] for entry in waits_for(state)] == ["job"]
    over(made, state, job, "cancelled")
    assert (state.wanted, state.jobs) == ({}, {})
    assert events(made, state, ev.JobEnded) == [ev.JobEnded(1, "cancelled", is_last=True)]
    assert state.tasks[1].status == "CANCELED"


def test_only_the_last_of_several_ends_says_so() -> None:
    made = job_world()
    branches = [[job_task("a")], [job_task("b")]]
    names = ["a", "b"]
    forked = [task("f", "FORK_JOIN", forkTasks=branches), task("j", "JOIN", joinOn=names)]
    state = made.start(workflow(*forked))
    jobs = [accept(made, state, name) for name in names]

    over(made, state, jobs[0], "failed", reason="bad")

    assert (state.status, list(state.jobs)) == ("FAILED", [2])
    over(made, state, jobs[1])
    lasts = [each.is_last for each in events(made, state, ev.JobEnded) if isinstance(each, ev.JobEnded)]
    assert lasts == [False, True]
    assert state.tasks[jobs[1].number].status == "CANCELED", "an end that came before is not changed"


def test_success_after_the_cancel_is_noted_as_too_late() -> None:
    made, state, job = begun()
    made.terminate(state)

    over(made, state, job)

    kinds = [type(each.event).__name__ for each in made.journal[state.execution_id][-2:]]
    assert kinds == ["JobNoted", "JobEnded"]
    assert shown(state)["job"]["notes"].keys() == {"cancelled_too_late"}  # type: ignore[index]


def test_user_who_completes_the_task_has_its_job_cancelled() -> None:
    made, state, job = begun(task("w"))

    made.send(state.execution_id, inputs.UpdateTask(1, "COMPLETED", {"mine": 1}))

    assert (state.tasks[1].output, state.status) == ({"mine": 1}, "RUNNING")
    assert to_cancel(state) == {1: True}
    over(made, state, job)
    assert state.tasks[1].output == {"mine": 1}
    assert state.jobs == {}


def test_completed_execution_waits_for_the_cancel_of_what_it_left() -> None:
    made, state, job = begun()
    made.send(state.execution_id, inputs.UpdateTask(1, "COMPLETED", {}))
    assert state.status == "COMPLETED"

    with pytest.raises(Refused, match="1 of its jobs have still to come to an end outside: a"):
        made.send(state.execution_id, inputs.RemoveExecution())

    over(made, state, job, "absent")
    made.send(state.execution_id, inputs.RemoveExecution())
    assert state.removed


@pytest.mark.parametrize("again", ["retry", "restart", "rerun", "rerun_from"])
def test_reopened_execution_hands_in_another_job_while_the_old_one_is_cancelled(again: str) -> None:
    made, state, old = begun()
    made.terminate(state)

    if again == "rerun_from":
        made.rerun(state, 1)
    else:
        getattr(made, again)(state)
    new = accept(made, state, "a")

    assert (new.serial, new.origin.epoch, new.number != old.number or again == "rerun_from") == (2, 1, True)
    assert to_cancel(state) == {1: True, 2: False}
    over(made, state, old)
    assert state.tasks[new.number].status == "IN_PROGRESS"
    over(made, state, new)
    assert state.status == "COMPLETED"
    assert shown(state, new.number)["job"]["serial"] == 2  # type: ignore[index]


def test_second_termination_tells_what_is_open_too() -> None:
    made, state, job = begun(definition={"retryCount": 0})
    made.send(state.execution_id, inputs.UpdateTask(1, "FAILED", {}, reason="by hand"))
    assert state.status == "FAILED"

    made.terminate(state)

    told = [
        each.open_jobs
        for each in events(made, state, ev.ExecutionEnded)
        if isinstance(each, ev.ExecutionEnded)
    ]
    assert told == [1, 1]
    over(made, state, job, "cancelled")
    assert state.wanted == {}


def test_stuck_join_is_found_while_a_cancelled_job_is_open() -> None:
    made = job_world()
    state = made.start(
        workflow(
            task("f", "FORK_JOIN", forkTasks=[[job_task("a", optional=True)]]),
            task("j", "JOIN", joinOn=["a", "nobody"]),
        )
    )
    accept(made, state, "a")

    made.send(state.execution_id, inputs.UpdateTask(2, "FAILED", {}, reason="by hand"))

    assert state.status == "FAILED"
    assert "Nothing can proceed" in (state.reason or "")
    assert (state.wanted, to_cancel(state)) == ({}, {1: True})


def test_cancel_is_a_change_that_is_told() -> None:
    made, state, _ = begun()
    state.dirty.clear()

    made.send(state.execution_id, inputs.StopJob(1, "enough"))

    assert -1 in state.dirty
