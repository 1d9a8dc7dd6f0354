"""One resource kept: its events recorded, its gate set, the calls that it wants made, and who is on what.

What follows from what is `decide/lifecycle`. All resources together, and what the rest of the engine asks
of them, is `runtime/resources`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Mapping, Sequence

from asyncflow.decide import lifecycle, lifecycle_calls
from asyncflow.decide.lifecycle import Terms
from asyncflow.decide.lifecycle_evolve import evolve_resource
from asyncflow.model import resource_events as ev
from asyncflow.model.resource_events import ResourceEvent
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resource_state import ResourceState
from asyncflow.model.resources import ResourceLimit
from asyncflow.runtime.resource_calling import Calling
from asyncflow.runtime.resource_manager import ManagerHolder
from asyncflow.runtime.resource_places import Places
from asyncflow.runtime.resource_standing import Standing
from asyncflow.runtime.resource_surroundings import Surroundings

log = logging.getLogger("asyncflow.resources")


class Keeper(Standing):
    """One resource.

    Attributes:
        counts: what happened since this process began, by kind of event and of failed call.
        calling: the calls under way.
    """

    def __init__(
        self, name: str, settings: ResourceSettings, around: Surroundings, state: ResourceState | None = None
    ) -> None:
        """Open and call nothing yet; `state` is what earlier processes recorded."""
        super().__init__(name, settings, around, state=ResourceState(name) if state is None else state)
        self.counts: Counter[str] = Counter()
        self.calling = Calling(self)
        self._durable: asyncio.Future[None] | None = None
        self._limit: ResourceLimit | None = None
        self._places = Places()
        self._more_ms: int | None = None  # when its rate lets more begin of those who wait
        self._is_stirring = False

    # --- who is on what ---------------------------------------------------------------------------

    def place(self) -> str:
        """Reserve an instance; "" where there are none."""
        number = self._places.take(self.state, self.settings) if self.has_instances else 0
        self.record(lifecycle.used(self.state.instances[number]) if number else [])
        return f"{self.name}/{number}" if number else ""

    def unplace(self, number: int) -> None:
        """A reservation is over."""
        if self._places.leave(self.state, number, self.around.now().elapsed_ms):
            self.stir()

    def restore_place(self, number: int) -> None:
        """Recovery: somebody is on this instance; one that is gone is told when `begin` is called."""
        self._places.restore(self.state, number)

    # --- life -------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Open the manager and go on with what was under way; reservations are restored."""
        if not self.state.damage:
            self._place_strays()
        for instance in self.state.instances.values():
            if instance.phase == "destroying" and instance.reserved:  # it was lost, and they were not told
                self.around.lost(self.name, f"{self.name}/{instance.number}", instance.reason)
        if self.has_instances:
            self.record(lifecycle_calls.unknown_after_restart(self.state, self.terms))
            self.record(lifecycle.idle(self.state, self.around.now().elapsed_ms))
        self.stir()

    def _place_strays(self) -> None:
        for number in list(self._places.settle(self.state)):
            self.around.lost(self.name, f"{self.name}/{number}", "the instance is gone")

    def release(self, next_number: int, handles: Mapping[int, str], *, by: str, reason: str) -> None:
        """Go on although the history cannot be read; raises as `lifecycle.release`.

        Jobs on instances that are not named go on another one.
        """
        self.state.next_number = max([self.state.next_number - 1, *self._places.strays]) + 1
        installation = self.around.installation
        events = lifecycle.release(
            self.state, next_number, handles, installation=installation, by=by, reason=reason
        )
        self.record(events)
        self._place_strays()

    def wanted(self) -> None:
        """One more waits here; where thousands come, most of them change nothing."""
        if lifecycle.may_grow(self.state, self.settings):
            self.stir()

    def stir(self) -> None:
        """Have everything follow that does: events, the gate, calls, and when to look again."""
        if self._is_stirring or self.calling.is_closed or self.around.is_stopped():
            return
        self._is_stirring = True
        try:
            now_ms = self.around.now().elapsed_ms
            self._open_if_due(now_ms)
            terms = self.terms
            self._settle(terms, now_ms)
            known = self._holder.retry_ms, self.calling.begin_due(terms, now_ms), self._more_ms
            dues = [due for due in known if due]
            due_ms = lifecycle_calls.next_due_ms(self.state, terms)
            dues += [due_ms] if due_ms is not None and due_ms > now_ms else []
            self.around.set_timer(self.name, min(dues, default=None))
            if self._is_over:
                self._retire()
        finally:
            self._is_stirring = False

    def _settle(self, terms: Terms, now_ms: int) -> None:
        """Record what follows; who waits is seen anew each time, as some begin by what was recorded."""
        self._see_who_waits()
        while events := lifecycle.settle(self.state, terms, now_ms):
            self.record(events)
            self._see_who_waits()
        self._set_gate()
        self._see_who_waits()

    def _see_who_waits(self) -> None:
        if self.has_instances:
            self.state.waiting, self.state.demand, self._more_ms = self.around.waiting(self.name)

    def _set_gate(self) -> None:
        limit = self.limit()
        if limit != self._limit:
            self._limit = limit
            self.around.set_limit(self.name, limit)

    def record(self, events: Sequence[ResourceEvent]) -> None:
        """Make events true and have them recorded."""
        if not events:
            return
        at_ms = self.around.moment().elapsed_ms
        first = self.state.seq + 1
        lost: list[tuple[int, str]] = []
        for event in events:
            before = self.state.instances.get(getattr(event, "number", 0))
            evolve_resource(self.state, event, at_ms)
            self.counts[type(event).__name__] += 1
            if isinstance(event, ev.InstanceGone | ev.InstanceDestroying) and before and before.reserved:
                lost.append((event.number, event.reason))
        facts = {"resource": self.name, "events": [[type(each).__name__, *each] for each in events]}
        log.info("resource changed", extra=facts)
        self._durable = self.around.record(list(events), self.stream, first)
        self._set_gate()
        for number, reason in lost:
            self.around.lost(self.name, f"{self.name}/{number}", reason)

    # --- calls ------------------------------------------------------------------------------------

    def _open_if_due(self, now_ms: int) -> None:
        holder = self._holder
        if self._is_over or holder.kind is None or holder.manager is not None or self.calling.opening:
            return
        if holder.retry_ms > now_ms:
            return
        holder.retry_ms = 0  # a timer of the past would come due again and again while it is being opened
        self.calling.manage(self._open(holder))

    async def _open(self, holder: ManagerHolder) -> None:
        await holder.open(self.around.secrets, self.around.now().elapsed_ms)

    # --- changes ----------------------------------------------------------------------------------

    def note(self, events: Sequence[ResourceEvent]) -> None:
        """Record what is configured now, unless what it has is another's: that is to be known to the next."""
        self.record([] if self._type_of_others else events)

    def configure(self, settings: ResourceSettings) -> None:
        """Hold to other settings from here on; another type or other plugin settings open a new manager."""
        is_same = (settings.type, settings.config) == (self.settings.type, self.settings.config)
        self.settings = settings
        if not is_same:
            old, self._holder = self._holder, self._made(settings)
            self.calling.manage(old.close())
        self.stir()

    def code_changed(self, number: int, reason: str) -> str:
        """The definition of a job there was exchanged: the policy; a drained instance takes nothing new."""
        policy = self.settings.on_code_change
        if policy == "drain" and number in self.state.instances:
            self.record(lifecycle.drain_instance(self.state, number, cause="code", reason=reason))
            self.stir()
        return policy

    async def durable(self) -> None:
        """Wait until what is recorded of it is durable. Raises StoreError: it will not be."""
        if self._durable is not None:
            await asyncio.shield(self._durable)

    @property
    def _is_over(self) -> bool:
        """Whether it is not configured any more, and has left nothing that is to be ended."""
        return self.state.is_removed and not (self.state.instances or self.state.doubles)

    def _retire(self) -> None:
        """Close the manager of a resource that is not there any more, then let go of it; it may come back."""
        if self.manager is not None:
            old, self._holder = self._holder, self._made(self.settings)
            self.calling.manage(old.close())
        elif not (self.calling.opening or self.calling.under_way):
            self.around.retired(self.name)

    async def close(self) -> None:
        """Break off what is called, and close the manager; what is outside stays as it is."""
        self._is_ending = True
        await self.calling.close()
        await self._holder.close()
