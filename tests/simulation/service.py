"""The services of the simulation: jobs that fail, calls that are lost, a process that dies beside them."""

from __future__ import annotations

import random
from collections.abc import Mapping

from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resources import ResourceLimit
from asyncflow.plugins.jobs import Job, Tier
from asyncflow.plugins.registry import Registry
from asyncflow.plugins.resources import ResourceManager
from asyncflow.testing.clock import VirtualClock
from asyncflow.testing.faults import Call, Fault, FaultPlan
from asyncflow.testing.services import AnyInput, JobService, Made, SearchableManager, ServiceManager
from tests.simulation.inline import Mortal
from tests.simulation.plans import task_type

LAG_S, LANDS_AFTER_S = 4.0, 3.0
"""How long a tagged job is not listed, and how late a request may arrive whose caller gave up."""

_FATAL = 0.1  # the part of the submits that do something and are the last deed of their process

_FAULTS: tuple[Fault, ...] = (
    "cut_before",
    "cut_after",
    "throttled",
    "denied",
    "broken",
    "silent",
    "garbage",
)
_CLAIMED: Mapping[str, Tier] = {"token": "token", "tag": "tag", "once": "none", "again": "none"}


class Weather(FaultPlan):
    """Faults that come as the dice fall, until the weather is told to be fair."""

    def __init__(self, dice: random.Random, rate: float) -> None:
        super().__init__()
        self._dice, self.rate = dice, rate

    def take(self, request: str) -> Fault | None:
        """The fault that this request meets, if any."""
        self.calls[request] += 1
        return self._dice.choice(_FAULTS) if self._dice.random() < self.rate else None


class Outside(JobService):
    """A service that outlives every process that uses it.

    Attributes:
        most: jobs that may run at once, by the limit of its resource.
        wrong: what must not have been.
    """

    def __init__(self, tier: str, clock: VirtualClock, dice: random.Random, mortal: Mortal) -> None:
        super().__init__(clock, lambda: clock.now().elapsed_ms)
        self.tier, self.most = tier, dice.randint(1, 3)
        self.faults: Weather = Weather(dice, dice.choice((0.0, 0.02, 0.1)))
        self.lands_after_s = LANDS_AFTER_S
        self.wrong: list[str] = []
        self._dice, self._mortal, self._fails = dice, mortal, set[str]()
        self._slow_s = dice.choice((0.0, 0.4, 5.0))
        if tier == "tag":
            self.listing_lag_s = LAG_S

    async def _meet(self, call: Call, job: Job | None = None, tier: Tier = "none") -> Fault | None:
        self._die()
        self.latency_s = self._dice.uniform(0, self._slow_s)
        fault = await super()._meet(call, job, tier)
        self._die()
        return fault

    def _afterwards(self, fault: Fault | None) -> None:
        self._die()
        super()._afterwards(fault)

    def _die(self) -> None:
        """A moment at which the calling process may end, and the request with it."""
        try:
            self._mortal.reach()
        except Exception as error:
            raise ConnectionResetError("the caller is no more") from error

    def _make(self, job: Job, tier: Tier) -> str:
        self.duration_s = self._dice.choice((0.2, 3.0, 40.0)) * self._dice.uniform(0.5, 1)
        fails = self._dice.random() < 0.15
        handle = super()._make(job, tier)
        if fails:
            self._fails.add(handle)
        if self._dice.random() < _FATAL:
            self._mortal.doom()
        tokens = {made.token for made in self.open_jobs()}
        if len(tokens) > self.most and self.tier in ("token", "once"):
            self.wrong.append(f"{self.tier}: {len(tokens)} jobs at once, {self.most} may be")
        return handle

    def _settled(self, made: Made) -> Made:
        if made.word == "running" and made.handle in self._fails and self._now_ms() >= made.ends_ms:
            self._did("failed", made.handle)
        return super()._settled(made)


def managers(services: Mapping[str, Outside]) -> Registry:
    """A plugin for each service."""
    kinds = {tier: _manager(services[tier], claimed) for tier, claimed in _CLAIMED.items()}
    return Registry.built_in().with_classes(resources=kinds)


def _manager(outside: Outside, claimed: Tier) -> type[ResourceManager]:
    parent = SearchableManager if claimed == "tag" else ServiceManager
    words: dict[str, object] = {"tier": claimed, "service": outside, "submit_timeout": 10.0}
    words["tasks"] = {task_type(outside.tier): AnyInput}
    if claimed == "tag":
        words["listing_lag"] = LAG_S
    return type("Manager", (parent,), words)


def resources(services: Mapping[str, Outside]) -> dict[str, ResourceSettings]:
    """A resource for each service, with its limit, and a lock."""
    found = {
        tier: ResourceSettings(
            tier,
            ResourceLimit(outside.most),
            poll_first_s=2.0,
            poll_max_s=15.0,
            at_least_once=tier == "again",
        )
        for tier, outside in services.items()
    }
    return {**found, "lock": ResourceSettings()}
