"""Whether the order of tasks that `dependsOn` gives is one: known references, no cycle.

A task without `dependsOn` follows the one before it, so both kinds of order are judged together. What the
order means at run time is in `decide/`.
"""

from __future__ import annotations

from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter

from asyncflow.errors import Violation
from asyncflow.model.shape import path_of
from asyncflow.model.walk import Place, Placed, task_lists
from asyncflow.model.workflow_definition import (
    WorkflowDefinition,
    WorkflowTask,
    depends_on,
    predecessors,
)

_SHOWN = 20  # tasks of a cycle that the message names


def order_violations(definition: WorkflowDefinition, placed: list[Placed]) -> Iterator[Violation]:
    """Why the order of some list of tasks is refused."""
    for place, tasks in task_lists(definition, placed):
        if any(depends_on(task) is not None for task in tasks):
            yield from _list_violations(place, tasks)


def _list_violations(place: Place, tasks: list[WorkflowTask]) -> Iterator[Violation]:
    references = {task.task_reference_name for task in tasks}
    is_known = True
    for index, task in enumerate(tasks):
        for part, reference in enumerate(depends_on(task) or ()):
            if reference not in references:
                is_known = False
                path = path_of((*place, index, "asyncflow", "dependsOn", part))
                yield Violation(path, f"names {reference[:80]!r}, which is no task of the same list")
    if is_known and len(references) == len(tasks):
        cycle = find_cycle(predecessors(tasks))
        if cycle:
            shown = [*cycle[:_SHOWN], "…"] if len(cycle) > _SHOWN else cycle
            yield Violation(path_of(place), f"dependsOn has a cycle: {' -> '.join(shown)}")


def find_cycle(order: dict[str, list[str]]) -> list[str]:
    """A cycle of the order, each task before the next, the first repeated at its end; empty if none."""
    try:
        TopologicalSorter(order).prepare()
    except CycleError as error:
        return [str(reference) for reference in error.args[1]]
    return []
