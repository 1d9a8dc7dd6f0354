"""The definitions of an engine: registered, checked, deleted, and found for a start.

What is registered here is bound when an execution begins; executions under way go on with what they
were bound to. `app/service` adds the executions.
"""

from __future__ import annotations

from asyncflow.decide.catalog import DefinitionCatalog
from asyncflow.errors import Conflict, DefinitionError, NotFound, Violation
from asyncflow.ids import content_hash
from asyncflow.model import events as ev
from asyncflow.model.definition import (
    TaskDefinition,
    WorkflowDefinition,
    canonical_json,
    iterate_tasks,
    parse_task_definition,
    parse_workflow,
)
from asyncflow.model.definition import (
    to_json as definition_json,
)
from asyncflow.model.graph import Graph
from asyncflow.model.validation import validate_task_definition, validate_workflow
from asyncflow.model.values import JsonObject
from asyncflow.runtime.engine import Engine
from asyncflow.runtime.recovery import CATALOG_STREAM


class Definitions:
    """Commands and queries on the catalogue of one engine."""

    def __init__(self, engine: Engine) -> None:
        """Serve this engine, which is open."""
        self.engine = engine

    async def register_workflow(
        self, body: JsonObject | WorkflowDefinition, *, overwrite: bool = True, created_by: str = ""
    ) -> WorkflowDefinition:
        """Store a workflow definition under its name and version.

        Raises:
            DefinitionError: with every violation; nothing was stored.
            Conflict: the version exists, differs, and may not be overwritten.
        """
        definition = self.check_workflow(body)
        catalog = self.engine.catalog
        present = catalog.workflows.get(definition.name, {}).get(definition.version)
        if present == definition:
            await self.engine.turns.settled(CATALOG_STREAM)
            return definition
        if present is not None and not overwrite:
            raise Conflict(f"workflow {definition.name} version {definition.version} exists already")
        name = content_hash(canonical_json(definition))
        event = ev.WorkflowRegistered(definition.name, definition.version, name, created_by, self._now_ms())
        await self.engine.change_catalog(event, {name: definition})
        return definition

    def check_workflow(self, body: JsonObject | WorkflowDefinition) -> WorkflowDefinition:
        """The definition, if nothing is wrong with it.

        Raises:
            DefinitionError: with every violation.
        """
        limits = self.engine.settings.limits
        definition = body if isinstance(body, WorkflowDefinition) else parse_workflow(body, limits=limits)
        violations = validate_workflow(definition, limits=limits)
        if violations:
            raise DefinitionError(violations)
        return definition

    async def unregister_workflow(self, name: str, version: int) -> None:
        """Delete one version; the next highest is the default from here on, executions go on.

        Raises:
            NotFound: there is no such version.
        """
        if version not in self.engine.catalog.workflows.get(name, {}):
            raise NotFound("workflow", f"{name} version {version}")
        await self.engine.change_catalog(ev.WorkflowUnregistered(name, version))

    def _now_ms(self) -> int:
        return self.engine.clock.now().wall_ms

    async def register_task(
        self, body: JsonObject | TaskDefinition, *, created_by: str = ""
    ) -> TaskDefinition:
        """Store or replace a task definition; its limits hold for waiting work within the same turn.

        Raises:
            DefinitionError: with every violation; nothing was stored.
        """
        definition = self.check_task(body)
        event = ev.TaskRegistered(definition.name, definition_json(definition), created_by, self._now_ms())
        await self.engine.change_catalog(event)
        return definition

    def check_task(self, body: JsonObject | TaskDefinition) -> TaskDefinition:
        """The task definition, if nothing is wrong with it.

        Raises:
            DefinitionError: with every violation.
        """
        definition = body if isinstance(body, TaskDefinition) else parse_task_definition(body)
        violations = validate_task_definition(definition)
        if violations:
            raise DefinitionError(violations)
        return definition

    async def unregister_task(self, name: str) -> None:
        """Delete a task definition.

        Raises:
            NotFound: there is none of this name.
        """
        if name not in self.engine.catalog.tasks:
            raise NotFound("task definition", name)
        await self.engine.change_catalog(ev.TaskUnregistered(name))

    def graph_of(self, definition: WorkflowDefinition | None, name: str, version: int | None) -> Graph:
        """What a start runs: the definition that came with it, or a registered one.

        Raises:
            NotFound: no such workflow, or a sub-workflow that it names is not there.
            DefinitionError: the definition given with the request is refused.
        """
        checked = None if definition is None else self.check_workflow(definition)
        return find_graph(self.engine.catalog, checked, name, version=version)


def find_graph(
    catalog: DefinitionCatalog, definition: WorkflowDefinition | None, name: str, *, version: int | None
) -> Graph:
    """What a start runs by a catalogue; `definition` was checked. Raises as `Definitions.graph_of`."""
    graph = catalog.latest(name, version) if definition is None else catalog.inline(definition)
    if graph is None:
        raise NotFound("workflow", f"{name}{f' version {version}' if version is not None else ''}")
    if graph.hash not in catalog.complete:
        _check_children(catalog, graph.definition)
        if definition is None:
            catalog.complete.add(graph.hash)  # until something registered changes
    return graph


def _check_children(catalog: DefinitionCatalog, definition: WorkflowDefinition) -> None:
    """Refuse a start whose sub-workflows are named literally and are not there."""
    for path, task in iterate_tasks(definition):
        param = task.sub_workflow_param
        if param is None or task.type != "SUB_WORKFLOW" or param.workflow_definition is not None:
            continue
        name = param.name or ""
        if "${" in name:
            if param.version is None:
                raise DefinitionError(
                    [Violation(f"{path}.subWorkflowParam.version", "needed with an expression as name")]
                )
        elif catalog.latest(name, param.version or None) is None:
            raise NotFound("workflow", f"{name} (sub-workflow of {path})")
