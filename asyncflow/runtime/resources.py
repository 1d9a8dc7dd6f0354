"""All resources of an engine: which there are, where a job goes, who is on which instance, and why nobody is.

It decides nothing itself: the life of one resource is `decide/lifecycle`, kept by `runtime/resource_keeper`;
who may begin is `decide/admission`. Nothing here awaits a service inside a turn.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence

from asyncflow.decide import lifecycle_calls
from asyncflow.errors import Conflict, NotFound
from asyncflow.model import resource_events as ev
from asyncflow.model.resource_events import ResourceEvent
from asyncflow.model.resource_settings import LIMIT, ResourceSettings, check_resource_name
from asyncflow.model.resource_state import Instance, ResourceState
from asyncflow.model.turn import Recorded
from asyncflow.model.values import JsonObject
from asyncflow.plugins.resources import ResourceManager
from asyncflow.runtime.resource_choice import chosen_for, parts_of
from asyncflow.runtime.resource_history import Read, history_of
from asyncflow.runtime.resource_keeper import Keeper
from asyncflow.runtime.resource_recovery import restored
from asyncflow.runtime.resource_shown import orphan_shown, settings_shown, shown
from asyncflow.runtime.resource_surroundings import Surroundings

log = logging.getLogger("asyncflow.resources")


class Resources:
    """The resources of one engine.

    Attributes:
        keepers: by name; also those that were removed, until their instances are gone.
        unusable: stored, but with settings that cannot be used, and why; they are as if they were not there.
        former: recorded, and not configured now; numbers go on from there if one comes back.
    """

    def __init__(self, configured: Mapping[str, ResourceSettings], around: Surroundings) -> None:
        """Keep what is configured; nothing is opened before `begin`.

        Raises:
            InvalidInput: a resource cannot be called so.
        """
        for name in configured:
            check_resource_name(name)
        self.around = around
        around.retired = self._retired
        self.keepers = {name: Keeper(name, each, around) for name, each in configured.items()}
        self.former: dict[str, ResourceState] = {}
        self.unusable: dict[str, str] = {}
        self._has_begun = False

    # --- which there are --------------------------------------------------------------------------

    @property
    def settings(self) -> Mapping[str, ResourceSettings]:
        """The resources there are, and what is configured of them now."""
        return {name: each.settings for name, each in self.keepers.items() if not each.state.is_removed}

    def settings_of(self, name: str) -> ResourceSettings | None:
        """What is configured of a resource now; None if there is none of this name."""
        keeper = self.keepers.get(name)
        return None if keeper is None or keeper.state.is_removed else keeper.settings

    def manager(self, name: str) -> ResourceManager | None:
        """Its manager, open; None while there is none, see `trouble`."""
        keeper = self.keepers.get(name)
        return None if keeper is None else keeper.manager

    def trouble(self, name: str) -> str:
        """Why nothing begins there now; "" where nothing is wrong."""
        keeper = self.keepers.get(name)
        return f"no resource is named {name}" if keeper is None else keeper.trouble

    def job_types(self) -> dict[str, str]:
        """By type of task that a configured resource takes, the type of that resource."""
        kinds = {each.settings.type: each.kind for each in self.present()}
        return {task: kind for kind, found in kinds.items() if found is not None for task in found.tasks}

    def for_task(self, task_type: str, named: Sequence[str]) -> str:
        """The resource that a job goes to: the first named that takes it, else the only one that does.

        Raises:
            InvalidInput: none takes it, or several and none is named.
        """
        return chosen_for(self.present(), task_type, named)

    def parts(self, name: str, given: JsonObject) -> Iterable[str]:
        """What parts of the resource a job with this input takes, as its plugin says."""
        keeper = self.keepers.get(name)
        return () if keeper is None or keeper.kind is None else parts_of(keeper.kind, given)

    def present(self) -> list[Keeper]:
        """Those that are configured now."""
        return [each for each in self.keepers.values() if not each.state.is_removed]

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
            keeper.record([ev.ResourceConfigured(*now, by), *resized])

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

    def keeper(self, name: str) -> Keeper:
        """One of them. Raises NotFound: there is none."""
        keeper = self.keepers.get(name)
        if keeper is None:
            raise NotFound("resource", name)
        return keeper

    @property
    def orphans(self) -> dict[str, ResourceState]:
        """Those that are not configured and have left something outside, or may have."""
        return {name: each for name, each in self.former.items() if _is_left(each)}

    # --- looking ----------------------------------------------------------------------------------

    def describe(self, name: str) -> JsonObject:
        """How a resource and its instances stand, also of one that was left. Raises NotFound."""
        orphan = self.former.get(name)
        return orphan_shown(orphan) if orphan is not None and _is_left(orphan) else shown(self.keeper(name))

    def find(self, name: str) -> JsonObject | None:
        """The same of one that is configured, or was and left something; None where there is none."""
        keeper, orphan = self.keepers.get(name), self.former.get(name)
        is_known = orphan is not None and _is_left(orphan)
        is_known = is_known or (keeper is not None and not keeper.state.is_removed)
        return self.describe(name) if is_known else None

    def why(self, name: str) -> JsonObject:
        """Why nobody begins there, and what can open it next; {} while its gate is open."""
        keeper = self.keepers.get(name)
        return {} if keeper is None or keeper.limit().is_open else shown(keeper)

    def counts(self) -> dict[str, dict[str, int]]:
        """What happened since this process began: by resource, kinds of events, of calls and of failures."""
        return {name: dict(keeper.counts) for name, keeper in self.keepers.items()}

    async def history(self, name: str, read: Read) -> list[JsonObject]:
        """What is recorded of it, newest last: who made and ended what, when and why.

        Where a part of it cannot be read, that is said in its place.
        """
        state = self.keepers[name].state if name in self.keepers else self.former.get(name)
        return await history_of(name, 1 if state is None else state.generation, read)


def _is_left(state: ResourceState) -> bool:
    """Whether one that is not configured has something outside, or may have."""
    return bool(state.instances or state.doubles or state.damage)
