"""Resources as anybody may see them: what there is and how it stands, who holds it and who waits.

It changes nothing; what operators and admins do is `app/resources`. Who holds what is told by
`decide/admission`, how one stands by the runtime.
"""

from __future__ import annotations

from collections.abc import Mapping

from asyncflow.app.documents import Documents
from asyncflow.app.resource_views import is_used, jobs_of, shown_settings, state_of
from asyncflow.app.service import Service
from asyncflow.app.waits import people
from asyncflow.errors import NotFound
from asyncflow.model.resource_settings import ResourceSettings
from asyncflow.model.values import JsonObject
from asyncflow.runtime.resource_wiring import DOCUMENT
from asyncflow.runtime.resources import Resources as Kept
from asyncflow.store.journal import Journal

Usage = Mapping[str, dict[str, object]]
"""By name, how much of a resource is in use; as `Admission.usage`."""

_IMPLICIT = ("task:", "workflow:")


class ResourceListing:
    """The resources of one engine, to be seen."""

    def __init__(self, service: Service, journal: Journal) -> None:
        """Show those of this engine."""
        self._engine, self._journal = service.engine, journal
        self._documents = Documents(service.engine, DOCUMENT)

    @property
    def _kept(self) -> Kept:
        kept = self._engine.kept_resources
        assert kept is not None  # an engine with resources of its own making is for tests alone
        return kept

    def settings(self, name: str) -> ResourceSettings:
        """What is said of a resource now.

        Raises:
            NotFound: it is neither configured nor stored.
        """
        found = self._kept.settings_of(name)
        if found is None:
            raise NotFound("resource", name)
        return found

    def names(self) -> list[str]:
        """Every resource by name: configured, stored, made by limits of definitions, or in use now."""
        return self._names(self._engine.admission.usage())

    def _names(self, usage: Usage) -> list[str]:
        named = (name for name, used in usage.items() if name.startswith(_IMPLICIT) or is_used(used))
        return sorted({*self._kept.settings, *self._kept.orphans, *self._kept.unusable, *named})

    def all(self, *, start: int = 0, count: int = 100) -> JsonObject:
        """Resources by name, each with its use and state; cost: in the resources."""
        usage, jobs = self._engine.admission.usage(), self._engine.jobs.counts()
        names = self._names(usage)
        shown = [self._shown(name, usage, jobs) for name in names[start : start + count]]
        return {"totalHits": len(names), "resources": shown}

    def _shown(self, name: str, usage: Usage, jobs: Mapping[str, dict[str, int]]) -> JsonObject:
        found: JsonObject = {"name": name, "source": self._source(name), **usage.get(name, {})}
        if name in self._kept.unusable:
            return {**found, "type": "", "state": "unusable", "reason": self._kept.unusable[name]}
        life = self._kept.find(name)
        if life is None:
            return {**found, "type": "limit", "state": "ready"}
        own = {key: value for key, value in life.items() if key not in {"name", "waiting", "settings"}}
        said = self._kept.settings_of(name)
        kind = self._engine.registry.resources.get(str(life["type"]))
        settings = life["settings"] if said is None else shown_settings(said, kind)
        return {**found, "settings": settings, "jobs": jobs.get(name, {}), **own, "state": state_of(life)}

    def get(self, name: str) -> JsonObject:
        """One resource, with the first of those who hold it and of those who wait.

        Raises:
            NotFound: nobody named it.
        """
        admission = self._engine.admission
        usage = admission.usage()
        if name not in self._names(usage):
            raise NotFound("resource", name)
        found = admission.people(name)
        for key in ("held_by", "waited_by"):
            found[key] = people(self._engine, found.get(key))
        return {**self._shown(name, usage, self._engine.jobs.counts()), **found}

    async def history(self, name: str, *, start: int = 0, count: int = 100) -> JsonObject:
        """What became of a resource: its events, the newest first.

        Raises:
            NotFound: it is not there, and never was.
        """
        total, events = await self._kept.history(name, self._journal, start=start, count=count)
        if not total and name not in self.names():
            raise NotFound("resource", name)
        return {"totalHits": total, "events": events}

    async def jobs(self, name: str, *, start: int = 0, count: int = 100) -> JsonObject:
        """The open jobs of a resource, the oldest execution first.

        Raises:
            NotFound: there is no such resource.
        """
        self.settings(name)
        total, jobs = await jobs_of(self._engine, name, start=start, count=count)
        return {"totalHits": total, "jobs": jobs}

    def _source(self, name: str) -> str:
        if name in self._engine.settings.resources:
            return "configuration"
        if name in self._documents.all():
            return "document"
        return "implicit" if name.startswith(_IMPLICIT) else "undeclared"
