"""Smart reruns that take several turns, or meet a migration on the way."""

from __future__ import annotations

import pytest

from asyncflow.decide.rerun_plan import command_of
from asyncflow.model.inputs import AttemptAdmitted, AttemptEnded, Continue, MigrateExecution
from asyncflow.model.values import JsonObject
from asyncflow.testing.states import differences
from tests.decide.reopening_support import loop, simple, workflow
from tests.decide.rerun_support import Rerun, another

HEADS = [f"t{n}" for n in range(9)]


def wide() -> JsonObject:
    """Nine tasks, and one that depends on all of them and reads two."""
    heads = [{**simple(ref), "asyncflow": {"dependsOn": []}} for ref in HEADS]
    inputs: JsonObject = {"a": "${t0.output.version}", "b": "${t8.output.version}"}
    tail = {**simple("end"), "inputParameters": inputs, "asyncflow": {"dependsOn": list(HEADS)}}
    return workflow("wide", *heads, tail)


@pytest.mark.parametrize("slice_size", [2_000, 5, 3])
def test_all_of_many_are_redone_once(slice_size: int) -> None:
    made = Rerun(wide(), slice_size=slice_size)

    assert made.change("type:SIMPLE", outcome=another) == ["end", *HEADS]
    assert made.state.by_ref["end"].input == {"a": 2, "b": 2}


def test_what_ends_before_all_are_open_is_not_followed_yet() -> None:
    """The others still show their former results: what depends on them must not take those."""
    made = Rerun(wide(), slice_size=3)
    state, world = made.state, made.world
    made.outcome = another
    world.send_alone(state, command_of(made.plan("type:SIMPLE"), {}))
    first = state.by_ref["t0"]
    assert state.repairs
    assert not first.is_ended
    world.send_alone(state, AttemptAdmitted(first.number))
    world.send_alone(state, AttemptEnded(first.number, "COMPLETED", another(first)))

    assert "end" not in state.by_ref
    world.send(state.execution_id, Continue())
    assert sorted(made.go_on()) == ["end", *HEADS[1:]]
    assert state.by_ref["end"].input == {"a": 2, "b": 2}
    assert state.status == "COMPLETED"
    assert differences(state, world.fold(state.execution_id)) == []


def test_a_migration_finds_the_newest_iteration_behind_one_made_anew() -> None:
    """`j__2` is taken up again under its old number, behind a `j__1` with a new one."""
    tasks = (simple("a"), loop("l", simple("i"), simple("j")), simple("end"))
    made = Rerun(workflow("looped", *tasks, simple("stop")), fails={"stop"}, outcome=lambda task: {"v": 1})
    state, world = made.state, made.world
    made.apply(made.plan("ref:i__1", "ref:j__1"))
    numbers = [state.by_ref[ref].number for ref in ("j__1", "j__2")]
    world.retry(state)
    world.register(workflow("looped", *tasks, simple("stop"), simple("more"), version=2))
    newer = world.catalog.latest("looped", 2)
    assert newer is not None
    world.send(state.execution_id, MigrateExecution(newer.hash))

    assert numbers[0] > numbers[1]
    assert state.latest["j"] is state.by_ref["j__2"]
    assert differences(state, world.fold(state.execution_id)) == []
