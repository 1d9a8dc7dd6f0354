"""Long, wide and many: no stack, no cost that grows with what did not change.

Work is counted in function calls, which are the same on every machine, never in time.
"""

from __future__ import annotations

import sys
from collections.abc import Callable

import pytest

from asyncflow.decide.decider import decide
from asyncflow.model import inputs
from asyncflow.model.effects import Proceed
from asyncflow.model.limits import Limits
from asyncflow.model.state import ExecutionState
from asyncflow.testing.pure import World
from tests.decide.definitions import Json, dynamic_fork, fork, loop, task, workflow, world


def calls_of(work: Callable[[], object]) -> int:
    """How many Python functions were called."""
    count = 0

    def note(_frame: object, event: str, _argument: object) -> None:
        nonlocal count
        count += event == "call"

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        work()
    finally:
        sys.setprofile(before)
    return count


def go_on(made: World, state: ExecutionState) -> None:
    while Proceed() in state.wanted.get(0, ()):
        decide(state, inputs.Continue(), made.context())


def opened(width: int, slice_size: int = 2_000) -> tuple[World, ExecutionState, int]:
    """A dynamic fork of this width with all its branches, and how many calls opening it took."""
    made = world("w", slice_size=slice_size)
    listed: list[object] = [{"k": n} for n in range(width)]
    given: Json = {"forkTaskInputs": "${workflow.input.l}", "forkTaskName": "w"}
    state = made.start(workflow(task("first"), *dynamic_fork("f", given)), {"l": listed})
    number = made.task(state, "first").number

    def open_all() -> None:
        decide(state, inputs.AttemptEnded(number, "COMPLETED", {}), made.context())
        go_on(made, state)

    return made, state, calls_of(open_all)


@pytest.mark.parametrize("kind", ["NOOP", "SET_VARIABLE", "INLINE"])
def test_ten_thousand_tasks_that_end_at_once_need_no_stack(kind: str) -> None:
    made = world()
    given = {"evaluatorType": "value-param", "expression": "x"} if kind == "INLINE" else {}
    state = made.start(workflow(*(task(f"t{n}", kind, inputParameters=given) for n in range(10_000))))

    assert state.status == "COMPLETED"
    assert len(state.tasks) == 10_000


def test_hundred_thousand_iterations_that_end_at_once_need_no_stack() -> None:
    made = world(slice_size=2_000)
    listed: Json = {"_items": list(range(100_000)), "keepLastN": 1}
    state = made.start(workflow(loop("l", task("n", "NOOP"), loopCondition="", inputParameters=listed)))

    assert state.status == "COMPLETED"
    assert made.task(state, "l").iteration == 100_000
    assert len(state.tasks) == 2


def test_deepest_nesting_a_definition_may_have_needs_little_stack() -> None:
    made = world()
    inner: list[Json] = [task("a")]
    for level in range(60):
        inner = fork(f"f{level}", inner)
    state = made.start(workflow(*inner))
    made.end(state, "a")

    assert state.status == "COMPLETED"


def test_loop_costs_the_same_in_every_iteration() -> None:
    made = world()
    listed: Json = {"_items": list(range(3_000))}
    state = made.start(workflow(loop("l", task("a"), loopCondition="", inputParameters=listed)))

    def go_round() -> None:
        number = state.latest["a"].number
        decide(state, inputs.AttemptEnded(number, "COMPLETED", {}), made.context())

    early = [calls_of(go_round) for _ in range(10)]
    for _ in range(2_900):
        go_round()
    late = [calls_of(go_round) for _ in range(10)]

    assert max(late) == max(early)


def test_branch_of_a_fork_costs_the_same_however_wide_it_is() -> None:
    costs = [opened(width)[2] / width for width in (1_000, 10_000)]

    assert costs[1] <= costs[0] * 1.05


def test_end_of_a_branch_costs_the_same_however_many_are_open() -> None:
    counts = []
    for width in (1_000, 20_000):
        made, state, _ = opened(width)
        number = made.task(state, "_w_500").number
        report = inputs.AttemptEnded(number, "COMPLETED", {})
        counts.append(calls_of(lambda: decide(state, report, made.context())))  # noqa: B023 - called at once

    assert counts[0] == counts[1]


def test_fork_of_a_hundred_thousand_opens_in_slices_and_joins() -> None:
    made, state, _ = opened(100_000)

    assert state.open_count == 100_001
    for record in list(state.tasks.values()):
        if record.fork_index >= 0:
            decide(state, inputs.AttemptEnded(record.number, "COMPLETED", {}), made.context())
    assert state.status == "COMPLETED"


def test_one_step_emits_a_slice_and_leaves_the_rest_for_another_turn() -> None:
    made = world(slice_size=100)
    state = made.start(workflow(task("a"), *(task(f"t{n}", "NOOP") for n in range(1_000))))
    step = decide(state, inputs.AttemptEnded(1, "COMPLETED", {}), made.context())

    assert 100 <= len(step.events) <= 110
    assert Proceed() in state.wanted[0]
    go_on(made, state)
    assert state.status == "COMPLETED"


def test_wide_static_fork_is_opened_in_slices() -> None:
    made = world(slice_size=100)
    state = made.start(workflow(task("a"), *fork("f", *[[task(f"b{n}")] for n in range(1_000)])))
    step = decide(state, inputs.AttemptEnded(1, "COMPLETED", {}), made.context())

    assert len(step.events) <= 110
    go_on(made, state)
    assert state.open_count == 1_001


def test_hundred_thousand_scheduled_tasks_are_paused_and_ended_at_once() -> None:
    made, state, _ = opened(100_000)
    made.pause(state)
    assert state.wanted == {}
    made.terminate(state, "enough")

    assert state.open_count == 0
    assert state.status == "TERMINATED"


def test_limit_of_a_history_ends_the_execution_by_name() -> None:
    made = world(limits=Limits(history_events=200))
    listed: Json = {"_items": list(range(1_000))}
    state = made.start(workflow(loop("l", task("n", "NOOP"), loopCondition="", inputParameters=listed)))

    assert state.status == "FAILED"
    assert "history_events" in str(state.reason)


def test_element_of_the_last_iteration_costs_what_that_of_the_first_does() -> None:
    """What a body reads most in list mode: reading it must not gather all iterations before."""
    made = world("a")
    body = task("a", inputParameters={"x": "${l.output.loopItem}", "at": "${l.output.loopIndex}"})
    looping = loop("l", body, items="${workflow.input.list}", loopCondition="")
    state = made.start(workflow(looping), {"list": list(range(300))})

    def round_of(iteration: int) -> int:
        while made.task(state, "l").iteration < iteration:
            made.end(state, f"a__{made.task(state, 'l').iteration}")
        return calls_of(lambda: made.end(state, f"a__{iteration}"))

    first, later = round_of(2), round_of(250)
    assert later <= first + 5
    assert made.task(state, "a__251").input == {"x": 250, "at": 250}


def test_exclusive_join_looks_no_further_than_the_first_that_was_taken() -> None:
    """It is looked at for each member that settles: a look at all of them would cost their square."""

    def end_of_one(width: int) -> int:
        names = [f"b{n}" for n in range(width)]
        join = task("x", "EXCLUSIVE_JOIN", joinOn=names)
        made = world()
        state = made.start(workflow(*fork("f", [join], *[[task(name)] for name in names])))
        return calls_of(lambda: made.end(state, "b1"))

    assert end_of_one(400) <= end_of_one(50) + 5
