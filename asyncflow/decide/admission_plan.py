"""What a tuple of needs comes to: checked, added up, and reduced to what makes waiters alike.

It must not know what is free or who waits. `decide/admission` keeps the plans it has made, since
thousands of waiters come with equal needs.
"""

from __future__ import annotations

from asyncflow.errors import InvalidInput
from asyncflow.model.resources import Need

Shape = tuple[tuple[tuple[str, int], ...], tuple[tuple[str, bool], ...]]


class Plan:
    """Needs added up per resource, and the leases among them.

    Attributes:
        weights: (resource, weight), each resource once, in the order named.
        locks: (resource, key, is exclusive), each key once.
        demand: the resource that must want somebody, empty for none; it is asked first.
        shape: what is left when the keys are taken away; waiters of one shape share a lane.
        unfenced: the plan and no fence, what most holders hold: one for all of them.
        is_multiple: whether more than one place can refuse, so that one free place must be kept
            while another is waited for.
    """

    __slots__ = ("demand", "is_multiple", "locks", "shape", "unfenced", "weights")

    def __init__(self, needs: tuple[Need, ...]) -> None:
        """Check and add up.

        Raises:
            InvalidInput: a weight is negative, a mode unknown, or a resource has no name.
        """
        weights: dict[str, int] = {}
        locks: dict[tuple[str, str], bool] = {}
        self.demand = next((need.resource for need in needs if need.is_demand), "")
        if self.demand:
            weights[self.demand] = 0
        for need in needs:
            _check(need)
            weights[need.resource] = weights.get(need.resource, 0) + need.weight
            if need.mode is not None:
                lock = (need.resource, need.key)
                locks[lock] = locks.get(lock, False) or need.mode == "exclusive"
        self.weights = tuple(weights.items())
        self.locks = tuple((name, key, exclusive) for (name, key), exclusive in locks.items())
        self.shape: Shape = (self.weights, tuple((name, exclusive) for name, _, exclusive in self.locks))
        self.unfenced: tuple[Plan, int] = (self, 0)
        self.is_multiple = len(weights) > 1 or len(locks) > 1


def _check(need: Need) -> None:
    if not need.resource:
        raise InvalidInput("a resource must be named", field="resources")
    path = f"resources.{need.resource}"
    if need.weight < 0:
        raise InvalidInput(f"at least 0 expected, got {need.weight}", field=f"{path}.weight")
    if need.mode not in {None, "shared", "exclusive"}:
        raise InvalidInput(f"shared or exclusive expected, got {need.mode}", field=f"{path}.mode")
