"""The resources of an engine as they are known: which there are, how each stands, which takes what.

It changes nothing. Their lives are `runtime/resources`, one of them is `runtime/resource_keeper`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from asyncflow.errors import NotFound
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resource_state import ResourceState
from asyncflow.model.values import JsonObject
from asyncflow.plugins.resources import ResourceManager
from asyncflow.runtime.resource_choice import chosen_for, parts_of
from asyncflow.runtime.resource_history import HistoryPage, history_of
from asyncflow.runtime.resource_keeper import Keeper
from asyncflow.runtime.resource_shown import orphan_shown, shown
from asyncflow.store.journal import Journal


class KnownResources:
    """The resources of one engine.

    Attributes:
        keepers: by name; also those that were removed, until their instances are gone.
        unusable: stored, but with settings that cannot be used, and why; they are as if they were not there.
        former: recorded, and not configured now; numbers go on from there if one comes back.
    """

    def __init__(self, keepers: dict[str, Keeper]) -> None:
        """There are these."""
        self.keepers = keepers
        self.former: dict[str, ResourceState] = {}
        self.unusable: dict[str, str] = {}

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

    async def history(self, name: str, journal: Journal, *, start: int, count: int) -> HistoryPage:
        """What is recorded of it, newest first: who made and ended what, when and why.

        Where a part of it cannot be read, that is said in its place.
        """
        state = self.keepers[name].state if name in self.keepers else self.former.get(name)
        generation = 1 if state is None else state.generation
        return await history_of(name, generation, journal, start=start, count=count)


def _is_left(state: ResourceState) -> bool:
    """Whether one that is not configured has something outside, or may have."""
    return bool(state.instances or state.doubles or state.damage)
