"""How much of each resource is in use, wanted and waited for, read off the counts of admission.

It changes nothing and asks nobody. Who may begin is `decide/admission`; what people are told is in
`decide/admission_why`.
"""

from __future__ import annotations

from asyncflow.decide.admission_ledger import Ledger
from asyncflow.model.resources import AttemptKey


class Counts:
    """The counts of one engine's resources; a resource that nobody named has nothing of anything."""

    def __init__(self, ledger: Ledger) -> None:
        """Read these."""
        self._ledger = ledger

    def in_use(self, resource: str) -> int:
        """The sum of the weights that are held there."""
        place = self._ledger.resources.get(resource)
        return 0 if place is None else place.in_use

    def demand(self, resource: str) -> int:
        """How many are wanted there now."""
        place = self._ledger.resources.get(resource)
        return 0 if place is None else place.demand or 0

    def room(self, resource: str) -> int | None:
        """How much of a limit is free; None where there is no limit."""
        place = self._ledger.resources.get(resource)
        if place is None or not place.max_concurrent:
            return None
        return max(0, place.max_concurrent - place.in_use)

    def waiting_at(self, resource: str) -> int:
        """How many wait there, and not elsewhere for something else they need.

        Cost: in the shapes of their needs.
        """
        place = self._ledger.resources.get(resource)
        return 0 if place is None else place.waiting

    def startable_at(self, resource: str, now_ms: int) -> tuple[int, int | None]:
        """How many of those `waiting_at` counts its rate lets begin now, and when it may let more begin.

        The time is None where the rate holds nobody up. Cost: in the shapes of their needs.
        """
        place = self._ledger.resources.get(resource)
        waiting = 0 if place is None else place.waiting
        if place is None or place.window is None or waiting <= (left := place.window.left(now_ms)):
            return waiting, None
        return left, place.window.next_leaves_ms()

    def first_waiting(self, resource: str) -> AttemptKey | None:
        """Who of those that `waiting_at` counts waits longest; None for nobody."""
        place = self._ledger.resources.get(resource)
        oldest = None if place is None else place.oldest()
        return None if oldest is None else oldest.waiter.key

    def history(self, resource: str) -> tuple[list[int], int]:
        """What `restore_history` needs after a restart: starts in the window, oldest first, and the fence."""
        place = self._ledger.resources.get(resource)
        if place is None:
            return [], 0
        return place.window.history() if place.window else [], place.fence
