"""What is limited, what an attempt needs of it, and what it was given: the records of admission.

Nothing here counts or decides. The order in which waiters are served, and everything else that is
decided about them, is in `decide/admission`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

LeaseMode = Literal["shared", "exclusive"]

AttemptKey = tuple[str, int]
"""Who waits or holds: the id of the execution and the number of the task record."""

PART_MARK = "/"
"""Between the name of a resource and that of a part of it; no resource is called so itself."""

SLOT_PREFIX = "workflow:"
"""Of the resources that limit executions; the key of the limit follows."""

TOP_PRIORITY = 99
AGING_STEP_MS = 30_000
RESERVE_AFTER_MS = 60_000


class ResourceLimit(NamedTuple):
    """What a resource allows, over all executions.

    Attributes:
        max_concurrent: the sum of weights that may be held at once; 0 for any.
        rate: starts that may lie in any window of `rate_window_ms`; 0 for any.
        reserve_after_ms: waiting longer than this keeps everyone ranked below out until admitted.
        max_holders: how many may hold it at once, whatever their weights; 0 for any number.
        is_open: nobody begins while it is not, whatever else is free.
    """

    max_concurrent: int = 0
    rate: int = 0
    rate_window_ms: int = 0
    reserve_after_ms: int = RESERVE_AFTER_MS
    max_holders: int = 0
    is_open: bool = True

    @property
    def is_any(self) -> bool:
        """Whether neither how many nor how often is limited."""
        return not self.max_concurrent and not self.rate


class Need(NamedTuple):
    """One resource an attempt names.

    Attributes:
        weight: what it takes of `max_concurrent`; at least 0.
        mode: None takes no lease of the key; shared leases of a key exclude the exclusive one.
        key: what the lease is of, evaluated; leases of different keys never meet.
        is_demand: it is asked of the resource that so many are wanted there now (`set_demand`), once;
            nothing of it is held.
    """

    resource: str
    weight: int = 1
    mode: LeaseMode | None = None
    key: str = ""
    is_demand: bool = False


@dataclass(slots=True, eq=False)
class Waiter:
    """An attempt that asks to start.

    Attributes:
        key: its identity; asking again under the key of one who waits or holds changes nothing.
        priority: 0 to 99, larger first; numbers outside are taken as the nearest.
        since_ms: when it became ready; its age counts from here, also after a restart.
    """

    key: AttemptKey
    needs: tuple[Need, ...]
    priority: int
    execution_id: str
    since_ms: int


class Grant(NamedTuple):
    """All that a waiter needs, given at once.

    Attributes:
        fence: greater than that of every earlier exclusive grant of the same resources; 0 when
            nothing was taken exclusively.
    """

    waiter: Waiter
    fence: int
