"""The laws of opening again, over random definitions of all operators and random histories.

What follows is drawn from a seed: executions run, fail, are paused and terminated, are retried,
restarted and rerun from anywhere, at every level, and at last everything succeeds.
"""

from __future__ import annotations

import random
from contextlib import suppress

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from asyncflow.decide.counters import rebuild
from asyncflow.decide.wanted import wanted
from asyncflow.errors import InvalidInput, NotFound, Refused
from asyncflow.model.inputs import Evaluate, RerunExecution, TimerDue
from asyncflow.model.state import ExecutionState
from asyncflow.model.statuses import COMPLETED, TASK_SUCCESSFUL
from asyncflow.testing.pure import World
from asyncflow.testing.states import differences
from tests.decide.definitions import Json, workflow
from tests.decide.random_histories import Author, History, random_world

SEEDS = st.integers(0, 2**32)
GIVEN: dict[str, object] = {"n": 1, "list": [1, 2]}
STEPS = 40


class Reopening(History):
    """A history in which executions that ended are opened again, mostly by retry and rerun."""

    def happen(self) -> None:
        """One thing happens; one in five concerns an execution that ended, if there is one."""
        ended = [state for state in self.world.states.values() if state.is_ended]
        if ended and (self.dice.random() < 0.2 or len(ended) == len(self.world.states)):
            self.reopen(self.dice.choice(ended))
        else:
            super().happen()

    def reopen(self, state: ExecutionState) -> None:
        """Retry, restart, or rerun from nothing or from any record."""
        with suppress(Refused, NotFound, InvalidInput):
            luck = self.dice.random()
            if luck < 0.45:
                self.world.retry(state, resume=luck < 0.2)
            elif luck < 0.55:
                self.world.restart(state)
            elif luck < 0.6:
                self.world.rerun(state)
            elif state.tasks:
                self.world.rerun(state, self.dice.choice(list(state.tasks)))

    def settle(self, most: int = 2_000) -> None:
        """Let everything come to an end; a timer that came to be wanted after it was due fires at once."""
        for _ in range(3):
            super().settle(most)
            for state, timer in list(self.world.timers()):
                if timer.due_ms <= self.world.now_ms:
                    self.world.send(state.execution_id, TimerDue(timer.number, timer.kind))


class Completable(Author):
    """Writes definitions that complete once every attempt succeeds."""

    def definition(self) -> Json:
        """A whole definition, without limits of its own."""
        return workflow(*self.tasks(4, 3))

    def _leaf(self) -> Json:
        luck = self.dice.random()
        tolerance: Json = {"optional": True} if luck < 0.1 else {"permissive": True} if luck < 0.25 else {}
        kind = self.dice.choice(["SIMPLE", "SIMPLE", "SIMPLE", "NOOP", "INLINE"])
        inputs: Json = {"expression": "1"} if kind == "INLINE" else {"seen": "${workflow.input.n}"}
        name = self.dice.choice(["plain", "far"])
        return {
            "taskReferenceName": self.ref(),
            "type": kind,
            "name": name,
            "inputParameters": inputs,
            **tolerance,
        }


def begin(seed: int, *, slice_size: int = 2_000, completable: bool = False) -> tuple[World, Reopening]:
    world, definition = random_world(seed, slice_size=slice_size)
    if completable:
        definition = Completable(random.Random(seed)).definition()
    world.start(definition, GIVEN)
    return world, Reopening(world, seed)


def check(world: World) -> None:
    for identity, state in world.states.items():
        folded = world.fold(identity)
        assert differences(state, folded) == []
        assert state.wanted == wanted(state)
        assert state.open_count == sum(not task.is_ended for task in state.tasks.values())
        assert not state.repairs
        assert not state.is_ended or not state.open_count
        if not state.counters_stale:
            rebuild(folded)
            assert folded.joins == state.joins
            assert folded.ready_joins.keys() == state.ready_joins.keys()


@given(SEEDS)
def test_a_history_with_reopenings_folds_to_its_state(seed: int) -> None:
    """Fold of the journal equals the live state in every field; what is kept beside it is what it says."""
    world, history = begin(seed)
    for step in range(STEPS):
        history.happen()
        if (seed + step) % 5 == 0:
            check(world)
    check(world)


@given(SEEDS)
def test_recovery_in_the_middle_of_reopenings_leaves_no_trace(seed: int) -> None:
    """A run folded anew from its journal at random moments records what an unbroken one does."""
    unbroken, calm = begin(seed, slice_size=7)
    broken, restless = begin(seed, slice_size=7)
    for step in range(STEPS):
        calm.happen()
        restless.happen()
        if (seed + step) % 4 == 0:
            for identity in list(broken.states):
                broken.recover(identity)

    assert broken.journal == unbroken.journal


@given(SEEDS)
def test_what_was_opened_again_comes_to_an_end(seed: int) -> None:
    """However often it was opened, once nothing disturbs it an execution ends, and its children too."""
    world, history = begin(seed)
    for _ in range(STEPS):
        history.happen()

    history.settle()

    for state in world.states.values():
        assert state.is_ended
        assert not state.wanted
    check(world)


@given(SEEDS)
@settings(max_examples=150)
def test_retries_bring_everything_that_can_complete_to_completion(seed: int) -> None:
    """If every attempt succeeds from now on, retrying completes it, whatever was done to it before."""
    world, history = begin(seed, completable=True)
    root = next(iter(world.states.values()))
    for _ in range(STEPS):
        history.happen()
    for _ in range(4):
        history.settle()
        if root.status != COMPLETED:
            with suppress(Refused):  # terminated between two tasks: nothing to try again, only to redo
                world.retry(root, resume=bool(seed % 2))
            if root.is_ended:
                world.rerun(root)
    history.settle()

    assert root.status == COMPLETED
    assert all(task.settled for task in root.tasks.values())


def successes(world: World) -> dict[tuple[str, int], tuple[str, int, str]]:
    return {
        (identity, task.number): (task.ref, task.ended_ms, task.status)
        for identity, state in world.states.items()
        for task in state.tasks.values()
        if task.status in TASK_SUCCESSFUL
    }


@given(seed=SEEDS, resume=st.booleans())
def test_retry_runs_nothing_again_that_succeeded(seed: int, resume: bool) -> None:  # noqa: FBT001
    """Records that succeeded stay as they are, and their tasks get no other record."""
    world, history = begin(seed)
    for _ in range(STEPS):
        super(Reopening, history).happen()
    history.settle()
    root = next(iter(world.states.values()))
    before = successes(world)
    counts = {identity: state.next_number for identity, state in world.states.items()}
    world.now_ms += 1_000
    with suppress(Refused):
        world.retry(root, resume=resume)
    history.settle()

    after = successes(world)
    refs = {(identity, ref) for (identity, _), (ref, _, _) in before.items()}
    for key, value in before.items():
        assert after.get(key, value) == value  # `keepLastN` may have removed it
    new = [
        t for i, s in world.states.items() if i in counts for t in s.tasks.values() if t.number >= counts[i]
    ]
    owners = {id(t): i for i, s in world.states.items() for t in s.tasks.values()}
    assert [t.ref for t in new if (owners[id(t)], t.ref) in refs] == []


@given(SEEDS)
def test_rerun_opens_nothing_that_it_keeps(seed: int) -> None:
    """What a rerun neither removes nor opens again at once is not touched until the end."""
    world, history = begin(seed, completable=True)
    for _ in range(STEPS):
        super(Reopening, history).happen()
    history.settle()
    root = next(iter(world.states.values()))
    assume(any(task.seq for task in root.tasks.values()))
    target = history.dice.choice([task.number for task in root.tasks.values() if task.seq])
    world.now_ms += 1_000
    messages = world.send_alone(root, RerunExecution(target))
    kept = {
        n: (t.status, t.ended_ms) for n, t in root.tasks.items() if t.is_ended and t.ended_ms < world.now_ms
    }
    assert target not in kept
    for message in messages:
        world.send(message.to, message.input)
    world.send(root.execution_id, Evaluate())
    history.settle()

    for number, value in kept.items():
        if number in root.tasks and value[0] in TASK_SUCCESSFUL:
            task = root.tasks[number]
            assert (task.status, task.ended_ms) == value


def outcome(seed: int, slice_size: int) -> list[object]:
    """How an execution ends that is opened again half-way; all is chosen by name, not by number."""
    world, history = begin(seed, slice_size=slice_size, completable=True)
    root = next(iter(world.states.values()))
    for _ in range(history.dice.randint(0, 6)):
        for ref in open_refs(world, root)[:1]:
            world.end(root, ref)
    for ref in open_refs(world, root)[:1]:
        world.fail(root, ref, status="FAILED_WITH_TERMINAL_ERROR")
    if root.is_ended and seed % 2:
        ref = history.dice.choice(sorted(root.by_ref))
        world.rerun(root, ref)
    elif root.is_ended:
        with suppress(Refused):
            world.retry(root)
    opened = sorted((t.ref, t.status, t.retry_count) for t in root.tasks.values())
    history.settle()
    return [opened, root.status, sorted((t.ref, t.status, t.retry_count) for t in root.tasks.values())]


def open_refs(world: World, root: ExecutionState) -> list[str]:
    return sorted(task.ref for state, task in world.runnable() if state is root)


@given(SEEDS)
def test_slices_of_a_reopening_change_no_result(seed: int) -> None:
    """Put right five records at a time or all at once: the same records, in the same state."""
    assert outcome(seed, 10) == outcome(seed, 2_000)


@pytest.mark.parametrize("seed", range(40))
def test_a_seed_holds_the_laws_step_by_step(seed: int) -> None:
    """A few histories are looked at after every step, in slices."""
    world, history = begin(seed, slice_size=6)
    for _ in range(STEPS):
        history.happen()
        check(world)
