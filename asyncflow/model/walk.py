"""The tree of a definition as a flat sequence, each task with its place, for those who judge it.

It judges nothing itself, and an inline sub-workflow is not entered: it is a definition of its own. Nothing
here recurses, so any depth is fine; read `model/validation.py` next.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from asyncflow.model.shape import path_of
from asyncflow.model.workflow_definition import WorkflowDefinition, WorkflowTask, branches

Place = tuple[str | int, ...]
"""Keys and indexes that lead from a definition to something in it."""


_CHILD = ("subWorkflowParam", "workflowDefinition")


@dataclass(frozen=True, slots=True)
class Placed:
    """A task, where it stands, and the list it stands in."""

    task: WorkflowTask
    place: Place
    siblings: list[WorkflowTask]

    @property
    def path(self) -> str:
        """The place as text, such as `tasks[2].forkTasks[0][1]`."""
        return path_of(self.place)

    @property
    def index(self) -> int:
        """The position in its list."""
        return int(self.place[-1])

    @property
    def follower(self) -> WorkflowTask | None:
        """The task after it in its list."""
        return self.siblings[self.index + 1] if self.index + 1 < len(self.siblings) else None


def placed_tasks(definition: WorkflowDefinition) -> Iterator[Placed]:
    """Every task of the tree in definition order, a task before those inside it; without recursion."""
    stack = list(_placed(("tasks",), definition.tasks))[::-1]
    while stack:
        each = stack.pop()
        yield each
        inner = [p for place, tasks in branches(each.task) for p in _placed((*each.place, *place), tasks)]
        stack.extend(reversed(inner))


def iterate_tasks(definition: WorkflowDefinition) -> Iterator[tuple[str, WorkflowTask]]:
    """Every task of the tree with its path, in definition order, a task before those inside it.

    Inline sub-workflows are definitions of their own and are not entered.
    """
    return ((each.path, each.task) for each in placed_tasks(definition))


def task_lists(
    definition: WorkflowDefinition, placed: list[Placed]
) -> Iterator[tuple[Place, list[WorkflowTask]]]:
    """Every list of tasks of the tree with its place, the empty ones too."""
    yield ("tasks",), definition.tasks
    for each in placed:
        for place, tasks in branches(each.task):
            yield (*each.place, *place), tasks


def inline_definition(task: WorkflowTask) -> WorkflowDefinition | None:
    """The definition written inside a sub-workflow task, or None."""
    params = task.sub_workflow_param
    inline = params.workflow_definition if params is not None else None
    return inline if isinstance(inline, WorkflowDefinition) else None


@dataclass(frozen=True, slots=True)
class Inline:
    """A definition inside another one, the outermost included, whose prefix is empty."""

    definition: WorkflowDefinition
    prefix: str = ""
    name: str | None = None

    def path_to(self, path: str) -> str:
        """A path of this definition as one of the outermost."""
        return f"{self.prefix}.{path}" if self.prefix else path


def with_inline(definition: WorkflowDefinition) -> Iterator[Inline]:
    """The definition, then the inline sub-workflows inside it, each before those inside it."""
    stack = [Inline(definition)]
    while stack:
        outer = stack.pop()
        yield outer
        inner = []
        for placed in placed_tasks(outer.definition):
            params, child = placed.task.sub_workflow_param, inline_definition(placed.task)
            if params is not None and child is not None:
                path = path_of((*placed.place, *_CHILD))
                inner.append(Inline(child, outer.path_to(path), params.name))
        stack.extend(reversed(inner))


def _placed(place: Place, tasks: list[WorkflowTask]) -> Iterator[Placed]:
    for index, task in enumerate(tasks):
        yield Placed(task, (*place, index), tasks)
