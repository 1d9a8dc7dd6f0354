"""Which limits are in force, and what admission has to know of a resource before it gives anything of it.

It grants nothing, see `decide/admission`. Limits of task definitions come with what is registered, or with
the first task of a definition that brings its own; see `runtime/needs`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from asyncflow.decide.admission import Admission
from asyncflow.model.resources import PART_MARK, Grant, ResourceLimit
from asyncflow.model.state import TaskState
from asyncflow.runtime.clock import Clock
from asyncflow.runtime.needs import implicit_limit, implicit_resource

_PARTS_KEPT = 1_000


class KnownLimits:
    """What this process knows of limits.

    Attributes:
        limited: task names whose limits are in force.
    """

    def __init__(self, clock: Clock, admission: Admission) -> None:
        """Know nothing yet."""
        self.limited: set[str] = set()
        self._clock, self._admission = clock, admission
        self._settled: set[str] = set()  # task names whose limits a definition need not bring any more
        self._starts: dict[str, Sequence[int]] = {}
        self._parts: set[str] = set()
        self._sweep_at = _PARTS_KEPT

    def remember(self, fence: int, starts: Mapping[str, Sequence[int]]) -> None:
        """Go on from an earlier process: no fence below this one, and these starts count for rates.

        Fences of an earlier process are below its last moment in milliseconds: each began at the
        last moment of the one before, and nobody grants a thousand leases of one resource a second
        for ever. So the moment is a high-water mark that needs no storing.
        """
        self._starts = dict(starts)
        self._admission.restore_fences(fence)

    def set(self, resource: str, limit: ResourceLimit | None) -> None:
        """A limit is about to be changed by name; what definitions bring counts no more for that name."""
        name = resource.removeprefix("task:")
        if name != resource:
            self._settled.add(name)
            (self.limited.discard if limit is None else self.limited.add)(name)
        self.meet(resource)

    def take_up(self, task: TaskState) -> None:
        """Take up a limit that a definition brought; registered ones are set when they change."""
        name = task.name or task.node.name
        if name in self._settled:
            return
        self._settled.add(name)
        limit = implicit_limit(task.node)
        if limit is not None:
            self.limited.add(name)
            self.meet(implicit_resource(name))
            self._admission.set_limit(implicit_resource(name), limit, self._clock.now().elapsed_ms)

    def limit_parts(self, parts: Iterable[tuple[str, ResourceLimit]]) -> None:
        """Have parts of resources limited, which are known by these names from data alone.

        A part that nobody holds or wants, and that no start of the window counts for, is forgotten in time.
        """
        for name, limit in parts:
            if name not in self._parts:
                self._limit_part(name, limit)

    def _limit_part(self, resource: str, limit: ResourceLimit) -> None:
        now_ms = self._clock.now().elapsed_ms
        if len(self._parts) >= self._sweep_at:
            self._parts -= {part for part in self._parts if self._admission.forget_idle(part, now_ms)}
            self._sweep_at = _PARTS_KEPT + 2 * len(self._parts)
        self._parts.add(resource)
        self.meet(resource)
        if not self._admission.limit_unused(resource, limit):
            self._admission.set_limit(resource, limit, now_ms)

    def resize_parts(self, resource: str, limit: ResourceLimit) -> list[Grant]:
        """Have another limit hold for each part of a resource; what follows from that."""
        now_ms = self._clock.now().elapsed_ms
        parts = self.parts_of(resource)
        return [grant for part in parts for grant in self._admission.set_limit(part, limit, now_ms)]

    def parts_of(self, resource: str) -> list[str]:
        """The parts of a resource that are limited now."""
        return sorted(part for part in self._parts if part.partition(PART_MARK)[0] == resource)

    def meet(self, resource: str) -> None:
        """Tell admission what earlier processes gave of a resource, before it gives anything."""
        starts = self._starts.pop(resource, ())
        if starts:
            self._admission.restore_history(resource, starts_ms=starts, fence=0)
