"""Events of an execution whose definition limits how many may be open: it waits, and its turn comes.

They are kinds of the union in `model/events`, which everybody imports them from, and say nothing of who
else waits. What they mean is in `decide/slots`.
"""

from __future__ import annotations

from typing import NamedTuple


class SlotAwaited(NamedTuple):
    """Nothing is scheduled before a slot of this resource is free: a limit of executions was met.

    `begins`: nothing of the execution was scheduled yet, so that it begins with the slot.
    """

    resource: str
    begins: bool


class SlotTaken(NamedTuple):
    """The slot waited for is the execution's until it ends; scheduling goes on."""
