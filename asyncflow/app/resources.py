"""Resources as operators and admins change them: made, drained, resized, decided, deleted.

Resources of the configuration file are changed there; others are documents, and may be made while the
engine runs. What a resource does by itself is in `runtime/resources`; shapes of settings are in
`app/resource_config`, what is shown in `app/resource_listing`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from asyncflow.app.job_decisions import read_instance_decision
from asyncflow.app.plugin_settings import check_stored
from asyncflow.app.resource_config import check_resource, parse_resource
from asyncflow.app.resource_listing import ResourceListing
from asyncflow.app.resource_release import read_release
from asyncflow.app.resource_sizes import OF_INSTANCES, read_sizes, resized_instances, resized_limits
from asyncflow.app.service import Service
from asyncflow.errors import ConfigurationError, InvalidInput, Refused
from asyncflow.model.resource_settings import ResourceSettings, check_resource_name, settings_to_json
from asyncflow.model.values import JsonObject
from asyncflow.runtime.resource_operating import Operating
from asyncflow.store.journal import Journal


class Operate(Protocol):
    """What is done to a resource by hand, as by `runtime/resource_operating`."""

    async def __call__(self, name: str, *, by: str, reason: str) -> None:
        """Do it to this one; durable at return."""


class Resources(ResourceListing):
    """The resources of one engine."""

    def __init__(self, service: Service, journal: Journal) -> None:
        """Show and change those of this engine."""
        super().__init__(service, journal)
        self._changing = asyncio.Lock()  # settings are stored and held to in one order

    @property
    def _operating(self) -> Operating:
        return Operating(self._kept)

    def called_back(self, token: str, proof: str) -> bool:
        """A service says that something happened to a job; whether it knew the job's own address."""
        return self._engine.jobs.callback(token, proof)

    # --- changes ----------------------------------------------------------------------------------

    async def save(self, name: str, body: JsonObject, *, by: str = "") -> JsonObject:
        """Make a resource, or change it; what is under way goes on. Durable at return.

        Raises:
            InvalidInput: a setting does not fit; every one is named.
            Refused: it is one of the configuration file's, or is to have another type while it is in use.
        """
        self._check_ours(name)
        settings = self._settings_in(body, name)
        async with self._changing:
            self._check_type(name, settings.type)
            await self._documents.save(name, settings_to_json(settings), created_by=by)
            await self._configure(name, settings, by=by)
        return self.get(name)

    def _settings_in(self, body: JsonObject, name: str) -> ResourceSettings:
        engine = self._engine
        try:
            section = parse_resource(body, name)
            broken = check_resource(section, name, engine.registry, engine.settings.secrets)
            if kind := engine.registry.resources.get(section.type):
                check_stored(kind.Config, section.config, name)
        except ConfigurationError as error:
            raise InvalidInput(str(error), field="body") from error
        if broken:
            raise InvalidInput(broken, field="type")
        return section.settings()

    def _check_type(self, name: str, kind: str) -> None:
        """Return if a resource may be of this type: what another one made, only that one can end."""
        before = self._kept.settings_of(name)
        if before is not None and before.type != kind and (use := self._use(name)):
            raise Refused(f"resource {name} is of type {before.type} and in use ({use}): drain it first")

    def _use(self, name: str) -> str:
        """What there is of a resource now: who holds it, who waits, jobs, instances; "" for nothing."""
        usage = self._engine.admission.usage().get(name, {})
        found = {key: usage.get(key) for key in ("holders", "waiting")}
        found["jobs"] = sum(self._engine.jobs.counts().get(name, {}).values())
        found["instances"] = len(self._kept.keeper(name).state.instances)
        return ", ".join(f"{count} {word}" for word, count in found.items() if count)

    async def delete(self, name: str, *, by: str = "") -> None:
        """Delete a resource; its instances end. Durable at return.

        Raises:
            NotFound: there is none.
            Refused: it is one of the configuration file's, is held or waited for, or has open jobs.
            Conflict: nobody knows what it has outside.
        """
        self._check_ours(name)
        async with self._changing:
            self._documents.get(name)
            if self._kept.unusable.pop(name, ""):
                await self._documents.delete(name)
                return
            keeper = self._kept.keeper(name)
            if any(word in self._use(name) for word in ("holders", "waiting", "jobs")):
                said = f"resource {name} is in use ({self._use(name)})"
                raise Refused(f"{said}: drain it, and delete it when nobody holds or awaits it")
            self._kept.configure(name, None, by=by)  # nobody has come since that look
            await keeper.durable()
            await self._documents.delete(name)

    async def drain(self, name: str, *, by: str = "", reason: str = "") -> JsonObject:
        """Begin nothing there any more, also after a restart; what is under way ends. Durable at return.

        Raises:
            NotFound: there is no such resource.
            Conflict: nobody knows what it has outside.
        """
        return await self._operated(name, self._operating.drain, by=by, reason=reason)

    async def resume(self, name: str, *, by: str = "", reason: str = "") -> JsonObject:
        """Let tasks begin again after a drain; durable at return. Raises as `drain`."""
        return await self._operated(name, self._operating.resume, by=by, reason=reason)

    async def _operated(self, name: str, operate: Operate, *, by: str, reason: str) -> JsonObject:
        self.settings(name)
        await operate(name, by=by, reason=reason)
        return self.get(name)

    async def resize(
        self, name: str, body: Mapping[str, object], *, by: str = "", reason: str = ""
    ) -> JsonObject:
        """Change how much there is, at once; nobody is put out, what is above is given to nobody else.

        How many instances there are holds until that is configured otherwise. A limit of the configuration
        file holds until the next start; what is stored is durable at return.

        Args:
            body: `maxConcurrent`, `perInstance`, `instances` with `min` and `max`; what is left out stays.

        Raises:
            NotFound: there is no such resource.
            InvalidInput: a number makes no sense; nothing changed.
        """
        given = read_sizes(body)
        async with self._changing:
            before, keeper = self.settings(name), self._kept.keeper(name)
            for key in OF_INSTANCES:
                if key in given and not keeper.has_instances:
                    raise InvalidInput(f"a resource of type {before.type} has no instances", field=key)
            now, after = keeper.sizes, resized_limits(before, given)
            sizes = resized_instances(now, given)
            if sizes != now:
                await self._operating.resize(name, *sizes, by=by, reason=reason)
            if after != before:
                if self._source(name) == "document":
                    await self._documents.save(name, settings_to_json(after), created_by=by)
                await self._configure(name, after, by=by, reason=reason)
        return self.get(name)

    async def decide_instance(
        self, name: str, number: int, body: Mapping[str, object], *, by: str = ""
    ) -> JsonObject:
        """Say whether an instance is there that nobody can tell about; durable at return.

        Args:
            body: `decision`: `adopt`, with the `handle` that the service gave it, or `absent`; `reason`.

        Raises:
            NotFound: there is no such resource or instance.
            Conflict: it is known how the instance stands.
            InvalidInput: the body says no decision that there is.
        """
        said = read_instance_decision(body)
        await self._operating.decide_instance(
            name, number, said.decision, handle=said.handle, by=by, reason=said.reason
        )
        if name in self.names():
            return self.get(name)
        return {**self._kept.describe(name), "source": "undeclared", "state": "removed"}

    async def release(self, name: str, body: Mapping[str, object], *, by: str = "") -> JsonObject:
        """Go on with a resource whose history cannot be read; durable at return.

        Args:
            body: `nextNumber`, from which on its instances are counted; `instances`, the handle of each that
                is there by its number; `reason`.

        Raises:
            NotFound: there is no such resource.
            Conflict: its history can be read.
            InvalidInput: a number was given before, or something in the body is not what is expected.
        """
        self.settings(name)
        said = read_release(body)
        await self._operating.release(name, said.next_number, said.handles, by=by, reason=said.reason)
        return self.get(name)

    async def forget(self, name: str, *, by: str = "", reason: str = "") -> None:
        """Leave the instances of a resource that is not configured any more to themselves; durable at return.

        Raises:
            NotFound: there is no such resource, or it has left nothing.
            Conflict: it is configured, or jobs are open on its instances.
        """
        await self._operating.forget(name, by=by, reason=reason)

    async def _configure(self, name: str, settings: ResourceSettings, *, by: str, reason: str = "") -> None:
        """Have the engine keep to these settings; one that is drained stays so. Durable at return."""
        if name in self._kept.settings:
            is_open = not self._kept.describe(name)["drained"]
            settings = replace(settings, limit=settings.limit._replace(is_open=is_open))
        self._kept.configure(name, settings, by=by, reason=reason)
        await self._kept.durable(name)

    def _check_ours(self, name: str) -> None:
        check_resource_name(name)
        if name in self._engine.settings.resources:
            raise Refused(f"resource {name} is in the configuration file: change it there")
