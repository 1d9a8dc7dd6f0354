"""Whether a definition may be registered: every rule of Conductor's server, and ours.

All violations are found in one pass and returned, never raised; nothing is looked up that was not handed
in. Rules by task type are in `model/validation_tasks.py`, advice that refuses nothing in
`model/validation_lint.py`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from pydantic_core import to_json as encode

from asyncflow.errors import Violation
from asyncflow.model.json_values import find_fault
from asyncflow.model.limits import DEFAULT_LIMITS, Limits
from asyncflow.model.rendering import compact
from asyncflow.model.shape import EXTENSION_KEY, capped, path_of
from asyncflow.model.task_definition import TaskDefinition
from asyncflow.model.validation_extension import task_extension_violations, workflow_extension_violations
from asyncflow.model.validation_graph import order_violations
from asyncflow.model.validation_references import reference_violations
from asyncflow.model.validation_tasks import task_definition_violations, task_violations
from asyncflow.model.walk import Inline, Placed, inline_definition, placed_tasks, with_inline
from asyncflow.model.workflow_definition import WorkflowDefinition, WorkflowTask, branches


@dataclass(frozen=True, slots=True)
class Known:
    """What is known besides the definition itself.

    Attributes:
        names: environment variables and system parameters that `${NAME}` may name.
        task_definitions: registered task definitions by name; their input templates count.
    """

    names: frozenset[str] = frozenset()
    task_definitions: Mapping[str, TaskDefinition] = field(default_factory=dict)


NOTHING_KNOWN = Known()
"""No environment and no registered task definition."""


def validate_workflow(
    definition: WorkflowDefinition, *, limits: Limits = DEFAULT_LIMITS, known: Known = NOTHING_KNOWN
) -> list[Violation]:
    """Every reason to refuse the definition, in order of definition; empty when there is none.

    Inline sub-workflows are judged as definitions of their own, except that Conductor looks at their
    references only when they run, and so do we. When a limit is exceeded only that is reported;
    otherwise the list is capped, the rest counted.
    """
    too_much = next(_limit_violations(definition, limits), None)
    if too_much is not None:
        return [too_much]
    found: list[Violation] = []
    for inline in with_inline(definition):
        judged = _violations(inline, known)
        found += (Violation(inline.path_to(each.path), each.message) for each in judged)
    return capped(found, limits)


def validate_task_definition(
    definition: TaskDefinition, *, limits: Limits = DEFAULT_LIMITS
) -> list[Violation]:
    """Every reason to refuse the task definition; empty when there is none."""
    fault = _content_violation(definition, limits)
    if fault is not None:
        return [fault]
    found = [Violation(path, text) for path, text in task_definition_violations(definition)]
    extension = definition.extension
    if extension is not None:
        found += task_extension_violations(extension, (EXTENSION_KEY,), references=None)
    return capped(found, limits)


# --- limits ----------------------------------------------------------------------------------


def _limit_violations(definition: WorkflowDefinition, limits: Limits) -> Iterator[Violation]:
    """The limits, those that make the walk itself expensive first."""
    stack: list[tuple[list[WorkflowTask], int]] = [(definition.tasks, 1)]
    count = 0
    while stack:
        tasks, level = stack.pop()
        count += len(tasks)
        if count > limits.definition_tasks:
            yield _over("definition_tasks", limits.definition_tasks)
        if tasks and level > limits.definition_nesting:
            yield _over("definition_nesting", limits.definition_nesting, level)
        for task in tasks:
            if len(task.fork_tasks) > limits.fork_width:
                yield _over("fork_width", limits.fork_width, len(task.fork_tasks))
            stack.extend((inner, level + 1) for _, inner in branches(task))
            child = inline_definition(task)
            if child is not None:
                stack.append((child.tasks, level + 1))
    fault = _content_violation(definition, limits)
    if fault is not None:
        yield fault


def _over(limit: str, allowed: int, actual: int | None = None) -> Violation:
    return Violation("", f"{limit}: at most {allowed}" + ("" if actual is None else f", got {actual}"))


def _content_violation(definition: WorkflowDefinition | TaskDefinition, limits: Limits) -> Violation | None:
    """Whether it is JSON of a fit size; records made in Python may hold anything."""
    content = compact(definition)
    fault = find_fault(content, depth=limits.definition_depth)
    if fault is not None:
        return Violation(path_of(fault.parts), fault.message)
    size = len(encode(content))
    return (
        _over("definition_bytes", limits.definition_bytes, size) if size > limits.definition_bytes else None
    )


# --- one definition --------------------------------------------------------------------------


def _violations(inline: Inline, known: Known) -> Iterator[Violation]:
    definition = inline.definition
    placed = list(placed_tasks(definition))
    references = frozenset(each.task.task_reference_name for each in placed)
    yield from _head_violations(inline)
    yield from _duplicate_violations(definition, placed)
    for each in placed:
        registered = known.task_definitions.get(each.task.name)
        for part, message in task_violations(each.task, registered):
            yield Violation(f"{each.path}.{part}", message)
        yield from _extension_violations(each, references)
    if not inline.prefix:
        yield from reference_violations(definition, references | known.names)
    yield from order_violations(definition, placed)


def _extension_violations(placed: Placed, references: frozenset[str]) -> Iterator[Violation]:
    task = placed.task
    embedded = task.task_definition.extension if task.task_definition is not None else None
    places = ((*placed.place, EXTENSION_KEY), (*placed.place, "taskDefinition", EXTENSION_KEY))
    for extension, place in zip((task.extension, embedded), places, strict=True):
        if extension is not None:
            yield from task_extension_violations(extension, place, references=references, task_type=task.type)


def _head_violations(inline: Inline) -> Iterator[Violation]:
    definition = inline.definition
    if not (definition.name or inline.name):
        yield Violation("name", "WorkflowDef name cannot be null or empty")
    if not definition.tasks:
        yield Violation("tasks", "WorkflowTask list cannot be empty")
    if definition.schema_version != 2:
        yield Violation("schemaVersion", "workflowDef schemaVersion: 2 is only supported")
    if definition.extension is not None:
        yield from workflow_extension_violations(definition.extension)


def _duplicate_violations(definition: WorkflowDefinition, placed: list[Placed]) -> Iterator[Violation]:
    seen: set[str] = set()
    for each in placed:
        reference = each.task.task_reference_name
        if reference and reference in seen:
            yield Violation(
                f"{each.path}.taskReferenceName",
                f"taskReferenceName: {reference} should be unique across tasks for a given "
                f"workflowDefinition: {definition.name}",
            )
        seen.add(reference)
