"""What it costs to show jobs: nobody looks through all that are open for the sake of one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn

from asyncflow.decide.job_view import job_with, task_facts
from asyncflow.decide.waiting import waits_for
from asyncflow.model.jobs import JobState
from asyncflow.model.state import ExecutionState
from asyncflow.testing.pure import World
from tests.decide.definitions import task, workflow
from tests.decide.job_cases import accept, job_task, job_world, over


class OnlyByKey(dict[int, JobState]):
    """Jobs that are found by their number, and not looked through."""

    def __iter__(self) -> Iterator[int]:
        raise AssertionError("all jobs are looked through")

    def _refuse(self) -> NoReturn:
        raise AssertionError("all jobs are looked through")

    values = items = keys = __reversed__ = _refuse


def half_over() -> tuple[World, ExecutionState]:
    """An execution of which one job is over and one is open."""
    world = job_world()
    fork = task("f", "FORK_JOIN", forkTasks=[[job_task("a")], [job_task("b")]])
    state = world.start(workflow(fork, task("j", "JOIN", joinOn=["a", "b"])))
    over(world, state, accept(world, state, "a"))
    accept(world, state, "b")
    return world, state


def test_showing_a_task_whose_job_is_over_looks_through_no_jobs() -> None:
    world, state = half_over()
    done = world.task(state, "a")
    state.jobs = OnlyByKey(state.jobs)

    facts = task_facts(state, done)

    assert isinstance(facts["job"], dict)
    assert facts["job"]["state"] == "SUCCEEDED"


def test_what_an_execution_waits_for_looks_through_no_jobs_that_tasks_wait_for() -> None:
    _, state = half_over()
    state.jobs = OnlyByKey(state.jobs)

    kinds = [wait["kind"] for wait in waits_for(state, most=10)]

    assert kinds.count("job") == 1


def test_a_job_is_found_by_its_serial_number_open_or_over() -> None:
    _, state = half_over()
    state.past_jobs = OnlyByKey(state.past_jobs)

    found = [job_with(state, serial) for serial in (1, 2, 3)]

    assert [None if each is None else each.ref for each in found] == ["a", "b", None]
