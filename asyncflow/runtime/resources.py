"""All resources of an engine, kept: who is on which instance, how they begin, change and end.

It decides nothing itself: the life of one resource is `decide/lifecycle`, kept by `runtime/resource_keeper`;
which there are and how they stand is `runtime/resource_knowing`. Nothing here awaits a service in a turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence

from asyncflow.decide import lifecycle_calls
from asyncflow.errors import Conflict
from asyncflow.model import resource_events as ev
from asyncflow.model.resource_events import ResourceEvent
from asyncflow.model.resource_settings import LIMIT, ResourceSettings, check_resource_name
from asyncflow.model.resource_state import Instance, ResourceState
from asyncflow.model.turn import Recorded
from asyncflow.model.values import JsonObject
from asyncflow.runtime.resource_keeper import Keeper
from asyncflow.runtime.resource_knowing import KnownResources
from asyncflow.runtime.resource_recovery import restored
from asyncflow.runtime.resource_shown import settings_shown
from asyncflow.runtime.resource_surroundings import Surroundings

log = logging.getLogger("asyncflow.resources")


class Resources(KnownResources):
    """The resources of one engine, which it keeps."""

    def __init__(self, configured: Mapping[str, ResourceSettings], around: Surroundings) -> None:
        """Keep what is configured; nothing is opened before `begin`.

        Raises:
            InvalidInput: a resource cannot be called so.
        """
        for name in configured:
            check_resource_name(name)
        self.around = around
        around.retired = self._retired
        super().__init__({name: Keeper(name, each, around) for name, each in configured.items()})
        self._has_begun = False

    # --- who is on what ---------------------------------------------------------------------------

    def place(self, name: str) -> str:
        """An instance for a grant, `<resource>/<n>`, reserved at once; "" where there are none."""
        keeper = self.keepers.get(name)
        return "" if keeper is None else keeper.place()

    def unplace(self, name: str, instance: str) -> None:
        """The reservation is over: the job ended, or nothing came of the grant."""
        keeper, number = self._found(name, instance)
        if keeper is not None:
            keeper.unplace(number)
        elif (left := self._left(name, number)) is not None and left.reserved:
            left.reserved -= 1

    def restore_place(self, name: str, instance: str) -> None:
        """Recovery, before `begin`: an open job is on this instance."""
        keeper, number = self._found(name, instance)
        if keeper is not None and number:
            keeper.restore_place(number)
        elif (left := self._left(name, number)) is not None:
            left.reserved += 1

    def _left(self, name: str, number: int) -> Instance | None:
        """An instance of a resource that is not configured now."""
        former = self.former.get(name)
        return None if former is None else former.instances.get(number)

    def handle_of(self, name: str, instance: str) -> str:
        """What the service calls an instance; "" where it is not known, or there are none."""
        keeper, number = self._found(name, instance)
        found = None if keeper is None else keeper.state.instances.get(number)
        return "" if found is None else found.handle

    def instance_gone(self, name: str, instance: str, reason: str) -> None:
        """A call said that the instance is gone: who is on it is told, and nobody comes any more."""
        keeper, number = self._found(name, instance)
        if keeper is not None and not self.around.is_stopped():
            keeper.record(lifecycle_calls.lost(keeper.state, number, reason))
            keeper.stir()

    def wanted(self, name: str) -> None:
        """Somebody was refused by the gate: where an instance is missing, it is made."""
        keeper = self.keepers.get(name)
        if keeper is not None and keeper.has_instances and self._has_begun:
            keeper.wanted()

    def _found(self, name: str, instance: str) -> tuple[Keeper | None, int]:
        number = instance.rpartition("/")[2]
        return self.keepers.get(name), int(number) if number.isdecimal() else 0

    def code_changed(self, name: str, instance: str, reason: str) -> str:
        """The definition of a job there was exchanged: what becomes of it; see `OnCodeChange`.

        Where the policy is `drain`, the instance takes nothing new from here on, and is replaced.
        """
        keeper, number = self._found(name, instance)
        return "keep" if keeper is None else keeper.code_changed(number, reason)

    # --- life -------------------------------------------------------------------------------------

    def restore(self, histories: Mapping[str, Sequence[Recorded]], damaged: Mapping[str, str]) -> None:
        """Recovery: fold what is recorded, by stream; before executions are taken up.

        `damaged` are streams that cannot be read, and why: such a resource stays closed until it is released.
        """
        for name, state in restored(histories, damaged).items():
            lifecycle_calls.begin(state, self.around.now().elapsed_ms)
            keeper = self.keepers.get(name)
            if keeper is None:
                self.former[name] = state
            else:
                keeper.state = state
            if state.damage:
                log.error("resource closed", extra={"resource": name, "reason": state.damage})
        for keeper in self.keepers.values():
            self.around.set_limit(keeper.name, keeper.limit())

    def begin(self) -> None:
        """Open managers and go on with what was under way; executions are taken up."""
        self._has_begun = True
        for keeper in [*self.keepers.values()]:
            self._note_settings(keeper, by="configuration")
            keeper.begin()
        for name, state in self.orphans.items():
            facts = {"resource": name, "instances": [each.handle for each in state.instances.values()]}
            log.warning("resource not configured, its instances are left outside", extra=facts)

    def on_time(self, name: str) -> None:
        """Something of a resource has come due."""
        keeper = self.keepers.get(name)
        if keeper is not None:
            keeper.stir()

    async def close(self) -> None:
        """Break off calls and close managers, all at once; what is outside goes on."""
        await asyncio.gather(*(keeper.close() for keeper in self.keepers.values()))

    def _note_settings(self, keeper: Keeper, *, by: str) -> None:
        self.around.configured(keeper.name, keeper.settings)
        now = (keeper.settings.type, settings_shown(keeper.settings))
        state = keeper.state
        is_bare = keeper.settings.type == LIMIT and by == "configuration" and not state.seq
        is_news = state.configured != now or state.is_removed
        if is_news and not is_bare and not state.damage:
            resized = self._still_resized(state, now[1])
            keeper.note([ev.ResourceConfigured(*now, by), *resized])

    def _still_resized(self, state: ResourceState, now: JsonObject) -> list[ResourceEvent]:
        """What somebody resized it to, where what was configured of its instances is as before."""
        before = {} if state.configured is None else state.configured[1]
        if state.is_removed or state.least is None or state.most is None:
            return []
        if any(before.get(key) != now[key] for key in ("min_instances", "max_instances")):
            return []
        return [ev.ResourceResized(state.least, state.most, reason="its size is as it was")]

    def _retired(self, name: str) -> None:
        """Nothing is left of one that was removed: its name limits nobody any more."""
        self.former[name] = self.keepers.pop(name).state
        self.around.set_timer(name, None)
        self.around.set_limit(name, None)

    # --- changes ----------------------------------------------------------------------------------

    def configure(
        self, name: str, settings: ResourceSettings | None, *, by: str = "", reason: str = ""
    ) -> None:
        """Add, change or remove a resource while the engine runs; `durable` waits until that is recorded.

        One that is removed lets nobody begin; its instances end, and its manager closes after them. A limit
        that is not open drains it, and one that is open resumes it.

        Raises:
            InvalidInput: it cannot be called so.
            NotFound: there is none to be removed.
            Conflict: nobody knows what it has outside.
        """
        check_resource_name(name)
        keeper = self.keepers.get(name)
        if settings is None:
            keeper = self.keeper(name)
            if keeper.state.damage:
                raise Conflict(f"resource {name}: {keeper.trouble}")
            keeper.record([] if keeper.state.is_removed else [ev.ResourceRemoved(by)])
            keeper.stir()
            return
        self.unusable.pop(name, None)
        is_new = keeper is None
        if keeper is None:
            keeper = Keeper(name, settings, self.around, self.former.pop(name, None))
            self.keepers[name] = keeper
        else:
            keeper.configure(settings)
        self._note_settings(keeper, by=by)
        if keeper.state.damage:
            pass  # nothing can be recorded of it before it is released
        elif not settings.limit.is_open and not keeper.state.drained:
            keeper.record([ev.ResourceDrained(by, reason)])
        elif settings.limit.is_open and keeper.state.drained:
            keeper.record([ev.ResourceResumed(by, reason)])
        if is_new:
            keeper.begin()
        keeper.stir()

    async def durable(self, name: str) -> None:
        """Wait until what is recorded of a resource is durable. Raises StoreError: it will not be."""
        await self.keeper(name).durable()
