"""Who is on which instance of one resource: reserved with a grant, given back at an end, restored at a start.

It counts and tells nobody; which instance is chosen is `decide/lifecycle`. What follows of a place that is
given back is the keeper's to see to, see `runtime/resource_keeper`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from asyncflow.decide import lifecycle
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resource_state import Instance, ResourceState


class Places:
    """The reservations of one resource.

    Attributes:
        strays: who is on instances that nothing is known of, by number.
    """

    def __init__(self) -> None:
        """Nobody is anywhere."""
        self.strays: Counter[int] = Counter()

    def take(self, state: ResourceState, settings: ResourceSettings) -> int:
        """Reserve an instance; its number, or 0 where there is none."""
        instance = lifecycle.chosen(state, settings)
        if instance is None:
            return 0
        _reserve(instance, 1)
        return instance.number

    def leave(self, state: ResourceState, number: int, now_ms: int) -> bool:
        """Give one back; whether anything follows: nothing does while others are on an active instance."""
        instance = state.instances.get(number)
        if instance is None or not instance.reserved:
            self.strays -= Counter({number: 1})  # of several who are there the others stay
            return False
        _reserve(instance, -1)
        if not instance.reserved:
            instance.idle_ms, instance.is_idle_known = now_ms, False
            instance.next_ms = 0 if instance.phase == "draining" else instance.next_ms
        return instance.phase != "active" or not instance.reserved

    def restore(self, state: ResourceState, number: int) -> None:
        """Recovery: somebody is on this instance."""
        instance = state.instances.get(number)
        if instance is None:
            self.strays[number] += 1
        else:
            _reserve(instance, 1)

    def settle(self, state: ResourceState) -> Iterator[int]:
        """Put strays on the instances that are known now; the numbers of those that are not there."""
        for number, count in self.strays.items():
            instance = state.instances.get(number)
            if instance is None:
                yield number
            else:
                _reserve(instance, count)
        self.strays = Counter()


def _reserve(instance: Instance, by: int) -> None:
    instance.reserved += by
    instance.change += 1
    instance.is_free = False
