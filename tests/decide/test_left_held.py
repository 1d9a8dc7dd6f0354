"""What an execution still holds that cannot be folded: what goes on outside, and nothing that may be over."""

from __future__ import annotations

import pytest

from asyncflow.decide.left_held import left_held
from asyncflow.model import events as ev
from asyncflow.model.values import JsonValue

GRANT: list[JsonValue] = ["r", 1, None, ""]
JOB = ev.AttemptStarted(3, grants=[GRANT], fence=9, resource="r", instance="i")
WORKER = ev.AttemptStarted(4, worker_id="w", grants=[GRANT], fence=8)
HERE = ev.AttemptStarted(5, grants=[GRANT])
SLOT: list[ev.Event] = [ev.SlotAwaited("workflow:k", True), ev.SlotTaken(2)]


@pytest.mark.parametrize(
    ("history", "numbers"),
    [
        ([JOB], [3]),
        ([WORKER], [4]),
        ([HERE], []),
        ([*SLOT, JOB], [0, 3]),
        ([SLOT[0]], []),
        ([JOB, ev.TaskEnded(3, "FAILED", {})], []),
        ([JOB, ev.TaskReset(3, "SCHEDULED", 0)], []),
        ([WORKER, ev.TaskUpdated(4, status="SCHEDULED")], []),
        ([WORKER, ev.TaskUpdated(4)], [4]),
        ([JOB, WORKER, ev.TasksRemoved([3], 9)], [4]),
        ([*SLOT, JOB, ev.ExecutionEnded("TERMINATED", None, {})], []),
    ],
)
def test_left_held_is_what_goes_on_outside(history: list[ev.Event], numbers: list[int]) -> None:
    assert [each.number for each in left_held(history)] == numbers


def test_left_held_says_what_and_where() -> None:
    slot, job = left_held([*SLOT, JOB])

    assert (slot.grants, slot.fence) == ([["workflow:k", 1, None, ""]], 2)
    assert (job.grants, job.fence, job.resource, job.instance) == ([GRANT], 9, "r", "i")
