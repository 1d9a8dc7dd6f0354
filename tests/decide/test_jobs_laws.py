"""The laws of jobs, over random definitions and histories with ends, resets and recoveries among them."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from asyncflow.decide.job_view import newest_job
from asyncflow.decide.render import render_execution
from asyncflow.decide.waiting import waits_for
from asyncflow.decide.wanted import wanted
from asyncflow.model import events as ev
from asyncflow.model import inputs
from asyncflow.model.effects import Proceed
from asyncflow.model.state import ExecutionState
from asyncflow.model.turn import Recorded
from asyncflow.testing.states import differences
from tests.decide.job_cases import GRANTS
from tests.decide.job_histories import job_history

SEEDS = st.integers(0, 2**32)
SEEDS_AN_EXAMPLE = 10  # drawing an example costs more than running a history
STEPS = 50


def check_state(state: ExecutionState, folded: ExecutionState) -> None:
    """A fold gives the same state, and what is wanted of it; what has ended wants only its jobs' end."""
    assert differences(state, folded) == []
    assert state.wanted == wanted(state) == wanted(folded)
    for serial, job in state.jobs.items():
        assert job.grants is not None, "held until its end is recorded"
        assert job.grants[: len(GRANTS)] == GRANTS
        assert bool(job.cancel) or state.job_of[job.number] == serial, "nobody waits for it"
    assert state.wanted.keys() - state.tasks.keys() - {0} == {hold.key for hold in state.holds.values()}
    for number, serial in state.job_of.items():
        assert state.jobs[serial].number == number
        assert not state.tasks[number].is_ended
    if state.is_ended:
        assert not state.job_of
        assert all(job.cancel for job in state.jobs.values())
        assert all(
            hold.users.keys() <= {-serial for serial in state.jobs} for hold in state.holds.values()
        ), "only jobs still use them"
        assert {n: e for n, e in state.wanted.items() if n >= 0 and e != (Proceed(),)} == {}
    assert state.past_of == {job.serial: number for number, job in state.past_jobs.items()}
    for number in {*state.tasks, *state.given_up}:
        known = [*state.jobs.values(), *state.past_jobs.values()]
        newest = max((job.serial for job in known if job.number == number), default=None)
        found = newest_job(state, number)
        assert (None if found is None else found.serial) == newest
    for hold in state.holds.values():
        assert hold.users or not hold.is_over
        assert all(-user in state.jobs or not state.tasks[user].is_ended for user in hold.users)
    assert len(waits_for(state)) >= len(state.jobs)
    render_execution(state)


def check_journal(history: list[Recorded]) -> None:
    """Every intent has a new serial number, every job ends once at most, and the last end says that it is."""
    begun, ended, is_over = 0, set[int](), False
    for recorded in history:
        match recorded.event:
            case ev.AttemptStarted(resource="cluster"):
                begun += 1
                assert not is_over
            case ev.JobEnded(serial=serial, is_last=is_last):
                assert 0 < serial <= begun
                assert serial not in ended
                ended.add(serial)
                assert is_last == (is_over and len(ended) == begun)
            case ev.JobSubmitted(serial) | ev.JobUndecided(serial) | ev.JobNoted(serial):
                assert serial not in ended
            case ev.ExecutionEnded(open_jobs=open_jobs):
                is_over = True
                assert open_jobs == begun - len(ended)
            case ev.ExecutionRestarted() | ev.ExecutionReopened():
                is_over = False


@given(SEEDS)
def test_jobs_fold_to_the_state_that_made_them_and_keep_their_laws(seed: int) -> None:
    for offset in range(SEEDS_AN_EXAMPLE):
        history = job_history(seed + offset)
        world = history.world
        for step in range(STEPS):
            history.happen()
            if (seed + step) % 5 == 0 or step == STEPS - 1:
                for identity, state in world.states.items():
                    check_state(state, world.fold(identity))
        for events in world.journal.values():
            check_journal(events)


@given(SEEDS)
def test_any_prefix_of_a_history_with_jobs_wants_what_it_wants(seed: int) -> None:
    """Not only between turns: after every single event what is kept of jobs is what is found from nothing."""
    history = job_history(seed)
    for _ in range(STEPS):
        history.happen()
    world = history.world

    for identity, events in world.journal.items():
        for upto in range(1, len(events) + 1, 3):
            state = world.fold(identity, upto)
            found = wanted(state)
            of_jobs = {n for n in (*state.wanted, *found) if n < 0} | {
                task.number for task in state.tasks.values() if task.executor == "job"
            }
            assert {n: state.wanted.get(n) for n in of_jobs} == {n: found.get(n) for n in of_jobs}


@given(SEEDS)
def test_recovery_of_jobs_leaves_no_trace(seed: int) -> None:
    for offset in range(SEEDS_AN_EXAMPLE):
        calm, restless = job_history(seed + offset), job_history(seed + offset)
        for step in range(STEPS):
            calm.happen()
            restless.happen()
            if (seed + step) % 5 == 0:
                for identity in list(restless.world.states):
                    restless.world.recover(identity)

        assert restless.world.journal == calm.world.journal


@given(SEEDS)
def test_report_of_a_job_twice_changes_nothing(seed: int) -> None:
    reports = (inputs.JobAccepted, inputs.JobStuck, inputs.JobSeen, inputs.JobOver, inputs.StopJob)
    for offset in range(SEEDS_AN_EXAMPLE):
        history = job_history(seed + offset)
        world = history.world
        for _ in range(STEPS):
            before = len(history.sent)
            history.happen()
            for stream, sent in history.sent[before:]:
                if isinstance(sent, reports):
                    length = len(world.journal[stream])
                    world.send(stream, sent)
                    assert len(world.journal[stream]) == length


@given(SEEDS)
def test_everything_with_jobs_comes_to_an_end(seed: int) -> None:
    for offset in range(SEEDS_AN_EXAMPLE):
        history = job_history(seed + offset)
        for _ in range(STEPS):
            history.happen()

        history.settle()

        for identity, state in history.world.states.items():
            assert state.is_ended, waits_for(state)
            assert (state.jobs, state.holds, state.wanted, waits_for(state)) == ({}, {}, {}, [])
            check_journal(history.world.journal[identity])
