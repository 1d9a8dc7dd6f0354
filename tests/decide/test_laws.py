"""The laws of the deciding core, over random definitions of all operators and random histories."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncflow.decide.counters import rebuild
from asyncflow.decide.waiting import INNER, waits_for
from asyncflow.decide.wanted import wanted
from asyncflow.model import inputs
from asyncflow.model.inputs import Input
from asyncflow.model.state import ExecutionState
from asyncflow.model.statuses import COMPLETED, FAILED, RUNNING
from asyncflow.testing.pure import World
from asyncflow.testing.states import differences
from tests.decide.random_histories import History, random_world

GIVEN: dict[str, object] = {"n": 1, "list": [1, 2]}
SEEDS = st.integers(0, 2**32)
SEEDS_AN_EXAMPLE = 15  # drawing an example costs more than running a history
STEPS = 50


def begin(seed: int, **more: Any) -> tuple[World, History]:
    world, definition = random_world(seed, **more)
    world.start(definition, GIVEN)
    return world, History(world, seed)


def journals(world: World) -> dict[str, list[object]]:
    return {identity: list(history) for identity, history in world.journal.items()}


def check_derived(state: ExecutionState, folded: ExecutionState) -> None:
    """What is kept beside the records is what the records say."""
    assert state.wanted == wanted(state)
    open_ones = [task for task in state.tasks.values() if not task.is_ended]
    assert state.open_count == len(open_ones)
    if state.counters_stale:
        return

    rebuild(folded)

    assert folded.joins == state.joins
    assert folded.ready_joins.keys() == state.ready_joins.keys()
    left = {key: count for key, count in state.countdown.items() if count or key in folded.countdown}
    assert folded.countdown == left, "a count may outlive its records only at zero"
    assert [line for line in differences(state, folded) if line.startswith("tasks.")] == []


def check_waiting(state: ExecutionState) -> None:
    entries = waits_for(state)
    if state.is_ended:
        assert not state.wanted
        assert not entries
        return
    of_records = [entry for entry in entries if "task" in entry]
    assert len(of_records) == state.open_count
    if state.status == RUNNING:
        assert [entry for entry in entries if entry["kind"] not in INNER], "waits for nothing"


@given(SEEDS)
def test_history_folds_to_the_state_that_made_it(seed: int) -> None:
    """Fold of any prefix equals the unbroken run; derived counts equal counts from scratch; the open wait."""
    for offset in range(SEEDS_AN_EXAMPLE):
        world, history = begin(seed + offset)
        for step in range(STEPS):
            history.happen()
            if (seed + step) % 7 == 0 or step == STEPS - 1:
                for identity, state in world.states.items():
                    folded = world.fold(identity)
                    assert differences(state, folded) == []
                    check_derived(state, folded)
                    check_waiting(state)


@given(SEEDS)
def test_recovery_leaves_no_trace(seed: int) -> None:
    """A run that is folded anew from its journal at random moments records what an unbroken one does."""
    for offset in range(SEEDS_AN_EXAMPLE):
        unbroken, calm = begin(seed + offset)
        broken, restless = begin(seed + offset)
        for step in range(STEPS):
            calm.happen()
            restless.happen()
            if (seed + step) % 5 == 0:
                for identity in list(broken.states):
                    broken.recover(identity)

        assert journals(broken) == journals(unbroken)


@given(SEEDS)
def test_one_seed_gives_one_history(seed: int) -> None:
    """Same inputs, same events: nothing is drawn, asked or ordered by chance."""
    first, second = begin(seed), begin(seed)
    for _ in range(STEPS):
        first[1].happen()
        second[1].happen()

    assert journals(first[0]) == journals(second[0])


def repeatable(given: Input) -> bool:
    """A command to go on is no report: said twice it is two updates."""
    return not (isinstance(given, inputs.UpdateTask) and given.status == "IN_PROGRESS")


@given(SEEDS)
def test_report_delivered_twice_changes_nothing(seed: int) -> None:
    """Whatever was reported is reported again at once: no event, in no execution."""
    for offset in range(SEEDS_AN_EXAMPLE):
        world, history = begin(seed + offset)
        for _ in range(STEPS):
            before = len(history.sent)
            history.happen()
            for stream, given_input in history.sent[before:]:
                seen = journals(world)
                if repeatable(given_input) and number_of(given_input) in world.states[stream].tasks:
                    world.send(stream, given_input)
                    assert journals(world) == seen


def number_of(given_input: Input) -> int:
    return getattr(given_input, "number", 0)


@given(SEEDS)
def test_everything_comes_to_an_end(seed: int) -> None:
    """Once nothing disturbs it an execution ends, and its children with it; nothing is left wanted."""
    for offset in range(SEEDS_AN_EXAMPLE):
        world, history = begin(seed + offset)
        for _ in range(STEPS // 2):
            history.happen()

        history.settle()

        for state in world.states.values():
            assert state.is_ended, waits_for(state)
            assert not state.wanted
            assert not state.open_count


def result(seed: int, slice_size: int) -> tuple[object, ...]:
    """How a run ends in which each task's outcome depends on nothing but its name and attempt."""
    world, definition = random_world(seed, slice_size=slice_size, ends=False)
    state = world.start(definition, GIVEN)
    for _ in range(2_000):
        todo = [(s, t) for s, t in world.runnable() if t.due_ms <= world.now_ms]
        if not todo:
            if not world.pass_time():
                break
            continue
        owner, task = todo[0]
        fails = hash_of(name_of(task.ref)) % 5 == 0 and task.retry_count == 0
        world.end(owner, task.ref, {"r": task.ref}, status=FAILED if fails else COMPLETED)
    if state.status != COMPLETED:
        return (state.is_ended,)  # what else was under way when it ended depends on the order
    records = sorted((name_of(t.ref), t.retry_count, t.status) for t in state.tasks.values())
    return (state.status, records, len(world.states))


def name_of(ref: str) -> str:
    """A reference name without its fork's: only the first fork of an execution leaves that out.

    Which of two forks side by side is the first depends on the order, as in Conductor.
    """
    return re.sub(r"^_t\d+(?=_)", "", ref)


def hash_of(text: str) -> int:
    return sum(text.encode())


@given(SEEDS)
@settings(max_examples=50)
def test_slices_change_no_result(seed: int) -> None:
    """A turn of five events leads to the same end as one of two thousand."""
    for offset in range(SEEDS_AN_EXAMPLE):
        assert result(seed + offset, 5) == result(seed + offset, 2_000)


@given(SEEDS)
def test_prefixes_of_a_journal_fold_without_the_rest(seed: int) -> None:
    """Any prefix of any journal is a state: nothing in it depends on what was recorded later."""
    world, history = begin(seed)
    lengths: dict[str, dict[int, ExecutionState]] = {}
    for _ in range(STEPS):
        history.happen()
        for identity in world.states:
            at = len(world.journal[identity])
            lengths.setdefault(identity, {}).setdefault(at, world.fold(identity))

    for identity, snapshots in lengths.items():
        for upto, then in snapshots.items():
            assert differences(then, world.fold(identity, upto)) == []


@pytest.mark.parametrize("seed", [8, 108, 492, 639, 35595, 35601, 70008529])
def test_kept_seed_holds_every_law(seed: int) -> None:
    """Seeds that once broke a law."""
    world, history = begin(seed)
    for _ in range(STEPS):
        history.happen()
        for identity, state in world.states.items():
            assert differences(state, world.fold(identity)) == []
            check_derived(state, world.fold(identity))
            check_waiting(state)
    history.settle()

    assert all(state.is_ended for state in world.states.values())
