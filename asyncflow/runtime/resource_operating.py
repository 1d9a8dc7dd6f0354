"""What people do to resources: drain, resume, resize, decide, release, forget. Durable at return.

What follows from it is `decide/lifecycle`, carried out by `runtime/resource_keeper`; who may ask for it is
decided by the surfaces.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from asyncflow.decide import lifecycle
from asyncflow.decide.lifecycle_evolve import evolve_resource
from asyncflow.errors import Conflict, NotFound
from asyncflow.model import resource_events as ev
from asyncflow.model.resource_events import ResourceEvent, resource_stream
from asyncflow.runtime.resource_keeper import Keeper
from asyncflow.runtime.resources import Resources


class Operating:
    """Changes to the resources of an engine by hand."""

    def __init__(self, resources: Resources) -> None:
        """Change nothing yet."""
        self._resources = resources

    async def drain(self, name: str, *, by: str = "", reason: str = "") -> None:
        """Let nobody begin there; its instances end when they are free. Raises NotFound, Conflict."""
        await self._changed(self._known(name), [ev.ResourceDrained(by, reason)])

    async def resume(self, name: str, *, by: str = "", reason: str = "") -> None:
        """Open it again; nothing is recorded where it is open. Raises NotFound, Conflict."""
        keeper = self._known(name)
        await self._changed(keeper, [ev.ResourceResumed(by, reason)] if keeper.state.drained else [])

    async def resize(self, name: str, least: int, most: int, *, by: str = "", reason: str = "") -> None:
        """Have so many instances until it is configured anew. Raises NotFound, Conflict, InvalidInput."""
        keeper = self._known(name)
        await self._changed(keeper, lifecycle.resize(least, most, by=by, reason=reason))

    async def decide_instance(
        self, name: str, number: int, decision: str, *, handle: str = "", by: str = "", reason: str = ""
    ) -> None:
        """Say whether an undecided instance is there. Raises as `lifecycle.decide_instance`."""
        keeper = self._known(name)
        events = lifecycle.decide_instance(
            keeper.state, number, decision, handle=handle, by=by, reason=reason
        )
        await self._changed(keeper, events)

    async def release(
        self, name: str, next_number: int, handles: Mapping[int, str], *, by: str = "", reason: str = ""
    ) -> None:
        """Go on with a resource whose history cannot be read.

        Its instances are counted from `next_number` on, which was never given, or two would have one token.
        `handles` are the instances that are there, by number; jobs on others go on another one.

        Raises:
            NotFound: there is no such resource.
            Conflict: its history can be read.
            InvalidInput: a number is one that was given.
        """
        keeper = self._resources.keeper(name)
        keeper.release(next_number, handles, by=by, reason=reason)
        keeper.stir()
        await keeper.durable()

    async def forget(self, name: str, *, by: str = "", reason: str = "") -> None:
        """Leave the instances of a resource that is not configured any more to themselves.

        Raises:
            NotFound: there is no such resource, or it has left nothing.
            Conflict: it is configured, jobs are open on its instances, or its history cannot be read.
        """
        if name in self._resources.keepers:
            raise Conflict(f"resource {name} is configured: remove it first")
        state = self._resources.orphans.get(name)
        if state is None:
            raise NotFound("resource that was left", name)
        if state.damage:
            raise Conflict(f"the history of resource {name} cannot be read: configure and release it")
        busy = [f"{name}/{each.number}" for each in state.instances.values() if each.reserved]
        if busy:
            raise Conflict(
                f"jobs are open on {', '.join(busy)}: configure the resource again, or decide them"
            )
        around = self._resources.around
        event = ev.ResourceForgotten(by, reason)
        stream, seq = resource_stream(name, state.generation), state.seq + 1
        evolve_resource(state, event, around.moment().elapsed_ms)
        await asyncio.shield(around.record([event], stream, seq))

    def _known(self, name: str) -> Keeper:
        keeper = self._resources.keeper(name)
        if keeper.state.damage:
            raise Conflict(f"resource {name}: {keeper.trouble}")
        return keeper

    async def _changed(self, keeper: Keeper, events: Sequence[ResourceEvent]) -> None:
        keeper.record(events)
        keeper.stir()
        await keeper.durable()
