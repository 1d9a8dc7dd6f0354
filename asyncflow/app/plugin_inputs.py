"""Whether tasks of a plugin's type say what the plugin takes: keys of their input, against its model.

Values are not judged, as most are expressions; what they come to is checked when the task begins. Who
asks is `app/checking`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from difflib import get_close_matches

from pydantic import BaseModel

from asyncflow.errors import Violation
from asyncflow.model.definition import WorkflowDefinition, WorkflowTask
from asyncflow.model.walk import placed_tasks, with_inline
from asyncflow.plugins.registry import Registry


def input_models(registry: Registry) -> dict[str, type[BaseModel]]:
    """By type of task the model of its input, of every type that a plugin brings and that has one."""
    jobs = {name: model for manager in registry.resources.values() for name, model in manager.tasks.items()}
    return {**jobs, **{name: kind.Input for name, kind in registry.tasks.items() if kind.Input is not None}}


def lint_inputs(definition: WorkflowDefinition, models: Mapping[str, type[BaseModel]]) -> list[Violation]:
    """Keys of inputs that a plugin does not know, and keys it needs that are not there."""
    return [
        Violation(inline.path_to(f"{placed.path}.inputParameters{part}"), message)
        for inline in with_inline(definition)
        for placed in placed_tasks(inline.definition)
        if placed.task.type in models
        for part, message in _faults(placed.task, models[placed.task.type])
    ]


def _faults(task: WorkflowTask, model: type[BaseModel]) -> Iterator[tuple[str, str]]:
    known = {field.alias or name: field for name, field in model.model_fields.items()}
    for key in task.input_parameters:
        if key not in known and model.model_config.get("extra") == "forbid":
            near = get_close_matches(key, known, 1)
            meant = f"did you mean {near[0]}?" if near else f"it takes {', '.join(known) or 'none'}"
            yield f".{key}", f"{task.type} takes no such input ({meant})"
    template = {} if task.task_definition is None else task.task_definition.input_template
    for key, field in known.items():
        if field.is_required() and key not in task.input_parameters and key not in template:
            yield "", f"{task.type} needs {key}, unless the task definition's template gives it"
