"""The plugins of an engine as they are shown: what is installed, what it brings, and what is broken, and why.

It changes nothing. What finds them is `plugins/registry`; schemas are those of the plugins' own models.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from pydantic import BaseModel

from asyncflow.app.plugin_inputs import input_models
from asyncflow.errors import NotFound
from asyncflow.model.values import JsonObject
from asyncflow.plugins.listeners import Listener
from asyncflow.plugins.registry import Plugin, Registry
from asyncflow.plugins.resources import CONTRACT_VERSION, ResourceManager, has_instances, takes_jobs
from asyncflow.plugins.tasks import TaskType


class PluginCatalogue:
    """Shows one registry."""

    def __init__(self, registry: Registry) -> None:
        """Show these plugins."""
        self._registry = registry

    def all(self) -> list[JsonObject]:
        """Every plugin that was found, usable or not, by kind and name."""
        return [_facts(each) for each in sorted(self._registry.plugins, key=lambda p: (p.kind, p.name))]

    def get(self, kind: str, name: str) -> JsonObject:
        """One plugin, with the JSON schemas of its settings and of the inputs of its types of task.

        Raises:
            NotFound: there is none of this kind and name.
        """
        found = [each for each in self._registry.plugins if (each.kind, each.name) == (kind, name)]
        if not found:
            raise NotFound(f"{kind} plugin", name)
        best = next((each for each in found if each.state == "ready"), found[0])
        return {**_facts(best), **_schemas(best)}

    def task_type(self, name: str) -> JsonObject:
        """A type of task that a plugin brings, with the JSON schema of its input.

        Raises:
            NotFound: no plugin brings it.
        """
        owner = self._registry.job_types.get(name)
        if owner is None and name not in self._registry.tasks:
            raise NotFound("task type of a plugin", name)
        model = input_models(self._registry).get(name)
        return {
            "name": name,
            "kind": "task" if owner is None else "resource",
            "plugin": name if owner is None else owner,
            "input": {"type": "object"} if model is None else _schema(model),
        }


def _facts(plugin: Plugin) -> JsonObject:
    return {
        "kind": plugin.kind,
        "name": plugin.name,
        "state": plugin.state,
        "reason": plugin.reason,
        "distribution": plugin.distribution,
        "version": plugin.version,
        "target": plugin.target,
        "contract": CONTRACT_VERSION,
        "taskTypes": _task_types(plugin),
        "about": _about(plugin.found),
    }


def _task_types(plugin: Plugin) -> list[str]:
    if plugin.kind == "task":
        return [plugin.name]
    tasks: Mapping[str, object] = getattr(plugin.found, "tasks", {})
    return sorted(tasks)


def _about(found: type | None) -> str:
    """The first line of what the author says of the class."""
    said = "" if found is None else vars(found).get("__doc__") or ""
    return said.strip().partition("\n")[0]


def _schemas(plugin: Plugin) -> JsonObject:
    if plugin.found is None:
        return {}
    if plugin.kind == "task":
        model = cast("type[TaskType]", plugin.found).Input
        return {"inputs": {plugin.name: {"type": "object"} if model is None else _schema(model)}}
    if plugin.kind == "listener":
        listener = cast("type[Listener]", plugin.found)
        return {"config": _schema(listener.Config), "patterns": list(listener.patterns)}
    manager = cast("type[ResourceManager]", plugin.found)
    return {
        "config": _schema(manager.Config),
        "inputs": {name: _schema(model) for name, model in manager.tasks.items()},
        "tier": manager.tier,
        "takesJobs": takes_jobs(manager),
        "hasInstances": has_instances(manager),
        "pollBatch": manager.poll_batch,
        "callback": manager.callback,
    }


def _schema(model: type[BaseModel]) -> JsonObject:
    return model.model_json_schema(by_alias=True)
