"""What a definition may say that has no effect yet, so that nobody relies on it.

It refuses nothing. `model/validation_lint.py` puts these among its warnings, and a run tells them as
well. Who makes one of these fields act deletes its line of the table, and nothing else here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from asyncflow.errors import Violation
from asyncflow.model.extension import TaskDefinitionExtension, WorkflowExtension
from asyncflow.model.shape import EXTENSION_KEY, Shape
from asyncflow.model.task_definition import TaskDefinition
from asyncflow.model.walk import placed_tasks, with_inline
from asyncflow.model.workflow_definition import WorkflowDefinition, WorkflowTask

_Holder = Literal["workflow", "workflow extension", "task extension", "resource"]


class _Unheeded(NamedTuple):
    """A field, the record it stands in, and what does not happen."""

    holder: _Holder
    field: str
    consequence: str

    @property
    def message(self) -> str:
        return f"has no effect yet: {self.consequence}"


_UNHEEDED: tuple[_Unheeded, ...] = (
    _Unheeded("task extension", "execute_when_recovering", "what has ended is not run again"),
)

_BY_HOLDER: dict[str, list[_Unheeded]] = {}
for _each in _UNHEEDED:
    _BY_HOLDER.setdefault(_each.holder, []).append(_each)


def unheeded(definition: WorkflowDefinition) -> Iterator[Violation]:
    """The fields without effect of a workflow definition, inline sub-workflows included, with their paths."""
    for inline in with_inline(definition):
        for each in unheeded_of_head(inline.definition):
            yield Violation(inline.path_to(each.path), each.message)
        for placed in placed_tasks(inline.definition):
            for each in unheeded_of_task(placed.task):
                yield Violation(inline.path_to(f"{placed.path}.{each.path}"), each.message)


def unheeded_of_head(definition: WorkflowDefinition) -> Iterator[Violation]:
    """The same for what a workflow definition says outside of its tasks."""
    yield from _in_record("workflow", definition)
    yield from _in_extension("workflow extension", definition.extension)


def unheeded_of_task(task: WorkflowTask) -> Iterator[Violation]:
    """The same for one task, without those inside it; paths begin at the task."""
    yield from _in_extension("task extension", task.extension)
    if task.task_definition is not None:
        for each in unheeded_of_task_definition(task.task_definition):
            yield Violation(f"taskDefinition.{each.path}", each.message)


def unheeded_of_task_definition(definition: TaskDefinition) -> Iterator[Violation]:
    """The same for a task definition."""
    yield from _in_extension("task extension", definition.extension)


def _in_extension(
    holder: _Holder, extension: WorkflowExtension | TaskDefinitionExtension | None
) -> Iterator[Violation]:
    if extension is None:
        return
    for each in _in_record(holder, extension):
        yield Violation(f"{EXTENSION_KEY}.{each.path}", each.message)
    for index, use in enumerate(extension.resources):
        for each in _in_record("resource", use):
            yield Violation(f"{EXTENSION_KEY}.resources[{index}].{each.path}", each.message)


def _in_record(holder: _Holder, record: Shape) -> Iterable[Violation]:
    for entry in _BY_HOLDER.get(holder, ()):
        if getattr(record, entry.field):
            alias = type(record).model_fields[entry.field].alias
            yield Violation(alias or entry.field, entry.message)
