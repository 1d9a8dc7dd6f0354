"""What is wanted after a restart: what was not recorded as done, and nothing else."""

from __future__ import annotations

from asyncflow.model import inputs
from asyncflow.model.effects import Admit, Effect, RunAttempt
from tests.decide.definitions import dynamic_fork, loop, task, workflow, world


def effects(wanted: dict[int, tuple[Effect, ...]], kind: type[Effect]) -> set[int]:
    return {number for number, each in wanted.items() if any(isinstance(effect, kind) for effect in each)}


def test_fork_of_500_with_300_done_wants_exactly_the_other_200() -> None:
    made = world("w")
    listed: list[object] = list(range(500))
    state = made.start(workflow(*dynamic_fork("f", {"forkTaskInputs": listed, "forkTaskName": "w"})))
    for n in range(300):
        made.end(state, f"_w_{n}")
    for n in range(300, 350):
        made.begin(state, f"_w_{n}")

    recovered = made.recover(state.execution_id)

    left = {recovered.by_ref[f"_w_{n}"].number for n in range(300, 500)}
    running = {recovered.by_ref[f"_w_{n}"].number for n in range(300, 350)}
    assert effects(recovered.wanted, RunAttempt) == running
    assert effects(recovered.wanted, Admit) == left - running
    for n in range(300, 500):
        made.end(recovered, f"_w_{n}")
    assert recovered.status == "COMPLETED"


def test_loop_recovers_in_the_iteration_it_was_in() -> None:
    made = world()
    state = made.start(workflow(loop("l", task("a"), task("b"), times=3)))
    for ref in ("a__1", "b__1", "a__2"):
        made.end(state, ref)

    recovered = made.recover(state.execution_id)

    assert [t.ref for t in recovered.tasks.values() if not t.is_ended] == ["l", "b__2"]


def test_recovery_in_the_middle_of_a_slice_opens_the_rest_once() -> None:
    made = world("w", slice_size=10)
    listed: list[object] = list(range(100))
    forked = dynamic_fork("f", {"forkTaskInputs": listed, "forkTaskName": "w"})
    state = made.start(workflow(task("a"), *forked))
    made.send_alone(state, inputs.AttemptEnded(1, "COMPLETED", {}))
    assert "_w_99" not in state.by_ref

    recovered = made.recover(state.execution_id)
    made.send(recovered.execution_id, inputs.Evaluate())

    assert len(recovered.tasks) == 1 + 1 + 100 + 1
    assert [r.seq for r in made.journal[state.execution_id]] == list(range(1, recovered.seq + 1))
