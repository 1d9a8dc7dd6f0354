"""The calls about the instances of one resource: begun when they are due, one at a time for each.

Which are due and what their answers mean is `decide/lifecycle_calls`; how one is made is
`runtime/resource_calls`. What follows is recorded by `runtime/resource_keeper`.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol

from asyncflow.decide import lifecycle_calls
from asyncflow.decide.lifecycle import Terms
from asyncflow.decide.lifecycle_calls import Call, Failed, Standing
from asyncflow.model import resource_events as ev
from asyncflow.model.resource_events import ResourceEvent
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resource_state import ResourceState
from asyncflow.plugins.jobs import InstanceOrder
from asyncflow.plugins.resources import ResourceManager
from asyncflow.runtime.resource_calls import Answer, ask
from asyncflow.runtime.resource_surroundings import Surroundings

log = logging.getLogger("asyncflow.resources")

_DOUBLES_AGAIN_MS = 30_000


class Kept(Protocol):
    """The resource whose calls are made; `runtime/resource_keeper`."""

    name: str
    settings: ResourceSettings
    state: ResourceState
    counts: Counter[str]
    around: Surroundings

    @property
    def manager(self) -> ResourceManager | None:
        """Whom to call."""

    @property
    def terms(self) -> Terms:
        """What `decide/lifecycle` goes by."""

    def record(self, events: Sequence[ResourceEvent]) -> None:
        """Make events true and have them recorded."""

    async def durable(self) -> None:
        """Wait until what is recorded is durable."""

    def stir(self) -> None:
        """Look again."""


class Calling:
    """The calls of one resource.

    Attributes:
        under_way: by instance number, or handle of a double.
        opening: managers that are being opened or closed.
        is_closed: nothing is called any more, and no answer counts.
    """

    def __init__(self, kept: Kept) -> None:
        """Call nobody yet."""
        self.under_way: dict[int | str, asyncio.Task[None]] = {}
        self.opening: set[asyncio.Task[None]] = set()
        self.is_closed = False
        self._kept = kept
        self._doubles_ms = 0  # when doubles that could not be destroyed are tried again

    async def close(self) -> None:
        """Break off what is under way."""
        self.is_closed = True
        tasks = [*self.under_way.values(), *self.opening]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def manage(self, work: object) -> None:
        """Have a manager opened or closed."""
        self.spawn(work, self.opening.add, self.opening.discard)

    def spawn(
        self,
        work: object,
        keep: Callable[[asyncio.Task[None]], object],
        drop: Callable[[asyncio.Task[None]], object],
    ) -> None:
        """Have a call made in an asyncio task of its own; the resource looks again at its end."""
        assert asyncio.iscoroutine(work)
        task: asyncio.Task[None] = asyncio.create_task(work)  # noqa: TID251 - owned here, ended by `close`
        keep(task)
        self._kept.around.busy(1)

        def over(done: asyncio.Task[None]) -> None:
            drop(done)
            self._kept.around.busy(-1)
            if not done.cancelled() and done.exception() is not None:
                log.error("a resource broke", exc_info=done.exception(), extra={"resource": self._kept.name})
            self._kept.stir()

        task.add_done_callback(over)

    def begin_due(self, terms: Terms, now_ms: int) -> int | None:
        """Begin the calls that are due; when the next one is."""
        later: list[int] = []
        for call in lifecycle_calls.wanted_calls(self._kept.state, terms):
            key: int | str = call.handle if call.kind == "destroy_double" else call.number
            if key in self.under_way:
                continue
            due_ms = self._doubles_ms if call.kind == "destroy_double" else call.due_ms
            if due_ms > now_ms:
                later.append(due_ms)
            elif len(self.under_way) < self._kept.settings.connections:
                self._begin_call(key, call)
        return min(later, default=None)

    def _begin_call(self, key: int | str, call: Call) -> None:
        def keep(task: asyncio.Task[None]) -> None:
            self.under_way[key] = task

        self.spawn(self._make(call), keep, lambda _: self.under_way.pop(key, None))

    async def _make(self, call: Call) -> None:
        """Make a call once all that it follows from is durable, and take in its answer."""
        await self._kept.durable()
        manager, instance = self._kept.manager, self._kept.state.instances.get(call.number)
        if manager is None or (instance is None and call.kind != "destroy_double"):
            return
        order = InstanceOrder("", self._kept.name, call.number)
        change = since_ms = 0
        if instance is not None:
            order = InstanceOrder(instance.token, self._kept.name, call.number, instance.by)
            change, since_ms = instance.change, lifecycle_calls.since_ms_of(instance)
            if call.kind == "create":
                instance.sent_ms = self._kept.around.now().elapsed_ms
        self._kept.counts[f"call {call.kind}"] += 1
        answer = await ask(manager, call, order, since_ms)
        if isinstance(answer, Failed):
            self._kept.counts[f"failed {answer.kind}"] += 1
        if not self._kept.around.is_stopped() and not self.is_closed:
            self._kept.record(self._learnt(call, answer, change))

    def _learnt(self, call: Call, answer: Answer, change: int) -> list[ResourceEvent]:
        state, terms, now_ms = self._kept.state, self._kept.terms, self._kept.around.now().elapsed_ms
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
