"""The definitions known to an engine, and how one is bound to what it will run with.

Binding freezes: registered task definitions are written into the tasks that embed none, and the
latest version of a literally named sub-workflow is pinned. The catalog changes only by its own
events, see `evolve_catalog`; looking something up changes nothing but a cache.
"""

from __future__ import annotations

from collections.abc import Mapping
from weakref import WeakValueDictionary

from asyncflow.decide.compile import compile_definition
from asyncflow.decide.downtimes import Downtimes
from asyncflow.ids import content_hash
from asyncflow.model import events as ev
from asyncflow.model.definition import (
    TaskDefinition,
    WorkflowDefinition,
    WorkflowTask,
    canonical_json,
    parse_task_definition,
)
from asyncflow.model.graph import Graph
from asyncflow.model.values import JsonObject

CANCEL_GRACE_S = 300.0
"""How long a record waits for its job to be cancelled, where the resource says nothing else."""


class DefinitionCatalog:
    """Registered workflow and task definitions, functions of this process, compiled graphs.

    `graphs` finds by content hash every definition that an execution in memory is bound to, and
    keeps none alive: an inline definition leaves memory with its last execution. Whoever names one
    by hash holds its graph until an execution does; whoever loads an execution adds what it names.
    `complete` has the hashes of registered definitions whose sub-workflows are known to be there.
    `documents` are the named documents by kind, `times_ms` when something registered was made and last
    changed: by name and version, by ("task", name), or by ("<kind> document", name).
    `job_types` are the types of tasks that are jobs, and of which type of resource; `cancel_graces` are the
    resources whose jobs get another time than usual to be cancelled in, in seconds.
    `registered_ms` is when a version was last registered, on the elapsed clock, by name and version.
    `unreadable` are registered versions that are damaged in the database, by "name version n", and why.
    """

    def __init__(self, functions: Mapping[str, str] | None = None) -> None:
        """Begin empty; `functions` says where each function of this process runs."""
        self.workflows: dict[str, dict[int, WorkflowDefinition]] = {}
        self.tasks: dict[str, TaskDefinition] = {}
        self.graphs: WeakValueDictionary[str, Graph] = WeakValueDictionary()
        self.functions: dict[str, str] = dict(functions or {})
        self.documents: dict[str, dict[str, JsonObject]] = {}
        self.times_ms: dict[tuple[str, str | int], tuple[int, int]] = {}
        self.registered_ms: dict[tuple[str, int], int] = {}
        self.job_types: dict[str, str] = {}
        self.cancel_graces: dict[str, float] = {}
        self.unreadable: dict[str, str] = {}
        self.downtimes = Downtimes()
        self.seq = 0
        self.complete: set[str] = set()
        self._bound: dict[tuple[str, int], Graph] = {}

    def latest(self, name: str, version: int | None) -> Graph | None:
        """The graph of a registered version, of the highest if None, or None if there is none."""
        versions = self.workflows.get(name)
        if not versions:
            return None
        chosen = max(versions) if version is None else version
        definition = versions.get(chosen)
        if definition is None:
            return None
        graph = self._bound.get((name, chosen))
        if graph is None:
            graph = self._bound[name, chosen] = self.inline(definition)
        return graph

    def inline(self, definition: WorkflowDefinition) -> Graph:
        """The graph of any definition, bound to what is registered now.

        Cost: linear in its tasks; registered definitions are bound once until the catalog changes.
        """
        bound = definition.model_copy(update={"tasks": self._bind(definition.tasks)})
        return self.add(bound)

    def add(self, bound: WorkflowDefinition) -> Graph:
        """The graph of a definition that is bound already, as it is stored; it is the caller's to hold."""
        name = content_hash(canonical_json(bound))
        graph = self.graphs.get(name)
        if graph is None:
            graph = self.graphs[name] = compile_definition(bound, name)
        return graph

    def task_definition(self, name: str) -> TaskDefinition | None:
        """The registered task definition of this name."""
        return self.tasks.get(name)

    def is_limited(self, name: str) -> bool:
        """Whether a registered task definition limits tasks of this name."""
        definition = self.tasks.get(name)
        return definition is not None and bool(
            definition.concurrent_exec_limit or definition.rate_limit_per_frequency
        )

    def has_function(self, name: str) -> str | None:
        """Where a function of this name runs in this process, or None."""
        return self.functions.get(name)

    def cancel_grace_s(self, resource: str) -> float:
        """How long a record waits until the cancel of its job at this resource is confirmed."""
        return self.cancel_graces.get(resource, CANCEL_GRACE_S)

    def forget_bound(self) -> None:
        """Bind anew from here on: what is registered has changed."""
        self._bound.clear()
        self.complete.clear()

    def _bind(self, tasks: list[WorkflowTask]) -> list[WorkflowTask]:
        return [self._bind_task(task) for task in tasks]

    def _bind_task(self, task: WorkflowTask) -> WorkflowTask:
        changes: dict[str, object] = {}
        if task.task_definition is None and task.name in self.tasks:
            changes["task_definition"] = self.tasks[task.name]
        if task.fork_tasks:
            changes["fork_tasks"] = [self._bind(branch) for branch in task.fork_tasks]
        if task.decision_cases:
            changes["decision_cases"] = {key: self._bind(case) for key, case in task.decision_cases.items()}
        if task.default_case:
            changes["default_case"] = self._bind(task.default_case)
        if task.loop_over:
            changes["loop_over"] = self._bind(task.loop_over)
        param = task.sub_workflow_param
        if param is not None and param.version is None and param.name in self.workflows:
            pinned = max(self.workflows[param.name])
            changes["sub_workflow_param"] = param.model_copy(update={"version": pinned})
        return task.model_copy(update=changes) if changes else task


def evolve_catalog(
    catalog: DefinitionCatalog,
    event: ev.Event,
    definitions: Mapping[str, WorkflowDefinition],
    elapsed_ms: int = 0,
) -> None:
    """The catalog after one of its events, which was recorded at that moment of the elapsed clock.

    `definitions` holds the bodies that events name by hash.
    """
    catalog.seq += 1
    match event:
        case ev.WorkflowRegistered(name, version, definition, _, at_ms):
            catalog.workflows.setdefault(name, {})[version] = definitions[definition]
            catalog.unreadable.pop(f"{name} version {version}", None)
            _dated(catalog, (name, version), at_ms)
            catalog.registered_ms[name, version] = elapsed_ms
        case ev.WorkflowUnregistered(name, version):
            versions = catalog.workflows.get(name, {})
            catalog.registered_ms.pop((name, version), None)
            versions.pop(version, None)
            catalog.times_ms.pop((name, version), None)
            if not versions:
                catalog.workflows.pop(name, None)
        case ev.TaskRegistered(name, body, _, at_ms):
            catalog.tasks[name] = parse_task_definition(body)
            _dated(catalog, ("task", name), at_ms)
        case ev.TaskUnregistered(name):
            catalog.tasks.pop(name, None)
            catalog.times_ms.pop(("task", name), None)
        case ev.DocumentSaved(kind, name, body, _, at_ms):
            catalog.documents.setdefault(kind, {})[name] = body
            _dated(catalog, (f"{kind} document", name), at_ms)
            return
        case ev.DocumentDeleted(kind, name):
            catalog.documents.get(kind, {}).pop(name, None)
            catalog.times_ms.pop((f"{kind} document", name), None)
            return
        case ev.EngineStarted(down_from_ms, down_to_ms):
            catalog.downtimes.add(down_from_ms, down_to_ms)
        case ev.EngineStopped():
            pass  # its moment is what the next start needs
        case _:
            raise TypeError(f"not an event of the catalog: {type(event).__name__}")
    catalog.forget_bound()


def _dated(catalog: DefinitionCatalog, key: tuple[str, str | int], at_ms: int) -> None:
    made_ms, _ = catalog.times_ms.get(key, (at_ms, 0))
    catalog.times_ms[key] = (made_ms, at_ms)
