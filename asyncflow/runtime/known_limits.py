"""Which limits are in force, and what admission has to know of a resource before it gives anything of it.

It grants nothing, see `decide/admission`. Limits of task definitions come with what is registered, or with
the first task of a definition that brings its own; see `runtime/needs`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from asyncflow.decide.admission import Admission
from asyncflow.model.resources import ResourceLimit
from asyncflow.model.state import TaskState
from asyncflow.runtime.clock import Clock
from asyncflow.runtime.needs import implicit_limit, implicit_resource


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
        self._met: set[str] = set()
        self._fence = 0
        self._starts: dict[str, Sequence[int]] = {}

    def remember(self, fence: int, starts: Mapping[str, Sequence[int]]) -> None:
        """Go on from an earlier process: no fence below this one, and these starts count for rates.

        Fences of an earlier process are below its last moment in milliseconds: each began at the
        last moment of the one before, and nobody grants a thousand leases of one resource a second
        for ever. So the moment is a high-water mark that needs no storing.
        """
        self._fence, self._starts = fence, dict(starts)

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

    def meet(self, resource: str) -> None:
        """Tell admission what earlier processes gave of a resource, before it gives anything."""
        if resource not in self._met:
            self._met.add(resource)
            starts = self._starts.pop(resource, ())
            self._admission.restore_history(resource, starts_ms=starts, fence=self._fence)
