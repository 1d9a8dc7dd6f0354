"""One resource kept: its events recorded, its gate set, the calls that it wants made, and who is on what.

What follows from what is `decide/lifecycle`. All resources together, and what the rest of the engine asks
of them, is `runtime/resources`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence

from asyncflow.decide import lifecycle, lifecycle_calls
from asyncflow.decide.lifecycle import Terms
from asyncflow.decide.lifecycle_calls import Call, Failed, Standing
from asyncflow.decide.lifecycle_evolve import evolve_resource
from asyncflow.model import resource_events as ev
from asyncflow.model.resource_events import ResourceEvent, resource_stream
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resource_state import Instance, ResourceState
from asyncflow.model.resources import ResourceLimit
from asyncflow.plugins.jobs import InstanceOrder
from asyncflow.plugins.resources import ResourceContext, ResourceManager, has_instances
from asyncflow.runtime.resource_calls import Answer, ask
from asyncflow.runtime.resource_manager import ManagerHolder, folder_of
from asyncflow.runtime.resource_surroundings import Surroundings

log = logging.getLogger("asyncflow.resources")

_DOUBLES_AGAIN_MS = 30_000


class Keeper:
    """One resource.

    Attributes:
        state: what is recorded of it, and who is on what.
        counts: what happened since this process began, by kind of event and of failed call.
        calls: under way, by instance number or handle of a double.
    """

    def __init__(
        self, name: str, settings: ResourceSettings, around: Surroundings, state: ResourceState | None = None
    ) -> None:
        """Open and call nothing yet; `state` is what earlier processes recorded."""
        self.name, self.settings = name, settings
        self.state = ResourceState(name) if state is None else state
        self.counts: Counter[str] = Counter()
        self.calls: dict[int | str, asyncio.Task[None]] = {}
        self._around = around
        self._holder = self._made(settings)
        self._durable: asyncio.Future[None] | None = None
        self._opening: set[asyncio.Task[None]] = set()
        self._limit: ResourceLimit | None = None
        self._strays: Counter[int] = Counter()  # who is on instances that nothing is known of
        self._is_stirring = self._is_closed = False
        self._doubles_ms = 0  # when doubles that could not be destroyed are tried again

    def _made(self, settings: ResourceSettings) -> ManagerHolder:
        context = ResourceContext(
            self.name,
            self._around.installation,
            folder_of(self._around.folder, self.name),
            log=lambda message, facts: log.info(message, extra={"resource": self.name, "facts": facts}),
            now_ms=lambda: self._around.now().wall_ms,
            http_allow=self._around.http_allow,
            http=self._around.http,
            commands=self._around.commands,
        )
        return ManagerHolder(context, settings, self._around.kinds)

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
    def has_instances(self) -> bool:
        """Whether its manager makes and destroys something."""
        return self.kind is not None and has_instances(self.kind)

    @property
    def terms(self) -> Terms:
        """What `decide/lifecycle` goes by."""
        kind = self.kind
        if kind is None or not self.has_instances:
            return Terms(self.settings, has_instances=False, is_open=False)
        return Terms(
            self.settings,
            self._around.installation,
            is_open=self.manager is not None and not self._is_closed,
            tier=kind.tier,
            can_find=kind.find_instance is not ResourceManager.find_instance,
            token_life_ms=kind.token_life * 1_000,
            listing_lag_ms=kind.listing_lag * 1_000,
            submit_timeout_ms=kind.submit_timeout * 1_000,
        )

    def limit(self) -> ResourceLimit:
        """What admission is to hold to now."""
        is_open = self._holder.is_ready and not lifecycle.is_closed(self.state) and not self._is_closed
        if not self.has_instances:
            return self.settings.limit._replace(is_open=is_open)
        is_open = is_open and any(each.phase == "active" for each in self.state.instances.values())
        return self.settings.limit._replace(
            is_open=is_open, max_holders=lifecycle.places(self.state, self.settings)
        )

    # --- who is on what ---------------------------------------------------------------------------

    def place(self) -> str:
        """Reserve an instance; "" where there are none."""
        instance = lifecycle.chosen(self.state, self.settings) if self.has_instances else None
        if instance is None:
            return ""
        _reserve(instance, 1)
        return f"{self.name}/{instance.number}"

    def unplace(self, number: int) -> None:
        """A reservation is over."""
        instance = self.state.instances.get(number)
        if instance is None or not instance.reserved:
            self._strays.pop(number, None)
            return
        _reserve(instance, -1)
        if not instance.reserved:
            instance.idle_ms = self._around.now().elapsed_ms
            instance.next_ms = 0 if instance.phase == "draining" else instance.next_ms
        self.stir()

    def restore_place(self, number: int) -> None:
        """Recovery: somebody is on this instance; one that is gone is told when `begin` is called."""
        instance = self.state.instances.get(number)
        if instance is None:
            self._strays[number] += 1
        else:
            _reserve(instance, 1)

    # --- life -------------------------------------------------------------------------------------

    def begin(self) -> None:
        """Open the manager and go on with what was under way; reservations are restored."""
        if not self.state.damage:
            self._place_strays()
        for instance in self.state.instances.values():
            if instance.phase == "destroying" and instance.reserved:  # it was lost, and they were not told
                self._around.lost(self.name, f"{self.name}/{instance.number}", instance.reason)
        if self.has_instances:
            self.record(lifecycle_calls.unknown_after_restart(self.state, self.terms))
        self.stir()

    def _place_strays(self) -> None:
        for number, count in self._strays.items():
            instance = self.state.instances.get(number)
            if instance is None:
                self._around.lost(self.name, f"{self.name}/{number}", "the instance is gone")
            else:
                _reserve(instance, count)
        self._strays.clear()

    def release(self, next_number: int, handles: Mapping[int, str], *, by: str, reason: str) -> None:
        """Go on although the history cannot be read; raises as `lifecycle.release`.

        Jobs on instances that are not named go on another one.
        """
        highest = max(self._strays, default=0)
        self.state.next_number = max(self.state.next_number, highest + 1)
        installation = self._around.installation
        self.record(
            lifecycle.release(
                self.state, next_number, handles, installation=installation, by=by, reason=reason
            )
        )
        self._place_strays()

    def stir(self) -> None:
        """Have everything follow that does: events, the gate, calls, and when to look again."""
        if self._is_stirring or self._is_closed or self._around.is_stopped():
            return
        self._is_stirring = True
        try:
            now_ms = self._around.now().elapsed_ms
            self._open_if_due(now_ms)
            terms = self.terms
            self._see_who_waits()
            while events := lifecycle.settle(self.state, terms, now_ms):
                self.record(events)
            self._set_gate()
            self._see_who_waits()
            dues = [due for due in (self._holder.retry_ms, self._call(terms, now_ms)) if due]
            due_ms = lifecycle_calls.next_due_ms(self.state, terms)
            dues += [due_ms] if due_ms is not None and due_ms > now_ms else []
            self._around.set_timer(self.name, min(dues, default=None))
        finally:
            self._is_stirring = False

    def _see_who_waits(self) -> None:
        if self.has_instances:
            self.state.waiting, self.state.demand = self._around.waiting(self.name)

    def _set_gate(self) -> None:
        limit = self.limit()
        if limit != self._limit:
            self._limit = limit
            self._around.set_limit(self.name, limit)

    def record(self, events: Sequence[ResourceEvent]) -> None:
        """Make events true and have them recorded."""
        if not events:
            return
        at_ms = self._around.moment().elapsed_ms
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
        self._durable = self._around.record(list(events), self.stream, first)
        self._set_gate()
        for number, reason in lost:
            self._around.lost(self.name, f"{self.name}/{number}", reason)

    # --- calls ------------------------------------------------------------------------------------

    def _open_if_due(self, now_ms: int) -> None:
        holder = self._holder
        is_over = self.state.is_removed and not self.state.instances
        if is_over or holder.kind is None or holder.manager is not None or self._opening:
            return
        if holder.retry_ms > now_ms:
            return
        holder.retry_ms = 0  # a timer of the past would come due again and again while it is being opened
        self._spawn(self._open(holder), self._opening.add, self._opening.discard)

    async def _open(self, holder: ManagerHolder) -> None:
        await holder.open(self._around.secrets, self._around.now().elapsed_ms)

    def _spawn(
        self,
        work: object,
        keep: Callable[[asyncio.Task[None]], object],
        drop: Callable[[asyncio.Task[None]], object],
    ) -> None:
        """Have a call made in an asyncio task of its own; the resource looks again at its end."""
        assert asyncio.iscoroutine(work)
        task: asyncio.Task[None] = asyncio.create_task(work)  # noqa: TID251 - owned here, ended by `close`
        keep(task)
        self._around.busy(1)

        def over(done: asyncio.Task[None]) -> None:
            drop(done)
            self._around.busy(-1)
            if not done.cancelled() and done.exception() is not None:
                log.error("a resource broke", exc_info=done.exception(), extra={"resource": self.name})
            self.stir()

        task.add_done_callback(over)

    def _call(self, terms: Terms, now_ms: int) -> int | None:
        """Begin the calls that are due; when the next one is."""
        later: list[int] = []
        for call in lifecycle_calls.wanted_calls(self.state, terms):
            key: int | str = call.handle if call.kind == "destroy_double" else call.number
            if key in self.calls:
                continue
            due_ms = self._doubles_ms if call.kind == "destroy_double" else call.due_ms
            if due_ms > now_ms:
                later.append(due_ms)
            elif len(self.calls) < self.settings.connections:
                self._begin_call(key, call)
        return min(later, default=None)

    def _begin_call(self, key: int | str, call: Call) -> None:
        def keep(task: asyncio.Task[None]) -> None:
            self.calls[key] = task

        self._spawn(self._make(call), keep, lambda _: self.calls.pop(key, None))

    async def _make(self, call: Call) -> None:
        """Make a call once all that it follows from is durable, and take in its answer."""
        if self._durable is not None:
            await asyncio.shield(self._durable)
        manager, instance = self.manager, self.state.instances.get(call.number)
        if manager is None or (instance is None and call.kind != "destroy_double"):
            return
        order = InstanceOrder("", self.name, call.number)
        change = since_ms = 0
        if instance is not None:
            order = InstanceOrder(instance.token, self.name, call.number, instance.by)
            change, since_ms = instance.change, lifecycle_calls.since_ms_of(instance)
            if call.kind == "create":
                instance.sent_ms = self._around.now().elapsed_ms
        self.counts[f"call {call.kind}"] += 1
        answer = await ask(manager, call, order, since_ms)
        if isinstance(answer, Failed):
            self.counts[f"failed {answer.kind}"] += 1
        if not self._around.is_stopped() and not self._is_closed:
            self.record(self._learnt(call, answer, change))

    def _learnt(self, call: Call, answer: Answer, change: int) -> list[ResourceEvent]:
        state, terms, now_ms = self.state, self.terms, self._around.now().elapsed_ms
        match answer:
            case Failed():
                if call.kind == "destroy_double":
                    self._doubles_ms = now_ms + _DOUBLES_AGAIN_MS
                    return []
                return lifecycle_calls.failed(state, call, answer, terms=terms, now_ms=now_ms)
            case Standing() if call.kind in {"check", "destroy"}:
                return lifecycle_calls.checked(
                    state, call.number, answer, terms=terms, now_ms=now_ms, change=change
                )
            case str():
                return lifecycle_calls.created(state, call.number, answer, terms)
            case list():
                return lifecycle_calls.found(state, call.number, answer, terms=terms, now_ms=now_ms)
        if call.kind == "destroy_double":
            return [ev.DoubleDestroyed(call.number, call.handle)]
        return lifecycle_calls.destroyed(state, call.number, terms=terms, now_ms=now_ms)

    # --- changes ----------------------------------------------------------------------------------

    def configure(self, settings: ResourceSettings) -> None:
        """Hold to other settings from here on; another type or other plugin settings open a new manager."""
        is_same = (settings.type, settings.config) == (self.settings.type, self.settings.config)
        self.settings = settings
        if not is_same:
            old, self._holder = self._holder, self._made(settings)
            self._spawn(old.close(), self._opening.add, self._opening.discard)
        self.stir()

    async def durable(self) -> None:
        """Wait until what is recorded of it is durable. Raises StoreError: it will not be."""
        if self._durable is not None:
            await asyncio.shield(self._durable)

    def retire(self) -> None:
        """Close the manager of a resource that is not there any more; it may come back."""
        if self.manager is not None:
            old, self._holder = self._holder, self._made(self.settings)
            self._spawn(old.close(), self._opening.add, self._opening.discard)

    @property
    def retry_ms(self) -> int:
        """When its manager is to be opened again; 0 while nothing is wrong with that."""
        return self._holder.retry_ms

    async def close(self) -> None:
        """Break off what is called, and close the manager; what is outside stays as it is."""
        self._is_closed = True
        tasks = [*self.calls.values(), *self._opening]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._holder.close()


def _reserve(instance: Instance, by: int) -> None:
    instance.reserved += by
    instance.change += 1
    instance.is_free = False
