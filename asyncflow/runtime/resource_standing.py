"""How one resource stands: its manager and why there is none, its size, its gate, what its life goes by.

It changes nothing. Who keeps a resource, and so makes what is read here, is `runtime/resource_keeper`.
"""

from __future__ import annotations

import logging

from asyncflow.decide import lifecycle
from asyncflow.decide.lifecycle import Terms
from asyncflow.model.resource_events import resource_stream
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.resource_state import ResourceState
from asyncflow.model.resources import ResourceLimit
from asyncflow.plugins.resources import ResourceContext, ResourceManager, has_instances
from asyncflow.runtime.resource_manager import ManagerHolder, folder_of
from asyncflow.runtime.resource_surroundings import Surroundings

log = logging.getLogger("asyncflow.resources")


class Standing:
    """One resource as it stands.

    Attributes:
        state: what is recorded of it, and who is on what.
    """

    def __init__(
        self, name: str, settings: ResourceSettings, around: Surroundings, *, state: ResourceState
    ) -> None:
        """It stands as recorded, and nothing is called."""
        self.name, self.settings = name, settings
        self.state, self.around = state, around
        self._holder = self._made(settings)
        self._is_ending = False

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

    @property
    def kind(self) -> type[ResourceManager] | None:
        """The class of its manager; None for a limit, or where no plugin brings it."""
        return self._holder.kind

    @property
    def manager(self) -> ResourceManager | None:
        """Its manager, open; None while there is none, or what it has is another's."""
        return None if self._type_of_others else self._holder.manager

    @property
    def _type_of_others(self) -> str:
        """The type of its instances where it is configured as another now; "" where it is not.

        What one plugin made, another would take for gone, and forget.
        """
        before = "" if self.state.configured is None else self.state.configured[0]
        has_any = self.state.instances or self.state.doubles
        return before if has_any and before not in {"", self.settings.type} else ""

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
        if self._type_of_others:
            return f"it has instances of type {self._type_of_others}: configure it so, and drain it first"
        return self._holder.trouble

    @property
    def is_broken(self) -> bool:
        """Whether there is no manager and none is about to be, though one is needed."""
        is_broken = self._holder.is_broken or bool(self._type_of_others)
        return is_broken and not lifecycle.is_closed(self.state)

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
            is_open=self.manager is not None and not self._is_ending,
            tier=kind.tier,
            can_find=kind.find_instance is not ResourceManager.find_instance,
            token_life_ms=kind.token_life * 1_000,
            listing_lag_ms=kind.listing_lag * 1_000,
            submit_timeout_ms=kind.submit_timeout * 1_000,
        )

    def limit(self) -> ResourceLimit:
        """What admission is to hold to now."""
        is_closed = lifecycle.is_closed(self.state) or self._is_ending or bool(self._type_of_others)
        is_open = self._holder.is_ready and not is_closed
        if not self.has_instances:
            return self.settings.limit._replace(is_open=is_open)
        is_open = is_open and any(each.phase == "active" for each in self.state.instances.values())
        places = lifecycle.places(self.state, self.settings)
        return self.settings.limit._replace(is_open=is_open, max_holders=places)

    @property
    def retry_ms(self) -> int:
        """When its manager is to be opened again; 0 while nothing is wrong with that."""
        return self._holder.retry_ms
