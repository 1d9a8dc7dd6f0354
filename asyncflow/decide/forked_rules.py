"""What tasks that come as data are held to before a fork makes records of them.

Nobody registered them, so nobody judged them; the rules are those of registration that the engine
relies on. It reads a task and changes nothing. Shape and order within it are judged in `decide/forks`.
"""

from __future__ import annotations

from collections.abc import Iterator

from asyncflow.errors import Violation
from asyncflow.model.definition import WorkflowDefinition, WorkflowTask, branches
from asyncflow.model.shape import EXTENSION_KEY
from asyncflow.model.validation import validate_workflow
from asyncflow.model.validation_extension import task_extension_violations
from asyncflow.model.walk import Placed, inline_definition, placed_tasks

# Judged once, when the fork is opened: an event that was recorded is replayed under later rules too.


def forked_fault(task: WorkflowTask) -> Violation | None:
    """Why the task, or one inside it, may not be made, or None where it may.

    Cost: next to nothing for a task that holds no others, names no resources and brings no definition.
    """
    is_plain = task.extension is None and task.task_definition is None and task.sub_workflow_param is None
    if is_plain and not any(tasks for _, tasks in branches(task)):
        return None
    whole = WorkflowDefinition.model_construct(tasks=[task])
    return next((fault for placed in placed_tasks(whole) for fault in _faults(placed)), None)


def _faults(placed: Placed) -> Iterator[Violation]:
    task = placed.task
    embedded = None if task.task_definition is None else task.task_definition.extension
    places = ((EXTENSION_KEY,), ("taskDefinition", EXTENSION_KEY))
    for extension, place in zip((task.extension, embedded), places, strict=True):
        if extension is not None:
            yield from task_extension_violations(extension, place, references=None, task_type=task.type)
    child = inline_definition(task)
    if child is not None and task.sub_workflow_param is not None:
        named = child.model_copy(update={"name": child.name or task.sub_workflow_param.name})
        yield from (
            Violation(f"subWorkflowParam.workflowDefinition.{each.path}", each.message)
            for each in validate_workflow(named)
        )
