"""Events of an execution whose definition limits how many may be open: it waits, and its turn comes.

They are kinds of the union in `model/events`, which everybody imports them from, and say nothing of who
else waits. What they mean is in `decide/slots`.
"""

from __future__ import annotations

from typing import NamedTuple

from asyncflow.model.values import JsonValue


class SlotAwaited(NamedTuple):
    """Nothing is scheduled before a slot of this resource is free: a limit of executions was met.

    `begins`: nothing of the execution was scheduled yet, so that it begins with the slot. `resource` is ""
    where no limit of executions was met, but something is held: `needs` are `[resource, weight, mode, key]`
    rows of what the execution asks for together with the slot, and holds while it is open.
    """

    resource: str
    begins: bool
    needs: list[list[JsonValue]] | None = None


class SlotTaken(NamedTuple):
    """The slot waited for is the execution's until it ends, and what it asked for; scheduling goes on."""

    fence: int = 0
