"""Who holds what: every resource by name, every grant, and the plans that needs come to.

It must not queue or choose; it counts, and it forgets names that come from data as soon as nobody
holds or wants them. Who waits is in `admission_queues`, who is admitted in `admission`.
"""

from __future__ import annotations

from asyncflow.decide.admission_places import KeyLock, Place, Resource
from asyncflow.decide.admission_plan import Plan
from asyncflow.errors import LimitExceeded
from asyncflow.model.resources import AttemptKey, Need

_PLANS_KEPT = 10_000
_SWEEP_FROM = 1_024


class Ledger:
    """All resources and all grants. One owner; nothing here checks whether a grant is allowed."""

    __slots__ = ("_sweep_at", "floor", "held", "plans", "resources")

    def __init__(self) -> None:
        self.resources: dict[str, Resource] = {}
        self.held: dict[AttemptKey, tuple[Plan, int]] = {}
        self.plans: dict[tuple[Need, ...], Plan] = {}
        self._sweep_at = _SWEEP_FROM
        self.floor = 0  # every fence is above: so one who is forgotten needs none of its own to go on

    def plan(self, needs: tuple[Need, ...]) -> Plan:
        """What the needs come to; its resources are known from now on.

        Raises:
            InvalidInput: a need is not well formed.
        """
        plan = self.plans.get(needs)
        if plan is None:
            plan = Plan(needs)
            if len(self.plans) >= _PLANS_KEPT:
                self.plans.clear()
            self.plans[needs] = plan
        for name, _ in plan.weights:
            self.resource(name)
        if plan.demand:
            self.resources[plan.demand].ask_for_demand(plan.weights)
        return plan

    def resource(self, name: str) -> Resource:
        """The resource of that name; a new one has no limit."""
        resource = self.resources.get(name)
        if resource is None:
            resource = self.resources[name] = Resource(name)
        return resource

    def sweep(self) -> None:
        """Now and then forget the resources that have no limit and that nobody uses."""
        if len(self.resources) >= self._sweep_at:
            idle = [each for each in self.resources.values() if each.is_idle]
            for each in idle:
                self._drop(each)
            self._sweep_at = _SWEEP_FROM + 2 * len(self.resources)

    def forget(self, name: str, now_ms: int) -> bool:
        """Forget a resource and its limit, if nobody would notice; whether that was so."""
        resource = self.resources.get(name)
        is_quiet = resource is None or resource.is_quiet(now_ms)
        if is_quiet and resource is not None:
            self._drop(resource)
        return is_quiet

    def _drop(self, resource: Resource) -> None:
        self.floor = max(self.floor, resource.fence)
        del self.resources[resource.name]

    def check_weights(self, plan: Plan) -> None:
        """Return if each weight fits the limit of its resource.

        Raises:
            LimitExceeded: one is above it, and would wait for ever.
        """
        for name, weight in plan.weights:
            limit = self.resources[name].max_concurrent
            if limit and weight > limit:
                raise LimitExceeded(f"weight on resource {name}", allowed=limit, actual=weight)

    def take(self, key: AttemptKey, plan: Plan, now_ms: int) -> int:
        """Hold everything of the plan for an attempt that starts now; the fence of the grant."""
        resources = self.resources
        for name, weight in plan.weights:
            resource = resources[name]
            if resource.demand is not None:
                resource.demand -= weight
                continue
            resource.holders[key] = weight
            resource.in_use += weight
            if resource.window is not None:
                resource.window.add(now_ms)
        fence = self._take_locks(key, plan) if plan.locks else 0
        self.held[key] = (plan, fence) if fence else plan.unfenced
        return fence

    def restore(self, key: AttemptKey, plan: Plan, fence: int, started_ms: int | None) -> None:
        """Hold everything of the plan for an attempt that started then, under the fence it was given."""
        for name, weight in plan.weights:
            resource = self.resources[name]
            resource.holders[key] = weight
            resource.in_use += weight
            if started_ms is not None:
                resource.restore_starts([started_ms])
        for name, lock_key, exclusive in plan.locks:
            self.lock(name, lock_key).take(key, exclusive=exclusive)
            if exclusive:
                self.resources[name].fence = max(self.resources[name].fence, fence)
        self.held[key] = (plan, fence)

    def give(self, key: AttemptKey) -> Plan | None:
        """Take back everything an attempt held; None if it held nothing."""
        held = self.held.pop(key, None)
        if held is None:
            return None
        plan = held[0]
        resources = self.resources
        for name, _ in plan.weights:
            resource = resources[name]
            resource.in_use -= resource.holders.pop(key, 0)  # of a demand nothing is held
        for name, lock_key, _ in plan.locks:
            resources[name].locks[lock_key].give(key)
        return plan

    def rename(self, old: AttemptKey, new: AttemptKey) -> None:
        """Hold what `old` holds as `new` from here on; nothing is free in between."""
        held = self.held.pop(old)
        self.held[new] = held
        plan = held[0]
        for name, _ in plan.weights:
            holders = self.resources[name].holders
            weight = holders.pop(old, None)
            if weight is not None:
                holders[new] = weight
        for lock in self.locks(plan):
            is_exclusive = lock.exclusive == old
            lock.give(old)
            lock.take(new, exclusive=is_exclusive)

    def is_impossible(self, plan: Plan) -> bool:
        """Whether no release could ever admit it: a weight is above a limit in force, or one is closed."""
        resources = self.resources
        return any(
            0 < resources[name].max_concurrent < weight or resources[name].is_closed
            for name, weight in plan.weights
        )

    def is_unwanted(self, plan: Plan) -> bool:
        """Whether it waits for somebody to want it, and so neither needs nor keeps anything else."""
        return bool(plan.demand) and not self.resources[plan.demand].demand

    def lock(self, name: str, key: str) -> KeyLock:
        """One key of a resource; a new one is held by nobody."""
        resource = self.resource(name)
        lock = resource.locks.get(key)
        if lock is None:
            lock = resource.locks[key] = KeyLock(resource, key)
        return lock

    def locks(self, plan: Plan) -> list[KeyLock]:
        """The keys of a plan that anyone holds or wants."""
        found = [self.resources[name].locks.get(key) for name, key, _ in plan.locks]
        return [lock for lock in found if lock is not None]

    def places(self, plan: Plan) -> list[Place]:
        """Every place that can refuse the plan, in the order asked."""
        return [*[self.resources[name] for name, _ in plan.weights], *self.locks(plan)]

    def forget_locks(self, plan: Plan) -> None:
        """Drop the keys that nobody holds or wants any more."""
        for lock in self.locks(plan):
            if not lock.is_held and not lock.lanes and lock.first_claim() is None:
                del lock.resource.locks[lock.key]

    def _take_locks(self, key: AttemptKey, plan: Plan) -> int:
        fenced = [self.resources[name] for name, _, exclusive in plan.locks if exclusive]
        fence = 1 + max(self.floor, *(resource.fence for resource in fenced)) if fenced else 0
        for resource in fenced:
            resource.fence = fence
        for name, lock_key, exclusive in plan.locks:
            self.lock(name, lock_key).take(key, exclusive=exclusive)
        return fence
