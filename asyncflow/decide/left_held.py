"""What an execution still holds, from what can be read of its history, where no state can be made of it.

It errs on the side of too little where events are missing: what nobody can free again would be held for ever.
The exact answer, for executions that can be folded, is their state's.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from asyncflow.model import events as ev
from asyncflow.model.statuses import SCHEDULED
from asyncflow.model.values import JsonValue


class LeftHeld(NamedTuple):
    """What was granted under a number: that of a record, or 0 for the execution itself.

    `resource` and `instance` are those of a job, empty where a worker elsewhere or the execution has it.
    """

    number: int
    grants: list[list[JsonValue]]
    fence: int = 0
    resource: str = ""
    instance: str = ""


def left_held(events: Iterable[ev.Event]) -> list[LeftHeld]:
    """What goes on outside of the process that granted it, as these events of one execution tell.

    An attempt that was performed in the process ended with it, and holds nothing. Jobs count until their
    record ends, as only that names it; one that was still to be cancelled then is passed over.
    """
    found: dict[int, LeftHeld] = {}
    slot: list[list[JsonValue]] = []
    for event in events:
        if isinstance(event, ev.AttemptStarted):
            found.pop(event.number, None)
            if event.resource or (event.worker_id and event.grants):
                held = (event.grants or [], event.fence, event.resource, event.instance)
                found[event.number] = LeftHeld(event.number, *held)
        elif isinstance(event, ev.TaskEnded | ev.TaskReset):
            found.pop(event.number, None)
        elif isinstance(event, ev.TaskUpdated):
            if event.status == SCHEDULED or event.executor is not None:
                found.pop(event.number, None)
        elif isinstance(event, ev.TasksRemoved):
            for number in event.numbers:
                found.pop(number, None)
        elif isinstance(event, ev.SlotAwaited):
            own: list[list[JsonValue]] = [[event.resource, 1, None, ""]] if event.resource else []
            slot = [*own, *(event.needs or ())]
            found.pop(0, None)
        elif isinstance(event, ev.SlotTaken):
            found[0] = LeftHeld(0, slot, event.fence)
        elif isinstance(event, ev.ExecutionEnded):
            found.clear()
    return list(found.values())
