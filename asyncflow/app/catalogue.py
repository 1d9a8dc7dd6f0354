"""What is registered with an engine, for those who look: definitions with the times of their registration.

It changes nothing: registering and deleting is in `app/definitions`, rendering in `model/rendering`.
"""

from __future__ import annotations

from collections.abc import Mapping

from asyncflow.errors import NotFound
from asyncflow.model.definition import TaskDefinition, WorkflowDefinition, to_json
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine

_OF_AGENTS = frozenset({"agent_sdk", "agentDef"})


class Catalogue:
    """Queries on the registered definitions of one engine; everything given is ordered by name."""

    def __init__(self, engine: Engine) -> None:
        """Show what this engine has."""
        self._catalog = engine.catalog

    def workflows(self, classifier: str = "") -> list[WorkflowDefinition]:
        """Every version of every workflow, or of those of a classifier, as `workflow` or `agent`."""
        found = (each for name in self.workflow_names() for each in self._versions(name))
        return [each for each in found if classifier in {"", _classifier(each)}]

    def latest_workflows(self) -> list[WorkflowDefinition]:
        """The highest version of every workflow."""
        return [self._versions(name)[-1] for name in self.workflow_names()]

    def workflow(self, name: str, version: int | None = None) -> WorkflowDefinition:
        """A version of a workflow, by default the highest.

        Raises:
            NotFound: there is none.
        """
        versions = self._catalog.workflows.get(name, {})
        found = versions.get(max(versions, default=0) if version is None else version)
        if found is None:
            raise NotFound("workflow", name if version is None else f"{name} version {version}")
        return found

    def workflow_names(self) -> list[str]:
        """The name of every workflow."""
        return sorted(self._catalog.workflows)

    def workflow_versions(self, name: str) -> list[JsonObject]:
        """Name, version and times of every version of a workflow, lowest first.

        Raises:
            NotFound: there is none.
        """
        if name not in self._catalog.workflows:
            raise NotFound("workflow", name)
        return [
            {"name": name, "version": each.version, **self._times((name, each.version))}
            for each in self._versions(name)
        ]

    def has_workflow(self, name: str, version: int) -> bool:
        """Whether this version is registered."""
        return version in self._catalog.workflows.get(name, {})

    def tasks(self) -> list[TaskDefinition]:
        """Every task definition."""
        return [self._catalog.tasks[name] for name in sorted(self._catalog.tasks)]

    def task(self, name: str) -> TaskDefinition:
        """The task definition of this name.

        Raises:
            NotFound: there is none.
        """
        found = self._catalog.tasks.get(name)
        if found is None:
            raise NotFound("task definition", name)
        return found

    def shown(self, definition: WorkflowDefinition | TaskDefinition) -> JsonObject:
        """A registered definition as Conductor shows it, with its times; safe to call in a thread."""
        if isinstance(definition, TaskDefinition):
            return to_json(definition) | self._times(("task", definition.name))
        return to_json(definition) | self._times((definition.name, definition.version))

    def _versions(self, name: str) -> list[WorkflowDefinition]:
        versions: Mapping[int, WorkflowDefinition] = self._catalog.workflows[name]
        return [versions[number] for number in sorted(versions)]

    def _times(self, key: tuple[str, str | int]) -> JsonObject:
        """When it was registered, and registered anew if it was; nothing for what has no times."""
        made_ms, changed_ms = self._catalog.times_ms.get(key, (0, 0))
        times: JsonObject = {"createTime": made_ms} if made_ms else {}
        return times | {"updateTime": changed_ms} if changed_ms > made_ms else times


def _classifier(definition: WorkflowDefinition) -> str:
    given = definition.metadata.get("classifier")
    if isinstance(given, str) and given:
        return given
    return "agent" if _OF_AGENTS & definition.metadata.keys() else "workflow"
