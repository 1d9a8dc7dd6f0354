"""What tests ask of every definition that an importer or the exporter gives."""

from __future__ import annotations

import json

from asyncflow.model.definition import parse_workflow
from asyncflow.model.validation import validate_workflow

Task = dict[str, object]


def tasks_of(definition: dict[str, object]) -> dict[str, Task]:
    """The tasks by reference, in order, after the engine's own checks accepted the definition."""
    accepted = parse_workflow(json.loads(json.dumps(definition)))
    assert validate_workflow(accepted) == []
    tasks = definition["tasks"]
    assert isinstance(tasks, list)
    return {str(task["taskReferenceName"]): task for task in tasks}


def inputs_of(task: Task) -> dict[str, object]:
    """The task's input parameters."""
    parameters = task["inputParameters"]
    assert isinstance(parameters, dict)
    return parameters


def needs_of(task: Task) -> list[str]:
    """What the task says it depends on."""
    extension = task["asyncflow"]
    assert isinstance(extension, dict)
    needs = extension["dependsOn"]
    assert isinstance(needs, list)
    return needs


def depth_and_edges(tasks: dict[str, Task]) -> tuple[int, int]:
    """The longest chain of dependencies, in tasks, and the number of edges; tasks come after their needs."""
    levels: dict[str, int] = {}
    for reference, task in tasks.items():
        levels[reference] = 1 + max((levels[need] for need in needs_of(task)), default=0)
    return max(levels.values()), sum(len(needs_of(task)) for task in tasks.values())
