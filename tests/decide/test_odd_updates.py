"""Updates from outside of tasks that the engine itself has not begun yet."""

from __future__ import annotations

from asyncflow.model import inputs
from asyncflow.model.effects import Admit
from tests.decide.definitions import child, task, workflow, world


def test_update_in_progress_does_not_begin_a_task_here_past_admission() -> None:
    made = world("a")
    made.register_task(name="a", concurrentExecLimit=1)
    state = made.start(workflow(task("a")))
    made.send(state.execution_id, inputs.UpdateTask(1, "IN_PROGRESS", {"half": 1}))
    record = made.task(state, "a")

    assert (record.status, record.output) == ("SCHEDULED", {"half": 1})
    assert [type(effect) for effect in state.wanted[1]] == [Admit]


def test_update_in_progress_of_a_child_that_is_held_back_still_lets_it_begin() -> None:
    made = world()
    inner = workflow(task("x", "NOOP"), name="inner")
    state = made.start(workflow(child("c", inner, startDelay=60)))
    made.send(state.execution_id, inputs.UpdateTask(1, "IN_PROGRESS", {}))
    made.pass_time()

    assert state.status == "COMPLETED"
