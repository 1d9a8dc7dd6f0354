"""Resources as operators see and change them: what there is, who holds it and who waits, drained, resized.

Resources of the configuration file are changed there; others are documents, and may be made while the
engine runs. What a resource does by itself is in `runtime/resources`; shapes of settings are in
`app/resource_config`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol, runtime_checkable

from asyncflow.app.documents import Documents
from asyncflow.app.resource_config import check_resource, parse_resource
from asyncflow.app.resource_views import history_of, jobs_of, shown_settings
from asyncflow.app.service import Service
from asyncflow.errors import ConfigurationError, InvalidInput, NotFound, Refused
from asyncflow.model.resource_settings import ResourceSettings, settings_from_json, settings_to_json
from asyncflow.model.resources import ResourceLimit
from asyncflow.model.values import JsonObject
from asyncflow.store.journal import Journal

KIND = "resource"
HELD = "resource_drain"
"""Kinds of documents: a resource that was made while the engine ran, and one that is drained."""

MOST_NAME = 200
_IMPLICIT = ("task:", "workflow:")
_RESIZABLE = ("max_concurrent", "min_instances", "max_instances", "per_instance")


@runtime_checkable
class LifeCycle(Protocol):
    """What keeps instances; see `runtime/resources`."""

    def configure(self, name: str, settings: ResourceSettings | None) -> None:
        """Keep to these settings from now on; None: there is no such resource any more."""

    def describe(self, name: str) -> JsonObject:
        """Its state, instances, and what is wrong with it."""


class Resources:
    """The resources of one engine."""

    def __init__(self, service: Service, journal: Journal) -> None:
        """Show and change those of this engine."""
        self._engine, self._journal = service.engine, journal
        self._documents = Documents(service.engine, KIND)
        self._held = Documents(service.engine, HELD)
        self._resized: dict[str, ResourceSettings] = {}

    async def open(self) -> None:
        """Have the engine keep to what is stored: resources that are documents, and drains."""
        for name in {**self._documents.all(), **self._held.all()}:
            self._apply(name)

    # --- what there is ----------------------------------------------------------------------------

    def settings(self, name: str) -> ResourceSettings:
        """What is said of a resource now.

        Raises:
            NotFound: it is neither configured nor stored.
        """
        found = self._resized.get(name) or self._said(name)
        if found is None:
            raise NotFound("resource", name)
        return found

    def _said(self, name: str) -> ResourceSettings | None:
        given = self._engine.settings.resources.get(name)
        if given is not None:
            return ResourceSettings(limit=given) if isinstance(given, ResourceLimit) else given
        body = self._documents.all().get(name)
        return None if body is None else settings_from_json(body)

    def names(self) -> list[str]:
        """Every resource by name: configured, stored, made by limits of definitions, or named by a task now."""
        said = {*self._engine.settings.resources, *self._documents.all()}
        usage = self._engine.admission.usage()
        named = (name for name, used in usage.items() if name.startswith(_IMPLICIT) or _is_used(used))
        return sorted({*said, *named})

    def all(self, *, start: int = 0, count: int = 100) -> JsonObject:
        """Resources by name, each with its use and state; cost: in the resources."""
        usage = self._engine.admission.usage()
        names = self.names()
        shown = [self._shown(name, usage) for name in names[start : start + count]]
        return {"totalHits": len(names), "resources": shown}

    def _shown(self, name: str, usage: Mapping[str, dict[str, object]]) -> JsonObject:
        found: JsonObject = {"name": name, "source": self._source(name), **usage.get(name, {})}
        drained = self._held.all().get(name)
        found["drained"] = None if drained is None else dict(drained)
        said = self._resized.get(name) or self._said(name)
        if said is None:
            return {**found, "type": "limit", "state": "ready"}
        life = self._life
        own = {"state": "ready"} if life is None else life.describe(name)
        found |= {
            "type": said.type,
            "settings": shown_settings(said),
            "resized": name in self._resized,
            **own,
        }
        if drained is not None and found["state"] == "ready":
            found["state"] = "drained"
        return found

    def get(self, name: str) -> JsonObject:
        """One resource, with the first of those who hold it and of those who wait.

        Raises:
            NotFound: nobody named it.
        """
        if name not in self.names():
            raise NotFound("resource", name)
        admission = self._engine.admission
        return {**self._shown(name, admission.usage()), **admission.people(name)}

    async def history(self, name: str, *, start: int = 0, count: int = 100) -> JsonObject:
        """What became of a resource: its events, the newest first.

        Raises:
            NotFound: it is not there, and never was.
        """
        events = await history_of(self._journal, name)
        if not events and name not in self.names():
            raise NotFound("resource", name)
        return {"totalHits": len(events), "events": events[start : start + count]}

    async def jobs(self, name: str, *, start: int = 0, count: int = 100) -> JsonObject:
        """The open jobs of a resource, the oldest execution first.

        Raises:
            NotFound: there is no such resource.
        """
        self.settings(name)
        total, jobs = await jobs_of(self._engine, name, start=start, count=count)
        return {"totalHits": total, "jobs": jobs}

    def called_back(self, token: str, proof: str) -> bool:
        """A service says that something happened to a job; whether it knew the job's own address."""
        return self._engine.jobs.callback(token, proof)

    # --- changes ----------------------------------------------------------------------------------

    async def save(self, name: str, body: JsonObject, *, by: str = "") -> JsonObject:
        """Make a resource, or change it; what is under way goes on. Durable at return.

        Raises:
            InvalidInput: a setting does not fit; every one is named.
            Refused: it is one of the configuration file's.
        """
        self._check_ours(name)
        try:
            section = parse_resource(body, name)
            engine = self._engine
            broken = check_resource(section, name, engine.registry, engine.settings.secrets)
        except ConfigurationError as error:
            raise InvalidInput(str(error), field="body") from error
        if broken:
            raise InvalidInput(broken, field="type")
        await self._documents.save(name, settings_to_json(section.settings()), created_by=by)
        self._resized.pop(name, None)
        self._apply(name)
        return self.get(name)

    async def delete(self, name: str) -> None:
        """Delete a resource; durable at return.

        Raises:
            NotFound: there is none.
            Refused: it is one of the configuration file's, or is held or has open jobs.
        """
        self._check_ours(name)
        self._documents.get(name)
        jobs, _ = await jobs_of(self._engine, name, start=0, count=1)
        if jobs or self._engine.admission.usage().get(name, {}).get("holders"):
            raise Refused(f"resource {name} is in use: drain it, and delete it when nobody holds it")
        await self._documents.delete(name)
        if name in self._held.all():
            await self._held.delete(name)
        self._resized.pop(name, None)
        self._apply(name)

    async def drain(self, name: str, *, by: str = "", reason: str = "") -> JsonObject:
        """Begin nothing there any more, also after a restart; what is under way ends. Durable at return.

        Raises:
            NotFound: there is no such resource.
        """
        self.settings(name)
        if name not in self._held.all():
            at_ms = self._engine.clock.now().wall_ms
            await self._held.save(name, {"by": by, "reason": reason, "atMs": at_ms}, created_by=by)
        self._apply(name)
        return self.get(name)

    async def resume(self, name: str) -> JsonObject:
        """Let tasks begin again after a drain; durable at return.

        Raises:
            NotFound: there is no such resource.
        """
        self.settings(name)
        if name in self._held.all():
            await self._held.delete(name)
        self._apply(name)
        return self.get(name)

    async def resize(self, name: str, sizes: Mapping[str, int], *, by: str = "") -> JsonObject:
        """Change how much there is, at once; nobody is put out, what is above is given to nobody else.

        That of a stored resource is durable at return; that of the configuration file holds until the
        next start.

        Raises:
            NotFound: there is no such resource.
            InvalidInput: a number makes no sense; nothing changed.
        """
        before = self.settings(name)
        after = _resized(before, sizes)
        if name in self._documents.all() and name not in self._engine.settings.resources:
            await self._documents.save(name, settings_to_json(after), created_by=by)
        else:
            self._resized[name] = after
        self._apply(name)
        return self.get(name)

    def _source(self, name: str) -> str:
        if name in self._engine.settings.resources:
            return "configuration"
        if name in self._documents.all():
            return "document"
        return "implicit" if name.startswith(_IMPLICIT) else "undeclared"

    def _check_ours(self, name: str) -> None:
        if not name or len(name) > MOST_NAME or name.startswith(_IMPLICIT):
            raise InvalidInput(f"1 to {MOST_NAME} characters, without task: or workflow:", field="name")
        if name in self._engine.settings.resources:
            raise Refused(f"resource {name} is in the configuration file: change it there")

    @property
    def _life(self) -> LifeCycle | None:
        pool = self._engine.resources
        return pool if isinstance(pool, LifeCycle) else None

    def _apply(self, name: str) -> None:
        """Have the engine keep to what is said of a resource now."""
        said = self._resized.get(name) or self._said(name)
        if said is not None and name in self._held.all():
            said = replace(said, limit=said.limit._replace(is_open=False))
        life = self._life
        if life is not None:
            life.configure(name, said)
        else:
            self._engine.carry.set_limit(name, None if said is None else said.limit)


def _is_used(usage: Mapping[str, object]) -> bool:
    return any(usage.get(key) for key in ("holders", "waiting", "keys_held", "limit", "rate"))


def _resized(before: ResourceSettings, sizes: Mapping[str, int]) -> ResourceSettings:
    unknown = sorted(set(sizes) - set(_RESIZABLE))
    if unknown or not sizes:
        raise InvalidInput(f"{', '.join(_RESIZABLE)} are expected, got {unknown or 'nothing'}", field="body")
    for key, value in sizes.items():
        if type(value) is not int or not 0 <= value <= 1_000_000_000:
            raise InvalidInput("a whole number from 0 is expected", field=key)
    numbers = dict(sizes)
    limit = before.limit
    if "max_concurrent" in numbers:
        limit = limit._replace(max_concurrent=numbers.pop("max_concurrent"))
    after = replace(before, limit=limit, **numbers)  # type: ignore[arg-type]  # names of `_RESIZABLE` alone
    if after.max_instances < max(after.min_instances, 1):
        raise InvalidInput("max_instances is at least 1 and min_instances", field="max_instances")
    return after
