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
from asyncflow.model.resource_events import ResourceEvent, resource_stream
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resource_state import ResourceState
from asyncflow.model.resources import ResourceLimit
from asyncflow.plugins.resources import ResourceContext, ResourceManager, has_instances
from asyncflow.runtime.resource_calling import Calling
from asyncflow.runtime.resource_manager import ManagerHolder, folder_of
from asyncflow.runtime.resource_places import Places
from asyncflow.runtime.resource_surroundings import Surroundings

log = logging.getLogger("asyncflow.resources")


class Keeper:
    """One resource.

    Attributes:
        state: what is recorded of it, and who is on what.
        counts: what happened since this process began, by kind of event and of failed call.
        calling: the calls under way.
    """

    def __init__(
        self, name: str, settings: ResourceSettings, around: Surroundings, state: ResourceState | None = None
    ) -> None:
        """Open and call nothing yet; `state` is what earlier processes recorded."""
        self.name, self.settings = name, settings
        self.state = ResourceState(name) if state is None else state
        self.counts: Counter[str] = Counter()
        self.around = around
        self._holder = self._made(settings)
        self.calling = Calling(self)
        self._durable: asyncio.Future[None] | None = None
        self._limit: ResourceLimit | None = None
        self._places = Places()
        self._is_stirring = False

    def _made(self, settings: ResourceSettings) -> ManagerHolder:
        context = ResourceContext(
            self.name,
            self.around.installation,
            folder_of(self.around.folder, self.name),
            log=lambda message, facts: log.info(message, extra={"resource": self.name, "facts": facts}),
            now_ms=lambda: self.around.now().wall_ms,
            http_allow=self.around.http_allow,
            http=self.around.http,
            commands=self.around.commands,
        )
        return ManagerHolder(context, settings, self.around.kinds)

    # --- what is known of it ----------------------------------------------------------------------

    @property
    def kind(self) -> type[ResourceManager] | None:
        """The class of its manager; None for a limit, or where no plugin brings it."""
        return self._holder.kind

    @property
    def manager(self) -> ResourceManager | None:
        """Its manager, open; None while there is none."""
        return self._holder.manager

    @property
    def stream(self) -> str:
        """Where its events lie."""
        return resource_stream(self.name, self.state.generation)

    @property
    def trouble(self) -> str:
        """Why nothing begins here now; "" where it is open."""
        if self.state.damage:
            return f"its history cannot be read, and it has to be released: {self.state.damage}"
        if self.state.is_removed:
            return "it is not configured any more"
        if self.state.drained:
            by = f" by {self.state.drained_by}" if self.state.drained_by else ""
            return f"drained{by}: {self.state.drained}"
        return self._holder.trouble

    @property
    def is_broken(self) -> bool:
        """Whether there is no manager and none is about to be, though one is needed."""
        return self._holder.is_broken and not lifecycle.is_closed(self.state)

    @property
    def has_instances(self) -> bool:
        """Whether its manager makes and destroys something."""
        return self.kind is not None and has_instances(self.kind)

    @property
    def sizes(self) -> tuple[int, int]:
        """How many instances there are to be at least, and may be at most, while it is open."""
        return lifecycle.sizes(self.state, self.settings)

    @property
    def terms(self) -> Terms:
        """What `decide/lifecycle` goes by."""
        kind = self.kind
        if kind is None or not self.has_instances:
            return Terms(self.settings, has_instances=False, is_open=False)
        return Terms(
            self.settings,
            self.around.installation,
            is_open=self.manager is not None and not self.calling.is_closed,
            tier=kind.tier,
            can_find=kind.find_instance is not ResourceManager.find_instance,
            token_life_ms=kind.token_life * 1_000,
            listing_lag_ms=kind.listing_lag * 1_000,
            submit_timeout_ms=kind.submit_timeout * 1_000,
        )

    def limit(self) -> ResourceLimit:
        """What admission is to hold to now."""
        is_open = self._holder.is_ready and not lifecycle.is_closed(self.state) and not self.calling.is_closed
        if not self.has_instances:
            return self.settings.limit._replace(is_open=is_open)
        is_open = is_open and any(each.phase == "active" for each in self.state.instances.values())
        places = lifecycle.places(self.state, self.settings)
        return self.settings.limit._replace(is_open=is_open, max_holders=places)

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
            dues = [due for due in (self._holder.retry_ms, self.calling.begin_due(terms, now_ms)) if due]
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
            self.state.waiting, self.state.demand = self.around.waiting(self.name)

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

    @property
    def retry_ms(self) -> int:
        """When its manager is to be opened again; 0 while nothing is wrong with that."""
        return self._holder.retry_ms

    async def close(self) -> None:
        """Break off what is called, and close the manager; what is outside stays as it is."""
        await self.calling.close()
        await self._holder.close()
