"""Ends of attempts decided in one step record what they record one after the other."""

from __future__ import annotations

import pytest

from asyncflow.model.inputs import AttemptAdmitted, AttemptEnded, AttemptsTold
from asyncflow.model.statuses import COMPLETED, FAILED
from tests.decide.random_histories import random_world

GIVEN: dict[str, object] = {"n": 1, "list": [1, 2, 3, 4]}
ROUNDS = 12


def _status(seed: int, number: int) -> str:
    return FAILED if (seed + number) % 5 == 0 else COMPLETED


def _history(seed: int, *, together: bool) -> tuple[dict[str, list[object]], int]:
    """The events of a made-up workflow whose open attempts end round by round, and how many at most."""
    world, definition = random_world(seed)
    state = world.start(definition, GIVEN)
    most = 0
    for _ in range(ROUNDS):
        open_ones = [task for of, task in world.runnable() if of is state and task.due_ms <= world.now_ms]
        if not open_ones:
            if not world.pass_time():
                break
            continue
        for task in open_ones:
            world.send(state.execution_id, AttemptAdmitted(task.number))
        ends = [AttemptEnded(task.number, _status(seed, task.number), {"n": 1}) for task in open_ones]
        ends.append(ends[0])  # told twice
        most = max(most, len(open_ones))
        for given in [AttemptsTold(ends)] if together else ends:
            world.send(state.execution_id, given)
    return {stream: list(entries) for stream, entries in world.journal.items()}, most


@pytest.mark.parametrize("first", range(0, 120, 30))
def test_ends_decided_together_record_what_they_record_alone(first: int) -> None:
    widest = 0
    for seed in range(first, first + 30):
        alone, most = _history(seed, together=False)
        if len(alone) == 1:  # children are told, and tell, between one end and the next
            assert _history(seed, together=True)[0] == alone, f"seed {seed}"
            widest = max(widest, most)

    assert widest > 1, "several ends at once were among them"
