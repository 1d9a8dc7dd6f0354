"""Nodes whose tasks are known only when they are scheduled: DYNAMIC and the three dynamic forks.

Nothing is looked up here; a function named only at run time is made known by `Workflow.register`.
Read `operators` for the forks whose branches are written down.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Unpack

from asyncflow.errors import InvalidInput
from asyncflow.sdk.composition import Definable, Forking, Join, LocalFunction, Node
from asyncflow.sdk.options import Options
from asyncflow.sdk.references import Reference


class DynamicFork(Forking):
    """A FORK_JOIN_DYNAMIC and its JOIN, which waits for whatever was forked."""

    def __init__(
        self,
        options: Options,
        join: Join | None,
        *,
        inputs: Mapping[str, object],
        fields: Mapping[str, object] | None = None,
    ) -> None:
        """Fork as these inputs and fields say."""
        super().__init__("FORK_JOIN_DYNAMIC", "dynamic_fork", options, fields=fields, inputs=inputs)
        self.close_with(join, [])

    def children(self) -> Iterator[Sequence[Node]]:
        """The join."""
        yield [self.join]


def dynamic(task_name: str | Reference, *, key: str = "taskToExecute", **options: Unpack[Options]) -> Node:
    """A task whose function or worker is found out when it is scheduled.

    Args:
        task_name: gives the name; `Workflow.register` makes known which local functions it may be.
        key: the input under which the task sees that name.
    """
    return Node("DYNAMIC", "dynamic", options, fields={"dynamicTaskNameParam": key}, inputs={key: task_name})


def dynamic_fork(
    items: object,
    *,
    task: LocalFunction | str | None = None,
    task_type: str | None = None,
    workflow: Definable | str | None = None,
    version: int | None = None,
    join: Join | None = None,
    **options: Unpack[Options],
) -> DynamicFork:
    """Do the same for every item of a list at once; the join's output has each by its reference.

    Args:
        items: a list or a reference to one; a mapping is a task's input, else the item is under `input`.
        task: the function or the name of what is done.
        task_type: another type than SIMPLE, such as `HTTP`.
        workflow: in place of a task, a registered workflow that is run for each.
        version: of that workflow, if only its name is given.

    Raises:
        InvalidInput: both a task and a workflow are given, or the task is none.
    """
    where = options.get("ref", "dynamic_fork")
    if task is not None and workflow is not None:
        raise InvalidInput("give a task or a workflow", field=where)
    if not isinstance(task, str | LocalFunction | None):
        raise InvalidInput(f"{task!r} is no task: decorate it with @task, or give its name", field=where)
    version = workflow.version if isinstance(workflow, Definable) else version
    said = {
        "forkTaskInputs": items,
        "forkTaskName": task if isinstance(task, str) or task is None else task.name,
        "forkTaskType": task_type,
        "forkTaskWorkflow": workflow.name if isinstance(workflow, Definable) else workflow,
        "forkTaskWorkflowVersion": None if version is None else str(version),
    }
    node = DynamicFork(options, join, inputs={key: value for key, value in said.items() if value is not None})
    node.function = None if isinstance(task, str) else task
    if isinstance(workflow, Definable):
        node.carried.append(workflow)
    return node


def dynamic_fork_tasks(
    tasks: object, inputs_by_ref: object, *, join: Join | None = None, **options: Unpack[Options]
) -> DynamicFork:
    """Run a list of tasks that is known only then.

    Args:
        tasks: a list of tasks in Conductor's JSON, or a reference to one.
        inputs_by_ref: a mapping of reference names to their inputs, or a reference to one.
    """
    fields = {"dynamicForkTasksParam": "dynamicTasks", "dynamicForkTasksInputParamName": "dynamicTasksInputs"}
    inputs = {"dynamicTasks": tasks, "dynamicTasksInputs": inputs_by_ref}
    return DynamicFork(options, join, inputs=inputs, fields=fields)


def dynamic_fork_legacy(
    tasks: object, *, join: Join | None = None, **options: Unpack[Options]
) -> DynamicFork:
    """Conductor's oldest form: one object whose `dynamicTasks` lists names, references and inputs."""
    fields = {"dynamicForkJoinTasksParam": "dynamicForkTasks"}
    return DynamicFork(options, join, inputs={"dynamicForkTasks": tasks}, fields=fields)
