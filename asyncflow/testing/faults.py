"""What can go wrong between a manager and its service, by name, and what a fake service has to offer.

It plans faults and keeps what happened; it knows no service. `testing/resource_contract` asks for these,
`testing/aws` is a fake that has them all.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from asyncflow.model.values import JsonObject
from asyncflow.plugins.jobs import JobWord

Fault = Literal["cut_before", "cut_after", "throttled", "denied", "refused", "broken", "silent", "garbage"]
"""cut_before: the connection ends, nothing was done. cut_after: it was done, the answer is lost. throttled,
denied, refused: a definite no. broken: the service's own fault, nothing was done. silent: no answer ever.
garbage: it was done, and the answer cannot be read."""

ALL_FAULTS: frozenset[Fault] = frozenset(
    ("cut_before", "cut_after", "throttled", "denied", "refused", "broken", "silent", "garbage")
)

Call = Literal["submit", "find", "poll", "cancel", "create", "find_instance", "check", "destroy"]
"""A method of a manager; a fake knows which of its requests stand for it."""


class Truth(NamedTuple):
    """One thing that the service really did, whoever learnt of it.

    Attributes:
        at_ms: by the service's clock.
        what: the service's own word for it.
        subject: the handle of what it was done to.
    """

    at_ms: int
    what: str
    subject: str
    facts: JsonObject


@dataclass(slots=True)
class _Planned:
    fault: Fault
    skip: int
    times: int


@dataclass(slots=True)
class FaultPlan:
    """Faults that are still to happen, and how many requests of each kind there were."""

    calls: Counter[str] = field(default_factory=Counter)
    _planned: dict[str, list[_Planned]] = field(default_factory=dict)

    def plan(self, request: str, fault: Fault, *, skip: int = 0, times: int = 1) -> None:
        """Let requests of this kind meet a fault: after `skip` of them, `times` in a row."""
        self._planned.setdefault(request, []).append(_Planned(fault, skip, times))

    def clear(self) -> None:
        """Let everything go well from here."""
        self._planned.clear()

    @property
    def is_over(self) -> bool:
        """Whether every fault that was planned has happened."""
        return not any(self._planned.values())

    def take(self, request: str) -> Fault | None:
        """The fault that this request meets; counts the request."""
        self.calls[request] += 1
        waiting = self._planned.get(request)
        if not waiting:
            return None
        first = waiting[0]
        if first.skip > 0:
            first.skip -= 1
            return None
        first.times -= 1
        if first.times <= 0:
            waiting.pop(0)
        return first.fault


class FakeService(Protocol):
    """What the contract suite asks of the service behind a manager, beside serving it.

    One that keeps its `FaultPlan` as `faults` lets the suite see when a request has reached it.
    """

    def jobs(self, token: str) -> int:
        """How many jobs were ever made that carry the token."""

    def instances(self, token: str) -> int:
        """How many instances were ever made that carry the token."""

    def fail(self, call: Call, fault: Fault, *, skip: int = 0) -> None:
        """Let the next request that stands for this call meet the fault, after `skip` good ones."""

    def end_job(self, handle: str, word: JobWord) -> None:
        """Let a job end so."""

    def settle(self) -> None:
        """Let everything happen that is under way: instances become ready, or are gone."""
