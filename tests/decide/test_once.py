"""Commands with a token are done once, and variables that are lists grow at their end."""

from __future__ import annotations

import pytest

from asyncflow.decide.evolve import evolve, new_state
from asyncflow.errors import Refused
from asyncflow.model import inputs
from asyncflow.model.events import InputApplied, VariablesSet
from asyncflow.model.values import JsonObject
from tests.decide.definitions import task, workflow, world

HOLD = workflow(task("w", "WAIT"))


def append(token: str, **variables: object) -> inputs.Once:
    return inputs.Once(token, inputs.SetVariables(variables, append=True))


def test_a_command_with_a_token_is_done_once() -> None:
    made = world()
    state = made.start(HOLD)
    for token in ("a", "a", "b", "a"):
        made.send(state.execution_id, append(token, seen=[token]))

    events = [r.event for r in made.journal[state.execution_id]]
    assert [e.token for e in events if isinstance(e, InputApplied)] == ["a", "b"]
    assert len([e for e in events if isinstance(e, VariablesSet)]) == 2


@pytest.mark.parametrize(
    ("present", "given", "expected"),
    [
        ([1], [2, 3], [1, 2, 3]),
        ([1], 2, [1, 2]),
        ([], {"k": 1}, [{"k": 1}]),
        ("text", [2], [2]),
        (None, [2], [2]),
        (None, 2, 2),
    ],
)
def test_values_are_put_behind_those_of_a_list(present: object, given: object, expected: object) -> None:
    made = world()
    state = made.start(HOLD)
    first: JsonObject = {"v": present}
    made.send(state.execution_id, inputs.SetVariables(first))
    made.send(state.execution_id, append("t", v=given))

    assert state.variables == {"v": expected}
    assert first == {"v": present}


def test_a_token_is_remembered_by_a_fold_of_the_journal() -> None:
    made = world()
    state = made.start(HOLD)
    made.send(state.execution_id, append("t", v=[1]))
    folded = new_state(state.execution_id, state.graphs, state.graph.hash)
    for recorded in made.journal[state.execution_id]:
        evolve(folded, recorded.event, recorded.at_ms)

    assert folded.applied == state.applied == {"t"}


def test_a_command_that_is_refused_or_changes_nothing_may_come_again() -> None:
    made = world()
    state = made.start(HOLD)
    failing = inputs.UpdateTask(0, "FAILED", {}, "w")
    made.send(state.execution_id, inputs.Once("t", failing))
    assert state.status == "FAILED"
    with pytest.raises(Refused):
        made.send(state.execution_id, append("u", v=[1]))
    made.send(state.execution_id, inputs.Once("v", failing))

    assert state.applied == {"t"}


def test_a_task_failed_once_is_not_failed_again_when_it_was_retried() -> None:
    made = world()
    state = made.start(HOLD)
    failing = inputs.Once("t", inputs.UpdateTask(0, "FAILED", {}, "w"))
    made.send(state.execution_id, failing)
    made.send(state.execution_id, inputs.RetryExecution(False))
    made.send(state.execution_id, failing)

    assert state.status == "RUNNING"
